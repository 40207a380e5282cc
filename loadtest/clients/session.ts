import { createHash, randomBytes } from 'node:crypto';
import { connect, type Socket } from 'node:net';
import type { LatencyHistogram } from '../latency-histogram.ts';
import { DATA_BYTES } from '../publication-data.ts';
import type { PublishingSession, PublishWindow } from '../publish-window.ts';
import type { Reader, RoomStream } from '../room-stream.ts';
import { type Framing, LineFraming, type LineSink } from './framing.ts';
import { WebSocketFraming } from './websocket-framing.ts';
import { type Greeting, unexpected, type Wire } from './wire.ts';

/** How sessions come to a server. */
export interface Road {
  /** Where it is. */
  readonly host: string;
  /** Loopback addresses that sessions come from in turn; none: another one only when there are no ports left. */
  readonly addresses: readonly string[];
}

export const LOOPBACK: Road = { host: '127.0.0.1', addresses: [] };

/** What all sessions of a run share. */
export interface Run {
  readonly road: Road;
  /** Sessions take turns on them. */
  readonly ports: readonly number[];
  readonly wire: Wire;
  readonly window: PublishWindow;
  /** Of deliveries, by port. */
  readonly histograms: readonly LatencyHistogram[];
  /** When the chunk at hand was read; µs. */
  nowUs: number;
  /** Deliveries verified. */
  deliveries: number;
  /** Bytes read, all of them. */
  bytes: number;
  /** Times that somebody was told of somebody's presence. */
  presences: number;
  /** Ends the run. */
  fail(error: Error): void;
}

/** As many connections to one port from one address as the system's ephemeral ports surely allow. */
const SESSIONS_PER_ADDRESS = 20_000;
const NEWLINE = 10;
const PARTIAL_BYTES = 1024;
const UPGRADE_BYTES_MAX = 4096;
const WEBSOCKET_GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';

/**
 * All sockets read into this one buffer: each chunk is verified before the next read, and what is kept (part of a
 * line) is copied. So a delivery costs no allocation.
 */
const CHUNK = Buffer.allocUnsafeSlow(262_144);

const NOTHING = Buffer.alloc(0);
/** One for all: what makes an upgrade's answer this server's is not what is measured. */
const UPGRADE_KEY = randomBytes(16).toString('base64');
const UPGRADE_ACCEPT = createHash('sha1').update(`${UPGRADE_KEY}${WEBSOCKET_GUID}`).digest('base64');

/** A session in one room. */
interface Membership {
  readonly room: RoomStream;
  readonly reader: Reader;
}

/** One member of one room, or of several. */
export class Session implements LineSink, Greeting, PublishingSession {
  readonly #run: Run;
  /** The room that it publishes to. */
  readonly #own: Membership;
  /** All of its rooms, where they are several. */
  readonly #memberships: ReadonlyMap<string, Membership> | undefined;
  readonly #framing: Framing;
  readonly #port: number;
  readonly #socket: Socket;
  #state: 'upgrading' | 'greeting' | 'live' | 'closed' = 'greeting';
  /** The beginning of a line whose end has not come. */
  #partial = NOTHING;
  #partialLength = 0;
  /** Lines that came before `live`, and who waits for one. */
  readonly #greetingLines: string[] = [];
  #wake: (() => void) | undefined;
  #publisherIndex = -1;
  /** For servers that answer in order. */
  #nextAnswer = 0;

  private constructor(run: Run, rooms: readonly RoomStream[], index: number, place: number) {
    this.#run = run;
    const turn = index % run.ports.length;
    this.#port = run.ports[turn] as number;
    const histogram = run.histograms[turn] as LatencyHistogram;
    const memberships = rooms.map((room): Membership => ({ room, reader: room.addReader(histogram) }));
    this.#own = memberships[0] as Membership;
    if (rooms.length > 1) this.#memberships = new Map(memberships.map((one) => [one.room.name, one]));
    this.#framing =
      run.wire.framing === 'lines' ? new LineFraming(this) : new WebSocketFraming(this, (bytes) => this.#write(bytes));
    const callback = (length: number, chunk: Uint8Array): boolean => {
      this.#read(chunk as Buffer, length);
      return true;
    };
    this.#socket = connect({
      host: run.road.host,
      port: this.#port,
      ...sourceOf(run.road, place),
      noDelay: true,
      allowHalfOpen: true,
      onread: { buffer: CHUNK, callback },
    });
    this.#socket.on('error', (error) => {
      if (this.#state !== 'closed') run.fail(error);
    });
    // With a reset neither side keeps the pair of ports for a minute: of those there are only so many.
    this.#socket.on('end', () => this.#socket.resetAndDestroy());
    this.#socket.on('close', () => {
      if (this.#state !== 'closed') run.fail(new Error('the server closed a connection'));
    });
  }

  /**
   * Connects, and joins the rooms; it publishes to the first. `index` counts the sessions of the run, and `place` those
   * that are open at a time.
   */
  static async open(run: Run, rooms: readonly RoomStream[], index: number, place = index): Promise<Session> {
    const session = new Session(run, rooms, index, place);
    if (run.wire.framing === 'websocket') await session.#upgrade();
    const names = rooms.map(({ name }) => name);
    await session.converse((greeting) => run.wire.greet(greeting, index, names));
    return session;
  }

  /** Hands what comes to `talk` until it is done; what it leaves is read as everything else. */
  async converse(talk: (greeting: Greeting) => Promise<void>): Promise<void> {
    if (this.#state === 'live') this.#state = 'greeting';
    await talk(this);
    this.#state = 'live';
    for (const line of this.#greetingLines.splice(0)) this.#line(Buffer.from(line), 0, Buffer.byteLength(line));
  }

  /** Makes this session one that publishes. */
  becomePublisher(roomIndex: number): void {
    this.#publisherIndex = this.#run.window.add(this, roomIndex);
    this.#own.room.addPublisher(this.#publisherIndex);
  }

  get isPublisher(): boolean {
    return this.#publisherIndex >= 0;
  }

  close(): void {
    this.#state = 'closed';
    this.#socket.destroy();
  }

  /** Reads nothing more, and leaves the connection open. Whatever the server does to it is right. */
  stopReading(): void {
    this.#state = 'closed';
    this.#socket.pause();
    this.#own.room.abandon(this.#own.reader);
  }

  /** Says goodbye, so that the server lets go of the session at once. Resolves when the connection is gone. */
  async leave(): Promise<void> {
    this.#state = 'closed';
    const gone = new Promise<void>((resolve) => this.#socket.once('close', () => resolve()));
    const { goodbye } = this.#run.wire;
    const frame = this.#framing.goodbye();
    if (frame !== null) this.#write(frame);
    else if (goodbye !== undefined) this.send(goodbye);
    await gone;
  }

  send(text: string): void {
    const payload = Buffer.byteLength(text);
    const header = this.#framing.headerBytes(payload);
    const frame = Buffer.alloc(header + payload + this.#framing.trailerBytes);
    frame.write(text, header);
    this.#framing.seal(frame, header, header + payload);
    this.#write(frame);
  }

  async receive(): Promise<string> {
    while (this.#greetingLines.length === 0) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    return this.#greetingLines.shift() as string;
  }

  publish(first: number, count: number, sentUs: number): void {
    const { wire } = this.#run;
    // Every publish is longer than its data, and its data long enough for the longer kind of header.
    const header = this.#framing.headerBytes(DATA_BYTES);
    const trailer = this.#framing.trailerBytes;
    const frames = Buffer.allocUnsafe(count * (header + wire.publishBytesMax + trailer));
    let end = 0;
    for (let sequence = first; sequence < first + count; sequence++) {
      const start = end + header;
      end = wire.writePublish(frames, start, this.#own.room.name, this.#publisherIndex, sequence, sentUs);
      this.#framing.seal(frames, start, end);
      end += trailer;
    }
    this.#write(frames.subarray(0, end));
  }

  piece(chunk: Buffer, start: number, end: number, endsLine: boolean): void {
    let at = start;
    if (this.#partialLength > 0) at = this.#completePartial(chunk, at, end, endsLine);
    const endsInNewline = end > at && chunk[end - 1] === NEWLINE;
    const wholeEnd = endsLine ? end : chunk.lastIndexOf(NEWLINE, end - 1) + 1;
    if (wholeEnd > at) this.#lines(chunk, at, wholeEnd, endsLine && !endsInNewline);
    if (!endsLine) this.#keep(chunk, Math.max(at, wholeEnd), end);
  }

  get expectsFrames(): boolean {
    return this.#run.wire.onePublicationAFrame && this.#own.room.end > this.#own.reader.position;
  }

  frames(chunk: Buffer, start: number, end: number): number {
    const before = this.#own.reader.received;
    const taken = this.#own.room.matchFrames(this.#own.reader, chunk, start, end, this.#run.nowUs);
    this.#run.deliveries += this.#own.reader.received - before;
    return taken;
  }

  #write(bytes: Buffer): void {
    this.#socket.write(bytes);
  }

  #read(chunk: Buffer, length: number): void {
    if (this.#state === 'closed') return;
    const run = this.#run;
    run.bytes += length;
    run.nowUs = performance.now() * 1000;
    try {
      if (this.#state === 'upgrading') this.#readUpgrade(chunk, length);
      else this.#framing.read(chunk, length);
    } catch (error) {
      run.fail(error as Error);
    }
  }

  /**
   * Reads whole lines. `impliedNewline` says that the last one has no `\n` of its own. First all at once against
   * the room's stream, as far as that goes; then, for a session that is ahead or whose lines hold answers, line
   * by line.
   */
  #lines(chunk: Buffer, start: number, end: number, impliedNewline: boolean): void {
    let at = start;
    const bytes = end - start + (impliedNewline ? 1 : 0);
    const available = this.#memberships === undefined ? this.#own.room.end - this.#own.reader.position : 0;
    const comparable = Math.min(bytes, available);
    if (comparable > 0) {
      const endsLine = impliedNewline && comparable === bytes;
      const compareEnd = endsLine ? end : start + comparable;
      if (this.#own.room.matches(this.#own.reader.position, chunk, start, compareEnd, endsLine)) {
        this.#run.deliveries += this.#own.room.advance(this.#own.reader, comparable, this.#run.nowUs);
        at = compareEnd;
      }
    }
    while (at < end) {
      const found = chunk.subarray(at, end).indexOf(NEWLINE);
      const lineEnd = found < 0 ? end : at + found;
      if (lineEnd > at) this.#line(chunk, at, lineEnd);
      at = lineEnd + 1;
    }
  }

  #line(chunk: Buffer, start: number, end: number): void {
    const bytes = end - start + 1;
    const { room, reader } =
      this.#memberships === undefined ? this.#own : this.#membershipOf(chunk.subarray(start, end));
    const available = room.end - reader.position;
    if (available >= bytes && room.matches(reader.position, chunk, start, end, true)) {
      this.#run.deliveries += room.advance(reader, bytes, this.#run.nowUs);
      return;
    }
    const line = chunk.subarray(start, end);
    if (this.#state === 'greeting') {
      this.#greetingLines.push(line.toString());
      this.#wake?.();
      return;
    }
    const incoming = this.#run.wire.read(line, room.name);
    if (incoming.kind === 'publication') {
      if (available > 0) throw new Error(`not what the room's other sessions received: ${line.toString()}`);
      room.extend(line, incoming.offset, incoming.epoch);
      this.#run.deliveries += room.advance(reader, bytes, this.#run.nowUs);
    } else if (incoming.kind === 'answer') {
      this.#run.window.answered(this.#publisherIndex, incoming.sequence ?? this.#nextAnswer++, this.#run.nowUs);
    } else if (incoming.kind === 'heartbeat') {
      this.send(incoming.text);
    } else {
      this.#run.presences++;
    }
  }

  #membershipOf(line: Buffer): Membership {
    const room = this.#run.wire.roomOf?.(line);
    return (room === undefined ? undefined : this.#memberships?.get(room)) ?? this.#own;
  }

  /** Returns where the next line begins. */
  #completePartial(chunk: Buffer, start: number, end: number, endsLine: boolean): number {
    const found = chunk.subarray(start, end).indexOf(NEWLINE);
    if (found < 0 && !endsLine) {
      this.#keep(chunk, start, end);
      return end;
    }
    const lineEnd = found < 0 ? end : start + found;
    this.#keep(chunk, start, lineEnd);
    const length = this.#partialLength;
    this.#partialLength = 0;
    this.#line(this.#partial, 0, length);
    return found < 0 ? end : lineEnd + 1;
  }

  #keep(chunk: Buffer, start: number, end: number): void {
    const length = this.#partialLength + end - start;
    if (length > this.#partial.length) {
      const larger = Buffer.allocUnsafeSlow(Math.max(PARTIAL_BYTES, 2 * length));
      this.#partial.copy(larger, 0, 0, this.#partialLength);
      this.#partial = larger;
    }
    chunk.copy(this.#partial, this.#partialLength, start, end);
    this.#partialLength = length;
  }

  /** Resolves when the server has agreed: what comes sooner than that may be lost on it. */
  #upgrade(): Promise<void> {
    this.#state = 'upgrading';
    const lines = [
      `GET ${this.#run.wire.path} HTTP/1.1`,
      `Host: ${this.#run.road.host}:${this.#port}`,
      'Connection: Upgrade',
      'Upgrade: websocket',
      'Sec-WebSocket-Version: 13',
      `Sec-WebSocket-Key: ${UPGRADE_KEY}`,
    ];
    this.#write(Buffer.from(`${lines.join('\r\n')}\r\n\r\n`));
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }

  #readUpgrade(chunk: Buffer, length: number): void {
    let received = chunk.subarray(0, length);
    // Nearly always it comes whole.
    if (this.#partialLength > 0 || received.indexOf('\r\n\r\n') < 0) {
      this.#keep(chunk, 0, length);
      if (this.#partialLength > UPGRADE_BYTES_MAX) throw new Error('an endless answer to the upgrade');
      received = this.#partial.subarray(0, this.#partialLength);
    }
    const headEnd = received.indexOf('\r\n\r\n');
    if (headEnd < 0) return;
    const head = received.toString('latin1', 0, headEnd);
    if (!head.startsWith('HTTP/1.1 101 ') || !head.includes(UPGRADE_ACCEPT)) throw unexpected(head);
    if (/sec-websocket-extensions/i.test(head)) throw new Error('the server chose a WebSocket extension');
    this.#partialLength = 0;
    this.#state = 'greeting';
    this.#wake?.();
    const rest = Buffer.from(received.subarray(headEnd + 4));
    if (rest.length > 0) this.#framing.read(rest, rest.length);
  }
}

/** Where a session comes from, if not from the address that the system picks. */
function sourceOf({ addresses }: Road, place: number): { localAddress?: string } {
  const localAddress = addresses[place % addresses.length];
  if (localAddress !== undefined) return { localAddress };
  const address = Math.floor(place / SESSIONS_PER_ADDRESS);
  return address === 0 ? {} : { localAddress: `127.0.0.${1 + address}` };
}
