/**
 * Starts the `centrifugo` on the PATH, on a free port of loopback, with its memory engine and without tokens, and says
 * when it serves. The ready line names Centrifugo's own pid.
 */
import { spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

const READY_MS_MAX = 15_000;
const POLL_MS = 20;
/** Bytes that may wait for one client: as much as keeps a busy room's members, and tidegate's own bound. */
const QUEUE_BYTES_MAX = 1024 * 1024;

const directory = process.env.TIDEGATE_DATA_DIR;
if (directory === undefined) throw new Error('no directory');
const port = await freePort();
const config = {
  http_server: { address: '127.0.0.1', port },
  client: {
    insecure: true,
    allowed_origins: ['*'],
    queue_max_size: QUEUE_BYTES_MAX,
    connection_limit: 0,
  },
  channel: { without_namespace: { allow_subscribe_for_client: true, allow_publish_for_subscriber: true } },
  websocket: { compression: false },
  log: { level: 'warn' },
};
const file = join(directory, 'centrifugo.json');
writeFileSync(file, JSON.stringify(config));
// It ends with this process, however that ends.
const server = spawn('setpriv', ['--pdeathsig', 'KILL', 'centrifugo', '--config', file], {
  stdio: ['ignore', 'inherit', 'inherit'],
});
server.once('exit', (code, signal) => {
  console.error(`centrifugo ended with ${code ?? signal}`);
  process.exit(1);
});
process.on('SIGTERM', () => process.exit(0));
await untilServing();
console.log(JSON.stringify({ msg: 'ready', pid: server.pid, http: port }));

async function freePort(): Promise<number> {
  const probe = createServer();
  await new Promise<void>((resolve) => probe.listen(0, '127.0.0.1', resolve));
  const { port: free } = probe.address() as AddressInfo;
  await new Promise((resolve) => probe.close(resolve));
  return free;
}

async function untilServing(): Promise<void> {
  const deadlineMs = performance.now() + READY_MS_MAX;
  while (performance.now() < deadlineMs) {
    try {
      await fetch(`http://127.0.0.1:${port}/`);
      return;
    } catch {
      await sleep(POLL_MS);
    }
  }
  throw new Error(`centrifugo does not serve within ${READY_MS_MAX} ms`);
}
