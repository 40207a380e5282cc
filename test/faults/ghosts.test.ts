import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { TcpClient } from '../e2e/clients.ts';
import { ENGINE, type GatewayProcess, startGateway, temporaryDirectory } from '../e2e/gateway-process.ts';
import { run } from './machine.ts';
import { NetworkNamespace } from './network-namespace.ts';

const HEARTBEAT_MS = 1_000;
const HEARTBEAT_TIMEOUT_MS = 1_000;
const GRACE_MS = 1_000;
const UNACKNOWLEDGED_MS = 1_500;
const KEEPALIVE_MS = 1_000;
/** Of the gateway: a closing peer is waited for so long. */
const CLOSE_TIMEOUT_MS = 5_000;
/** libuv's: ten probes, a second apart. */
const KEEPALIVE_PROBES_MS = 10_000;
/** Until the kernel has sent again for the first time: 0.2 s on this network, seldom above 3 s. */
const RETRANSMIT_MS = 3_000;
/** Of a busy machine, the wheel and the push. */
const LATE_MS = 2_000;
/** For which the clients have been there when they vanish. */
const LIFE_MS = 2_500;

const HEARTBEAT_BOUND_MS = 1.2 * HEARTBEAT_MS + HEARTBEAT_TIMEOUT_MS + GRACE_MS + LATE_MS;
const LOOKS_MS = (2 * UNACKNOWLEDGED_MS) / 6;
const UNACKNOWLEDGED_BOUND_MS = RETRANSMIT_MS + UNACKNOWLEDGED_MS + LOOKS_MS + GRACE_MS + LATE_MS;
const KEEPALIVE_BOUND_MS = KEEPALIVE_MS + KEEPALIVE_PROBES_MS + 1_000 + GRACE_MS + LATE_MS;

interface Kind {
  readonly name: string;
  readonly transport: 'ws' | 'tcp';
  readonly mode: 'heartbeats' | 'none' | 'text';
  /**
   * - `idle`: nothing is sent to it;
   * - `busy`: others publish into its room all the time;
   * - `slow`: it reads its replies so slowly that its commands are not read;
   * - `deaf`: it does not read.
   */
  readonly load: 'idle' | 'busy' | 'slow' | 'deaf';
  readonly boundMs: number;
}

const KINDS: readonly Kind[] = [
  ...(['idle', 'busy', 'slow'] as const).flatMap((load) => [
    { name: `ws-${load}`, transport: 'ws' as const, mode: 'heartbeats' as const, load, boundMs: HEARTBEAT_BOUND_MS },
    {
      name: `ndjson-${load}`,
      transport: 'tcp' as const,
      mode: 'heartbeats' as const,
      load,
      boundMs: HEARTBEAT_BOUND_MS,
    },
  ]),
  ...(['none', 'text'] as const).flatMap((mode) => [
    { name: `${mode}-idle`, transport: 'tcp' as const, mode, load: 'idle' as const, boundMs: KEEPALIVE_BOUND_MS },
    { name: `${mode}-busy`, transport: 'tcp' as const, mode, load: 'busy' as const, boundMs: UNACKNOWLEDGED_BOUND_MS },
  ]),
  {
    name: 'none-deaf',
    transport: 'tcp',
    mode: 'none',
    load: 'deaf',
    // The second probe comes in three times the time for which the window has been zero.
    boundMs: 3 * (LIFE_MS + 1_500) + UNACKNOWLEDGED_MS + LOOKS_MS + GRACE_MS + LATE_MS,
  },
];

/** Runs inside of the namespace: opens all clients, says which are ready, answers heartbeats. */
const CLIENTS = `
  const { kinds, host, httpPort, tcpPort, tls, ws } = JSON.parse(process.argv[1]);
  const { WebSocket } = require(ws);
  for (const { name, transport, mode, load } of kinds) {
    let send, stream;
    let isReady = false;
    const pace = (bytes) => {
      if (!isReady || load === 'idle' || load === 'busy') return;
      stream.pause();
      if (load === 'slow') setTimeout(() => stream.resume(), bytes / 2_000);
    };
    const hear = (line) => {
      if (line.includes('"heartbeat"}')) send('{"op":"pong"}');
      if (isReady || !(line.startsWith('# joined') || /"id":2\\b/.test(line))) return;
      isReady = true;
      if (load === 'slow' || load === 'deaf') {
        for (let id = 10; id < 210; id += 1) send(JSON.stringify({ op: 'history', id, room: 'big', limit: 20 }));
        pace(0);
      }
      console.log(name);
    };
    const begin = () => {
      if (mode === 'text') {
        send('/connect ' + name);
        send('/join ' + name);
      } else {
        send(JSON.stringify({ op: 'connect', id: 1, user: name, ...(mode === 'none' && { heartbeat: false }) }));
        send(JSON.stringify({ op: 'join', id: 2, room: name }));
      }
    };
    if (transport === 'ws') {
      stream = new WebSocket((tls ? 'wss' : 'ws') + '://' + host + ':' + httpPort + '/ws', { rejectUnauthorized: false });
      send = (line) => stream.send(line);
      stream.on('open', begin);
      stream.on('message', (data) => {
        pace(data.length);
        if (data.length < 10_000) data.toString().split('\\n').forEach(hear);
      });
      stream.on('error', (error) => console.log(name + ' ' + error));
    } else {
      const options = { host, port: tcpPort, rejectUnauthorized: false };
      stream = tls ? require('node:tls').connect(options, begin) : require('node:net').connect(options, begin);
      send = (line) => stream.write(line + '\\n');
      stream.on('data', (chunk) => {
        pace(chunk.length);
        if (chunk.length < 10_000) chunk.toString().split('\\n').forEach(hear);
      });
      stream.on('error', (error) => console.log(name + ' ' + error));
    }
  }
`;

const possible = await NetworkNamespace.isPossible();

describe.skipIf(!possible).concurrent.each([
  ['in the clear', false],
  ['under TLS', true],
])('clients %s that vanish', (label, tls) => {
  let directory: Awaited<ReturnType<typeof temporaryDirectory>>;
  let namespace: NetworkNamespace;
  let gateway: GatewayProcess;
  const clients: TcpClient[] = [];
  /** When each was told to be offline, after they were cut off. */
  const goneMs = new Map<string, number>();
  let publishing: NodeJS.Timeout;

  beforeAll(async () => {
    directory = await temporaryDirectory();
    namespace = await NetworkNamespace.create();
    const [cert, key] = ['cert', 'key'].map((name) => join(directory.path, `${name}.pem`)) as [string, string];
    if (tls) {
      const kind = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '1'];
      await run('openssl', 'req', '-x509', ...kind, '-subj', '/CN=gateway', '-keyout', key, '-out', cert);
    }
    gateway = await startGateway(join(directory.path, 'data'), {
      env: {
        TIDEGATE_HOST: namespace.hostAddress,
        TIDEGATE_HOSTS: namespace.hostAddress,
        TIDEGATE_PUBLIC_ANONYMOUS: 'true',
        TIDEGATE_HEARTBEAT_MS: String(HEARTBEAT_MS),
        TIDEGATE_HEARTBEAT_TIMEOUT_MS: String(HEARTBEAT_TIMEOUT_MS),
        TIDEGATE_GRACE_MS: String(GRACE_MS),
        TIDEGATE_UNACKNOWLEDGED_MS: String(UNACKNOWLEDGED_MS),
        TIDEGATE_KEEPALIVE_MS: String(KEEPALIVE_MS),
        TIDEGATE_PRESENCE_PUSH_MS: '50',
        TIDEGATE_LIMIT_COMMANDS: '0',
        TIDEGATE_LIMIT_PUBLISHES: '0',
        TIDEGATE_LIMIT_BYTES: '0',
        ...(tls && { TIDEGATE_TLS_CERT: cert, TIDEGATE_TLS_KEY: key }),
      },
    });
  });

  afterAll(async () => {
    clearInterval(publishing);
    for (const client of clients) client.close();
    await gateway?.stop('SIGKILL');
    await namespace?.close();
    await directory?.remove();
  });

  async function open(user: string): Promise<TcpClient> {
    const { tcp: port } = gateway.ports;
    const host = namespace.hostAddress;
    const client = tls
      ? await TcpClient.openTls({ port, host, rejectUnauthorized: false })
      : await TcpClient.open(port, host);
    clients.push(client);
    await client.connect(user, { heartbeat: false });
    return client;
  }

  /** The kernel's lines of connections to the namespace: our ends of them, whoever owns them. */
  async function connections(): Promise<{ state: string; unsent: number; port: number }[]> {
    const bytes = namespace.address.split('.').map(Number).reverse();
    const remote = bytes.map((byte) => byte.toString(16).toUpperCase().padStart(2, '0')).join('');
    const lines = (await readFile('/proc/net/tcp', 'utf8')).split('\n').map((line) => line.trim().split(/\s+/));
    return lines
      .filter(([, , address]) => address?.startsWith(remote))
      .map(([, local = '', , state = '', queues = '']) => {
        return { state, unsent: Number.parseInt(queues, 16), port: Number.parseInt(local.split(':')[1] ?? '', 16) };
      });
  }

  /** TIME_WAIT costs nothing; FIN_WAIT1 is what uWebSockets.js, which cannot reset, leaves to the kernel. */
  function isOver({ state, port }: { state: string; port: number }): boolean {
    return state === '06' || (ENGINE === 'uws' && port === gateway.ports.http && state === '04');
  }

  test('leave in time, and nothing of them is left', { timeout: 90_000 }, async () => {
    const watcher = await open('watcher');
    await watcher.ok({ op: 'watch', users: KINDS.map(({ name }) => name) });
    const publisher = await open('publisher');
    for (let i = 0; i < 24; i += 1) {
      await publisher.ok({ op: 'publish', room: 'big', mid: `big-${i}`, data: 'x'.repeat(12_000) });
    }
    const { http: httpPort, tcp: tcpPort } = gateway.ports;
    const ws = createRequire(import.meta.url).resolve('ws');
    const args = { kinds: KINDS, host: namespace.hostAddress, httpPort, tcpPort, tls, ws };
    const child = namespace.run(process.execPath, ['-e', CLIENTS, JSON.stringify(args)]);
    child.stderr?.on('data', (chunk: Buffer) => console.log(chunk.toString()));
    const ready = new Set<string>();
    const lines = createInterface({ input: child.stdout as NodeJS.ReadableStream });
    lines.on('line', (line) => ready.add(line));
    while (ready.size < KINDS.length) await once(lines, 'line', { signal: AbortSignal.timeout(10_000) });
    expect([...ready].sort()).toEqual(KINDS.map(({ name }) => name).sort());

    let mid = 0;
    publishing = setInterval(() => {
      for (const { name, load } of KINDS) {
        if (load !== 'busy') continue;
        mid += 1;
        publisher.send({ op: 'publish', id: mid, room: name, mid: `busy-${mid}`, data: { text: 'hello' } });
      }
    }, 100);
    // Long enough for heartbeats and probes; nobody who is alive is ended by them.
    await delay(LIFE_MS);
    const offline = (name: string) => watcher.heard.some(({ user, devices }) => user === name && devices === 0);
    expect(KINDS.filter(({ name }) => offline(name)).map(({ name }) => name)).toEqual([]);
    const before = await connections();
    expect(before.filter(({ state }) => state === '01')).toHaveLength(KINDS.length);
    // Those whose replies wait.
    expect(before.filter(({ unsent }) => unsent > 100_000).length).toBeGreaterThanOrEqual(3);

    const begun = performance.now();
    await namespace.cutOff();
    let clearMs = 0;
    const longestMs = Math.max(...KINDS.map(({ boundMs }) => boundMs)) + CLOSE_TIMEOUT_MS + LATE_MS;
    while (performance.now() - begun < longestMs && (goneMs.size < KINDS.length || clearMs === 0)) {
      await delay(25);
      const nowMs = performance.now() - begun;
      for (const { name } of KINDS) if (!goneMs.has(name) && offline(name)) goneMs.set(name, nowMs);
      if (clearMs === 0 && (await connections()).every(isOver)) clearMs = nowMs;
    }
    const times = KINDS.map(
      ({ name, boundMs }) => `${name} ${Math.round(goneMs.get(name) ?? -1)}/${Math.round(boundMs)}`,
    );
    console.log(`ghosts ${label}, ms to leave / bound: ${times.join(', ')}; sockets gone ${Math.round(clearMs)}`);
    const late = KINDS.filter(({ name, boundMs }) => (goneMs.get(name) ?? Number.POSITIVE_INFINITY) > boundMs);
    expect(late.map(({ name }) => `${name} after ${goneMs.get(name)} ms`)).toEqual([]);
    for (const [name, ms] of goneMs) expect(ms, name).toBeGreaterThanOrEqual(GRACE_MS);
    const left = await connections();
    expect(clearMs, `sockets to a peer that isn't there: ${JSON.stringify(left)}`).toBeGreaterThan(0);
    for (const { name } of KINDS) {
      const told = watcher.heard.filter(
        ({ push, user, devices }) => push === 'presence' && user === name && devices === 0,
      );
      expect(told, name).toHaveLength(1);
    }
  });
});
