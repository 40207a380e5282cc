import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { KAFKA_BROKERS } from '../services/test-services.ts';
import { KafkaStage } from './kafka-stage.ts';
import { expectWhole, underLoad } from './load.ts';

const ROOMS = Array.from({ length: 8 }, (_, index) => `room-${index}`);
const BROKERS = [1, 2, 3];

describe.skipIf(KAFKA_BROKERS === undefined && !process.env.CI)('three brokers', () => {
  let stage: KafkaStage;

  beforeAll(async () => {
    stage = await KafkaStage.open({ brokers: BROKERS.length });
  }, 180_000);

  afterEach(() => stage.clear());

  afterAll(() => stage?.close(), 60_000);

  /** Two replicas under load while something happens: that they lose, double and reorder nothing of it. */
  async function survive(prefix: string, what: string, during: () => Promise<void>) {
    const logs = [await stage.log(prefix), await stage.log(prefix)];
    const report = await underLoad(logs, ROOMS, async () => {
      await delay(1_500);
      await during();
      await delay(1_500);
    });
    await expectWhole(report, logs);
    for (const { acked } of report.rooms) expect(acked.length).toBeGreaterThan(10);
    for (const { breaks, log } of logs)
      expect({ breaks, epoch: log.epoch }).toEqual({ breaks: [], epoch: logs[0]?.log.epoch });
    const { ackedCount, unknownCount, slowestMs } = report;
    console.log(
      `${what}: ${ackedCount} acknowledged, none lost; ${unknownCount} tried again; the slowest took ${Math.round(slowestMs)} ms`,
    );
    return logs;
  }

  test('of which one is killed under load lose, double and reorder nothing that was acknowledged', async () => {
    await survive('killed', 'a broker of three killed', async () => {
      stage.kafka.signal(2, 'SIGKILL');
      await delay(4_000);
      await stage.kafka.start([2]);
    });
  }, 120_000);

  test('of which one stands still for longer than the others wait for it, and goes on, lose nothing', async () => {
    await survive('stopped', 'a broker of three stopped in the middle of its work', async () => {
      stage.kafka.signal(3, 'SIGSTOP');
      await delay(6_000);
      stage.kafka.signal(3, 'SIGCONT');
    });
  }, 120_000);

  test('whose partitions move away from those that lead them lose nothing', async () => {
    const [one] = await survive('moved', 'all partitions moved twice', async () => {
      for (const absent of [1, 2]) {
        await stage.admin(async (client) => {
          const partitionAssignment = Array.from({ length: 4 }, (_, partition) => {
            return { partition, replicas: BROKERS.filter((id) => id !== absent) };
          });
          await client.alterPartitionReassignments({ topics: [{ topic: 'moved.rooms', partitionAssignment }] });
        });
        await delay(2_000);
      }
    });
    const complaints = one?.lines.filter(({ message }) => message === 'records could not be sent to Kafka') ?? [];
    expect(complaints.map(({ fields }) => (fields as { error: string }).error)).toContain(
      'This server is not the leader for that topic-partition',
    );
  }, 120_000);
});
