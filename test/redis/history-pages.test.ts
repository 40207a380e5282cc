import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { RecentPast, RoomPlace, Stretch, StretchBounds } from '../../src/fanout/shared-history.ts';
import type { Publication } from '../../src/protocol/publication.ts';
import { HistoryReader } from '../../src/redis/history-reader.ts';
import { HISTORY_DEFAULTS, type HistorySettings } from '../../src/redis/history-settings.ts';
import { HistoryWriter } from '../../src/redis/history-writer.ts';
import type { RedisLink } from '../../src/redis/redis-link.ts';
import { REDIS_URL } from '../services/test-services.ts';
import { FakeReplica } from '../unit/kafka/fake-replica.ts';
import { type History, Play, type Scenario, scenario } from '../unit/kafka/pages-play.ts';
import { HistoryStage, type Snapshot, silent } from './history-stage.ts';

/** What happens to what Redis has. */
const event = fc.record({
  kind: fc.oneof(
    { weight: 6, arbitrary: fc.constant('write' as const) },
    { weight: 2, arbitrary: fc.constantFrom('lead' as const, 'trim' as const, 'snapshot' as const) },
    { weight: 1, arbitrary: fc.constantFrom('lose' as const, 'flush' as const, 'rollBack' as const, 'mix' as const) },
    { weight: 6, arbitrary: fc.constant('nothing' as const) },
  ),
  which: fc.nat(100),
  count: fc.nat(12),
});

const bounds = fc.record({
  lengthMax: fc.constantFrom(3, 8, 1_000),
  bytesMax: fc.constantFrom(1_000, 5_000, 1_000_000),
  roomsMax: fc.constantFrom(1, 2, 1_000),
  batchRecordsMax: fc.integer({ min: 1, max: 20 }),
});

const played = fc.record({
  scenario,
  bounds,
  events: fc.array(event, { minLength: 10, maxLength: 200, size: 'max' }),
  /** A replica beside that which is read from: mostly one that has begun long before it. */
  other: fc.record({
    recentRecordsMax: fc.oneof(fc.constant(10_000), fc.integer({ min: 1, max: 60 })),
    how: fc.constantFrom('whole' as const, 'whole' as const, 'begun' as const),
    /** Offsets that have come since it wrote. */
    lag: fc.oneof(fc.constant(0), fc.nat(100)),
  }),
});

type Played = typeof played extends fc.Arbitrary<infer T> ? T : never;

/** What a replica has in memory, without the latest that it has read: so far its tail had come when it wrote. */
class LaggingPast implements RecentPast {
  readonly partitions = 1;
  readonly #past: RecentPast;
  /** Offsets. */
  lag = 0;

  constructor(past: RecentPast) {
    this.#past = past;
  }

  get epoch(): string {
    return this.#past.epoch;
  }

  span(partition: number): { from: number; through: number } {
    const { from, through } = this.#past.span(partition);
    return { from, through: Math.max(from - 1, through - this.lag) };
  }

  *publications(partition: number, from: number): Generator<Publication> {
    const { through } = this.span(partition);
    for (const publication of this.#past.publications(partition, from)) {
      if (publication.offset <= through) yield publication;
    }
  }
}

/** What two replicas write of a partition, one after the other, and what Redis makes of it. */
class RedisPlay implements History {
  readonly shared: History['shared'];
  readonly reads: HistoryReader['reads'];
  topic!: Play['topic'];
  readonly #stage: HistoryStage;
  readonly #link: RedisLink;
  readonly #played: Played;
  readonly #settings: HistorySettings;
  readonly #writers: { readonly writer: HistoryWriter; readonly past: LaggingPast }[] = [];
  #events: Played['events'];
  #snapshot: Snapshot = [];
  #replicas: FakeReplica[] = [];
  #turn = Promise.resolve();

  constructor(stage: HistoryStage, link: RedisLink, { events, bounds, ...rest }: Played) {
    this.#stage = stage;
    this.#link = link;
    this.#played = { events, bounds, ...rest };
    this.#events = events;
    this.#settings = { ...HISTORY_DEFAULTS, ...bounds, writeMs: 2 ** 30, leaseMs: 600_000, renewMs: 0 };
    const reader = new HistoryReader(link, this.#settings);
    this.reads = reader.reads;
    // Something may happen between two pages, and between Redis' answer and what becomes of it.
    const around = async (read: () => Promise<Stretch>): Promise<Stretch> => {
      await this.#happen();
      const stretch = await read();
      await this.#happen();
      return stretch;
    };
    this.shared = {
      readForward: (place: RoomPlace, from: number, through: number, pageBounds: StretchBounds) =>
        around(() => reader.readForward(place, from, through, pageBounds)),
      readBackward: (place: RoomPlace, through: number, pageBounds: StretchBounds) =>
        around(() => reader.readBackward(place, through, pageBounds)),
    };
  }

  async next(replica: FakeReplica): Promise<void> {
    if (this.#replicas.length === 0) await this.#begin(replica);
    await this.#happen();
  }

  async close(): Promise<void> {
    await Promise.all(this.#writers.map(({ writer }) => writer.close()));
  }

  async #begin(replica: FakeReplica): Promise<void> {
    const { other, scenario: records } = this.#played;
    const settings = { windowMs: 100, slackMs: 20, ...records.bounds, recentRecordsMax: other.recentRecordsMax };
    this.#replicas = [replica, await FakeReplica.open(this.topic, settings, other.how)];
    await this.#lead(1, other.lag);
  }

  /** One at a time. */
  #happen(): Promise<void> {
    this.#turn = this.#turn.then(async () => {
      const [happening, ...events] = this.#events;
      this.#events = events;
      if (happening !== undefined) await this.#apply(happening);
    });
    return this.#turn;
  }

  async #apply({ kind, which, count }: Played['events'][number]): Promise<void> {
    const { client } = this.#stage;
    const keys = kind === 'lose' || kind === 'trim' ? (await client.keys('*')).sort() : [];
    const key = keys[which % keys.length];
    if (kind === 'write') await this.#write(which, count);
    if (kind === 'lead') await this.#lead(which, count);
    if (kind === 'trim' && key?.includes(':h:')) await client.xtrim(key, 'MAXLEN', count);
    if (kind === 'lose' && key !== undefined) await client.del(key);
    if (kind === 'flush') await client.flushall();
    if (kind === 'snapshot') this.#snapshot = await this.#stage.snapshot();
    if (kind === 'rollBack') await this.#stage.restore(this.#snapshot);
    // Of what is there only a part is as it was.
    const old = this.#snapshot[which % this.#snapshot.length];
    if (kind === 'mix' && old !== undefined) await this.#stage.restoreKey(old);
  }

  /** One that was paused and has lost its lease, may be. */
  async #write(which: number, lag: number): Promise<void> {
    const one = this.#writers[which % this.#writers.length];
    if (one === undefined) return;
    this.#replicas[1]?.follow();
    one.past.lag = lag;
    await one.writer.write();
  }

  /** The lease lapses, and one of the replicas has it from now on. */
  async #lead(which: number, lag = 0): Promise<void> {
    const replica = this.#replicas[which % this.#replicas.length] as FakeReplica;
    await this.#stage.client.del(this.#link.key('hw', replica.past.epoch, 0));
    const past = new LaggingPast(replica.past);
    this.#writers.push({ writer: new HistoryWriter(this.#link, this.#settings, silent, past), past });
    await this.#write(this.#writers.length - 1, lag);
  }
}

describe.skipIf(REDIS_URL === undefined && !process.env.CI)('history in Redis', () => {
  let stage: HistoryStage;
  let link: RedisLink;

  beforeAll(async () => {
    stage = await HistoryStage.open();
    link = await stage.link();
  });

  afterAll(() => stage?.close());

  test('makes of no page anything else, whoever writes it and whatever becomes of it', async () => {
    const sum = { known: 0, unknown: 0, unavailable: 0 };
    await fc.assert(
      fc.asyncProperty(played, async (each) => {
        await stage.client.flushall();
        const history = new RedisPlay(stage, link, each);
        const play = new Play(each.scenario satisfies Scenario, history);
        history.topic = play.topic;
        await play.open();
        await play.read();
        await history.close();
        for (const kind of ['known', 'unknown', 'unavailable'] as const) sum[kind] += history.reads[kind];
      }),
      { numRuns: 80, interruptAfterTimeLimit: 25_000 },
    );
    // Or it would hold of nothing.
    expect(sum.known).toBeGreaterThan(sum.unknown / 5);
    expect(sum.unavailable).toBe(0);
  }, 40_000);
});
