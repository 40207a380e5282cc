/**
 * What histograms and traces cost by themselves, without sockets and disks: a gateway in process whose log keeps nothing, with
 * publishes of four sessions in a room, and a collector in another process that takes all spans and looks at none.
 * Prints CPU microseconds a publication, of the whole process, for each share of publishes that is traced: medians of
 * rounds in which each has its turn, in a process of its own. `off`: traces go nowhere; `unmeasured`: nor is observed how
 * long anything takes.
 *
 *   node --disable-warning=ExperimentalWarning loadtest/observability-cost.ts [options]
 *
 *   --samples LIST  shares, separated by commas (default unmeasured,off,0,0.001,0.01,0.1,1)
 *   --rounds N      (default 5)
 *   --count N       publications of a turn, behind as many that are not counted, up to 40,000 (default 200000)
 */
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs, promisify } from 'node:util';
import { pino } from 'pino';
import { AppendQueue, type PendingAppend, type Settled } from '../src/fanout/append-queue.ts';
import { NoPeers } from '../src/fanout/no-peers.ts';
import type { Appended, AppendRequest, Page, RoomLog } from '../src/fanout/room-log.ts';
import { Gateway } from '../src/gateway/gateway.ts';
import { TimerWheel } from '../src/limits/timer-wheel.ts';
import { OpenTelemetryTracing } from '../src/observability/opentelemetry-tracing.ts';
import { Tally } from '../src/observability/tally.ts';
import type { Tracing } from '../src/observability/tracing.ts';
import { MemoryPresence } from '../src/presence/memory-presence-store.ts';
import { ndjsonDialect } from '../src/protocol/json-dialect.ts';
import { encodeValue, type Publication } from '../src/protocol/publication.ts';
import { endOfTurn, FakeTransport } from '../test/unit/gateway/fake-transport.ts';
import { SETTINGS } from '../test/unit/gateway/gateway-settings.ts';
import { spreadOf } from './statistics.ts';
import { formatMs, formatSpread, formatTable } from './table.ts';

const ROOM = 'room';
const MEMBERS = 4;
/** Of a member in a turn of the loop. */
const PUBLISHES = 8;
const WARM_UP_MAX = 40_000;
const DATA = JSON.stringify({ text: 'x'.repeat(100) });
const SPANS_MAX = 4_096;
const EXPORT_MS = 1_000;

const { values } = parseArgs({
  options: {
    samples: { type: 'string', default: 'unmeasured,off,0,0.001,0.01,0.1,1' },
    rounds: { type: 'string', default: '5' },
    count: { type: 'string', default: '200000' },
    /** For the processes that this one starts. */
    collector: { type: 'string' },
  },
});
/** Has each share take its turns, and tells what they cost. */
async function compare(): Promise<void> {
  const samples = values.samples.split(',');
  const server = createServer((request, response) => {
    request.resume().once('end', () => response.end());
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const collector = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const costs = new Map<string, number[]>(samples.map((sample) => [sample, []]));
  for (let round = 0; round < Number(values.rounds); round += 1) {
    for (const [sample, found] of costs) {
      const self = ['--disable-warning=ExperimentalWarning', fileURLToPath(import.meta.url), '--collector', collector];
      const turn = [...self, '--samples', sample, '--count', values.count];
      const { stdout } = await promisify(execFile)(process.execPath, turn);
      found.push(Number(stdout));
    }
  }
  server.close();
  const rows = [...costs].map(([sample, found]) => [sample, formatSpread(spreadOf(found), formatMs)]);
  console.log(formatTable(['traced', 'CPU µs a publication, median [min–max]'], rows));
}

/** Prints what a publication costs with one share of them traced. */
async function measure(collector: string): Promise<void> {
  const [sample = 'off'] = values.samples.split(',');
  const count = Number(values.count);
  const quiet = { info() {}, warn: console.warn, error: console.error };
  const spans = { endpoint: collector, spansMax: SPANS_MAX, intervalMs: EXPORT_MS };
  const tracing =
    sample === 'off' || sample === 'unmeasured'
      ? undefined
      : new OpenTelemetryTracing({ export: spans, sample: Number(sample), node: 'node', topic: null }, quiet);
  const load = await Load.open(tracing, sample === 'unmeasured' ? unmeasured() : new Tally());
  // A collector that has no core left costs spans, and none of the time that is counted here.
  const isBehind = () => (tracing?.figures().waiting ?? 0) > SPANS_MAX / 2;
  await load.run(Math.min(WARM_UP_MAX, count), isBehind);
  const before = process.cpuUsage();
  await load.run(count, isBehind);
  const { user, system } = process.cpuUsage(before);
  if (tracing !== undefined && tracing.figures().dropped > 0)
    throw new Error('spans were dropped: the cost is not whole');
  console.log((user + system) / count);
  process.exit(0);
}

/** Counts, and does not observe: what is left of a tally without its histograms. */
function unmeasured(): Tally {
  const tally = new Tally();
  for (const distribution of [tally.publishAppend, tally.appendDeliver, tally.tailDeliver]) {
    distribution.observe = () => {};
  }
  return tally;
}

/** Has everything at the end of the loop's turn. */
class ForgetfulLog implements RoomLog {
  readonly epoch = 'epoch';
  readonly partitions = 1;
  readonly #ends = [-1];
  readonly #bounds = {
    queueRecordsMax: 4_000,
    queueBytesMax: 2 ** 30,
    queueWaitMsMax: 60_000,
    appendTimeoutMs: 60_000,
  };
  readonly #queue = new AppendQueue<PendingAppend>(this.#bounds);
  #onBatch: (publications: readonly Publication[]) => void = () => {};
  #number = 0;
  #isPlanned = false;

  append({ room, from, mid, data, trace }: AppendRequest): Promise<Appended> {
    const id = String(this.#number++).padStart(16, '0');
    const outcome = this.#queue.add({ id, dataHash: 1, value: encodeValue(room, from, mid, data), trace }, undefined);
    if (!this.#isPlanned) setImmediate(() => this.#flush());
    this.#isPlanned = true;
    return outcome;
  }

  tail(onBatch: (publications: readonly Publication[]) => void): void {
    this.#onBatch = onBatch;
  }

  read(): Promise<Page> {
    return Promise.resolve({ publications: [], source: 'memory', more: false });
  }

  ends(): readonly number[] {
    return this.#ends;
  }

  async untilCurrent(): Promise<void> {}

  async close(): Promise<void> {}

  #flush(): void {
    this.#isPlanned = false;
    const appends = this.#queue.take();
    for (const { trace } of appends) trace?.sending(0, appends.length);
    const [first = -1] = this.#ends;
    const { epoch } = this;
    const readMs = performance.now();
    const publications = appends.map(({ value, trace }, i): Publication => {
      const traced = trace && { parent: trace.context, readMs };
      return { room: ROOM, partition: 0, epoch, offset: first + 1 + i, ts: Date.now(), value, trace: traced };
    });
    this.#ends[0] = first + appends.length;
    this.#onBatch(publications);
    this.#queue.succeed(
      publications.map(({ offset }): Settled => ({ position: { epoch, offset }, duplicate: false, dataHash: 1 })),
    );
  }
}

/** Four sessions that publish to one another. */
class Load {
  readonly #transports: readonly FakeTransport[];
  #published = 0;

  private constructor(transports: readonly FakeTransport[]) {
    this.#transports = transports;
  }

  static async open(tracing: Tracing | undefined, tally: Tally): Promise<Load> {
    const presence = new MemoryPresence({ leaseMs: 10_000, graceMs: 0, lastSeenMax: 10 }).replica();
    const ports = { log: new ForgetfulLog(), presence, isPresenceShared: false, peers: new NoPeers(), tracing };
    const gateway = new Gateway(ports, new TimerWheel(), SETTINGS, pino({ level: 'silent' }), tally);
    await gateway.open();
    const transports = Array.from({ length: MEMBERS }, () => new FakeTransport());
    for (const [member, transport] of transports.entries()) {
      transport.attach(gateway.openSession(transport, ndjsonDialect, true));
      transport.send({ op: 'connect', id: 1, user: `member-${member}` }, { op: 'join', id: 2, room: ROOM });
      await endOfTurn();
    }
    return new Load(transports);
  }

  async run(count: number, isBehind: () => boolean): Promise<void> {
    for (const end = this.#published + count; this.#published < end; ) {
      for (const transport of this.#transports) {
        transport.send(Array.from({ length: PUBLISHES }, () => this.#publish()).join('\n'));
      }
      await endOfTurn();
      while (isBehind()) await delay(1);
      for (const transport of this.#transports) {
        transport.written.length = 0;
        transport.writes.length = 0;
      }
    }
  }

  #publish(): string {
    const id = 10 + this.#published++;
    return `{"op":"publish","id":${id},"room":"${ROOM}","mid":"mid-${id}","data":${DATA}}`;
  }
}

// Behind the classes, which are not there before.
if (values.collector === undefined) await compare();
else await measure(values.collector);
