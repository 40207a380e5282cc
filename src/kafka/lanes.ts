import { setTimeout as sleep } from 'node:timers/promises';
import type { Kafka, Producer, RecordMetadata } from 'kafkajs';
import type { LogLines } from '../fanout/log-lines.ts';
import { CommandError } from '../protocol/errors.ts';
import type { BrokerClocks } from './broker-clocks.ts';
import { partitionGiven } from './kafka-client.ts';
import { kafkaTypeOf } from './kafka-error.ts';
import type { KafkaLogSettings } from './kafka-settings.ts';
import type { PartitionAppends } from './partition-appends.ts';
import { encodeRecord } from './record.ts';

/** A lane is busy above so many records a second: then it waits a little for more, which halves everybody's work. */
const BUSY_PER_SECOND = 250;
/** What kafkajs says of records that no broker will ever take, by Kafka's names. */
const NEVER = ['MESSAGE_TOO_LARGE', 'RECORD_LIST_TOO_LARGE', 'TOPIC_AUTHORIZATION_FAILED', 'INVALID_RECORD'];

export interface LanesContext {
  readonly settings: KafkaLogSettings;
  readonly topic: string;
  readonly partitions: readonly PartitionAppends[];
  readonly clocks: BrokerClocks;
  readonly logger: LogLines;
  createClient(): Kafka;
  /** Of a partition; undefined: none is known. */
  leaderOf(partition: number): number | undefined;
  /** A partition's leader may have changed. */
  refreshLeaders(): Promise<void>;
  epoch(): string;
  /** Of a partition: the offset behind the last record that was read. */
  readUpTo(partition: number): number;
  /** Records were appended where others of that epoch have been read already: its topic is gone. */
  onLost(epoch: string): void;
}

/** What a lane has sent and not been answered. */
interface Sent {
  readonly appends: PartitionAppends;
  readonly records: number;
  readonly epoch: string;
  /** What had been read of the partition by then. */
  readonly readUpTo: number;
}

/**
 * The ways into Kafka: one for each broker that leads partitions, each with one request under way, so that a broker
 * that hangs holds up its own partitions alone. kafkajs only carries: what is sent again, when, and what is given up
 * is decided here.
 *
 * Its idempotent producer is not used: with several requests under way it loses acknowledged records where a
 * connection breaks. A plain one may double them, and the decision which records count takes the second ones out.
 */
export class Lanes {
  readonly #context: LanesContext;
  readonly batches = { sent: 0, failed: 0 };
  readonly #lanes = new Map<number, Lane>();
  #dropped = 0;
  #closed = false;

  constructor(context: LanesContext) {
    this.#context = context;
  }

  /** Brokers with a request under way. */
  get busyCount(): number {
    return [...this.#lanes.values()].filter(({ isRunning }) => isRunning).length;
  }

  /** Producers that were given up and are not gone. */
  get droppedCount(): number {
    return this.#dropped;
  }

  /** Something may be there to be sent. */
  wake(partition: number): void {
    const leader = this.#context.leaderOf(partition);
    if (leader === undefined || this.#closed) return;
    let lane = this.#lanes.get(leader);
    if (lane === undefined) {
      lane = new Lane(leader);
      this.#lanes.set(leader, lane);
    }
    if (lane.isRunning) return;
    lane.isRunning = true;
    // Not at once, so that all that this turn of the loop reads from its sockets goes as one batch.
    setImmediate(() => void this.#run(lane));
  }

  async close(): Promise<void> {
    this.#closed = true;
    await Promise.all([...this.#lanes.values()].map(({ producer }) => producer?.disconnect().catch(() => {})));
  }

  async #run(lane: Lane): Promise<void> {
    while (!this.#closed && this.#readyOf(lane).length > 0) {
      const waitMs = lane.waitMs(this.#context.settings.lingerMs);
      if (waitMs > 0) await sleep(waitMs);
      await this.#send(lane);
    }
    lane.isRunning = false;
  }

  #readyOf(lane: Lane): PartitionAppends[] {
    const { partitions, leaderOf } = this.#context;
    return partitions.filter((each) => each.isReady && leaderOf(each.partition) === lane.leader);
  }

  async #send(lane: Lane): Promise<void> {
    const { settings, topic, refreshLeaders } = this.#context;
    const sent: Sent[] = [];
    const messages = this.#takeFor(lane, sent);
    if (messages.length === 0) return;
    const startedMs = performance.now();
    try {
      const producer = await this.#producerOf(lane);
      const request = { acks: -1, timeout: settings.attemptTimeoutMs, topicMessages: [{ topic, messages }] };
      const answers = await within(settings.attemptTimeoutMs, producer.sendBatch(request));
      const tookMs = performance.now() - startedMs;
      lane.sent(messages.length);
      this.batches.sent += 1;
      this.#learn(lane, answers, tookMs, sent);
      for (const { appends } of sent) appends.acknowledged();
    } catch (error) {
      this.batches.failed += 1;
      if (error instanceof LateAnswer && lane.producer !== null) {
        this.#drop(lane.producer);
        lane.producer = null;
      }
      this.#failed(sent, error as Error);
      await refreshLeaders();
    }
  }

  #learn(lane: Lane, answers: readonly RecordMetadata[], tookMs: number, sent: readonly Sent[]): void {
    const { clocks, onLost } = this.#context;
    for (const { partition, baseOffset, logAppendTime } of answers) {
      const time = Number(logAppendTime ?? -1);
      if (time >= 0) clocks.learn(lane.leader, time, tookMs);
      const request = sent.find(({ appends }) => appends.partition === partition);
      if (request !== undefined && Number(baseOffset) < request.readUpTo) onLost(request.epoch);
    }
  }

  #takeFor(lane: Lane, sent: Sent[]) {
    const { settings, clocks, epoch, readUpTo } = this.#context;
    let records = settings.batchRecordsMax;
    let bytes = settings.batchBytesMax;
    const deadlineMs = clocks.now(lane.leader) + settings.recordLifeMs;
    const stamped = epoch();
    return this.#readyOf(lane).flatMap((appends) => {
      if (records <= 0 || bytes <= 0) return [];
      const batch = appends.take(records, bytes, deadlineMs);
      records -= batch.length;
      for (const { value } of batch) bytes -= value.length;
      const { partition } = appends;
      const request = { appends, records: batch.length, epoch: stamped, readUpTo: readUpTo(partition) };
      if (batch.length > 0) sent.push(request);
      const stamp = { epoch: stamped, node: settings.node, deadlineMs: appends.deadlineMs };
      return batch.map((append) => encodeRecord(append, partition, stamp));
    });
  }

  #failed(sent: readonly Sent[], error: Error): void {
    const { settings, logger } = this.#context;
    const records = sent.reduce((sum, each) => sum + each.records, 0);
    const [traced] = sent.flatMap(({ appends }) => appends.traced);
    logger.warn({ records, error: error.message, ...traced }, 'records could not be sent to Kafka');
    const isFinal = sent.length === 1 && NEVER.includes(kafkaTypeOf(error) ?? '');
    for (const { appends } of sent) {
      if (isFinal) appends.refused(() => new CommandError('unavailable', `Kafka refuses: ${error.message}`));
      else appends.failed(settings.retryMs);
    }
    // Nothing else may wake the lane by then.
    setTimeout(() => {
      for (const { appends } of sent) this.wake(appends.partition);
    }, settings.retryMs).unref();
  }

  async #producerOf(lane: Lane): Promise<Producer> {
    if (lane.producer !== null) return lane.producer;
    const { settings, createClient } = this.#context;
    if (this.#dropped >= settings.producersDroppedMax) throw new Error('too many connections to Kafka hang');
    const producer = createClient().producer({
      idempotent: false,
      allowAutoTopicCreation: false,
      retry: { retries: 0 },
      createPartitioner: () => partitionGiven,
    });
    try {
      await within(settings.attemptTimeoutMs, producer.connect());
    } catch (error) {
      this.#drop(producer);
      throw error;
    }
    lane.producer = producer;
    return producer;
  }

  /** It may hang, and can't be called off: it is given up, and its connections with it. */
  #drop(producer: Producer): void {
    this.#dropped += 1;
    void producer
      .disconnect()
      .catch(() => {})
      .finally(() => {
        this.#dropped -= 1;
      });
  }
}

class Lane {
  readonly leader: number;
  producer: Producer | null = null;
  isRunning = false;
  #rate = 0;
  #sentAtMs = Number.NEGATIVE_INFINITY;

  constructor(leader: number) {
    this.leader = leader;
  }

  sent(records: number): void {
    const now = performance.now();
    // A sum that falls by e a second: with a constant rate it is that.
    this.#rate = this.#rate * Math.exp((this.#sentAtMs - now) / 1000) + records;
    this.#sentAtMs = now;
  }

  /** Milliseconds to wait for more before the next batch. */
  waitMs(lingerMs: number): number {
    const sinceMs = performance.now() - this.#sentAtMs;
    return this.#rate * Math.exp(-sinceMs / 1000) > BUSY_PER_SECOND ? lingerMs - sinceMs : 0;
  }
}

class LateAnswer extends Error {
  override readonly name = 'LateAnswer';
}

/** What is not awaited any more may still settle, and nobody hears of it. */
async function within<T>(timeoutMs: number, promise: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new LateAnswer(`no answer within ${timeoutMs} ms`)), timeoutMs);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
    promise.catch(() => {});
  }
}
