import { accessSync, constants } from 'node:fs';
import { open } from 'node:fs/promises';
import { type Connected, KernelTable, keyOf, Lines, type Unanswered } from './kernel-table.ts';

export interface UnacknowledgedSettings {
  /** A peer is given up after this time without a sign of its kernel. */
  readonly timeoutMs?: number;
  /** From the end of one look to the beginning of the next. */
  readonly pollMs?: number;
  readonly files?: { readonly v4: string; readonly v6: string };
  /** Reads a file. A chunk is used up before the next is asked for. */
  readonly read?: (path: string) => AsyncIterable<Buffer>;
}

/**
 * Finds peers that have vanished while bytes are on their way to them, for sessions without heartbeats. The kernel
 * itself gives up after some 15 minutes, keepalive rests while bytes are unacknowledged, Node has no
 * TCP_USER_TIMEOUT; but Linux shows in /proc/net/tcp how often it has sent in vain.
 *
 * What it counts there (see {@link KernelTable}) tells the slow from the vanished: a slow peer's kernel answers the
 * probes, which sets their count to 0, and so does a loss that is repaired with its own. Who has two sendings
 * unanswered, and for `timeoutMs` none of the signs of an answer between two looks, has vanished. Found
 * after the first retransmission (0.2 s on a near network, seldom above 3 s) + `timeoutMs` + two looks; where the
 * window was zero, after the second probe: it comes in at most three times the time for which the window was
 * zero (the kernel doubles the pause, up to 2 minutes), + `timeoutMs` + two looks.
 *
 * A look costs about 4 ms of processor time for 1,000 connections of the machine, half of it the kernel's, in slices
 * of 27 lines, most of them on other threads.
 *
 * Where a kernel takes its window back from bytes already on their way, the sender probes without counting; that is
 * left to the kernel, which gives up after 2 to 4 minutes without an answer (tcp_retransmit_timer).
 */
export class UnacknowledgedWatch {
  readonly #timeoutMs: number;
  readonly #pollMs: number;
  readonly #read: (path: string) => AsyncIterable<Buffer>;
  readonly #v4: KernelTable<Watched>;
  readonly #v6: KernelTable<Watched>;
  readonly #watched = new Map<Connected, Watched>();
  /** There are such tables on this machine. */
  readonly #exists: boolean;
  #available: boolean;
  #timer: NodeJS.Timeout | null = null;
  #looking = false;
  /** The number of the look that is next or under way. */
  #look = 1;

  constructor(settings: UnacknowledgedSettings = {}) {
    const { v4, v6 } = settings.files ?? { v4: '/proc/net/tcp', v6: '/proc/net/tcp6' };
    this.#timeoutMs = settings.timeoutMs ?? 30_000;
    this.#pollMs = settings.pollMs ?? 5_000;
    this.#read = settings.read ?? chunksOf;
    this.#v4 = new KernelTable(v4, 4);
    this.#v6 = new KernelTable(v6, 6);
    this.#exists = settings.read !== undefined || isReadable(v4);
    this.#available = this.#exists;
  }

  /** Whether the kernel's tables could be read when that was last tried. Where there are none nobody is found. */
  get available(): boolean {
    return this.#available;
  }

  get size(): number {
    return this.#watched.size;
  }

  /**
   * `onVanished` is called once, and the socket is forgotten then; it is for the caller to destroy it. One that is
   * not connected any more is ignored.
   */
  add(socket: Connected, onVanished: () => void): void {
    this.delete(socket);
    const key = keyOf(socket);
    if (key === null) return;
    const watched = new Watched(socket, key, onVanished);
    this.#watched.set(socket, watched);
    this.#tableOf(watched).set(key, watched);
    this.#lookLater();
  }

  /** Idempotent. */
  delete(socket: Connected): void {
    const watched = this.#watched.get(socket);
    if (watched === undefined) return;
    this.#watched.delete(socket);
    this.#tableOf(watched).delete(watched.key, watched);
    if (this.#watched.size === 0) this.#rest();
  }

  /** Forgets every socket. */
  close(): void {
    for (const socket of [...this.#watched.keys()]) this.delete(socket);
  }

  #tableOf({ key }: Watched): KernelTable<Watched> {
    return key.length > V4_KEY_LENGTH ? this.#v6 : this.#v4;
  }

  #lookLater(): void {
    if (!this.#exists || this.#looking || this.#timer !== null || this.#watched.size === 0) return;
    this.#timer = setTimeout(() => {
      this.#timer = null;
      void this.#lookNow();
    }, this.#pollMs).unref();
  }

  #rest(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
  }

  async #lookNow(): Promise<void> {
    this.#looking = true;
    const vanished: Watched[] = [];
    try {
      const nowMs = performance.now();
      for (const table of [this.#v4, this.#v6]) {
        if (table.size === 0) continue;
        const lines = new Lines((bytes, start, end) => {
          const watched = table.find(bytes, start, end);
          if (watched === null) return;
          watched.note(table.found, this.#look, nowMs, 2 * this.#pollMs);
          if (watched.count >= UNANSWERED_MIN && watched.unansweredMs >= this.#timeoutMs) vanished.push(watched);
        });
        for await (const chunk of this.#read(table.path)) lines.push(chunk);
      }
      this.#look += 1;
      this.#available = true;
    } catch {
      // Not there, or no descriptor was free: what was half read counts as one look with what the next one reads.
      this.#available = false;
    }
    this.#looking = false;
    this.#lookLater();
    for (const watched of vanished) {
      // One by one, so that an error of one is uncaught, and the others are called all the same.
      queueMicrotask(() => {
        if (this.#watched.get(watched.socket) !== watched) return;
        this.delete(watched.socket);
        watched.onVanished();
      });
    }
  }
}

/** `0100007F:892F 0100007F:E016`. */
const V4_KEY_LENGTH = 27;

/** A single loss is no evidence. */
const UNANSWERED_MIN = 2;

/** By how much a kernel's timer may be late: a busy machine, and an eighth for the kernel's own wheel of timers. */
const LATE_MS = 1_000;
const LATE_SHARE = 1 / 8;

class Watched {
  readonly socket: Connected;
  readonly key: string;
  readonly onVanished: () => void;
  count = 0;
  /** For so long at least there was no sign of an answer. */
  unansweredMs = 0;
  #timer = 0;
  /** By then the kernel will have sent once more, if it has no answer. */
  #againMs = 0;
  #look = 0;
  #lookedMs = 0;

  constructor(socket: Connected, key: string, onVanished: () => void) {
    this.socket = socket;
    this.key = key;
    this.onVanished = onVanished;
  }

  /** A look found something unanswered. `stepMsMax`: what may count at most, as after the process was stopped. */
  note({ timer, count, whenMs }: Unanswered, look: number, nowMs: number, stepMsMax: number): void {
    // An answer in between shows in a count that fell, or that is the same though one more was due.
    const sentAgain = count > this.count;
    const waits = count === this.count && nowMs <= this.#againMs;
    const sawLast = this.#look > 0 && look - this.#look <= 1;
    const unanswered = sawLast && timer === this.#timer && (sentAgain || waits);
    this.unansweredMs = unanswered ? this.unansweredMs + Math.min(nowMs - this.#lookedMs, stepMsMax) : 0;
    if (!unanswered || sentAgain) this.#againMs = nowMs + whenMs * (1 + LATE_SHARE) + LATE_MS;
    this.#timer = timer;
    this.count = count;
    this.#look = look;
    this.#lookedMs = nowMs;
  }
}

function isReadable(path: string): boolean {
  try {
    accessSync(path, constants.R_OK);
    return true;
  } catch {
    return false;
  }
}

/** The kernel gives 4 KiB a call at most, in whole lines. */
const CHUNK_BYTES = 16_384;

async function* chunksOf(path: string): AsyncGenerator<Buffer> {
  const file = await open(path);
  try {
    const buffer = Buffer.allocUnsafe(CHUNK_BYTES);
    for (;;) {
      const { bytesRead } = await file.read(buffer, 0, CHUNK_BYTES, null);
      if (bytesRead === 0) return;
      yield buffer.subarray(0, bytesRead);
    }
  } finally {
    await file.close();
  }
}
