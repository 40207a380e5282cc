import type { Consumer, EachBatchPayload, Kafka, KafkaMessage } from 'kafkajs';
import type { LogLines } from '../fanout/log-lines.ts';
import type { KafkaLogSettings } from './kafka-settings.ts';

/** Milliseconds between looks at whether fetches are answered. */
const WATCH_MS = 500;
const RESTART_MS = 500;
/** For which a group's coordinator remembers a consumer that it does not hear of; brokers take up to 30 minutes. */
const SESSION_MS = 300_000;

/** Who hears what stands in the partitions: everything once, and in order. */
export interface TailSink {
  /** @param end the offset behind the last record that the partition has */
  onMessages(partition: number, messages: readonly KafkaMessage[], end: number): void;
  /** Records are gone before they were read, `through` the last one. */
  onGone(partition: number, through: number): void;
}

export interface TailContext {
  readonly settings: KafkaLogSettings;
  readonly topic: string;
  readonly group: string;
  readonly logger: LogLines;
  createClient(): Kafka;
  /** By partition: the offset of the first record that it has now. */
  firstOffsets(): Promise<readonly number[]>;
}

/**
 * Reads all partitions from given offsets on, for good. kafkajs' consumer is a fetcher here: it has a group of its
 * own only because it can't be told otherwise. Where it would go on from an offset of its own choosing (a rejoin, an
 * offset out of range) it is put back to where this reader is, and one that hangs or gives up is replaced.
 */
export class Tail {
  readonly #context: TailContext;
  readonly #sink: TailSink;
  /** By partition: the offset that comes next. */
  readonly #next: number[];
  readonly #repairing = new Set<number>();
  /** When fetches began that have no answer, by broker, on the monotonic clock. */
  readonly #fetching = new Map<number, number>();
  #consumer: Consumer | null = null;
  #heardAtMs = performance.now();
  #watch: NodeJS.Timeout | null = null;
  #restart: NodeJS.Timeout | null = null;
  #starts = 0;
  #stopped = false;

  constructor(context: TailContext, from: readonly number[], sink: TailSink) {
    this.#context = context;
    this.#next = [...from];
    this.#sink = sink;
  }

  /** By partition: the offset that comes next. */
  get next(): readonly number[] {
    return this.#next;
  }

  /** Consumers that failed and were replaced. */
  get restarts(): number {
    return Math.max(0, this.#starts - 1);
  }

  start(): void {
    void this.#start();
    this.#watch = setInterval(() => this.#look(), WATCH_MS).unref();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    if (this.#watch !== null) clearInterval(this.#watch);
    if (this.#restart !== null) clearTimeout(this.#restart);
    await this.#consumer?.disconnect().catch(() => {});
  }

  async #start(): Promise<void> {
    const { settings, topic, group, logger, createClient } = this.#context;
    this.#starts += 1;
    this.#fetching.clear();
    this.#heardAtMs = performance.now();
    const consumer = createClient().consumer({
      groupId: `${group}-${this.#starts}`,
      sessionTimeout: SESSION_MS,
      heartbeatInterval: settings.heartbeatMs,
      maxWaitTimeInMs: settings.fetchWaitMs,
      allowAutoTopicCreation: false,
      // There are no transactions, and nothing to wait for.
      readUncommitted: true,
      retry: { retries: 3, restartOnFailure: async () => false },
    });
    this.#consumer = consumer;
    const isCurrent = (): boolean => this.#consumer === consumer && !this.#stopped;
    const { GROUP_JOIN, FETCH_START, FETCH, CRASH } = consumer.events;
    consumer.on(GROUP_JOIN, () => {
      for (const partition of this.#next.keys()) this.#seek(consumer, partition);
    });
    consumer.on(FETCH_START, ({ payload }) => {
      this.#heardAtMs = performance.now();
      if (isCurrent()) this.#fetching.set(payload.nodeId, performance.now());
    });
    consumer.on(FETCH, ({ payload }) => this.#fetching.delete(payload.nodeId));
    consumer.on(CRASH, ({ payload }) => {
      if (isCurrent()) this.#replace(payload.error.message);
    });
    try {
      await consumer.connect();
      await consumer.subscribe({ topic, fromBeginning: true });
      await consumer.run({
        autoCommit: false,
        eachBatch: async ({ batch }) => {
          if (isCurrent()) this.#onBatch(consumer, batch);
        },
      });
      logger.info({ topic }, 'the tail reads');
    } catch (error) {
      if (isCurrent()) this.#replace((error as Error).message);
    }
  }

  #onBatch(consumer: Consumer, { partition, messages, highWatermark }: EachBatchPayload['batch']): void {
    if (this.#repairing.has(partition)) return;
    const expected = this.#next[partition] ?? 0;
    const fresh = messages.filter(({ offset }) => Number(offset) >= expected);
    const inOrder = fresh.findIndex(({ offset }, index) => Number(offset) !== expected + index);
    const taken = inOrder === -1 ? fresh : fresh.slice(0, inOrder);
    this.#next[partition] = expected + taken.length;
    if (taken.length > 0) this.#sink.onMessages(partition, taken, Number(highWatermark));
    if (taken.length < fresh.length) void this.#repair(consumer, partition);
  }

  /** What came was not what follows: kafkajs has gone on elsewhere, or records are gone. */
  async #repair(consumer: Consumer, partition: number): Promise<void> {
    const { logger, firstOffsets } = this.#context;
    this.#repairing.add(partition);
    try {
      this.seen(await firstOffsets());
      logger.warn({ partition, offset: this.#next[partition] }, 'the tail was put back to where it was');
      this.#seek(consumer, partition);
    } catch (error) {
      this.#replace((error as Error).message);
    } finally {
      this.#repairing.delete(partition);
    }
  }

  /** Partitions were seen to begin at these offsets: what lies before them does not come any more. */
  seen(first: readonly number[]): void {
    for (const [partition, offset] of first.entries()) {
      if (offset <= (this.#next[partition] ?? 0)) continue;
      this.#next[partition] = offset;
      this.#sink.onGone(partition, offset - 1);
      if (this.#consumer !== null) this.#seek(this.#consumer, partition);
    }
  }

  #seek(consumer: Consumer, partition: number): void {
    consumer.seek({ topic: this.#context.topic, partition, offset: String(this.#next[partition] ?? 0) });
  }

  #look(): void {
    const { fetchStuckMs } = this.#context.settings;
    const now = performance.now();
    const isStuck = [...this.#fetching.values()].some((since) => now - since > fetchStuckMs);
    if (isStuck || now - this.#heardAtMs > fetchStuckMs) this.#replace('fetches are not answered');
  }

  #replace(reason: string): void {
    if (this.#restart !== null || this.#stopped) return;
    this.#context.logger.warn({ reason }, 'the tail begins anew where it was');
    const consumer = this.#consumer;
    this.#consumer = null;
    // It may hang as well.
    consumer?.disconnect().catch(() => {});
    this.#restart = setTimeout(() => {
      this.#restart = null;
      void this.#start();
    }, RESTART_MS);
  }
}
