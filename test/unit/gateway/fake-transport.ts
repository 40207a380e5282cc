import type { Transport, TransportListener } from '../../../src/gateway/transport.ts';
import { LineSplitter, type OVERSIZE } from '../../../src/protocol/line-splitter.ts';

export interface Said {
  readonly [key: string]: unknown;
}

/** A connection without a network: the test plays the client and the kernel. */
export class FakeTransport implements Transport {
  readonly remoteAddress = '192.0.2.1';
  /** What the kernel has not taken; grows with every write while `isStuck`. */
  bufferedBytes = 0;
  isStuck = false;
  readonly written: Buffer[] = [];
  /** Chunks of each write. */
  readonly writes: number[] = [];
  readonly closes: { code: number; reason: string }[] = [];
  isTerminated = false;
  isWatched = false;
  readonly #lines = new LineSplitter();
  #listener: TransportListener | null = null;

  attach(listener: TransportListener): void {
    this.#listener = listener;
  }

  read(): Buffer | typeof OVERSIZE | null {
    return this.#lines.next();
  }

  write(chunks: readonly Buffer[]): void {
    if (this.closes.length > 0) return;
    this.writes.push(chunks.length);
    this.written.push(...chunks);
    if (this.isStuck) for (const chunk of chunks) this.bufferedBytes += chunk.length;
  }

  close(code: number, reason: string): void {
    this.closes.push({ code, reason });
  }

  terminate(): void {
    this.isTerminated = true;
  }

  watchPeer(): void {
    this.isWatched = true;
  }

  /** The client sends lines, or anything else where it is bytes. */
  send(...lines: readonly (string | object | Buffer)[]): void {
    for (const line of lines) {
      if (Buffer.isBuffer(line)) this.#lines.push(line);
      else this.#lines.push(Buffer.from(`${typeof line === 'string' ? line : JSON.stringify(line)}\n`));
    }
    this.#listener?.onBytes();
    this.#listener?.onReadable();
  }

  /** The kernel takes everything. */
  drain(): void {
    this.bufferedBytes = 0;
    this.isStuck = false;
    this.#listener?.onDrained();
  }

  end(): void {
    this.#listener?.onInputEnd();
  }

  vanish(isLeaving = false): void {
    this.#listener?.onClosed(isLeaving);
  }

  /** What was written so far, as a JSON client reads it. */
  get said(): Said[] {
    const text = Buffer.concat(this.written).toString();
    if (text !== '' && !text.endsWith('\n')) throw new Error('a line without its end');
    const lines = text.split('\n').slice(0, -1);
    return lines.map((line) => JSON.parse(line) as Said);
  }

  /** The ids of the replies, and the names of the pushes, in order. */
  get order(): unknown[] {
    return this.said.map(({ id, push }) => push ?? id);
  }
}

/** Resolves when what this turn of the loop put off to its end is done, and what that put off in turn. */
export async function endOfTurn(): Promise<void> {
  for (let i = 0; i < 3; i += 1) await new Promise((resolve) => setImmediate(resolve));
}
