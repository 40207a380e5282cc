import fc from 'fast-check';
import { expect } from 'vitest';
import type { Page } from '../../../src/fanout/room-log.ts';
import type { SharedHistory } from '../../../src/fanout/shared-history.ts';
import type { Gap } from '../../../src/protocol/position.ts';
import type { Publication } from '../../../src/protocol/publication.ts';
import { FakeReplica } from './fake-replica.ts';
import { EPOCH, FakeTopic } from './fake-topic.ts';

const ROOMS = ['a', 'b', 'c'];
const WINDOW_MS = 100;
const SLACK_MS = 20;
const PAGES_MAX = 500;
const FOREIGN = { epoch: 'another', offset: 3 };
const NO_PAGE: Page = { publications: [], source: 'log', more: false };

const record = fc.record({
  room: fc.constantFrom(...ROOMS, 'a', null),
  kind: fc.constantFrom('fresh', 'fresh', 'fresh', 'again', 'late', 'other_epoch'),
  /** Which of the latest is said again. */
  back: fc.nat(8),
  /** From the greatest time until then on; it steps back by less than the slack. */
  stepMs: fc.oneof({ weight: 3, arbitrary: fc.nat(6) }, fc.integer({ min: -SLACK_MS, max: 60 })),
  bytes: fc.nat(9),
});

const reader = fc.record({
  room: fc.constantFrom(...ROOMS),
  direction: fc.constantFrom('forward', 'backward'),
  /** Of all records, where it begins. */
  start: fc.oneof(fc.constantFrom('edge' as const, 'foreign' as const), fc.double({ min: 0, max: 0.999, noNaN: true })),
  limit: fc.integer({ min: 1, max: 7 }),
  bytesMax: fc.constantFrom(1, 90, 150, 100_000),
});

const bounds = fc.record({
  recentRecordsMax: fc.integer({ min: 1, max: 30 }),
  recentBytesMax: fc.constantFrom(400, 1_000_000),
  scanRecordsMax: fc.oneof(fc.integer({ min: 1, max: 40 }), fc.constant(10_000)),
  scanMsMax: fc.constantFrom(0, 60_000),
  scansMax: fc.integer({ min: 1, max: 2 }),
});

/** What happens before a batch of a scan. */
const event = fc.record({
  kind: fc.oneof(
    { weight: 12, arbitrary: fc.constant('nothing') },
    { weight: 5, arbitrary: fc.constant('append') },
    { weight: 2, arbitrary: fc.constant('lag') },
    { weight: 1, arbitrary: fc.constantFrom('delete', 'fail') },
  ),
  count: fc.integer({ min: 1, max: 12 }),
});

export const scenario = fc.record({
  records: fc.array(record, { minLength: 40, maxLength: 160, size: 'max' }),
  /** Of the records, how many are there at first. */
  share: fc.double({ min: 0.3, max: 1, noNaN: true }),
  deleted: fc.oneof(fc.constant(0), fc.constant(0), fc.nat(40)),
  how: fc.constantFrom('whole' as const, 'begun' as const),
  batchSize: fc.integer({ min: 1, max: 9 }),
  readers: fc.array(reader, { minLength: 1, maxLength: 8, size: 'max' }),
  events: fc.array(event, { maxLength: 60, size: 'max' }),
  bounds,
});

export type Scenario = typeof scenario extends fc.Arbitrary<infer T> ? T : never;
type Reader = Scenario['readers'][number];

/** What stands in front of Kafka, and what happens to it. */
export interface History {
  readonly shared: SharedHistory;
  /** Called when the replica has begun, and before each batch of a scan. */
  next(replica: FakeReplica): Promise<void>;
}

/** Plays a scenario's records, and what happens while they are read. */
export class Play {
  readonly topic = new FakeTopic();
  replica!: FakeReplica;
  readonly #scenario: Scenario;
  readonly #history: History | null;
  readonly #said: { room: string; mid: string }[] = [];
  #appended = 0;
  #newestTs = 1_000_000;
  #events: Scenario['events'];
  #soundFromBefore = 0;

  constructor(played: Scenario, history: History | null = null) {
    this.#scenario = played;
    this.#history = history;
    this.#events = played.events;
  }

  async open(): Promise<void> {
    const { records, share, deleted, how, batchSize } = this.#scenario;
    this.#append(Math.ceil(records.length * share));
    this.#delete(Math.min(deleted, this.#old()), (this.topic.ends[0] ?? 0) - 1);
    this.topic.batchSize = batchSize;
    const settings = { windowMs: WINDOW_MS, slackMs: SLACK_MS, ...this.#scenario.bounds };
    this.replica = await FakeReplica.open(this.topic, settings, how, this.#history?.shared);
    await this.#history?.next(this.replica);
    this.topic.onBatch = () => this.#next();
  }

  /** Reads as the scenario's readers do, all at a time. */
  async read(): Promise<void> {
    await Promise.all(
      this.#scenario.readers.map((reader) => {
        return reader.direction === 'forward' ? readForward(this, reader) : readBackward(this, reader);
      }),
    );
    expect(this.replica.pages.waiting).toBe(0);
    expect(this.replica.pages.scans.running).toBe(0);
  }

  /** Of what the replica has read. */
  get end(): number {
    return this.replica.past.span(0).through;
  }

  get first(): number {
    return this.topic.firsts[0] ?? 0;
  }

  /**
   * The offset from which on every scan could be sure until now, by the times alone: it may fall when records are
   * deleted, as the first that is left may be stamped earlier.
   */
  get soundFrom(): number {
    return Math.max(this.#soundFromBefore, this.#soundFromNow());
  }

  #soundFromNow(): number {
    const { first } = this;
    const list = this.topic.records[0] ?? [];
    const oldest = Number(list[first]?.timestamp);
    if (first === 0) return 0;
    const found = list.findIndex(({ timestamp }, offset) => {
      return offset >= first && Number(timestamp) > oldest + WINDOW_MS + 2 * SLACK_MS;
    });
    return found === -1 ? list.length : found;
  }

  get bounds(): Scenario['bounds'] {
    return this.#scenario.bounds;
  }

  /** Whether nothing was deleted, and no scan ends before its records are read. */
  get isUntouched(): boolean {
    return this.first === 0 && this.bounds.scanMsMax > 0;
  }

  async #next(): Promise<void> {
    await this.#history?.next(this.replica);
    const [event, ...events] = this.#events;
    this.#events = events;
    if (event?.kind === 'append') {
      this.#append(event.count);
      this.replica.follow();
    }
    // This replica has not come to it yet, others may have.
    if (event?.kind === 'lag') this.#append(event.count);
    if (event?.kind === 'delete') this.#delete(event.count, this.end);
    if (event?.kind === 'fail') throw new Error('Kafka fails');
  }

  #append(count: number): void {
    const { records } = this.#scenario;
    for (const { room, kind, back, stepMs, bytes } of records.slice(this.#appended, this.#appended + count)) {
      const ts = Math.max(this.#newestTs + stepMs, 0);
      this.#newestTs = Math.max(this.#newestTs, ts);
      const mid = `m${this.#appended++}`;
      const again = kind === 'again' ? this.#said.at(-1 - back) : undefined;
      const said = again ?? (room === null ? null : { room, mid });
      const deadlineMs = kind === 'late' ? ts - 1 : ts;
      const epoch = kind === 'other_epoch' ? 'another' : EPOCH;
      const data = JSON.stringify('x'.repeat(bytes));
      this.topic.append({ ...(said ?? { room: null, mid }), ts, deadlineMs, epoch, data });
      if (said !== null) this.#said.push(said);
    }
  }

  /** How many are so old that no decision about what comes next needs them: retention keeps more than that. */
  #old(): number {
    const neededMs = this.#newestTs - WINDOW_MS - 2 * SLACK_MS;
    return (this.topic.records[0] ?? []).findIndex(({ timestamp }) => Number(timestamp) >= neededMs);
  }

  /** Never the newest: retention leaves the segment that is written to. */
  #delete(count: number, newest: number): void {
    this.#soundFromBefore = this.soundFrom;
    this.topic.firsts[0] = Math.min(this.first + count, Math.max(this.first, newest));
  }
}

/** One read; again where it was told to. */
async function read(play: Play, { room, limit, bytesMax }: Reader, at: object): Promise<Page> {
  for (;;) {
    const request = { room, limit, bytesMax, through: play.end, ...at };
    try {
      return await play.replica.pages.read(request);
    } catch (error) {
      if ((error as { code?: string }).code !== 'unavailable') throw error;
      expect((error as Error).message).toMatch(/Kafka fails|went on at offset/);
    }
  }
}

function covers(gap: Gap | undefined, offset: number): boolean {
  return gap !== undefined && offset > (gap.from?.offset ?? -1) && offset <= gap.to.offset;
}

/** What a page has must be what counts, in order, within its bounds. */
function expectSound(play: Play, { room, limit, bytesMax }: Reader, { publications, gap }: Page): void {
  const truth = play.replica.truthOf(room);
  const [first] = publications;
  const from = truth.findIndex(({ offset }) => offset === first?.offset);
  if (first !== undefined) expect(publications).toEqual(truth.slice(from, from + publications.length));
  expect(publications.length).toBeLessThanOrEqual(limit);
  const bytes = publications.reduce((sum, { value }) => sum + value.length, 0);
  if (publications.length > 1) expect(bytes).toBeLessThanOrEqual(bytesMax);
  if (gap !== undefined) expect(gap.to.epoch).toBe(EPOCH);
}

/** Where a reader begins: at a place, or at a foreign one, or at the edge. */
function positionOf<Edge>(play: Play, { start }: Reader, edge: Edge): number | null | Edge {
  if (start === 'edge') return edge;
  return start === 'foreign' ? null : Math.floor(start * (play.end + 1));
}

/** Of what counts, what lies behind `from` up to and with `through` and was neither given nor said to be missing. */
function untold(truth: readonly Publication[], { publications, gap }: Page, from: number, through: number): number[] {
  const given = new Set(publications.map(({ offset }) => offset));
  const offsets = truth.map(({ offset }) => offset).filter((offset) => offset > from && offset <= through);
  return offsets.filter((offset) => !given.has(offset) && !covers(gap, offset));
}

async function readForward(play: Play, reader: Reader): Promise<void> {
  const { scanRecordsMax } = play.bounds;
  let position = positionOf(play, reader, -1);
  for (let pages = 0; pages < PAGES_MAX; pages++) {
    const through = play.end;
    const after = position === null ? FOREIGN : { epoch: EPOCH, offset: position };
    const page = await read(play, reader, { after, through });
    const { publications, gap, more } = page;
    expectSound(play, reader, page);
    const truth = play.replica.truthOf(reader.room);
    const from: number = position ?? -1;
    if (position === null) expect(gap?.from).toBeNull();
    if (gap !== undefined) {
      if (position !== null) expect(gap.from).toEqual(after);
      // It ends before what can be had, and says nothing of what was not asked for.
      expect(gap.to.offset).toBeLessThan(Math.min(publications[0]?.offset ?? Number.POSITIVE_INFINITY, through + 1));
      if (position !== null && play.isUntouched) {
        expect(gap.to.offset).toBeGreaterThan(from + scanRecordsMax);
        expect(untold(truth, NO_PAGE, from, from + scanRecordsMax)).toEqual([]);
      }
    }
    const reached: number = more ? Math.max(publications.at(-1)?.offset ?? -1, gap?.to.offset ?? -1) : through;
    expect(untold(truth, page, from, reached)).toEqual([]);
    if (!more) return;
    expect(reached).toBeGreaterThan(from);
    position = reached;
  }
  throw new Error('it goes on for ever');
}

async function readBackward(play: Play, reader: Reader): Promise<void> {
  const { scanRecordsMax } = play.bounds;
  let position = positionOf(play, reader, undefined);
  for (let pages = 0; pages < PAGES_MAX; pages++) {
    const through = play.end;
    const start: number = position ?? through + 1;
    const before =
      position === null ? FOREIGN : position === undefined ? undefined : { epoch: EPOCH, offset: position };
    const page = await read(play, reader, { before, through });
    const { publications, gap, more } = page;
    expectSound(play, reader, page);
    const truth = play.replica.truthOf(reader.room);
    if (position === null) expect(gap?.from).toBeNull();
    if (gap !== undefined && position !== null && play.isUntouched) {
      expect(publications).toEqual([]);
      expect(untold(truth, NO_PAGE, start - 1 - scanRecordsMax, start - 1)).toEqual([]);
    }
    const lowest = more ? (publications[0]?.offset ?? Number.NaN) : play.soundFrom;
    expect(untold(truth, page, lowest - 1, start - 1)).toEqual([]);
    if (!more) return;
    expect(lowest).toBeLessThan(start);
    position = lowest;
  }
  throw new Error('it goes on for ever');
}
