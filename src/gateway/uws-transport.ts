import { Timeout, type TimerWheel } from '../limits/timer-wheel.ts';
import { BOUNDS } from '../protocol/bounds.ts';
import { Inbox, type InboxBytes } from './inbox.ts';
import { MessageLines } from './message-lines.ts';
import { CLOSE_CODES, CLOSE_TIMEOUT_MS, isGoodbye, type Transport, type TransportListener } from './transport.ts';
import { SENT, type UwsSocket } from './uws-library.ts';

const LF = 0x0a;
/** Below so many bytes, chunks are copied into one message: a call into the library and a frame for all of them. */
const JOINED_BYTES_MAX = 8_192;

/** What the WebSockets of a uWebSockets.js server share. */
export class UwsShared {
  readonly wheel: TimerWheel;
  readonly inboxBytes: InboxBytes;
  /** The message that is being read, of which the library takes the memory back. */
  readonly lines = new MessageLines();
  /** Whose message that is. */
  reader: UwsTransport | null = null;
  #drained: UwsTransport[] = [];

  constructor(wheel: TimerWheel, inboxBytes: InboxBytes) {
    this.wheel = wheel;
    this.inboxBytes = inboxBytes;
  }

  /**
   * Has what waits for a connection go on, once its drain handler has returned: a long message that the kernel does not
   * take whole from within that handler would never go on, as the library then forgets to wait for the socket.
   */
  drained(transport: UwsTransport): void {
    if (this.#drained.length === 0) setImmediate(() => this.#writeOn());
    this.#drained.push(transport);
  }

  #writeOn(): void {
    const drained = this.#drained;
    this.#drained = [];
    for (const transport of drained) transport.writeOn();
  }
}

/** What the library has not taken yet. */
interface Waiting {
  chunks: Buffer[];
  bytes: number;
  readonly onTaken: (() => void)[];
}

/**
 * A WebSocket of uWebSockets.js. What waits for a slow peer is kept here, as references to shared buffers, and not by the
 * library, which would copy it, and leave messages out beyond its own bound. The library can't stop reading a socket: what
 * the session doesn't read is held in an inbox, and where that is full, the session ends.
 */
export class UwsTransport implements Transport {
  readonly remoteAddress: string;
  readonly #shared: UwsShared;
  /** null before it is open, and once it is closed. */
  #socket: UwsSocket | null = null;
  #listener: TransportListener | null = null;
  /** Set while the kernel has not taken all that was written. */
  #waiting: Waiting | null = null;
  /** Set while the session does not read. */
  #inbox: Inbox | null = null;
  /** Set once the session has closed: what to say when all is written. */
  #closing: { readonly code: number; readonly reason: string; readonly timeout: Timeout } | null = null;
  /** Nothing more is read. */
  #inputOver = false;

  constructor(remoteAddress: string, shared: UwsShared) {
    this.remoteAddress = remoteAddress;
    this.#shared = shared;
  }

  open(socket: UwsSocket): void {
    this.#socket = socket;
  }

  /** Begins to report to the session. */
  attach(listener: TransportListener): void {
    this.#listener = listener;
  }

  get bufferedBytes(): number {
    const waiting = this.#waiting;
    return waiting === null ? 0 : waiting.bytes + (this.#socket?.getBufferedAmount() ?? 0);
  }

  read(): Buffer | null {
    if (this.#inbox === null) return this.#shared.reader === this ? this.#shared.lines.next() : null;
    const line = this.#inbox.next();
    if (line === null) this.#inbox = null;
    return line;
  }

  write(chunks: readonly Buffer[], onTaken?: () => void): void {
    if (this.#closing === null && !this.#send(chunks) && onTaken !== undefined) this.#waiting?.onTaken.push(onTaken);
    else onTaken?.();
  }

  close(code: number, reason: string): void {
    if (this.#socket === null || this.#closing !== null) return;
    this.#stopReading();
    this.#closing = { code, reason, timeout: new Timeout(() => this.terminate()) };
    // The library is told only then: it would let a peer that takes a little now and then linger.
    if (this.#waiting === null) this.#socket.end(code, reason);
    else this.#shared.wheel.set(this.#closing.timeout, CLOSE_TIMEOUT_MS);
  }

  terminate(): void {
    this.#stopReading();
    this.#socket?.close();
  }

  /** Every client of this transport answers heartbeats. */
  watchPeer(): void {}

  /** A message came; its memory is the library's again when this returns. */
  receive(bytes: ArrayBuffer, isBinary: boolean): void {
    if (this.#inputOver) return;
    this.#listener?.onBytes();
    if (isBinary) this.close(CLOSE_CODES.unsupportedData, 'binary');
    else if (bytes.byteLength > BOUNDS.frameBytesMax) this.close(CLOSE_CODES.messageTooBig, '');
    else if (this.#inbox !== null) this.#hold(Buffer.from(bytes));
    else this.#readNow(Buffer.from(bytes));
  }

  /** A ping or a pong came. */
  heard(): void {
    if (!this.#inputOver) this.#listener?.onBytes();
  }

  /** The kernel has taken something. */
  drained(): void {
    if (this.#waiting !== null && this.#socket?.getBufferedAmount() === 0) this.#shared.drained(this);
  }

  /** Writes what waits, as far as the kernel takes it. Not to be called by a handler of the library. */
  writeOn(): void {
    const waiting = this.#waiting;
    if (waiting === null || this.#socket === null || this.#socket.getBufferedAmount() > 0) return;
    this.#waiting = null;
    if (!this.#send(waiting.chunks)) {
      (this.#waiting as Waiting | null)?.onTaken.push(...waiting.onTaken);
      return;
    }
    for (const onTaken of waiting.onTaken) onTaken();
    if (this.#closing !== null) this.#socket?.end(this.#closing.code, this.#closing.reason);
    else this.#listener?.onDrained();
  }

  /** The connection is gone, or goes; `code` is the peer's, or ours. */
  closed(code: number): void {
    this.#socket = null;
    const waiting = this.#waiting;
    this.#waiting = null;
    for (const onTaken of waiting?.onTaken ?? []) onTaken();
    const isOurs = this.#closing !== null;
    if (this.#closing !== null) this.#shared.wheel.clear(this.#closing.timeout);
    this.#stopReading();
    this.#listener?.onClosed(!isOurs && isGoodbye(code));
  }

  #readNow(message: Buffer): void {
    const { lines } = this.#shared;
    lines.begin(message);
    this.#shared.reader = this;
    this.#listener?.onReadable();
    this.#shared.reader = null;
    const rest = lines.leave();
    if (rest !== null && !this.#inputOver) this.#hold(rest);
  }

  #hold(message: Buffer): void {
    this.#inbox ??= new Inbox(this.#shared.inboxBytes);
    if (this.#inbox.add(message)) return;
    this.#stopReading();
    this.#listener?.onOverrun();
  }

  #stopReading(): void {
    this.#inputOver = true;
    this.#inbox?.close();
    this.#inbox = null;
  }

  /** Whether the kernel has taken it all, or nothing is to be taken any more. */
  #send(chunks: readonly Buffer[]): boolean {
    const socket = this.#socket;
    if (socket === null) return true;
    if (this.#waiting !== null) {
      for (const chunk of chunks) this.#waiting.bytes += chunk.length;
      this.#waiting.chunks.push(...chunks);
      return false;
    }
    const messages = joined(chunks);
    for (let sent = 0; sent < messages.length; sent += 1) {
      const status = socket.send(messages[sent] as Buffer, false, false);
      if (status === SENT.success) continue;
      if (status === SENT.dropped) {
        // Can't be, as the library has no bound of its own here; but a message that was left out must not go unseen.
        this.terminate();
        return true;
      }
      const left = messages.slice(sent + 1);
      this.#waiting = { chunks: left, bytes: left.reduce((sum, { length }) => sum + length, 0), onTaken: [] };
      return false;
    }
    return true;
  }
}

/** The chunks, each one or more payloads, as messages in the same order: small ones together, large ones as they are. */
function joined(chunks: readonly Buffer[]): readonly Buffer[] {
  if (chunks.length === 1) return chunks;
  const messages: Buffer[] = [];
  let first = 0;
  let bytes = 0;
  for (let next = 0; next <= chunks.length; next += 1) {
    const chunk = chunks[next];
    if (chunk !== undefined && bytes + chunk.length + 1 <= JOINED_BYTES_MAX) {
      bytes += chunk.length + 1;
      continue;
    }
    if (next > first)
      messages.push(next - first === 1 ? (chunks[first] as Buffer) : join(chunks, first, next, bytes - 1));
    if (chunk === undefined) break;
    first = next;
    bytes = chunk.length + 1;
    if (bytes > JOINED_BYTES_MAX) {
      messages.push(chunk);
      first = next + 1;
      bytes = 0;
    }
  }
  return messages;
}

/** Chunks `from` to `to` − 1 with a line feed between each two: `bytes` in all. */
function join(chunks: readonly Buffer[], from: number, to: number, bytes: number): Buffer {
  const message = Buffer.allocUnsafe(bytes);
  let at = 0;
  for (let index = from; index < to; index += 1) {
    if (index > from) message[at++] = LF;
    at += (chunks[index] as Buffer).copy(message, at);
  }
  return message;
}
