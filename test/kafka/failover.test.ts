import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { KafkaLog } from '../../src/kafka/kafka-log.ts';
import type { Publication } from '../../src/protocol/publication.ts';
import { midOf } from '../contract/room-log-fixture.ts';
import { KAFKA_BROKERS } from '../services/test-services.ts';
import { KafkaStage } from './kafka-stage.ts';

const ROOMS = 8;
const LOAD_MS = 12_000;

/** What one room was published, as it was acknowledged, and how long the slowest acknowledgement took. */
interface Published {
  readonly acked: string[];
  readonly unknown: string[];
  slowestMs: number;
}

/** Publishes into a room, each behind the one before, and retries what has no outcome, until it is told to stop. */
async function publishInto(log: KafkaLog, room: string, isOver: () => boolean): Promise<Published> {
  const published: Published = { acked: [], unknown: [], slowestMs: 0 };
  for (let index = 0; !isOver(); index++) {
    const mid = `m${index}`;
    const startedMs = performance.now();
    for (;;) {
      try {
        await log.append({ room, from: 'user', mid, data: String(index) });
        published.acked.push(mid);
        break;
      } catch (error) {
        const { code } = error as { code?: string };
        if (code !== 'unknown_outcome' && code !== 'overloaded') throw error;
        if (code === 'unknown_outcome') published.unknown.push(mid);
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
    }
    published.slowestMs = Math.max(published.slowestMs, performance.now() - startedMs);
  }
  return published;
}

function midsIn(room: string, tailed: readonly Publication[]): string[] {
  return tailed.filter((each) => each.room === room).map(midOf);
}

describe.skipIf(KAFKA_BROKERS === undefined && !process.env.CI)('three brokers', () => {
  let stage: KafkaStage;

  beforeAll(async () => {
    stage = await KafkaStage.open(3);
  }, 180_000);

  afterAll(() => stage?.close(), 60_000);

  test('of which one is killed under load lose, double and reorder nothing that was acknowledged', async () => {
    const [one, two] = [await stage.log('killed'), await stage.log('killed')];
    const endMs = performance.now() + LOAD_MS;
    const isOver = () => performance.now() > endMs;
    const rooms = Array.from({ length: ROOMS }, (_, index) => `room-${index}`);
    const publishing = rooms.map((room, index) => publishInto((index % 2 === 0 ? one : two).log, room, isOver));
    await new Promise((resolve) => setTimeout(resolve, 2_000));
    stage.kafka.signal(2, 'SIGKILL');
    await new Promise((resolve) => setTimeout(resolve, 5_000));
    await stage.kafka.start([2]);
    const published = await Promise.all(publishing);
    for (const [index, room] of rooms.entries()) {
      const { acked } = published[index] as Published;
      expect(acked.length).toBeGreaterThan(10);
      for (const { tailed } of [one, two]) {
        await expect.poll(() => midsIn(room, tailed).length, { timeout: 30_000 }).toBeGreaterThanOrEqual(acked.length);
        expect(midsIn(room, tailed)).toEqual(acked);
      }
    }
    const acks = published.reduce((sum, { acked }) => sum + acked.length, 0);
    const slowest = Math.max(...published.map(({ slowestMs }) => slowestMs));
    console.log(
      `a broker of three killed: ${acks} acknowledged, none lost; the slowest took ${Math.round(slowest)} ms`,
    );
  }, 120_000);
});
