/**
 * A process of its own with clients that mean no good: does one kind of harm for a while, as its argument says, writes
 * a line of JSON with what it saw, and waits to be told (a line) to go away. Ends by itself after a minute.
 */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';

export interface HostileOptions {
  readonly kind: keyof typeof HARMS;
  readonly tcp: number;
  readonly http: number;
  readonly count: number;
  readonly forMs: number;
  /** Where the neighbours are. */
  readonly room: string;
}

const LINES = 100;
const BIG = 'x'.repeat(16_000);

/** One connection, without a library between it and the bytes. Every second one is a WebSocket. */
class Hostile {
  readonly name: string;
  readonly socket: Socket;
  readonly isWs: boolean;
  closed = false;
  receivedBytes = 0;
  /** Codes of `disconnect` pushes. */
  readonly codes: string[] = [];
  #id = 0;
  #tail = '';

  constructor(index: number, { tcp, http }: HostileOptions) {
    this.name = `hostile-${index}`;
    this.isWs = index % 2 === 1;
    this.socket = connect({ port: this.isWs ? http : tcp, host: '127.0.0.1', noDelay: true });
    this.socket.on('error', () => {});
    this.socket.on('close', () => {
      this.closed = true;
    });
    this.socket.on('data', (chunk) => {
      this.receivedBytes += chunk.length;
      this.#tail = this.#tail.slice(-200) + chunk.toString('latin1');
      for (const [, code = ''] of this.#tail.matchAll(/"push":"disconnect","code":(\d+).*?\}/g)) this.codes.push(code);
      this.#tail = this.#tail.slice(this.#tail.lastIndexOf('}') + 1);
    });
  }

  async open(): Promise<void> {
    if (this.socket.connecting) await this.#next('connect');
    if (!this.isWs || this.closed) return;
    const answered = this.#next('data');
    this.socket.write(upgrade());
    await answered;
  }

  async connect(): Promise<void> {
    await this.open();
    await this.ask({ op: 'connect', user: this.name, device: 'd' });
  }

  /** Resolves when something was answered, or never will be. */
  async ask(command: object): Promise<void> {
    const answered = this.#next('data');
    this.say(command);
    await answered;
  }

  say(...commands: readonly object[]): boolean {
    return this.write(commands.map((command) => JSON.stringify({ id: this.nextId(), ...command })).join('\n'));
  }

  nextId(): number {
    this.#id += 1;
    return this.#id;
  }

  /** Says lines. Returns whether more may be said now. */
  write(lines: string): boolean {
    if (this.closed) return false;
    return this.socket.write(this.isWs ? frame(Buffer.from(lines)) : `${lines}\n`);
  }

  async #next(event: 'connect' | 'data' | 'drain'): Promise<void> {
    if (this.closed) return;
    await new Promise<void>((resolve) => {
      const done = () => {
        this.socket.off(event, done).off('close', done);
        resolve();
      };
      this.socket.on(event, done).on('close', done);
    });
  }

  /** As fast as the other side takes it. */
  async flood(untilMs: number, next: () => readonly object[]): Promise<void> {
    while (!this.closed && performance.now() < untilMs) {
      if (!this.say(...next())) {
        await Promise.race([this.#next('drain'), until(untilMs)]);
      }
      await new Promise((resolve) => setImmediate(resolve));
    }
  }
}

/** Both are left to themselves when the race is over. */
async function until(ms: number): Promise<void> {
  await delay(Math.max(ms - performance.now(), 0));
}

function upgrade(): string {
  const key = Buffer.alloc(16).toString('base64');
  const head = ['GET /ws HTTP/1.1', 'Host: localhost', 'Connection: Upgrade', 'Upgrade: websocket'];
  return [...head, 'Sec-WebSocket-Version: 13', `Sec-WebSocket-Key: ${key}`, '', ''].join('\r\n');
}

/** A text frame, masked with zeros. */
function frame(payload: Buffer, opcode = 0x81): Buffer {
  const short = payload.length < 126;
  const header = Buffer.alloc(short ? 6 : 8);
  header[0] = opcode;
  header[1] = 0x80 | (short ? payload.length : 126);
  if (!short) header.writeUInt16BE(payload.length, 2);
  return Buffer.concat([header, payload]);
}

let mids = 0;
function publishes(room: string, data: unknown, count = LINES): object[] {
  return Array.from({ length: count }, () => {
    mids += 1;
    return { op: 'publish', room, mid: `hostile-${process.pid}-${mids}`, data };
  });
}

const pings = () => Array.from({ length: LINES }, () => ({ op: 'ping' }));

const HARMS = {
  /** Publishes and commands without end; replies are read. */
  async flood(all: readonly Hostile[], _: HostileOptions, endMs: number) {
    await Promise.all(all.map((one) => one.connect()));
    await Promise.all(
      all.map((one, i) => one.flood(endMs, i % 4 < 2 ? pings : () => publishes(`room-${i}`, 'x'.repeat(100)))),
    );
  },

  /** The same, and nothing is read: replies that are long, so that they are in the way soon. */
  async deaf(all: readonly Hostile[], { room }: HostileOptions, endMs: number) {
    await Promise.all(all.map((one) => one.connect()));
    for (const { socket } of all) socket.pause();
    const histories = () => Array.from({ length: LINES }, () => ({ op: 'history', room, limit: 300 }));
    const kinds = [histories, pings, () => publishes('deaf', BIG, 3)];
    await Promise.all(all.map((one, i) => one.flood(endMs, kinds[i % kinds.length] ?? pings)));
  },

  /** Most join the neighbours' room and don't read; some of them say a lot there. */
  async slow(all: readonly Hostile[], { room }: HostileOptions, endMs: number) {
    await Promise.all(all.map((one) => one.connect()));
    const speakers = all.slice(0, 12);
    const readers = all.slice(12);
    await Promise.all(
      readers.map(async (one) => {
        await one.ask({ op: 'join', room, presence: 'full' });
        one.socket.pause();
      }),
    );
    // They are alive, and only don't read.
    const alive = setInterval(() => {
      for (const one of readers) one.write(' ');
    }, 500);
    // No faster than the neighbours can read, who hear all of it.
    while (performance.now() < endMs) {
      for (const one of speakers) one.say(...publishes(room, BIG, 2));
      await delay(100);
    }
    clearInterval(alive);
    // What was sent to them before they were cut off is read now.
    for (const { socket } of readers) socket.resume();
    const readMs = performance.now() + 3_000;
    while (readers.some(({ closed }) => !closed) && performance.now() < readMs) await delay(20);
  },

  /** A byte now and then, of what never ends. */
  async dribble(all: readonly Hostile[], _: HostileOptions, endMs: number) {
    const pieces = new Map<Socket, () => Buffer>();
    const space = () => Buffer.from(' ');
    for (const [i, one] of all.entries()) {
      const kind = i % 8;
      if (kind === 1) {
        // A handshake that never ends.
        const text = Buffer.from(`GET /ws HTTP/1.1\r\nHost: localhost\r\nX: ${'y'.repeat(10_000)}`);
        let at = 0;
        pieces.set(one.socket, () => text.subarray(at, ++at));
        continue;
      }
      if (kind === 0) {
        const json = Buffer.from(`{"op":"connect","id":1,"user":"${one.name}"${' '.repeat(10_000)}`);
        let at = 0;
        pieces.set(one.socket, () => json.subarray(at, ++at));
        continue;
      }
      if (kind === 2) {
        // A person who never finishes a line.
        pieces.set(one.socket, () => Buffer.from('a'));
        continue;
      }
      if (kind < 4) await one.open();
      else await one.connect();
      if (kind === 3 || kind === 5) {
        // A frame of 60,000 bytes, byte by byte.
        one.socket.write(frame(Buffer.alloc(60_000)).subarray(0, 8));
        pieces.set(one.socket, space);
      } else if (kind === 7) {
        // One message of countless fragments.
        one.socket.write(frame(Buffer.from(' '), 0x01));
        pieces.set(one.socket, () => frame(Buffer.from(' '), 0x00));
      } else {
        one.socket.write('{"op":"ping","id":7,"x":"');
        pieces.set(one.socket, space);
      }
    }
    while (performance.now() < endMs) {
      for (const [socket, piece] of pieces) if (!socket.destroyed) socket.write(piece());
      await delay(250);
    }
  },

  /** Lines, frames and fragments of messages, each byte by itself, as fast as can be. */
  async crumbs(all: readonly Hostile[], _: HostileOptions, endMs: number) {
    await Promise.all(all.map((one) => one.connect()));
    const pieces = new Map<Hostile, Buffer>();
    for (const [i, one] of all.entries()) {
      if (!one.isWs) one.socket.write('{"op":"ping","id":7,"x":"');
      else if (i % 8 !== 3) one.socket.write(frame(Buffer.alloc(60_000)).subarray(0, 8));
      else one.socket.write(frame(Buffer.from(' '), 0x01));
      pieces.set(one, i % 8 === 3 ? frame(Buffer.from(' '), 0x00) : Buffer.from(' '));
    }
    // So many fragments, and so many bytes, are less than a message may have.
    const sentMax = (piece: Buffer) => (piece.length > 1 ? 15_000 * piece.length : 58_000);
    while (performance.now() < endMs) {
      for (const [{ socket }, piece] of pieces) {
        if (!socket.destroyed && socket.bytesWritten < sentMax(piece)) socket.write(piece);
      }
      await new Promise((resolve) => setImmediate(resolve));
    }
  },

  /** Connections that say nothing, as many as there may be, and more. */
  async silent(all: readonly Hostile[], _: HostileOptions, endMs: number) {
    await Promise.all(all.map((one) => one.open()));
    await until(endMs);
  },

  /** Comes and goes, and is now this, now that. */
  async churn(all: readonly Hostile[], { room }: HostileOptions, endMs: number) {
    await Promise.all(all.map((one) => one.connect()));
    const users = all.map(({ name }) => name).slice(0, 100);
    let turn = 0;
    const next = () => {
      turn += 1;
      const status = turn % 2 === 0 ? 'away' : 'dnd';
      return [
        { op: 'join', room, presence: 'full' },
        { op: 'status', status, text: `${turn}` },
        { op: 'watch', users },
        { op: 'presence', room },
        { op: 'unwatch', users },
        { op: 'leave', room },
      ];
    };
    await Promise.all(all.map((one) => one.flood(endMs, next)));
  },

  /** Signals in the neighbours' room. */
  async signals(all: readonly Hostile[], { room }: HostileOptions, endMs: number) {
    await Promise.all(all.map((one) => one.connect()));
    for (const one of all) one.say({ op: 'join', room });
    const signals = () => Array.from({ length: LINES / 2 }, () => ({ op: 'signal', room, data: 'y'.repeat(900) }));
    await Promise.all(all.map((one) => one.flood(endMs, signals)));
  },
} as const satisfies Record<
  string,
  (all: readonly Hostile[], options: HostileOptions, endMs: number) => Promise<unknown>
>;

setTimeout(() => process.exit(1), 60_000).unref();
const options = JSON.parse(process.argv[2] ?? '') as HostileOptions;
const told = once(process.stdin, 'data');
const all = Array.from({ length: options.count }, (_, i) => new Hostile(i, options));
await HARMS[options.kind](all, options, performance.now() + options.forMs);
const codes: Record<string, number> = {};
for (const code of all.flatMap((one) => one.codes)) codes[code] = (codes[code] ?? 0) + 1;
const sum = (count: (one: Hostile) => number) => all.reduce((total, one) => total + count(one), 0);
const seen = {
  codes,
  closed: sum(({ closed }) => Number(closed)),
  sentBytes: sum(({ socket }) => socket.bytesWritten),
  receivedBytes: sum(({ receivedBytes }) => receivedBytes),
};
process.stdout.write(`${JSON.stringify(seen)}\n`);
await told;
process.exit(0);
