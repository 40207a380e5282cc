import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import type { DeadlineQueue } from '../gateway/deadline-queue.ts';
import { writeGathered } from '../gateway/gathered-write.ts';
import type { Transport, TransportListener } from '../gateway/transport.ts';
import type { LineSplitter, OVERSIZE } from '../protocol/line-splitter.ts';

/** A raw TCP or TLS connection whose mode is known: lines in and out. */
export class TcpTransport implements Transport {
  readonly remoteAddress: string;
  readonly #socket: Socket;
  readonly #lines: LineSplitter;
  readonly #closing: DeadlineQueue<TcpTransport>;
  #listener: TransportListener | null = null;
  /** The session has read every line that came. */
  #allRead = true;
  #inputEnded = false;
  #closed = false;

  /** `lines` holds what was received while the mode was found out. */
  constructor(socket: Socket, lines: LineSplitter, closing: DeadlineQueue<TcpTransport>) {
    this.#socket = socket;
    this.#lines = lines;
    this.#closing = closing;
    this.remoteAddress = socket.remoteAddress ?? '';
  }

  /** Begins to report to the session, with what has come already. */
  attach(listener: TransportListener): void {
    this.#listener = listener;
    this.#socket.on('data', (chunk: Buffer) => this.#receive(chunk));
    this.#socket.on('drain', () => listener.onDrained());
    this.#socket.on('end', () => {
      this.#inputEnded = true;
      if (!this.#closed) listener.onInputEnd();
    });
    this.#socket.on('close', () => {
      this.#closed = true;
      this.#closing.delete(this);
      listener.onClosed();
    });
    this.#readable();
  }

  get bufferedBytes(): number {
    return this.#socket.writableLength;
  }

  read(): Buffer | typeof OVERSIZE | null {
    const line = this.#lines.next();
    this.#allRead = line === null;
    if (this.#allRead && this.#socket.isPaused()) this.#socket.resume();
    return line;
  }

  write(chunks: readonly Buffer[], onTaken?: () => void): void {
    if (this.#closed) return;
    writeGathered(this.#socket, chunks, onTaken);
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#closing.set(this);
    // The peer's last bytes must be read, or the kernel answers them with a reset that overtakes our last words.
    this.#socket.resume();
    this.#socket.end();
    if (this.#inputEnded) this.#socket.destroySoon();
  }

  terminate(): void {
    this.#closed = true;
    // Only a raw socket can be reset; TLS' is out of reach here.
    if (this.#socket instanceof TLSSocket) this.#socket.destroy();
    else this.#socket.resetAndDestroy();
  }

  #receive(chunk: Buffer): void {
    if (this.#closed) return;
    this.#lines.push(chunk);
    this.#readable();
  }

  #readable(): void {
    this.#allRead = false;
    this.#listener?.onReadable();
    if (!this.#allRead && !this.#closed) this.#socket.pause();
  }
}
