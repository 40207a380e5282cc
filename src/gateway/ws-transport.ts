import type { Duplex } from 'node:stream';
import type { WebSocket } from 'ws';
import { Timeout, type TimerWheel } from '../limits/timer-wheel.ts';
import { LineSplitter, type OVERSIZE } from '../protocol/line-splitter.ts';
import { writeGathered } from './gathered-write.ts';
import type { Resets } from './resets.ts';
import { CLOSE_CODES, CLOSE_TIMEOUT_MS, isGoodbye, type Transport, type TransportListener } from './transport.ts';

const LF = Buffer.from('\n');

/**
 * A WebSocket served by `ws`: it reads, keeps the handshakes and answers pings. Text frames are written past it,
 * straight to the socket, because they come framed already and shared; `ws` writes each frame of its own whole,
 * so that the two never mix within one.
 */
export class WsTransport implements Transport {
  readonly remoteAddress: string;
  readonly #ws: WebSocket;
  readonly #socket: Duplex;
  readonly #resets: Resets;
  readonly #wheel: TimerWheel;
  readonly #lines = new LineSplitter();
  #allRead = true;
  /** No more lines are read: we have closed, or the client broke the protocol. */
  #closed = false;
  /** Set while a closing peer is waited for. */
  #closing: Timeout | null = null;

  constructor(ws: WebSocket, socket: Duplex, remoteAddress: string, resets: Resets, wheel: TimerWheel) {
    this.#ws = ws;
    this.#socket = socket;
    this.#resets = resets;
    this.#wheel = wheel;
    this.remoteAddress = remoteAddress;
  }

  /** Begins to report to the session. */
  attach(listener: TransportListener): void {
    // Told once, and early where the peer broke the protocol: its close may take a while.
    let told = false;
    const tellClosed = (isLeaving: boolean) => {
      this.#closed = true;
      if (told) return;
      told = true;
      listener.onClosed(isLeaving);
    };
    this.#ws.on('message', (data: Buffer, isBinary: boolean) => {
      if (this.#closed) return;
      if (isBinary) {
        this.#ws.close(CLOSE_CODES.unsupportedData, 'binary');
        tellClosed(false);
        return;
      }
      this.#lines.push(data);
      this.#lines.push(LF);
      this.#allRead = false;
      listener.onReadable();
      if (!this.#allRead && !this.#closed) this.#ws.pause();
    });
    // Frames that break RFC 6455 or our bounds: ws has closed with the code for it, and tells the reason here.
    this.#ws.on('error', () => tellClosed(false));
    this.#ws.on('close', (code: number) => {
      if (this.#closing !== null) this.#wheel.clear(this.#closing);
      tellClosed(isGoodbye(code));
    });
    this.#socket.on('drain', () => listener.onDrained());
    // Parts of messages, pings and pongs are signs of life as well.
    this.#socket.on('data', () => listener.onBytes());
  }

  get bufferedBytes(): number {
    return this.#socket.writableLength;
  }

  read(): Buffer | typeof OVERSIZE | null {
    const line = this.#lines.next();
    this.#allRead = line === null;
    if (this.#allRead && this.#ws.isPaused) this.#ws.resume();
    return line;
  }

  write(chunks: readonly Buffer[], onTaken?: () => void): void {
    // Nothing may follow a close frame.
    if (this.#ws.readyState !== this.#ws.OPEN) return;
    writeGathered(this.#socket, chunks, onTaken);
  }

  close(code: number, reason: string): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#ws.resume();
    this.#ws.close(code, reason);
    this.#closing = new Timeout(() => this.terminate());
    this.#wheel.set(this.#closing, CLOSE_TIMEOUT_MS);
  }

  terminate(): void {
    this.#closed = true;
    this.#resets.reset(this.#socket);
  }

  /** Every client of this transport answers heartbeats. */
  watchPeer(): void {}
}
