/**
 * What a scrape of /metrics costs a gateway that has nothing else to do: CPU milliseconds each, by the gateway's own
 * account, and bytes.
 *
 *   npm run build && npx node loadtest/scrape-cost.ts
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Replica } from '../test/e2e/replica.ts';

const WARM_UP = 300;
const COUNT = 500;
const PORTS = { TIDEGATE_HTTP_PORT: '0', TIDEGATE_TCP_PORT: '0', TIDEGATE_INTERNAL_PORT: '0' };

const directory = await mkdtemp(join(tmpdir(), 'tidegate-scrape-'));
const gateway = await Replica.start({ ...PORTS, TIDEGATE_DATA_DIR: directory });
const scrape = async () => (await fetch(`http://127.0.0.1:${gateway.ports.internal}/metrics`)).text();
const cpuSecondsOf = (page: string) => Number(/^process_cpu_seconds_total (\S+)/m.exec(page)?.[1]);
try {
  for (let n = 0; n < WARM_UP; n += 1) await scrape();
  const before = await scrape();
  for (let n = 1; n < COUNT; n += 1) await scrape();
  const after = await scrape();
  const cpuMs = ((cpuSecondsOf(after) - cpuSecondsOf(before)) * 1_000) / COUNT;
  console.log(`${cpuMs.toFixed(2)} ms of CPU a scrape, ${after.length} bytes`);
} finally {
  await gateway.stop();
  await rm(directory, { recursive: true, force: true });
}
