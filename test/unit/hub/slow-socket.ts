import { Writable } from 'node:stream';
import { writeGathered } from '../../../src/gateway/gathered-write.ts';
import type { Transport, TransportListener } from '../../../src/gateway/transport.ts';
import { LineSplitter, type OVERSIZE } from '../../../src/protocol/line-splitter.ts';

/** A socket whose kernel takes as many bytes as the test allows: of what it holds, it looks at the memory only then. */
class SlowSocket extends Writable {
  /** Bytes that are taken before anybody waits. */
  allowance = Number.POSITIVE_INFINITY;
  readonly #take: (bytes: Buffer) => void;
  #held: Buffer[] = [];
  #done: (() => void) | null = null;

  constructor(take: (bytes: Buffer) => void) {
    super({ highWaterMark: 512 });
    this.#take = take;
  }

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.#hold([chunk], done);
  }

  override _writev(chunks: { chunk: Buffer }[], done: () => void): void {
    this.#hold(
      chunks.map(({ chunk }) => chunk),
      done,
    );
  }

  allow(bytes: number): void {
    this.allowance += bytes;
    this.#goOn();
  }

  #hold(chunks: Buffer[], done: () => void): void {
    this.#held = chunks;
    this.#done = done;
    this.#goOn();
  }

  #goOn(): void {
    for (let chunk = this.#held[0]; chunk !== undefined; chunk = this.#held[0]) {
      const taken = chunk.subarray(0, this.allowance);
      this.allowance -= taken.length;
      if (taken.length > 0) this.#take(Buffer.from(taken));
      if (taken.length < chunk.length) {
        this.#held[0] = chunk.subarray(taken.length);
        return;
      }
      this.#held.shift();
    }
    const done = this.#done;
    this.#done = null;
    done?.();
  }
}

/** A transport over such a socket, as those of TCP and `ws` write to theirs. */
export class SlowTransport implements Transport {
  readonly remoteAddress = '192.0.2.1';
  readonly socket: SlowSocket;
  isClosed = false;
  readonly #lines = new LineSplitter();
  #listener: TransportListener | null = null;

  constructor(take: (bytes: Buffer) => void) {
    this.socket = new SlowSocket(take);
  }

  attach(listener: TransportListener): void {
    this.#listener = listener;
    this.socket.on('drain', () => listener.onDrained());
  }

  get bufferedBytes(): number {
    return this.socket.writableLength;
  }

  read(): Buffer | typeof OVERSIZE | null {
    return this.#lines.next();
  }

  write(chunks: readonly Buffer[], onTaken?: () => void): void {
    if (!this.isClosed) writeGathered(this.socket, chunks, onTaken);
  }

  close(): void {
    this.isClosed = true;
  }

  terminate(): void {
    this.isClosed = true;
  }

  watchPeer(): void {}

  send(line: string): void {
    if (this.isClosed) return;
    this.#lines.push(Buffer.from(`${line}\n`));
    this.#listener?.onReadable();
  }

  vanish(): void {
    this.#listener?.onClosed(false);
  }
}
