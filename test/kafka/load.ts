import { setTimeout as delay } from 'node:timers/promises';
import { expect } from 'vitest';
import type { KafkaLog } from '../../src/kafka/kafka-log.ts';
import { midOf } from '../contract/room-log-fixture.ts';
import type { OpenedLog } from './kafka-stage.ts';

const RETRY_MS = 100;
/** Between two publishes into a room: enough for hundreds a second, without keeping the machine from all else. */
const PAUSE_MS = 5;

/** What one room was published, in order. */
interface Published {
  readonly room: string;
  readonly acked: string[];
  /** Publishes that were told that nobody knows, and were tried again. */
  unknown: number;
  slowestMs: number;
}

/** What became of a load. */
export interface LoadReport {
  readonly rooms: readonly Published[];
  readonly ackedCount: number;
  readonly unknownCount: number;
  /** The longest that a publish waited for its acknowledgement, its retries included. */
  readonly slowestMs: number;
}

/** Publishes into each room, the rooms shared out among the logs, for as long as `during` takes. */
export async function underLoad(
  logs: readonly OpenedLog[],
  rooms: readonly string[],
  during: () => Promise<void>,
): Promise<LoadReport> {
  let isOver = false;
  const publishing = Promise.all(
    rooms.map((room, index) => publishInto((logs[index % logs.length] as OpenedLog).log, room, () => isOver)),
  );
  try {
    await Promise.race([during(), publishing]);
  } finally {
    isOver = true;
  }
  const published = await publishing;
  return {
    rooms: published,
    ackedCount: published.reduce((sum, { acked }) => sum + acked.length, 0),
    unknownCount: published.reduce((sum, { unknown }) => sum + unknown, 0),
    slowestMs: Math.max(...published.map(({ slowestMs }) => slowestMs)),
  };
}

/** That each log's tail has handed on what was acknowledged: all of it, once, and in order. */
export async function expectWhole({ rooms }: LoadReport, logs: readonly OpenedLog[]): Promise<void> {
  for (const { room, acked } of rooms) {
    for (const { tailed } of logs) {
      const mids = () => tailed.filter((each) => each.room === room).map(midOf);
      await expect.poll(() => mids().length, { timeout: 30_000 }).toBeGreaterThanOrEqual(acked.length);
      expect(mids()).toEqual(acked);
    }
  }
}

/** Publishes one after the other, and retries what has no outcome. */
async function publishInto(log: KafkaLog, room: string, isOver: () => boolean): Promise<Published> {
  const published: Published = { room, acked: [], unknown: 0, slowestMs: 0 };
  for (let index = 0; !isOver(); index++) {
    const mid = `m${index}`;
    const startedMs = performance.now();
    while (!(await isAcked(log, room, mid, published))) await delay(RETRY_MS);
    published.acked.push(mid);
    published.slowestMs = Math.max(published.slowestMs, performance.now() - startedMs);
    await delay(PAUSE_MS);
  }
  return published;
}

async function isAcked(log: KafkaLog, room: string, mid: string, published: Published): Promise<boolean> {
  try {
    await log.append({ room, from: 'user', mid, data: JSON.stringify(mid) });
    return true;
  } catch (error) {
    const { code } = error as { code?: string };
    if (code === 'unknown_outcome') published.unknown += 1;
    else if (code !== 'overloaded') throw error;
    return false;
  }
}
