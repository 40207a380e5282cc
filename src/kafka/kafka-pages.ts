import { overloaded } from '../fanout/append-queue.ts';
import { partitionOf } from '../fanout/partition.ts';
import type { Page, ReadRequest } from '../fanout/room-log.ts';
import type { SharedHistory } from '../fanout/shared-history.ts';
import { CommandError } from '../protocol/errors.ts';
import type { Gap, Position } from '../protocol/position.ts';
import type { KafkaLogSettings } from './kafka-settings.ts';
import { FirstPublications, LastPublications, type PageBounds } from './page-publications.ts';
import type { RecentRecords } from './recent-records.ts';
import type { Scanned, Want } from './scan.ts';
import { ScanQueue, type ScanQueueContext } from './scan-queue.ts';
import type { TopicOffsets } from './topic-offsets.ts';

const BEHIND_RETRY_MS = 1_000;

export interface PagesContext extends ScanQueueContext {
  readonly settings: ScanQueueContext['settings'] & Pick<KafkaLogSettings, 'readsQueuedMax'>;
  /** By partition. */
  readonly recent: readonly RecentRecords[];
  /** The offset up to which a partition's records were handed on, or -1. */
  endOf(partition: number): number;
  /** Whether a partition has had the same leader for so long that what it says of its end is the end. */
  isLeaderSettled(partition: number): Promise<boolean>;
  readonly offsets: Pick<TopicOffsets, 'first' | 'fetch'>;
  /** What is not in memory is looked for there, before it is read from Kafka; null: there is none. */
  readonly history: SharedHistory | null;
}

/** What a page is about. */
interface Scope extends PageBounds {
  readonly room: string;
  readonly partition: number;
  /** Of the log, when the page was asked for. */
  readonly epoch: string;
}

/** Offsets of a gap: behind the first one, up to and with the second. null: since a position of another epoch. */
interface Missing {
  readonly from: number | null;
  readonly to: number;
}

/**
 * Makes pages of rooms: of what is in memory, of what replicas have kept for each other, and of what neither has by scans,
 * at most `scanRecordsMax` records for a page. It holds at most `readsQueuedMax` pages at a time.
 */
export class KafkaPages {
  readonly #context: PagesContext;
  readonly #scans: ScanQueue;
  #waiting = 0;

  constructor(context: PagesContext) {
    this.#context = context;
    this.#scans = new ScanQueue(context);
  }

  /** Reads without an answer. */
  get waiting(): number {
    return this.#waiting;
  }

  get scans(): Pick<ScanQueue, 'counts' | 'running'> {
    return this.#scans;
  }

  /** As the port has it. @throws CommandError `overloaded` beyond `readsQueuedMax`, `unavailable` where Kafka fails */
  async read(request: ReadRequest): Promise<Page> {
    if (this.#waiting >= this.#context.settings.readsQueuedMax) throw overloaded('too many reads wait');
    this.#waiting += 1;
    try {
      const { room, limit, bytesMax, after, before } = request;
      const partition = partitionOf(room, this.#context.settings.partitions);
      const epoch = this.#context.epoch();
      const scope = { room, partition, epoch, limit, bytesMax };
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
    // Another replica may be ahead: what a session has seen there must not be taken for a gap. Of a new leader it can't
    // be told at once, as it knows late of the last records.
    const { end } = await this.#context.offsets.fetch();
    const isBeyond = offset >= (end[partition] ?? 0);
    if (isBeyond && (await this.#context.isLeaderSettled(partition))) return false;
    throw new CommandError('unavailable', 'this replica has not read so far yet', BEHIND_RETRY_MS);
  }

  /** @param after null: from the first record there is */
  async #forward(scope: Scope, after: number | null, through: number): Promise<Page> {
    const { settings, history } = this.#context;
    const page = new FirstPublications(scope);
    let missing: Missing | undefined = after === null ? { from: null, to: -1 } : undefined;
    let source: Page['source'] = 'memory';
    const pageOf = (more: boolean): Page => ({ publications: page.list, source, more, ...gapOf(scope, missing) });
    let from = (after ?? -1) + 1;
    /** Behind the last record that is scanned. */
    let bound = from + settings.scanRecordsMax;
    let askedFrom = -1;
    /** From there on others have it, if that is behind `from`. */
    let keptFrom = -1;
    /** The last one that can't be had, if the next one can't. */
    const lost = (end: number): number => (keptFrom > from ? Math.min(end, keptFrom - 1) : end);
    // Again, as memory may let go of more meanwhile.
    for (;;) {
      const memory = this.#memoryOf(scope);
      const last = (): number => Math.min(through, memory.from - 1);
      if (from > last()) {
        for (const publication of memory.ofRoom(scope.room, from, through)) {
          if (!page.add(publication)) return pageOf(true);
        }
        return pageOf(false);
      }
      if (page.isFull) return pageOf(true);
      if (history !== null && askedFrom < from) {
        askedFrom = from;
        const known = await history.readForward(scope, from, last(), scope);
        keptFrom = known.from;
        if (keptFrom > from) continue;
        source = source === 'log' ? source : 'history';
        for (const publication of known.publications) if (!page.add(publication)) return pageOf(true);
        from = known.through + 1;
        bound = from + settings.scanRecordsMax;
        continue;
      }
      source = 'log';
      if (from < bound) {
        const scanned = await this.#scan(scope, {
          from,
          last: () => Math.min(last(), bound - 1),
          take: (publication) => page.add(publication) && !page.isFull,
        });
        from = Math.max(scanned.reached, page.list.at(-1)?.offset ?? -1) + 1;
        if (scanned.kind === 'done') continue;
        if (scanned.kind === 'missing' && page.list.length === 0) {
          missing = { from: after, to: lost(Math.min(scanned.through, last())) };
          from = missing.to + 1;
          bound = from + settings.scanRecordsMax;
          continue;
        }
      }
      // What lies beyond can't be promised. Behind what was found, the next page tries again.
      if (page.list.length > 0) return pageOf(true);
      missing = { from: after, to: lost(last()) };
      from = missing.to + 1;
    }
  }

  /** @param start exclusive */
  async #backward(scope: Scope, start: number, isForeign: boolean): Promise<Page> {
    const { offsets, settings, history } = this.#context;
    let first = await offsets.first(scope.partition);
    const memory = this.#memoryOf(scope);
    const newest = new FirstPublications(scope);
    let source: Page['source'] = 'memory';
    const newestOf = (more: boolean): Page => {
      const oldest = newest.list.at(-1)?.offset ?? first;
      const missing = isForeign ? { from: null, to: Math.min(oldest, first) - 1 } : undefined;
      return { publications: newest.list.reverse(), source, more, ...gapOf(scope, missing) };
    };
    for (const publication of memory.ofRoomBackward(scope.room, memory.from, start - 1)) {
      if (!newest.add(publication)) return newestOf(true);
    }
    let last = Math.min(start, memory.from) - 1;
    if (history !== null && last >= 0 && !newest.isFull) {
      const known = await history.readBackward(scope, last, scope);
      if (known.from <= last) source = 'history';
      for (const publication of known.publications.toReversed()) if (!newest.add(publication)) return newestOf(true);
      last = known.from - 1;
    }
    for (;;) {
      // What lies before the first record is the end of history, and no gap.
      if (last < first) return newestOf(false);
      if (newest.list.length > 0) return newestOf(true);
      const from = Math.max(first, last + 1 - settings.scanRecordsMax);
      const found = new LastPublications(scope);
      const scanned = await this.#scan(scope, {
        from,
        last: () => last,
        take: (publication) => {
          found.add(publication);
          return true;
        },
      });
      if (scanned.kind === 'missing') {
        first = scanned.through + 1;
        continue;
      }
      const isNothing = found.list.length === 0;
      const isAll = from === first && !found.isCut;
      const { reached } = scanned;
      let missing: Missing | undefined;
      // With nothing to go on from, what lies further back is out of reach.
      if (isNothing && !isAll) missing = { from: first - 1, to: from - 1 };
      if (reached < last) missing = { from: missing?.from ?? reached, to: last };
      if (isForeign) missing = { from: null, to: missing?.to ?? first - 1 };
      return { publications: found.list, source: 'log', more: !isNothing && !isAll, ...gapOf(scope, missing) };
    }
  }

  async #scan(scope: Scope, want: Pick<Want, 'from' | 'last' | 'take'>): Promise<Scanned> {
    const { room, partition, epoch } = scope;
    return this.#scans.scan({ room, partition, epoch, ...want });
  }

  /** What is in memory, of the log that the page is of. */
  #memoryOf({ partition, epoch }: Scope): RecentRecords {
    if (this.#context.epoch() !== epoch) throw new Error('the log has just begun anew');
    return this.#context.recent[partition] as RecentRecords;
  }
}

function gapOf({ epoch }: Scope, missing: Missing | undefined): { gap?: Gap } {
  if (missing === undefined) return {};
  const { from, to } = missing;
  return { gap: { from: from === null ? null : { epoch, offset: from }, to: { epoch, offset: to } } };
}
