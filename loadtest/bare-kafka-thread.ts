/** The thread that consumes in the load process of bare kafkajs. Its data is the BareKafkaPlan. */
import { parentPort, workerData } from 'node:worker_threads';
import { Kafka, type KafkaMessage, logLevel } from 'kafkajs';
import type { BareKafkaPlan, ReaderMessage, ReaderQuestion } from './bare-kafka-plan.ts';
import { clockUs, readBareRecord } from './bare-record.ts';
import { LatencyHistogram, quantilesOf } from './latency-histogram.ts';

const { broker, topic, fetchWaitMs } = workerData as BareKafkaPlan;
const histogram = new LatencyHistogram();
/** By partition: the last record's. */
const sequences = new Map<number, number>();
let received = 0;

function say(message: ReaderMessage): void {
  parentPort?.postMessage(message);
}

/** @throws Error where a record is none of ours, or comes out of turn */
function take(partition: number, messages: readonly KafkaMessage[]): void {
  const nowUs = clockUs();
  for (const { value } of messages) {
    const { sequence, dueUs } = readBareRecord(value);
    const last = sequences.get(partition) ?? -1;
    if (sequence <= last) throw new Error(`partition ${partition}: record ${sequence} after ${last}`);
    sequences.set(partition, sequence);
    histogram.record(nowUs - dueUs);
    received++;
  }
}

parentPort?.on('message', (question: ReaderQuestion) => {
  if (question === 'clear') histogram.clear();
  else say({ kind: 'report', deliveries: histogram.count, received, ...quantilesOf(histogram) });
});

const consumer = new Kafka({ clientId: 'bare', brokers: [broker], logLevel: logLevel.NOTHING }).consumer({
  groupId: topic,
  maxWaitTimeInMs: fetchWaitMs,
  allowAutoTopicCreation: false,
  readUncommitted: true,
});
consumer.on(consumer.events.GROUP_JOIN, () => say({ kind: 'ready' }));
consumer.on(consumer.events.CRASH, ({ payload }) => {
  // What it tries again by itself, such as a group whose coordinator is not there yet.
  if (!payload.restart) say({ kind: 'failed', reason: payload.error.message });
});
await consumer.connect();
await consumer.subscribe({ topic, fromBeginning: true });
await consumer.run({
  autoCommit: false,
  eachBatch: async ({ batch, heartbeat }) => {
    try {
      take(batch.partition, batch.messages);
    } catch (error) {
      say({ kind: 'failed', reason: (error as Error).message });
    }
    await heartbeat();
  },
});
