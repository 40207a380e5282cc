import { setTimeout as sleep } from 'node:timers/promises';
import type { Consumer, EachBatchPayload, Kafka, KafkaMessage } from 'kafkajs';
import { KafkaTimeout } from './kafka-error.ts';

const SESSION_MS = 30_000;
/** Milliseconds between looks at whether there is something to be fetched: kafkajs sleeps where all is paused. */
const IDLE_MS = 50;
const RESTART_MS = 200;

export interface RangeReaderContext {
  readonly topic: string;
  /** How many the topic has. */
  readonly partitions: number;
  readonly group: string;
  createClient(): Kafka;
}

/** A reading of one partition, from an offset on. */
interface Reading {
  next: number;
  /** Given records in order; whether it wants more. Where it throws, the reading ends with that. */
  readonly visit: (messages: readonly KafkaMessage[]) => boolean;
  readonly end: (error?: Error) => void;
}

/**
 * Reads parts of partitions that lie in the past. Its consumer stays in its group, as joining one takes up to seconds,
 * and fetches nothing while nobody reads. One reading of a partition at a time.
 */
export class RangeReader {
  readonly #context: RangeReaderContext;
  readonly #readings = new Map<number, Reading>();
  #consumer: Promise<Consumer> | null = null;
  /** Why there is no consumer, though it was tried. */
  #failure: Error | null = null;
  #starts = 0;
  #closed = false;

  constructor(context: RangeReaderContext) {
    this.#context = context;
  }

  /**
   * Hands on a partition's records from an offset on until `visit` has enough. Resolves then. Where records were
   * deleted it goes on behind them without a word: it is for `visit` to look at the offsets.
   *
   * @throws Error if that took more than `timeoutMs`, Kafka fails, or what `visit` throws
   */
  async read(partition: number, from: number, visit: Reading['visit'], timeoutMs: number): Promise<void> {
    if (this.#readings.has(partition)) throw new Error(`partition ${partition} is being read already`);
    let timer: NodeJS.Timeout | undefined;
    const deadlineMs = performance.now() + timeoutMs;
    const over = new Promise<void>((resolve, reject) => {
      const end = (error?: Error) => (error === undefined ? resolve() : reject(error));
      this.#readings.set(partition, { next: from, visit, end });
      const late = () =>
        this.#failure ?? new KafkaTimeout(`${this.#context.topic} was not read within ${timeoutMs} ms`);
      timer = setTimeout(() => end(late()), timeoutMs);
    });
    try {
      const consumer = await Promise.race([this.#startedBy(deadlineMs), over.then(() => undefined)]);
      if (consumer !== undefined) this.#begin(consumer, partition, from);
      await over;
    } finally {
      clearTimeout(timer);
      over.catch(() => {});
      this.#readings.delete(partition);
    }
  }

  async close(): Promise<void> {
    this.#closed = true;
    for (const { end } of this.#readings.values()) end(new Error('the log is closed'));
    const consumer = await this.#consumer?.catch(() => null);
    await consumer?.disconnect().catch(() => {});
  }

  #started(): Promise<Consumer> {
    if (this.#closed) return Promise.reject(new Error('the log is closed'));
    this.#consumer ??= this.#start().catch((error: Error) => {
      this.#consumer = null;
      this.#failure = error;
      throw error;
    });
    return this.#consumer;
  }

  /** Of a broker that has just begun, groups are not to be had for a moment, and kafkajs gives up at once. */
  async #startedBy(deadlineMs: number): Promise<Consumer> {
    for (;;) {
      try {
        return await this.#started();
      } catch (error) {
        if (this.#closed || performance.now() + RESTART_MS > deadlineMs) throw error;
        await sleep(RESTART_MS);
      }
    }
  }

  async #start(): Promise<Consumer> {
    const { topic, partitions, group, createClient } = this.#context;
    this.#starts += 1;
    const consumer = createClient().consumer({
      groupId: `${group}-${this.#starts}`,
      sessionTimeout: SESSION_MS,
      maxWaitTimeInMs: IDLE_MS,
      allowAutoTopicCreation: false,
      readUncommitted: true,
      retry: { retries: 3, restartOnFailure: async () => false },
    });
    const { GROUP_JOIN, CRASH } = consumer.events;
    const joined = new Promise<void>((resolve) => {
      consumer.on(GROUP_JOIN, () => {
        // By number: to pause one later would let go all the others.
        consumer.pause([{ topic, partitions: Array.from({ length: partitions }, (_, partition) => partition) }]);
        for (const [partition, { next }] of this.#readings) this.#begin(consumer, partition, next);
        resolve();
      });
    });
    let isUp = false;
    let refuse: (error: Error) => void = () => {};
    // `run` resolves all the same.
    const refused = new Promise<never>((_, reject) => {
      refuse = reject;
    });
    refused.catch(() => {});
    consumer.on(CRASH, ({ payload }) => {
      refuse(payload.error);
      if (!isUp) return;
      this.#consumer = null;
      for (const { end } of this.#readings.values()) end(payload.error);
    });
    await consumer.connect();
    await consumer.subscribe({ topic, fromBeginning: true });
    await consumer.run({
      autoCommit: false,
      eachBatch: async ({ batch, heartbeat, isStale }) => {
        // It was fetched for a reading that has ended: for the one that has begun since it begins in a wrong place.
        if (!isStale()) this.#onBatch(consumer, batch);
        await heartbeat();
      },
    });
    await Promise.race([joined, refused]);
    isUp = true;
    this.#failure = null;
    return consumer;
  }

  #begin(consumer: Consumer, partition: number, from: number): void {
    const { topic } = this.#context;
    consumer.seek({ topic, partition, offset: String(from) });
    consumer.resume([{ topic, partitions: [partition] }]);
  }

  #onBatch(consumer: Consumer, { partition, messages }: EachBatchPayload['batch']): void {
    const { topic } = this.#context;
    const reading = this.#readings.get(partition);
    const fresh = messages.filter(({ offset }) => Number(offset) >= (reading?.next ?? 0));
    const last = fresh.at(-1);
    if (reading === undefined) {
      consumer.pause([{ topic, partitions: [partition] }]);
    } else if (last !== undefined) {
      reading.next = Number(last.offset) + 1;
      const { isOver, error } = visited(reading, fresh);
      if (!isOver) return;
      consumer.pause([{ topic, partitions: [partition] }]);
      this.#readings.delete(partition);
      reading.end(error);
    }
  }
}

function visited({ visit }: Reading, messages: readonly KafkaMessage[]): { isOver: boolean; error?: Error } {
  try {
    return { isOver: !visit(messages) };
  } catch (error) {
    return { isOver: true, error: error as Error };
  }
}
