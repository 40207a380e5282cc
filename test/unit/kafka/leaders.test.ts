import type { Admin } from 'kafkajs';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { Leaders } from '../../../src/kafka/leaders.ts';

const silent = { info() {}, warn() {}, error() {} };

/** By partition; null: the partition has none just now. */
let told: (number | null)[] | Error;
let asked: number;
let changes: number;
let leaders: Leaders;

beforeEach(() => {
  vi.useFakeTimers();
  told = [1, 2];
  asked = 0;
  changes = 0;
  const fetchTopicMetadata = async () => {
    asked += 1;
    if (told instanceof Error) throw told;
    const partitions = told.map((leader, partitionId) => ({ partitionId, leader: leader ?? -1 }));
    return { topics: [{ partitions }] };
  };
  leaders = new Leaders({ fetchTopicMetadata } as unknown as Admin, 'rooms', silent, () => {
    changes += 1;
  });
});

afterEach(() => {
  leaders.close();
  vi.useRealTimers();
});

test('who leads is asked for now and then, and at once where somebody needs to know', async () => {
  await leaders.start();
  expect([leaders.of(0), leaders.of(1), leaders.of(2)]).toEqual([1, 2, undefined]);
  told = [3, 2];
  await leaders.refresh();
  expect(asked).toBe(1);
  await vi.advanceTimersByTimeAsync(200);
  await leaders.refresh();
  expect(leaders.of(0)).toBe(3);
  await vi.advanceTimersByTimeAsync(5_000);
  expect({ asked, changes }).toEqual({ asked: 3, changes: 3 });
});

test('partitions without a leader, and a Kafka that does not say, are asked about sooner', async () => {
  told = [1, null];
  await leaders.start();
  expect(leaders.of(1)).toBeUndefined();
  told = new Error('gone');
  await vi.advanceTimersByTimeAsync(250);
  // What was known goes on being used.
  expect(leaders.of(0)).toBe(1);
  told = [1, 2];
  await vi.advanceTimersByTimeAsync(250);
  expect(leaders.of(1)).toBe(2);
  expect(asked).toBe(3);
});

test('a partition is settled unless it was given to another leader of late', async () => {
  await leaders.start();
  expect([leaders.isSettled(0, 10_000), leaders.isSettled(1, 10_000)]).toEqual([true, true]);
  told = [2, 2];
  await vi.advanceTimersByTimeAsync(5_000);
  expect([leaders.isSettled(0, 10_000), leaders.isSettled(1, 10_000)]).toEqual([false, true]);
  await vi.advanceTimersByTimeAsync(10_000);
  expect(leaders.isSettled(0, 10_000)).toBe(true);
});

test('nothing is asked once it is closed', async () => {
  await leaders.start();
  leaders.close();
  await vi.advanceTimersByTimeAsync(60_000);
  expect(asked).toBe(1);
});
