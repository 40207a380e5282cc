import type { Duplex } from 'node:stream';
import type { WebSocket } from 'ws';
import { Timeout, type TimerWheel } from '../limits/timer-wheel.ts';
import { writeGathered } from './gathered-write.ts';
import { MessageLines } from './message-lines.ts';
import type { Resets } from './resets.ts';
import { CLOSE_CODES, CLOSE_TIMEOUT_MS, isGoodbye, type Transport, type TransportListener } from './transport.ts';

/** Where a WebSocket and its socket have their transport, so that all of them share their listeners. */
const TRANSPORT = Symbol('transport');

type Carrying<T> = T & { [TRANSPORT]?: WsTransport };

/**
 * A WebSocket served by `ws`: it reads, keeps the handshakes and answers pings. Text frames are written past it,
 * straight to the socket, because they come framed already and shared; `ws` writes each frame of its own whole,
 * so that the two never mix within one.
 */
export class WsTransport implements Transport {
  readonly remoteAddress: string;
  readonly #ws: Carrying<WebSocket>;
  readonly #socket: Carrying<Duplex>;
  readonly #resets: Resets;
  readonly #wheel: TimerWheel;
  #listener: TransportListener | null = null;
  /** The message that is read, until it is read to its end. */
  #lines: MessageLines | null = null;
  /** Messages behind it: those of one chunk of the socket. */
  #messages: Buffer[] | null = null;
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
    this.#listener = listener;
    this.#ws[TRANSPORT] = this;
    this.#ws.on('message', onMessage).on('error', onError).on('close', onClose);
    this.#socket[TRANSPORT] = this;
    this.#socket.on('drain', onDrain).on('data', onData);
  }

  /** For the listeners alone, as is what follows. */
  receive(message: Buffer, isBinary: boolean): void {
    if (this.#closed) return;
    if (isBinary) {
      this.#ws.close(CLOSE_CODES.unsupportedData, 'binary');
      this.gone(false);
      return;
    }
    if (this.#lines !== null) {
      this.#messages ??= [];
      this.#messages.push(message);
      return;
    }
    this.#lines = new MessageLines();
    this.#lines.begin(message);
    this.#listener?.onReadable();
    if (this.#lines !== null && !this.#closed) this.#ws.pause();
  }

  /** Told to the session once, and early where the peer broke the protocol: its close may take a while. */
  gone(isLeaving: boolean): void {
    this.#closed = true;
    const listener = this.#listener;
    this.#listener = null;
    listener?.onClosed(isLeaving);
  }

  closed(code: number): void {
    if (this.#closing !== null) this.#wheel.clear(this.#closing);
    this.gone(isGoodbye(code));
  }

  drained(): void {
    this.#listener?.onDrained();
  }

  heard(): void {
    this.#listener?.onBytes();
  }

  get bufferedBytes(): number {
    return this.#socket.writableLength;
  }

  read(): Buffer | null {
    while (this.#lines !== null) {
      const line = this.#lines.next();
      if (line !== null) return line;
      const message = this.#messages?.shift();
      if (message !== undefined) this.#lines.begin(message);
      else {
        this.#lines = null;
        this.#messages = null;
      }
    }
    if (this.#ws.isPaused) this.#ws.resume();
    return null;
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

function onMessage(this: Carrying<WebSocket>, message: Buffer, isBinary: boolean): void {
  this[TRANSPORT]?.receive(message, isBinary);
}

/** Frames that break RFC 6455 or our bounds: ws has closed with the code for it, and tells the reason here. */
function onError(this: Carrying<WebSocket>): void {
  this[TRANSPORT]?.gone(false);
}

function onClose(this: Carrying<WebSocket>, code: number): void {
  this[TRANSPORT]?.closed(code);
}

function onDrain(this: Carrying<Duplex>): void {
  this[TRANSPORT]?.drained();
}

/** Parts of messages, pings and pongs are signs of life as well. */
function onData(this: Carrying<Duplex>): void {
  this[TRANSPORT]?.heard();
}
