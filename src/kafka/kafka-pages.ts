import type { KafkaMessage } from 'kafkajs';
import { overloaded } from '../fanout/append-queue.ts';
import { partitionOf } from '../fanout/partition.ts';
import type { Page, ReadRequest } from '../fanout/room-log.ts';
import { CommandError } from '../protocol/errors.ts';
import type { Gap, Position } from '../protocol/position.ts';
import type { Publication } from '../protocol/publication.ts';
import type { KafkaLogSettings } from './kafka-settings.ts';
import { PartitionReader } from './partition-reader.ts';
import type { RangeReader } from './range-reader.ts';
import type { RecentRecords } from './recent-records.ts';
import type { TopicOffsets } from './topic-offsets.ts';

/** Records that a scan may read before the first one it is about, to know what counts; and milliseconds. */
const WARM_UP_RECORDS_MAX = 200_000;
const WARM_UP_MS_MAX = 6_000;
const FIND_MS_MAX = 5_000;
const BEHIND_RETRY_MS = 1_000;

export interface PagesContext {
  readonly settings: KafkaLogSettings;
  readonly reader: RangeReader;
  /** By partition. */
  readonly recent: readonly RecentRecords[];
  epoch(): string;
  /** The offset of the newest publication in a partition, or -1. */
  endOf(partition: number): number;
  /** The offset behind the last record of a partition, whatever it is, that this replica has read. */
  nextOf(partition: number): number;
  readonly offsets: TopicOffsets;
}

interface Scope {
  readonly room: string;
  readonly partition: number;
  readonly limit: number;
  readonly bytesMax: number;
}

/** What a scan has seen: all of the room's publications from its start up to and with `through`. */
interface Scanned {
  readonly publications: readonly Publication[];
  readonly through: number;
}

/** Reads pages of rooms: from memory, and what lies before that from Kafka, as far as one read may go. */
export class KafkaPages {
  readonly #context: PagesContext;
  /** Scans one after the other, by partition. */
  readonly #scanning = new Map<number, Promise<unknown>>();
  #waiting = 0;

  constructor(context: PagesContext) {
    this.#context = context;
  }

  /** Reads without an answer. */
  get waiting(): number {
    return this.#waiting;
  }

  async read(request: ReadRequest): Promise<Page> {
    if (this.#waiting >= this.#context.settings.readsQueuedMax) throw overloaded('too many reads wait');
    this.#waiting += 1;
    try {
      const { room, limit, bytesMax, after, before } = request;
      const partition = partitionOf(room, this.#context.settings.partitions);
      const scope = { room, partition, limit, bytesMax };
      const end = this.#context.endOf(partition);
      const through = Math.min(request.through, end);
      if (after !== undefined) {
        return await this.#forward(scope, (await this.#isKnown(partition, after)) ? after.offset : null, through);
      }
      const isForeign = before !== undefined && !(await this.#isKnown(partition, before));
      const start = before === undefined || isForeign ? through + 1 : Math.min(before.offset, through + 1);
      return await this.#backward(scope, start, isForeign);
    } catch (error) {
      if (error instanceof CommandError) throw error;
      throw new CommandError('unavailable', `history can't be read: ${(error as Error).message}`);
    } finally {
      this.#waiting -= 1;
    }
  }

  /** Whether a position is one of this log. @throws CommandError `unavailable` where that is not known here yet */
  async #isKnown(partition: number, { epoch, offset }: Position): Promise<boolean> {
    if (epoch !== this.#context.epoch()) return false;
    if (offset <= this.#context.endOf(partition)) return true;
    if (offset < this.#context.nextOf(partition)) return false;
    // Another replica may be ahead: what a session has seen there must not be taken for a gap.
    const { end } = await this.#context.offsets.fetch();
    if (offset >= (end[partition] ?? 0)) return false;
    throw new CommandError('unavailable', 'this replica has not read so far yet', BEHIND_RETRY_MS);
  }

  /** @param after null: from the first record there is */
  async #forward(scope: Scope, after: number | null, through: number): Promise<Page> {
    const { recent, offsets } = this.#context;
    const memory = recent[scope.partition] as RecentRecords;
    let from = (after ?? -1) + 1;
    /** Up to where something may be missing. */
    let missing = after === null ? -1 : undefined;
    // Again, as memory may let go of more meanwhile.
    while (from < memory.from && from <= through) {
      const first = await offsets.first(scope.partition);
      if (first > from) {
        missing = first - 1;
        from = first;
        continue;
      }
      const last = Math.min(through, memory.from - 1);
      const scanned = await this.#scan(scope, from, last);
      if (scanned.publications.length > 0) {
        const page = within(scope, scanned.publications);
        const isAll = page.length === scanned.publications.length && scanned.through >= through;
        return { publications: page, more: !isAll, ...this.#gap(after, missing) };
      }
      // It may go no further than this, and has found nothing: the rest can't be promised.
      if (scanned.through < last) missing = last;
      from = last + 1;
    }
    const publications: Publication[] = [];
    let bytes = 0;
    let more = false;
    for (const publication of memory.ofRoom(scope.room, from, through)) {
      bytes += publication.value.length;
      if (publications.length > 0 && (publications.length === scope.limit || bytes > scope.bytesMax)) {
        more = true;
        break;
      }
      publications.push(publication);
    }
    return { publications, more, ...this.#gap(after, missing) };
  }

  /** @param start exclusive */
  async #backward(scope: Scope, start: number, isForeign: boolean): Promise<Page> {
    const { recent, offsets, settings } = this.#context;
    const memory = recent[scope.partition] as RecentRecords;
    const first = await offsets.first(scope.partition);
    const gap = isForeign ? this.#gap(null, first - 1) : {};
    const newest: Publication[] = [];
    let bytes = 0;
    for (const publication of memory.ofRoomBackward(scope.room, memory.from, start - 1)) {
      bytes += publication.value.length;
      if (newest.length > 0 && (newest.length === scope.limit || bytes > scope.bytesMax)) {
        return { publications: newest.reverse(), more: true, ...gap };
      }
      newest.push(publication);
    }
    const last = Math.min(start, memory.from) - 1;
    if (last < first) return { publications: newest.reverse(), more: false, ...gap };
    if (newest.length > 0) return { publications: newest.reverse(), more: true, ...gap };
    const from = Math.max(first, last + 1 - settings.scanRecordsMax);
    const { publications } = await this.#scan({ ...scope, limit: Number.POSITIVE_INFINITY }, from, last);
    const page = within(scope, publications.toReversed()).toReversed();
    const isFirst = from === first && page.length === publications.length;
    // With nothing to go on from, what lies further back is out of reach.
    if (page.length === 0 && !isFirst) return { publications: [], more: false, ...this.#gap(first - 1, from - 1) };
    return { publications: page, more: !isFirst, ...gap };
  }

  #gap(after: number | null, missing: number | undefined): { gap?: Gap } {
    if (missing === undefined) return {};
    const epoch = this.#context.epoch();
    return { gap: { from: after === null ? null : { epoch, offset: after }, to: { epoch, offset: missing } } };
  }

  /** Reads the room's publications in a range of offsets, both inclusive, as far as one read may go. */
  async #scan(scope: Scope, from: number, through: number): Promise<Scanned> {
    const { partition } = scope;
    const before = this.#scanning.get(partition) ?? Promise.resolve();
    const scan = before.then(() => this.#scanNow(scope, from, through));
    const settled = scan.catch(() => {});
    this.#scanning.set(partition, settled);
    try {
      return await scan;
    } finally {
      if (this.#scanning.get(partition) === settled) this.#scanning.delete(partition);
    }
  }

  async #scanNow(scope: Scope, from: number, through: number): Promise<Scanned> {
    const { settings, reader, epoch, offsets } = this.#context;
    const { room, partition, limit, bytesMax } = scope;
    const { windowMs, slackMs, partitions, scanRecordsMax, scanMsMax } = settings;
    const atMs = await this.#timeOf(partition, from);
    const warmFrom = Math.min(from, await offsets.at(partition, atMs - windowMs - slackMs));
    // Without all of that it can't be told what counts.
    if (from - warmFrom > WARM_UP_RECORDS_MAX) return { publications: [], through: from - 1 };
    const decider = new PartitionReader(partition, partitions, epoch(), settings);
    const publications: Publication[] = [];
    let bytes = 0;
    let reached = from - 1;
    let deadlineMs = Number.POSITIVE_INFINITY;
    const visit = (messages: readonly KafkaMessage[]): boolean => {
      for (const message of messages) {
        const offset = Number(message.offset);
        if (offset > through) return false;
        const outcome = decider.take(message);
        if (offset < from) continue;
        if (outcome.kind === 'delivered' && outcome.publication.room === room) {
          publications.push(outcome.publication);
          bytes += outcome.publication.value.length;
        }
        reached = offset;
        if (publications.length > limit || bytes > bytesMax) return false;
      }
      if (deadlineMs === Number.POSITIVE_INFINITY && reached >= from) deadlineMs = performance.now() + scanMsMax;
      return reached < through && reached - from < scanRecordsMax && performance.now() < deadlineMs;
    };
    await reader.read(partition, warmFrom, visit, WARM_UP_MS_MAX + 2 * scanMsMax);
    return { publications, through: reached };
  }

  /** When the record at an offset was appended. */
  async #timeOf(partition: number, offset: number): Promise<number> {
    let ts = 0;
    const visit = ([message]: readonly KafkaMessage[]): boolean => {
      ts = Number(message?.timestamp);
      return false;
    };
    await this.#context.reader.read(partition, offset, visit, FIND_MS_MAX);
    return ts;
  }
}

/** The first ones, as far as the bounds go. */
function within({ limit, bytesMax }: Scope, publications: readonly Publication[]): Publication[] {
  let bytes = 0;
  const behind = publications.findIndex(({ value }, index) => {
    bytes += value.length;
    return index > 0 && (index >= limit || bytes > bytesMax);
  });
  return behind === -1 ? [...publications] : publications.slice(0, behind);
}
