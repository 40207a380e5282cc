import {
  type AppendLoad,
  AppendQueue,
  type AppendQueueSettings,
  type Settled,
  unknownOutcome,
} from '../fanout/append-queue.ts';
import type { TraceIds } from '../observability/tracing.ts';
import type { CommandError } from '../protocol/errors.ts';
import type { KafkaLogSettings } from './kafka-settings.ts';
import type { Outcome } from './partition-reader.ts';
import type { Append } from './record.ts';

export type PartitionAppendsSettings = AppendQueueSettings & Pick<KafkaLogSettings, 'node'>;

/** A partition's records on their way: one batch at a time, in the order of the calls. */
export class PartitionAppends {
  readonly partition: number;
  readonly queue: AppendQueue<Append>;
  readonly #settings: PartitionAppendsSettings;
  #batch: readonly Append[] = [];
  /** Places in the batch, by id. */
  readonly #places = new Map<string, number>();
  #outcomes: (Settled | undefined)[] = [];
  #undecided = 0;
  #sending = false;
  /** Whether a broker has said that it has the batch. */
  #acknowledged = false;
  /** By the monotonic clock: when the batch was taken, and before when it is not to be sent again. */
  #takenAtMs = 0;
  #notBeforeMs = 0;
  /** In broker time, for the whole batch and each time that it is sent. */
  #deadlineMs = 0;

  constructor(partition: number, settings: PartitionAppendsSettings, load: AppendLoad) {
    this.partition = partition;
    this.#settings = settings;
    this.queue = new AppendQueue(settings, () => performance.now(), load);
  }

  /** Whether there is something to be sent: a batch that failed, or, where none is under way, what is queued. */
  get isReady(): boolean {
    if (this.#sending || this.#acknowledged) return false;
    return this.#batch.length > 0 ? performance.now() >= this.#notBeforeMs : this.queue.queued > 0;
  }

  /** Milliseconds since the batch under way was taken; 0: there is none. */
  get underWayMs(): number {
    return this.#batch.length === 0 ? 0 : performance.now() - this.#takenAtMs;
  }

  /** The records' deadline, in broker time. */
  get deadlineMs(): number {
    return this.#deadlineMs;
  }

  /** What log lines call those of the batch under way that are traced. */
  get traced(): readonly TraceIds[] {
    return this.#batch.flatMap(({ trace }) => (trace === undefined ? [] : [trace.ids]));
  }

  /** Takes what is to be sent now: the batch that failed, or the next one, as far as the bounds go. */
  take(recordsMax: number, bytesMax: number, deadlineMs: number): readonly Append[] {
    if (this.#batch.length === 0) {
      this.#batch = this.queue.take(recordsMax, bytesMax);
      for (const [place, { id, trace }] of this.#batch.entries()) {
        this.#places.set(id, place);
        trace?.sending(this.partition, this.#batch.length);
      }
      this.#outcomes = this.#batch.map(() => undefined);
      this.#undecided = this.#batch.length;
      this.#takenAtMs = performance.now();
      this.#deadlineMs = deadlineMs;
    }
    this.#sending = this.#batch.length > 0;
    return this.#batch;
  }

  /** A broker has said that it has the batch; what it is worth the tail will tell. */
  acknowledged(): void {
    this.#sending = false;
    this.#acknowledged = this.#batch.length > 0;
    for (const { trace } of this.#batch) trace?.stored();
  }

  /** The batch is to be sent again: whether it has been appended nobody knows, and if so it is a duplicate then. */
  failed(retryMs: number): void {
    this.#sending = false;
    this.#notBeforeMs = performance.now() + retryMs;
    for (const { trace } of this.#batch) trace?.retrying();
  }

  /** Nothing of the batch is in the log, or will be. */
  refused(error: () => CommandError): void {
    this.#sending = false;
    this.#end();
    this.queue.fail(error);
  }

  /** The tail has decided on these records, of whoever they are. */
  settle(outcomes: readonly Outcome[], epoch: string): void {
    for (const outcome of outcomes) {
      if (outcome.kind === 'delivered') {
        const { id, dataHash, node, publication } = outcome;
        // Where another replica was told to publish the same, and was first, that one's caller has added it.
        const duplicate = node !== this.#settings.node;
        this.decided(id, { position: { epoch, offset: publication.offset }, duplicate, dataHash });
      } else if (outcome.kind === 'duplicate') {
        const { id, firstOffset, firstHash } = outcome;
        this.decided(id, { position: { epoch, offset: firstOffset }, duplicate: true, dataHash: firstHash });
      }
    }
  }

  /** The tail has decided on a record with this id. Once it has on all of the batch, their callers have answers. */
  decided(id: string, settled: Settled): void {
    const place = this.#places.get(id);
    if (place === undefined || this.#outcomes[place] !== undefined) return;
    this.#outcomes[place] = settled;
    this.#undecided -= 1;
    if (this.#undecided > 0) return;
    const outcomes = this.#outcomes as Settled[];
    this.#end();
    this.queue.succeed(outcomes);
  }

  /** What is under way does not come back through the tail, even if it is there. */
  lost(): void {
    if (this.#batch.length === 0) return;
    this.#end();
    this.queue.fail(() => unknownOutcome('the records of that time are lost'));
  }

  /** Applies the deadlines; called from time to time. */
  expire(): void {
    this.queue.expire();
    if (this.underWayMs < this.#settings.appendTimeoutMs || this.#sending) return;
    if (this.#batch.length === 0) return;
    this.#end();
    this.queue.fail(() => unknownOutcome('the append was not confirmed in time'));
  }

  #end(): void {
    this.#batch = [];
    this.#places.clear();
    this.#outcomes = [];
    this.#acknowledged = false;
  }
}
