import { writeFileSync } from 'node:fs';
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, onTestFinished, test, vi } from 'vitest';
import { startGateway, temporaryDirectory } from '../e2e/gateway-process.ts';
import { scrape } from '../e2e/metrics-page.ts';
import { isPossible, Mount } from './machine.ts';

const possible = await isPossible(async () => {
  const directory = await temporaryDirectory();
  try {
    await (await Mount.tmpfs(join(directory.path, 'mount'), 1)).unmount();
  } finally {
    await directory.remove();
  }
});

test.skipIf(!possible)('delivery is known to fail on a full disk, and to work again when there is room', async () => {
  const directory = await temporaryDirectory();
  onTestFinished(() => directory.remove());
  const mount = await Mount.tmpfs(join(directory.path, 'mount'), 1);
  onTestFinished(() => mount.unmount());
  const data = join(mount.path, 'data');
  await mkdir(data);
  const gateway = await startGateway(data, { env: { TIDEGATE_PROBE_MS: '50', TIDEGATE_PARTITIONS: '2' } });
  onTestFinished(async () => void (await gateway.stop('SIGKILL')));
  const delivery = async () => {
    const response = await fetch(`http://127.0.0.1:${gateway.ports.internal}/health/delivery`);
    return { status: response.status, ...((await response.json()) as { failing: { reason: string }[] }) };
  };
  const filler = join(mount.path, 'filler');
  await vi.waitFor(async () => expect((await scrape(gateway)).value('probe_seconds_count')).toBeGreaterThan(2), 10_000);
  for (const size of [65_536, 4_096, 1]) {
    try {
      for (;;) writeFileSync(filler, Buffer.alloc(size), { flag: 'a' });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
    }
  }
  await vi.waitFor(async () => {
    const { status, failing } = await delivery();
    expect(status).toBe(503);
    expect(failing).toHaveLength(2);
    expect(failing[0]?.reason).toMatch(/^unavailable: .*full/);
    const page = await scrape(gateway);
    expect([page.value('delivery_ok'), page.value('failing_partitions'), page.value('log_writable')]).toEqual([
      0, 2, 0,
    ]);
  }, 20_000);
  await rm(filler);
  await vi.waitFor(async () => expect(await delivery()).toMatchObject({ status: 200, failing: [] }), 10_000);
  const page = await scrape(gateway);
  expect([page.value('delivery_ok'), page.value('log_writable')]).toEqual([1, 1]);
});
