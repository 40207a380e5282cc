import type { Kafka, KafkaMessage } from 'kafkajs';
import { beforeEach, expect, test } from 'vitest';
import { KafkaMeta } from '../../../src/kafka/kafka-meta.ts';
import { KAFKA_LOG_DEFAULTS } from '../../../src/kafka/kafka-settings.ts';
import type { RangeReader } from '../../../src/kafka/range-reader.ts';

const SETTINGS = { ...KAFKA_LOG_DEFAULTS, brokers: [], prefix: 'p', node: 'n', lostAfterMs: 600 };

/** What stands in the topic. */
let messages: KafkaMessage[];

beforeEach(() => {
  messages = [];
});

/** A replica's view of a topic in memory. */
function open(): KafkaMeta {
  const client = {
    admin: () => ({
      connect: async () => {},
      disconnect: async () => {},
      fetchTopicOffsets: async () => [{ partition: 0, low: '0', high: String(messages.length) }],
    }),
    producer: () => ({
      connect: async () => {},
      disconnect: async () => {},
      send: async (batch: { messages: { key: string; value: string }[] }) => {
        for (const { key, value } of batch.messages) {
          const message = { key: Buffer.from(key), value: Buffer.from(value), offset: String(messages.length) };
          messages.push(message as KafkaMessage);
        }
      },
    }),
  };
  const reader = {
    read: async (_: number, from: number, visit: (some: readonly KafkaMessage[]) => boolean) => {
      visit(messages.slice(from));
    },
    close: async () => {},
  };
  return new KafkaMeta(client as unknown as Kafka, reader as unknown as RangeReader, SETTINGS);
}

test('replicas that begin a log at the same time agree on whose proposal came first', async () => {
  const agreements = await Promise.all([open(), open(), open()].map((meta) => meta.agree(async () => [0])));
  expect(new Set(agreements.map(({ incarnation }) => incarnation.epoch)).size).toBe(1);
  expect(agreements[0]).toMatchObject({ incarnation: { generation: 0 }, ends: [0] });
});

test('a topic that has less than it was seen to have is another one only if that lasts', async () => {
  const { incarnation } = await open().agree(async () => [0, 0]);
  await open().checkpoint(incarnation, [5, 7]);
  const told = [
    [5, 6],
    [3, 7],
    [5, 8],
  ];
  const late = await open().agree(async () => told.shift() ?? []);
  expect(late).toEqual({ incarnation: expect.objectContaining({ epoch: incarnation.epoch }), ends: [5, 8] });
  const lost = await open().agree(async () => [5, 6]);
  expect(lost).toMatchObject({ incarnation: { generation: 1 }, ends: [5, 6] });
  expect(lost.incarnation.epoch).not.toBe(incarnation.epoch);
  // Of the new one nothing was seen yet.
  expect((await open().agree(async () => [0, 0])).incarnation.epoch).toBe(lost.incarnation.epoch);
});

test('a replica that lags behind takes back nothing of what others have said', async () => {
  const [ahead, behind] = [open(), open()];
  const { incarnation } = await ahead.agree(async () => [0, 0]);
  await ahead.checkpoint(incarnation, [5, 7]);
  await behind.agree(async () => [5, 7]);
  await behind.checkpoint(incarnation, [2, 9]);
  expect((await open().agree(async () => [5, 9])).incarnation.generation).toBe(0);
  expect((await open().agree(async () => [4, 9])).incarnation.generation).toBe(1);
});

test('a topic of meta that was itself made anew begins from the beginning', async () => {
  const meta = open();
  const { incarnation } = await meta.agree(async () => [0]);
  await meta.checkpoint(incarnation, [9]);
  messages = [];
  expect((await meta.agree(async () => [0])).incarnation.epoch).not.toBe(incarnation.epoch);
});
