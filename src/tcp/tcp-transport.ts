import type { Socket } from 'node:net';
import { writeGathered } from '../gateway/gathered-write.ts';
import type { Resets } from '../gateway/resets.ts';
import { CLOSE_TIMEOUT_MS, type Transport, type TransportListener } from '../gateway/transport.ts';
import { Timeout, type TimerWheel } from '../limits/timer-wheel.ts';
import type { LineSplitter, OVERSIZE } from '../protocol/line-splitter.ts';
import type { UnacknowledgedWatch } from './unacknowledged.ts';

const NOTHING = Buffer.alloc(0);

/** Where a socket has its transport, so that all sockets share their listeners. */
const TRANSPORT = Symbol('transport');

type Carrying = Socket & { [TRANSPORT]?: TcpTransport };

/** What the connections of a TCP port share. */
export interface TcpShared {
  readonly wheel: TimerWheel;
  readonly resets: Resets;
  readonly unacknowledged: UnacknowledgedWatch;
}

/** A raw TCP or TLS connection whose mode is known: lines in and out. */
export class TcpTransport implements Transport {
  readonly remoteAddress: string;
  readonly #socket: Carrying;
  readonly #lines: LineSplitter;
  readonly #shared: TcpShared;
  /** Set while a closing peer is waited for. */
  #closing: Timeout | null = null;
  #listener: TransportListener | null = null;
  /** The session has read every line that came. */
  #allRead = true;
  #inputEnded = false;
  #closed = false;

  /** `lines` holds what was received while the mode was found out. */
  constructor(socket: Socket, remoteAddress: string, lines: LineSplitter, shared: TcpShared) {
    this.#socket = socket;
    this.#lines = lines;
    this.#shared = shared;
    this.remoteAddress = remoteAddress;
  }

  /** Begins to report to the session, with what has come already. */
  attach(listener: TransportListener): void {
    this.#listener = listener;
    this.#socket[TRANSPORT] = this;
    this.#socket.on('data', onData).on('drain', onDrain).on('end', onEnd).on('close', onClose);
    this.#readable();
  }

  /** For the listeners alone, as is what follows. */
  receive(chunk: Buffer): void {
    if (this.#closed) return;
    this.#listener?.onBytes();
    this.#lines.push(chunk);
    this.#readable();
  }

  drained(): void {
    this.#listener?.onDrained();
  }

  inputEnd(): void {
    this.#inputEnded = true;
    if (!this.#closed) this.#listener?.onInputEnd();
  }

  gone(): void {
    this.#closed = true;
    if (this.#closing !== null) this.#shared.wheel.clear(this.#closing);
    this.#shared.unacknowledged.delete(this.#socket);
    this.#listener?.onClosed(false);
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
    this.#closing = new Timeout(() => this.terminate());
    this.#shared.wheel.set(this.#closing, CLOSE_TIMEOUT_MS);
    // The peer's last bytes must be read, or the kernel answers them with a reset that overtakes our last words.
    this.#socket.resume();
    // An end that waits behind bytes that nobody takes could not be turned into a reset any more.
    this.#socket.write(NOTHING, () => this.#socket.end());
    if (this.#inputEnded) this.#socket.destroySoon();
  }

  terminate(): void {
    this.#closed = true;
    this.#shared.resets.reset(this.#socket);
  }

  watchPeer(): void {
    this.#shared.unacknowledged.add(this.#socket, () => this.terminate());
  }

  #readable(): void {
    this.#allRead = false;
    this.#listener?.onReadable();
    if (!this.#allRead && !this.#closed) this.#socket.pause();
  }
}

function onData(this: Carrying, chunk: Buffer): void {
  this[TRANSPORT]?.receive(chunk);
}

function onDrain(this: Carrying): void {
  this[TRANSPORT]?.drained();
}

function onEnd(this: Carrying): void {
  this[TRANSPORT]?.inputEnd();
}

function onClose(this: Carrying): void {
  this[TRANSPORT]?.gone();
}
