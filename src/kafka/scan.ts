import type { KafkaMessage } from 'kafkajs';
import { type Publication, withOwnBytes } from '../protocol/publication.ts';
import type { KafkaLogSettings } from './kafka-settings.ts';
import { PartitionReader } from './partition-reader.ts';
import type { RangeReader } from './range-reader.ts';
import { RecordsGoneError } from './records-gone-error.ts';
import type { WarmUps } from './warm-ups.ts';

/** Milliseconds that a scan may take for what comes before the first record it is about. */
const WARM_UP_MS_MAX = 6_000;

/** What somebody wants of a room's past. */
export interface Want {
  readonly room: string;
  readonly partition: number;
  /** Of the log, when it was wanted. */
  readonly epoch: string;
  /** The first offset that it is about; before the end of the log. */
  readonly from: number;
  /** The last one, as it is now; it never falls. */
  last(): number;
  /** Is given the room's publications from `from` up to and with `last()`, in order. False: it has enough. */
  take(publication: Publication): boolean;
}

/** How far a want was given what there is: all of it up to and with `reached`. */
export type Scanned =
  /** It has enough, or has reached its last one. */
  | { readonly kind: 'done'; readonly reached: number }
  /** No scan goes further for it. */
  | { readonly kind: 'cut'; readonly reached: number }
  /** What lies behind that, up to and with `through`, can't be had any more. */
  | { readonly kind: 'missing'; readonly reached: number; readonly through: number };

/** A want that waits. */
export interface Waiter {
  readonly want: Want;
  /** The first offset that it has not been given. */
  from: number;
  readonly resolve: (scanned: Scanned) => void;
  readonly reject: (error: unknown) => void;
}

export interface ScanContext {
  readonly settings: Pick<KafkaLogSettings, 'partitions' | 'windowMs' | 'slackMs' | 'scanRecordsMax' | 'scanMsMax'>;
  readonly reader: Pick<RangeReader, 'read'>;
  readonly warmUps: WarmUps;
  epoch(): string;
}

/**
 * Goes once over a stretch of a partition, from the lowest offset that is wanted there, for all who wait. What counts
 * is decided as the tail has decided it. It ends when all have theirs, or with the batch in which `scanRecordsMax` records
 * are over, or `scanMsMax`, from its first one on; it holds an entry of the window for each record that it reads.
 */
export class Scan {
  readonly #context: ScanContext;
  readonly #partition: number;
  readonly #epoch: string;
  readonly #start: number;
  readonly #decider: PartitionReader;
  readonly #rooms = new Map<string, Set<Waiter>>();
  #count = 0;
  /** The offset that comes next; up to `#start`, it warms up. */
  #next: number;
  #isOver = false;
  #isCut = false;
  #deadlineMs = Number.POSITIVE_INFINITY;

  /** @param waiters one or more, of this partition */
  constructor(context: ScanContext, partition: number, waiters: readonly Waiter[]) {
    this.#context = context;
    this.#partition = partition;
    this.#epoch = context.epoch();
    this.#start = Math.min(...waiters.map(({ from }) => from));
    this.#next = this.#start;
    this.#decider = new PartitionReader(partition, context.settings.partitions, this.#epoch, context.settings);
    for (const waiter of waiters) this.#add(waiter);
  }

  /** Whether its bounds ended it before all had theirs. */
  get isCut(): boolean {
    return this.#isCut;
  }

  /** Takes in one who comes while it goes on; false: it is past that. */
  admit(waiter: Waiter): boolean {
    if (this.#isOver || waiter.want.epoch !== this.#epoch || waiter.from < this.#served) return false;
    this.#add(waiter);
    return true;
  }

  /**
   * Answers all whom it can answer; see `rest` for the others.
   *
   * @throws RecordsGoneError if records were deleted meanwhile; Error if Kafka fails or the log begins anew
   */
  async run(): Promise<void> {
    try {
      await this.#run();
    } finally {
      this.#isOver = true;
    }
  }

  /** Those without an answer: each wants what it has not been given. */
  rest(): Waiter[] {
    const waiters = this.#waiters();
    for (const waiter of waiters) waiter.from = Math.max(waiter.from, this.#served);
    return waiters;
  }

  /** The first offset that nobody has been given. */
  get #served(): number {
    return Math.max(this.#start, this.#next);
  }

  async #run(): Promise<void> {
    const { reader, warmUps, settings } = this.#context;
    const warmUp = await warmUps.before(this.#partition, this.#start);
    this.#requireSameLog();
    if (warmUp.kind === 'missing') {
      const { through } = warmUp;
      for (const waiter of this.#waiters()) {
        if (waiter.from <= through) this.#answer(waiter, { kind: 'missing', reached: waiter.from - 1, through });
      }
      return;
    }
    if (warmUp.kind === 'too_far') {
      this.#cut();
      return;
    }
    for (const waiter of this.#waiters()) {
      if (waiter.want.last() < warmUp.end) continue;
      this.#remove(waiter);
      waiter.reject(new Error(`partition ${this.#partition} ends at offset ${warmUp.end}, before what was read of it`));
    }
    if (this.#count === 0) return;
    this.#next = warmUp.offset;
    this.#deadlineMs = performance.now() + WARM_UP_MS_MAX;
    const timeoutMs = WARM_UP_MS_MAX + 2 * settings.scanMsMax;
    await reader.read(this.#partition, warmUp.offset, (messages) => this.#visit(messages), timeoutMs);
    if (this.#count > 0) this.#cut();
  }

  /** Its bounds have ended it. Who was there from its start on has had all of them, the others go on in another one. */
  #cut(): void {
    this.#isCut = true;
    const isUnserved = this.#next <= this.#start;
    // Without what comes before, none of those can be served that it would have come to.
    const through = isUnserved ? this.#start + this.#context.settings.scanRecordsMax - 1 : this.#start;
    for (const waiter of this.#waiters()) {
      if (waiter.from > through) continue;
      this.#answer(waiter, { kind: 'cut', reached: isUnserved ? waiter.from - 1 : this.#next - 1 });
    }
  }

  #visit(messages: readonly KafkaMessage[]): boolean {
    this.#requireSameLog();
    const { scanRecordsMax, scanMsMax } = this.#context.settings;
    const wasServing = this.#next > this.#start;
    for (const message of messages) {
      const offset = Number(message.offset);
      if (offset !== this.#next) throw new RecordsGoneError(this.#partition, this.#next, offset);
      const outcome = this.#decider.take(message);
      this.#next += 1;
      if (offset < this.#start) continue;
      if (outcome.kind === 'delivered') this.#give(outcome.publication);
      if (this.#count === 0) break;
    }
    this.#answerReached();
    const nowMs = performance.now();
    if (!wasServing && this.#next > this.#start) this.#deadlineMs = nowMs + scanMsMax;
    return this.#count > 0 && this.#next - this.#start < scanRecordsMax && nowMs < this.#deadlineMs;
  }

  #give(publication: Publication): void {
    const { room, offset } = publication;
    const waiters = this.#rooms.get(room);
    if (waiters === undefined) return;
    const own = withOwnBytes(publication);
    for (const waiter of [...waiters]) {
      if (offset < waiter.from || offset > waiter.want.last()) continue;
      if (!waiter.want.take(own)) this.#answer(waiter, { kind: 'done', reached: offset - 1 });
    }
  }

  #answerReached(): void {
    for (const waiter of this.#waiters()) {
      const last = waiter.want.last();
      if (last < this.#served) this.#answer(waiter, { kind: 'done', reached: last });
    }
  }

  #waiters(): Waiter[] {
    return [...this.#rooms.values()].flatMap((waiters) => [...waiters]);
  }

  #add(waiter: Waiter): void {
    const { room } = waiter.want;
    const waiters = this.#rooms.get(room) ?? new Set();
    this.#rooms.set(room, waiters.add(waiter));
    this.#count += 1;
  }

  #answer(waiter: Waiter, scanned: Scanned): void {
    this.#remove(waiter);
    waiter.resolve(scanned);
  }

  #remove(waiter: Waiter): void {
    const { room } = waiter.want;
    const waiters = this.#rooms.get(room);
    waiters?.delete(waiter);
    if (waiters?.size === 0) this.#rooms.delete(room);
    this.#count -= 1;
  }

  #requireSameLog(): void {
    if (this.#context.epoch() !== this.#epoch) throw new Error('the log has just begun anew');
  }
}
