import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

/** A server's memory after it has collected its garbage; bytes. */
export interface MemoryReading {
  /** Resident, all of it, as the system counts it. */
  readonly rss: number;
  /** Of that, what no file stands behind: all but code and data of the programs. */
  readonly anonymous: number;
  /** Of the main thread's heap. */
  readonly heapUsed: number;
  readonly heapTotal: number;
  /** Beside the heap, held by its objects: as far as they tell V8. */
  readonly external: number;
  readonly arrayBuffers: number;
}

/** What the kernel holds for connections, the whole machine's; bytes. */
export interface KernelReading {
  /** Of the caches in SOCKET_CACHES; null where only root may know. */
  readonly sockets: number | null;
  /** Data on its way through TCP sockets. */
  readonly buffers: number;
}

const PAGE_BYTES = 4096;
/** The kernel's objects of which each connection has one at each end, in caches where nearly nothing else is. */
const SOCKET_CACHES: readonly string[] = ['TCP', 'TCPv6', 'sock_inode_cache', 'filp', 'eventpoll_epi', 'eventpoll_pwq'];
const POLL_MS = 20;
/** A heap snapshot of many sessions takes its time. */
const READING_MS_MAX = 60_000;

/** Reads a server's memory, over and over. It must run with servers/gc-on-signal.ts, told of the same file. */
export class MemoryMeter {
  readonly #pid: number;
  readonly #file: string;
  #readings = 0;

  constructor(pid: number, file: string) {
    this.#pid = pid;
    this.#file = file;
  }

  async read(): Promise<MemoryReading> {
    process.kill(this.#pid, 'SIGUSR2');
    const deadlineMs = performance.now() + READING_MS_MAX;
    for (;;) {
      const lines = readFileSync(this.#file, 'utf8').split('\n');
      const line = lines[this.#readings];
      // Behind each whole line there is another, if only an empty one.
      if (line !== undefined && lines.length > this.#readings + 1) {
        this.#readings++;
        return JSON.parse(line) as MemoryReading;
      }
      if (performance.now() > deadlineMs) throw new Error(`the server did not tell its memory in ${READING_MS_MAX} ms`);
      await sleep(POLL_MS);
    }
  }
}

/** Resident memory of a process as it is, garbage included. */
export function residentBytes(pid: number): number {
  return 1024 * Number(/^VmRSS:\s*(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]);
}

export function readKernel(): KernelReading {
  const pages = /^TCP: .* mem (\d+)$/m.exec(readFileSync('/proc/net/sockstat', 'utf8'))?.[1];
  return { sockets: readSocketCaches(), buffers: PAGE_BYTES * Number(pages) };
}

function readSocketCaches(): number | null {
  let table: string;
  try {
    table = readFileSync('/proc/slabinfo', 'utf8');
  } catch {
    return null;
  }
  // name, active objects, objects, bytes of an object, …
  const caches = table.split('\n').map((line) => line.split(/\s+/));
  return caches
    .filter(([name = '']) => SOCKET_CACHES.includes(name))
    .reduce((sum, [, , objects, objectBytes]) => sum + Number(objects) * Number(objectBytes), 0);
}
