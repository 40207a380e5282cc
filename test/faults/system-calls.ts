import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';

/** What is traced: everything that writes or syncs. */
const TRACED = 'trace=fsync,fdatasync,write,writev,pwrite64,pwritev,sendto,sendmsg';

/** Put before a gateway's command line, to have its system calls written into `file`. */
export function traced(file: string): string[] {
  return ['strace', '-f', '-qq', '-e', TRACED, '-e', 'signal=none', '-yy', '-xx', '-s', '1000000', '-o', file];
}

/** A system call as it was seen. Beginnings and ends are places in one order of events over all threads. */
export interface Call {
  readonly name: string;
  /** What the first argument, a descriptor, stands for: a path, or a socket's two ends. */
  readonly target: string;
  /** Before this, nothing of the call had happened. */
  readonly began: number;
  /** At this, the call was over; Infinity if it never was. */
  ended: number;
  /** Of the call; −1 if it failed or never ended. */
  result: number;
  readonly bytes: Buffer;
  /** The last argument of `pwrite64`. */
  readonly offset: number;
}

/**
 * Reads a trace. The tracer sees one event at a time and lets nobody go on before it has seen it: what stands
 * earlier has happened earlier.
 */
export function readTrace(text: string): Call[] {
  const calls: Call[] = [];
  const unfinished = new Map<string, Call>();
  for (const [place, line] of text.split('\n').entries()) {
    const resumed = /^(\d+) +<\.\.\. \w+ resumed>(.*)$/.exec(line);
    if (resumed !== null) {
      const [, thread = '', rest = ''] = resumed;
      const call = unfinished.get(thread);
      unfinished.delete(thread);
      if (call !== undefined) end(call, place, rest);
      continue;
    }
    const begun = /^(\d+) +(\w+)\(\d+<([^"]*?)>(?=[,)]| <unfinished)(.*)$/.exec(line);
    if (begun === null) continue;
    const [, thread = '', name = '', shown = '', rest = ''] = begun;
    const target = decode(shown).toString();
    const strings = [...rest.matchAll(/"((?:\\x[0-9a-f]{2})*)"/g)].map(([, string = '']) => decode(string));
    const offset = Number(/, (\d+)(?:\)| <unfinished)/.exec(rest)?.[1] ?? -1);
    const call = { name, target, began: place, ended: Infinity, result: -1, bytes: Buffer.concat(strings), offset };
    calls.push(call);
    if (rest.endsWith('<unfinished ...>')) unfinished.set(thread, call);
    else end(call, place, rest);
  }
  return calls;
}

function end(call: Call, place: number, rest: string): void {
  const result = /\) += (-?\d+)/.exec(rest)?.[1];
  if (result === undefined) return;
  call.ended = place;
  call.result = Number(result);
}

function decode(shown: string): Buffer {
  return /^(\\x[0-9a-f]{2})+$/.test(shown) ? Buffer.from(shown.replaceAll('\\x', ''), 'hex') : Buffer.from(shown);
}

const FRAME_HEADER_BYTES = 24;

/** A publish's way through the process. */
export interface Way {
  readonly mid: string;
  /** Times that clients were told of it. */
  readonly told: number;
  /** Of these, those before which there was no sync of its transaction. */
  readonly toldTooEarly: number;
}

/** For each mid: whether everyone who was told of it was told after it had been synced. */
export function followPublishes(calls: readonly Call[], mids: Iterable<string>): Way[] {
  const wal = calls.filter(({ target }) => target.endsWith('/log.sqlite-wal'));
  const syncs = wal.filter(({ name, result }) => (name === 'fsync' || name === 'fdatasync') && result === 0);
  const frames = wal.filter(({ name }) => name === 'pwrite64');
  const sent = sentBytes(calls);
  return [...mids].map((mid) => {
    const written = commitBehind(frames, mid);
    const synced = Math.min(...syncs.filter(({ began }) => began > written).map(({ ended }) => ended));
    const told = sent.flatMap((stream) => stream.placesOf(mid));
    return { mid, told: told.length, toldTooEarly: told.filter((place) => !(synced < place)).length };
  });
}

/** When the last frame of the transaction that first wrote `mid` was written: the one that makes it count. */
function commitBehind(frames: readonly Call[], mid: string): number {
  // The end of a page may cut it in two, but not both of its halves.
  const halves = [mid.slice(0, mid.length / 2), mid.slice(mid.length / 2)];
  const first = frames.findIndex(({ bytes }) => halves.some((half) => bytes.includes(half)));
  if (first === -1) return Infinity;
  for (let i = first - 1; i + 1 < frames.length; i += 2) {
    const header = frames[i];
    const page = frames[i + 1];
    if (header === undefined || page === undefined || header.bytes.length !== FRAME_HEADER_BYTES) return Infinity;
    // Only a transaction's last frame says how many pages the database has.
    if (header.bytes.readUInt32BE(4) !== 0) return Math.max(header.ended, page.ended);
  }
  return Infinity;
}

interface Stream {
  /** For each time that `text` went out: when the first byte of it may have. */
  placesOf(text: string): number[];
}

/** What was written to each client's socket. */
function sentBytes(calls: readonly Call[]): Stream[] {
  const writes = new Map<string, { bytes: Buffer; began: number }[]>();
  for (const { target, bytes, began, ended, result } of calls) {
    // One that the end of the process cut short may have sent everything.
    const length = ended === Infinity ? bytes.length : result;
    if (!target.startsWith('TCP') || length <= 0) continue;
    const stream = writes.get(target) ?? [];
    writes.set(target, stream);
    stream.push({ bytes: bytes.subarray(0, length), began });
  }
  return [...writes.values()].map((stream) => {
    const all = Buffer.concat(stream.map(({ bytes }) => bytes));
    const beganAt = (at: number): number => {
      let through = 0;
      for (const { bytes, began } of stream) {
        through += bytes.length;
        if (at < through) return began;
      }
      return Infinity;
    };
    return {
      placesOf(text) {
        const places: number[] = [];
        for (let at = all.indexOf(text); at !== -1; at = all.indexOf(text, at + 1)) places.push(beganAt(at));
        return places;
      },
    };
  });
}

/** Faults in the system calls of a process that runs, until it is released again. */
export class Injection {
  readonly #child: ReturnType<typeof spawn>;
  readonly #file: string;

  private constructor(child: ReturnType<typeof spawn>, file: string) {
    this.#child = child;
    this.#file = file;
  }

  /**
   * @param fault as in strace's `inject=…`, without the calls, which are those that sync
   * @param file gets the trace
   */
  static async into(pid: number, fault: string, file: string): Promise<Injection> {
    const args = ['-f', '-e', 'trace=fsync,fdatasync', '-e', `inject=fsync,fdatasync:${fault}`, '-yy', '-o', file];
    const child = spawn('strace', [...args, '-p', String(pid)], { stdio: ['ignore', 'ignore', 'pipe'] });
    await new Promise<void>((resolve, reject) => {
      let said = '';
      child.stderr.on('data', (chunk: Buffer) => {
        said += chunk.toString();
        // It says so once it has all of the process's threads.
        if (/Process \d+ attached/.test(said)) resolve();
      });
      child.once('exit', (code) => reject(new Error(`strace ended with ${code}: ${said}`)));
      child.once('error', reject);
    });
    return new Injection(child, file);
  }

  /** Idempotent. The calls that are held go on. */
  async release(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const exit = once(this.#child, 'exit');
    this.#child.kill('SIGINT');
    await exit;
  }

  /** How many calls were hit so far. */
  async count(): Promise<number> {
    return (await readFile(this.#file, 'utf8')).split(/\((?:INJECTED|DELAYED)\)/).length - 1;
  }
}
