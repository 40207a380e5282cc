/**
 * What the embedded log costs by itself, without sockets: appends in process, of 1,000 publishers in rooms of four,
 * so many of them open at once, and prints records/s, CPU microseconds a record by thread, and the time to an answer.
 *
 *   taskset -c 1 node --disable-warning=ExperimentalWarning loadtest/log-cost.ts [options]
 *
 *   --rooms N       rooms, of four publishers each (default 250)
 *   --open LIST     appends open at once, separated by commas: a line each (default 1,100,1000,3000)
 *   --rate N        appends started a second instead, whatever is open; a line more
 *   --seconds S     of each line (default 4)
 *   --directory DIR where the data directory is made (default: the system's place for temporary files)
 *
 * CPU times are the kernel's, of this process's threads (Linux). Half a second before each line is not counted.
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { openEmbeddedLog } from '../src/fanout/embedded-log.ts';
import { EMBEDDED_LOG_DEFAULTS } from '../src/fanout/embedded-settings.ts';
import type { RoomLog } from '../src/fanout/room-log.ts';

const PUBLISHERS_PER_ROOM = 4;
const WARM_UP_MS = 500;
const DATA_BYTES = 128;
const PADDING = 'x'.repeat(DATA_BYTES);

interface Line {
  readonly name: string;
  readonly records: number;
  readonly seconds: number;
  /** Nanoseconds on a core: the main thread, then the other threads, the busiest first. */
  readonly cpuNs: readonly number[];
  readonly latenciesMs: readonly number[];
}

const { values } = parseArgs({
  options: {
    rooms: { type: 'string', default: '250' },
    open: { type: 'string', default: '1,100,1000,3000' },
    rate: { type: 'string' },
    seconds: { type: 'string', default: '4' },
    directory: { type: 'string', default: tmpdir() },
  },
});
const rooms = positive('rooms', values.rooms);
const milliseconds = positive('seconds', values.seconds) * 1_000;
const opens = values.open === '' ? [] : values.open.split(',').map((text) => positive('open', text));

const names = Array.from({ length: rooms }, (_, room) => `rooms/room-${room}`);
const publishers = Array.from({ length: rooms * PUBLISHERS_PER_ROOM }, (_, publisher) => `publisher-${publisher}`);
/** Of the next append. */
let number = 0;

const directory = mkdtempSync(join(values.directory, 'tidegate-log-cost-'));
try {
  const quiet = { info() {}, warn: console.warn, error: console.error };
  const log = await openEmbeddedLog({ ...EMBEDDED_LOG_DEFAULTS, directory }, quiet);
  let handedOn = 0;
  log.tail((publications) => {
    handedOn += publications.length;
  });
  const lines: Line[] = [];
  for (const open of opens) {
    lines.push(await measure(`${open} open`, () => handedOn, keepOpen(log, open)));
  }
  if (values.rate !== undefined) {
    const rate = positive('rate', values.rate);
    lines.push(await measure(`${rate}/s`, () => handedOn, startAtRate(log, rate)));
  }
  await log.close();
  print(lines);
} finally {
  rmSync(directory, { recursive: true });
}

/** Publishes until `stop`, and tells each answer's time. */
type Load = (onAnswer: (ms: number) => void) => { stop(): Promise<void> };

async function append(log: RoomLog, onAnswer: (ms: number) => void): Promise<void> {
  const index = number++;
  const publisher = index % publishers.length;
  const begunMs = performance.now();
  const mid = `${publishers[publisher]}/${index}`;
  // Padded to one length by its own number, so that each has data of its own.
  const data = `"${index}${PADDING.slice(0, DATA_BYTES - 2 - String(index).length)}"`;
  await log.append({ room: names[publisher % rooms] as string, from: publishers[publisher] as string, mid, data });
  onAnswer(performance.now() - begunMs);
}

function keepOpen(log: RoomLog, open: number): Load {
  return (onAnswer) => {
    let on = true;
    const running = Array.from({ length: open }, async () => {
      while (on) await append(log, onAnswer);
    });
    return {
      async stop() {
        on = false;
        await Promise.all(running);
      },
    };
  };
}

function startAtRate(log: RoomLog, perSecond: number): Load {
  return (onAnswer) => {
    let answered = 0;
    const begunMs = performance.now();
    let started = 0;
    const timer = setInterval(() => {
      for (const due = ((performance.now() - begunMs) / 1_000) * perSecond; started < due; started++) {
        void append(log, onAnswer).then(() => answered++);
      }
    }, 1);
    return {
      async stop() {
        clearInterval(timer);
        while (answered < started) await delay(1);
      },
    };
  };
}

async function measure(name: string, records: () => number, load: Load): Promise<Line> {
  let latenciesMs: number[] = [];
  const running = load((ms) => latenciesMs.push(ms));
  await delay(WARM_UP_MS);
  latenciesMs = [];
  const before = { records: records(), ms: performance.now(), threads: threadsNs() };
  await delay(milliseconds);
  const after = { records: records(), ms: performance.now(), threads: threadsNs() };
  const measured = latenciesMs;
  await running.stop();
  const main = String(process.pid);
  const spent = [...after.threads].map(([thread, ns]) => ({ thread, ns: ns - (before.threads.get(thread) ?? 0) }));
  const others = spent.filter(({ thread }) => thread !== main).map(({ ns }) => ns);
  return {
    name,
    records: after.records - before.records,
    seconds: (after.ms - before.ms) / 1_000,
    cpuNs: [spent.find(({ thread }) => thread === main)?.ns ?? 0, ...others.sort((a, b) => b - a)],
    latenciesMs: measured.sort((a, b) => a - b),
  };
}

/** Nanoseconds that each of this process's threads has run, by its number. */
function threadsNs(): Map<string, number> {
  const tasks = '/proc/self/task';
  return new Map(
    readdirSync(tasks).map((thread): [string, number] => {
      const [ns = ''] = readFileSync(`${tasks}/${thread}/schedstat`, 'utf8').split(' ');
      return [thread, Number(ns)];
    }),
  );
}

function print(lines: readonly Line[]): void {
  console.table(
    Object.fromEntries(
      lines.map(({ name, records, seconds, cpuNs, latenciesMs }) => {
        const [main = 0, writer = 0, ...rest] = cpuNs.map((ns) => ns / 1_000 / records);
        const others = rest.reduce((sum, us) => sum + us, 0);
        const at = (share: number) => (latenciesMs[Math.floor(latenciesMs.length * share)] ?? Number.NaN).toFixed(2);
        return [
          name,
          {
            'records/s': Math.round(records / seconds),
            'CPU µs a record': (main + writer + others).toFixed(2),
            main: main.toFixed(2),
            writer: writer.toFixed(2),
            others: others.toFixed(2),
            'p50 ms': at(0.5),
            'p99 ms': at(0.99),
          },
        ];
      }),
    ),
  );
}

function positive(name: string, text: string): number {
  const number = Number(text);
  if (Number.isInteger(number) && number > 0) return number;
  throw new Error(`--${name}: a whole number above 0, not "${text}"`);
}
