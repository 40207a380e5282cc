import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import { setPriority } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { type Message, type Said, TcpClient } from '../e2e/clients.ts';
import { type GatewayProcess, startGateway, temporaryDirectory } from '../e2e/gateway-process.ts';
import type { HostileOptions } from './hostile-clients.ts';
import { eventually, Load, readLog } from './load.ts';
import { LoadClient } from './load-client.ts';
import { readiness } from './machine.ts';
import { Oracle, type Published, type Reading } from './oracle.ts';
import { Random } from './random.ts';

const HOSTILE = fileURLToPath(new URL('./hostile-clients.ts', import.meta.url));
const MIB = 1_048_576;
const ROOM = 'lobby';
const CONNECTIONS_MAX = 260;
/** As by default: what a session may have waiting, and what it may cost besides. */
const SESSION_BYTES_MAX = MIB + 131_072;
const WARM_UP_MS = 3_000;
/** What a gateway's heap may hold more than at first, all garbage collected: mostly mids that it must remember. */
const RETAINED_MIB_MAX = 40;
/** And its RSS: malloc keeps what several threads have had, a plateau that further attacks don't raise. */
const LEFT_MIB_MAX = 160;
/** Nobody's fault but the machine's; printed. */
const SLOW_DISK = '503: the disk does not answer';

let directory: Awaited<ReturnType<typeof temporaryDirectory>>;
let gateway: GatewayProcess;
let observer: Observer;
const neighbours: LoadClient[] = [];

/** Knows also how long each message took to come back to who published it. */
class TimedOracle extends Oracle {
  latencies: number[] = [];
  readonly #begunMs = new Map<string, number>();

  override publish(user: string, room: string, data: unknown): Published {
    const published = super.publish(user, room, data);
    this.#begunMs.set(published.mid, performance.now());
    return published;
  }

  override received(reading: Reading, message: Message): void {
    super.received(reading, message);
    const begunMs = reading.user === message.from ? this.#begunMs.get(message.mid) : undefined;
    if (begunMs !== undefined) this.latencies.push(performance.now() - begunMs);
  }
}

const oracle = new TimedOracle();
let heap: Heap;
/** After the warm-up, with the neighbours and nobody else: RSS, and what the heap holds. */
let baseMiB = 0;
let baseRetainedMiB = 0;

/** Publishes 25 times a second, reads the room, and notes how long its own messages take. */
class Neighbour extends LoadClient {
  constructor(transport: 'tcp' | 'ws') {
    super({
      transport,
      user: `neighbour-${transport}`,
      reads: [ROOM],
      publishes: [ROOM],
      random: new Random(transport.length),
      oracle,
      dataBytesMax: 100,
      burstMax: 1,
      restMsMax: 76,
      where: async () => gateway.ports,
    });
  }
}

/** Looks at presence from within the room, and keeps what it was told of it. */
class Observer {
  readonly client: TcpClient;
  readonly present = new Set<string>();
  #read = 0;
  /** A jump without names was told: what is there must be asked. */
  isStale = false;

  private constructor(client: TcpClient) {
    this.client = client;
  }

  static async open(port: number): Promise<Observer> {
    const observer = new Observer(await TcpClient.open(port));
    await observer.client.connect('observer', { heartbeat: false });
    const { presence } = await observer.client.ok({ op: 'join', room: ROOM, presence: 'full' });
    for (const { user } of (presence as { users: { user: string }[] }).users) observer.present.add(user);
    return observer;
  }

  /** What the pushes so far say. */
  follow(): void {
    const names = (said: Said, key: string) => ((said[key] ?? []) as { user: string }[]).map(({ user }) => user);
    for (const said of this.client.heard.slice(this.#read)) {
      if (said.push !== 'presence') continue;
      if (['joined', 'left', 'changed'].every((key) => said[key] === undefined)) this.isStale = true;
      for (const user of names(said, 'joined')) this.present.add(user);
      for (const user of names(said, 'left')) this.present.delete(user);
    }
    this.#read = this.client.heard.length;
  }

  async users(room: string): Promise<string[]> {
    const page = await this.client.ok({ op: 'presence', room });
    return (page.users as { user: string }[]).map(({ user }) => user);
  }
}

/** Looks into the gateway's heap, by its inspector. */
class Heap {
  readonly #ws: WebSocket;
  #id = 0;

  private constructor(ws: WebSocket) {
    this.#ws = ws;
  }

  static async open(port: number): Promise<Heap> {
    const response = await fetch(`http://127.0.0.1:${port}/json/list`);
    const [target] = (await response.json()) as { webSocketDebuggerUrl: string }[];
    const ws = new WebSocket(target?.webSocketDebuggerUrl ?? '');
    await once(ws, 'open');
    return new Heap(ws);
  }

  /** MiB of what is in use, the garbage collected. */
  async retainedMiB(): Promise<number> {
    await this.#call('HeapProfiler.collectGarbage');
    const expression = '(({ heapUsed, external }) => heapUsed + external)(process.memoryUsage())';
    const { result } = (await this.#call('Runtime.evaluate', { expression })) as { result: { value: number } };
    return result.value / MIB;
  }

  close(): void {
    this.#ws.terminate();
  }

  #call(method: string, params: object = {}): Promise<unknown> {
    this.#id += 1;
    const id = this.#id;
    return new Promise((resolve) => {
      const onMessage = (data: Buffer) => {
        const said = JSON.parse(data.toString()) as { id?: number; result?: unknown };
        if (said.id !== id) return;
        this.#ws.off('message', onMessage);
        resolve(said.result);
      };
      this.#ws.on('message', onMessage);
      this.#ws.send(JSON.stringify({ id, method, params }));
    });
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

const ALL = ['neighbour-tcp', 'neighbour-ws', 'observer'];

async function rssMiB(): Promise<number> {
  const status = await readFile(`/proc/${gateway.pid}/status`, 'utf8');
  return Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1]) / 1_024;
}

beforeAll(async () => {
  directory = await temporaryDirectory();
  const inspectorPort = await freePort();
  gateway = await startGateway(directory.path, {
    env: {
      NODE_OPTIONS: `--inspect=127.0.0.1:${inspectorPort}`,
      TIDEGATE_CONNECTIONS_MAX: String(CONNECTIONS_MAX),
      TIDEGATE_CONNECT_TIMEOUT_MS: '1500',
      TIDEGATE_FIRST_LINE_TIMEOUT_MS: '1500',
      TIDEGATE_HEARTBEAT_MS: '2000',
      TIDEGATE_HEARTBEAT_TIMEOUT_MS: '1000',
      TIDEGATE_GRACE_MS: '500',
      TIDEGATE_RETRY_WINDOW_MS: '100',
    },
  });
  neighbours.push(new Neighbour('tcp'), new Neighbour('ws'));
  for (const neighbour of neighbours) neighbour.start();
  await eventually('the neighbours to be there', () => neighbours.every(({ isLive }) => isLive));
  observer = await Observer.open(gateway.ports.tcp);
  // Heaps take their time to reach the size that they have under any load.
  const load = new Load({ seed: 20_260_301, publishers: 8 });
  load.goTo(gateway.ports);
  await delay(WARM_UP_MS);
  await load.settle();
  await Promise.all(Array.from({ length: 8 }, () => readLog(gateway.ports, load.rooms)));
  await load.close();
  heap = await Heap.open(inspectorPort);
  baseMiB = await rssMiB();
  baseRetainedMiB = await heap.retainedMiB();
});

afterAll(async () => {
  for (const neighbour of neighbours) await neighbour.close();
  observer.client.close();
  heap.close();
  await gateway.stop('SIGKILL');
  await directory.remove();
});

/** Runs hostile clients in a process of their own and looks at everything meanwhile and after. */
async function suffer(kind: HostileOptions['kind'], count: number, forMs: number) {
  const options: HostileOptions = { kind, count, forMs, room: ROOM, tcp: gateway.ports.tcp, http: gateway.ports.http };
  oracle.latencies = [];
  await heap.retainedMiB();
  const beforeMiB = await rssMiB();
  const acked = oracle.ackedCount;
  const begunMs = performance.now();
  const child = spawn(process.execPath, [HOSTILE, JSON.stringify(options)], { stdio: ['pipe', 'pipe', 'inherit'] });
  // The neighbours share the machine with them, and are to wait for the gateway only.
  setPriority(child.pid ?? 0, 15);
  let done = false;
  const report = firstLine(child).finally(() => {
    done = true;
  });
  let peakMiB = 0;
  const reasons = new Set<string>();
  while (!done) {
    peakMiB = Math.max(peakMiB, await rssMiB());
    const { status, reason } = await readiness(gateway);
    if (status !== 200) reasons.add(`${status}: ${reason}`);
    await delay(40);
  }
  const seen = await report;
  peakMiB = Math.max(peakMiB, await rssMiB());
  // They are all still there: what is held for them now is no garbage.
  await heap.retainedMiB();
  const heldMiB = await rssMiB();
  const exit = once(child, 'exit');
  child.stdin.write('go\n');
  await exit;
  const tookMs = performance.now() - begunMs;
  const ackedMeanwhile = oracle.ackedCount - acked;
  const latencies = oracle.latencies.toSorted((one, other) => one - other);
  const latency = (share: number) => (latencies[Math.floor(latencies.length * share)] ?? Number.NaN).toFixed(0);
  // Whoever is gone is seen to be gone.
  await eventually('the neighbours to be alone', async () => String(await observer.users(ROOM)) === String(ALL));
  await eventually('the pushes that say so', () => {
    observer.follow();
    return observer.isStale || String([...observer.present].sort()) === String(ALL);
  });
  // Nobody collects the garbage of a gateway that has little to do.
  const uncollectedMiB = await rssMiB();
  let retainedMiB = 0;
  let afterMiB = Number.POSITIVE_INFINITY;
  for (let i = 0; i < 10 && afterMiB > baseMiB + LEFT_MIB_MAX; i += 1) {
    if (i > 0) await delay(100);
    retainedMiB = await heap.retainedMiB();
    afterMiB = await rssMiB();
  }
  const overloaded = neighbours.reduce((sum, { errors }) => sum + (errors.get('overloaded') ?? 0), 0);
  const mib = (value: number) => value.toFixed(0);
  console.log(
    `${kind}: ${count} hostile; RSS ${mib(beforeMiB)} MiB (at first ${mib(baseMiB)}), at most ${mib(peakMiB)}, held ${mib(heldMiB)}, after ${mib(uncollectedMiB)}, ` +
      `with garbage collected ${mib(afterMiB)}; heap ${mib(baseRetainedMiB)} MiB, after ${mib(retainedMiB)}\n` +
      `  neighbours had ${ackedMeanwhile} acks in ${tookMs.toFixed(0)} ms, ${overloaded} overloaded so far, ` +
      `own message after p50 ${latency(0.5)} ms, p99 ${latency(0.99)} ms, at most ${latency(0.9999)} ms\n` +
      `  ${JSON.stringify(seen)} ${[...reasons]}`,
  );
  return {
    seen,
    grownMiB: peakMiB - beforeMiB,
    heldMiB: heldMiB - beforeMiB,
    afterMiB,
    retainedMiB,
    unready: [...reasons],
    ackedMeanwhile,
  };
}

interface Seen {
  readonly codes: Readonly<Record<string, number>>;
  readonly closed: number;
  readonly sentBytes: number;
  readonly receivedBytes: number;
}

async function firstLine(child: ChildProcess): Promise<Seen> {
  let text = '';
  for await (const chunk of child.stdout ?? []) {
    text += String(chunk);
    if (text.includes('\n')) return JSON.parse(text) as Seen;
  }
  throw new Error('the hostile clients ended without a word');
}

test.each<[string, HostileOptions['kind'], number, number]>([
  ['flood', 'flood', 120, 3_000],
  ['flood and never read', 'deaf', 120, 3_000],
  ['join the same room and never read', 'slow', 72, 4_000],
  ['send a byte now and then', 'dribble', 64, 3_000],
  ['send each byte by itself', 'crumbs', 24, 6_000],
  ['say nothing', 'silent', CONNECTIONS_MAX + 100, 3_000],
  ['come and go', 'churn', 100, 3_000],
  ['signal', 'signals', 60, 3_000],
])('hostile clients that %s cost the neighbours nothing', async (_, kind, count, forMs) => {
  const { seen, grownMiB, heldMiB, afterMiB, retainedMiB, unready, ackedMeanwhile } = await suffer(kind, count, forMs);
  // It was an attack, and the neighbours went on meanwhile.
  expect(seen.sentBytes).toBeGreaterThan(kind === 'silent' ? 0 : 1_000);
  if (kind === 'slow') expect(seen.codes[3001] ?? 0).toBeGreaterThan(30);
  if (kind === 'silent') {
    // The observer and the neighbours have their places; whoever found none was told, and then the time was over.
    expect(seen.codes[3003] ?? 0).toBeGreaterThan(90);
    expect(seen.codes[3006] ?? 0).toBeGreaterThan(200);
  }
  expect(ackedMeanwhile).toBeGreaterThan(0);
  expect(unready.filter((reason) => reason !== SLOW_DISK)).toEqual([]);
  for (const { connections, errors } of neighbours) {
    expect(connections).toBe(1);
    // Shedding load is allowed, where the client's message comes through in the end.
    expect([...errors.keys()].filter((code) => code !== 'overloaded')).toEqual([]);
  }
  expect(oracle.violations).toEqual([]);
  // Where nothing is sent to a session it has no outbox to fill, and holds a line and little more.
  const hasOutbox = !['dribble', 'crumbs', 'silent'].includes(kind);
  const allowedMiB = (count * (hasOutbox ? SESSION_BYTES_MAX : 196_608)) / MIB + (hasOutbox ? 32 : 24);
  expect(heldMiB).toBeLessThan(allowedMiB);
  // V8 collects when it sees fit, on a busy machine later.
  expect(grownMiB).toBeLessThan(allowedMiB + 64);
  expect(retainedMiB).toBeLessThan(baseRetainedMiB + RETAINED_MIB_MAX);
  expect(afterMiB).toBeLessThan(baseMiB + LEFT_MIB_MAX);
  for (const room of ['deaf', 'room-2', 'room-3']) expect(await observer.users(room)).toEqual([]);
});

test('in the end every message of the neighbours came once, in order, to both', async () => {
  for (const neighbour of neighbours) neighbour.publishing = false;
  await eventually('the last acks', () => neighbours.every(({ unackedCount }) => unackedCount === 0));
  await eventually('the last messages', () => neighbours.every(({ hasAll }) => hasAll));
  const log = await readLog(gateway.ports, [ROOM]);
  // The hostile ones spoke there too; what they said is theirs.
  const users = new Set(neighbours.map(({ user }) => user));
  const own = (log.get(ROOM) ?? []).filter(({ from }) => users.has(from));
  for (const { messages } of oracle.readings) {
    messages.splice(0, messages.length, ...messages.filter(({ from }) => users.has(from)));
  }
  expect(oracle.judge(new Map([[ROOM, own]]))).toEqual([]);
  expect(oracle.ackedCount).toBe(oracle.published.size);
  expect(oracle.ackedCount).toBeGreaterThan(1_000);
  expect(oracle.duplicateCount).toBe(0);
});
