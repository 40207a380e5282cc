import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { expect, onTestFinished, test, vi } from 'vitest';
import type { ProbeReport } from '../../src/observability/delivery-probe.ts';
import type { GatewayProcess } from './gateway-process.ts';
import { scrape } from './metrics-page.ts';
import { Stage } from './stage.ts';

const PATIENCE = { timeout: 15_000, interval: 50 };

async function delivery({ ports }: GatewayProcess): Promise<ProbeReport & { status: number }> {
  const response = await fetch(`http://127.0.0.1:${ports.internal}/health/delivery`);
  return { ...((await response.json()) as ProbeReport), status: response.status };
}

async function open(env: Readonly<Record<string, string>>): Promise<Stage> {
  const stage = await Stage.open(env);
  onTestFinished(() => stage.close());
  return stage;
}

test('every partition is proved, one after the other, all the time', async () => {
  const { gateway } = await open({ TIDEGATE_PROBE_MS: '50', TIDEGATE_PARTITIONS: '4' });
  await vi.waitFor(async () => {
    const { oldestProofMs, ...report } = await delivery(gateway);
    expect(report).toMatchObject({ status: 200, delivering: true, partitions: 4, failing: [] });
    // All four within so little time, and each again since.
    expect(oldestProofMs).toBeGreaterThan(100);
    expect((await scrape(gateway)).value('probe_seconds_count')).toBeGreaterThan(8);
  }, PATIENCE);
  const { lastDeliveredMs, oldestProofMs, lastLatencyMs } = await delivery(gateway);
  expect(lastDeliveredMs).toBeLessThan(2_000);
  expect(oldestProofMs).toBeLessThan(5_000);
  expect(lastLatencyMs).toBeGreaterThan(0);
  expect(lastLatencyMs).toBeLessThan(2_000);
});

test('before the first probe nothing is said to fail', async () => {
  const { gateway } = await open({ TIDEGATE_PROBE_MS: '3600000' });
  expect(await delivery(gateway)).toEqual({
    ...{ status: 200, delivering: true, partitions: 16 },
    ...{ lastDeliveredMs: null, oldestProofMs: null, failing: [], lastLatencyMs: null },
  });
});

test('a log that does not answer is seen, and so is its recovery', async () => {
  const stage = await open({ TIDEGATE_PROBE_MS: '50', TIDEGATE_PARTITIONS: '2' });
  const { gateway } = stage;
  await vi.waitFor(async () => expect((await delivery(gateway)).lastDeliveredMs).not.toBeNull(), PATIENCE);
  // Another program has the log, as a disk does that hangs.
  const database = new DatabaseSync(join(stage.directory.path, 'log.sqlite'), { timeout: 5_000 });
  onTestFinished(() => database.close());
  database.exec('BEGIN IMMEDIATE');
  await vi.waitFor(async () => expect((await delivery(gateway)).status).toBe(503), PATIENCE);
  const { delivering, failing } = await delivery(gateway);
  expect(delivering).toBe(false);
  expect(failing[0]?.reason).toMatch(/^not delivered within 5000 ms$|^overloaded: /);
  const during = await scrape(gateway);
  expect(during.value('delivery_ok')).toBe(0);
  expect(during.value('failing_partitions')).toBeGreaterThanOrEqual(1);
  expect(during.value('probe_failures_total')).toBeGreaterThanOrEqual(1);
  // Liveness is another question.
  expect((await fetch(`http://127.0.0.1:${gateway.ports.internal}/health/live`)).status).toBe(200);
  database.exec('COMMIT');
  await vi.waitFor(async () => {
    expect(await delivery(gateway)).toMatchObject({ status: 200, delivering: true, failing: [] });
  }, PATIENCE);
  expect((await scrape(gateway)).value('delivery_ok')).toBe(1);
});

test('it keeps neither the process alive nor a drain waiting', async () => {
  const { gateway } = await open({ TIDEGATE_PROBE_MS: '50' });
  await vi.waitFor(async () => expect((await delivery(gateway)).lastDeliveredMs).not.toBeNull(), PATIENCE);
  const startedMs = performance.now();
  expect(await gateway.stop()).toBe(0);
  expect(performance.now() - startedMs).toBeLessThan(3_000);
});
