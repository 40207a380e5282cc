import type { Wire } from './clients/wire.ts';
import type { LatencyHistogram } from './latency-histogram.ts';
import { readData } from './publication-data.ts';
import { OPEN_PER_PUBLISHER, type PublishWindow } from './publish-window.ts';

/** Longest line of a publication that any server sends: 128 bytes of data and its envelope. */
const LINE_BYTES_MAX = 512;
const NEWLINE = 10;
/** A server's frame around any publication: final, text, its length in 16 bits, not masked (RFC 6455 section 5.2). */
export const FINAL_TEXT = 0x81;
export const LENGTH_16 = 126;
export const FRAME_HEADER_BYTES = 4;

/** How far one session has come in its room's stream. */
export interface Reader {
  /** Bytes of the stream received, from its beginning. */
  position: number;
  /** Publications received. */
  received: number;
  /** Of its deliveries. */
  readonly histogram: LatencyHistogram;
}

/**
 * The one stream of publications that every session of a room must receive, and the check that it does.
 *
 * All members of a room get the same publications in the same bytes, so the check is split in two. Whichever
 * session is ahead *extends* the stream: each line is parsed in full, and must be the next publication of its
 * publisher, with data unaltered and, where the server numbers them, an offset above the one before. For all
 * others the bytes that came must *equal* the stream at the session's own position (`matches`, a memcmp). A gap,
 * a duplicate, a reordering or an altered byte in any session is a difference and fails the run; at the end
 * every session must stand at the stream's end (`finish`). So every delivery is verified, at memcmp's price.
 *
 * The stream holds payloads alone, each ended by `\n`, without frame headers: servers may cut the same
 * publications into different frames for different sessions.
 *
 * Memory is bounded, because a publication stays open until every session of the room has it: no session is
 * further behind than the room's publishers may have open publications.
 */
export class RoomStream {
  readonly name: string;
  readonly #index: number;
  readonly #wire: Wire;
  readonly #window: PublishWindow;
  readonly #readers: Reader[] = [];
  /** Next sequence number by publisher index; this room's publishers alone. */
  readonly #expected = new Map<number, number>();
  /** The stream's bytes from position `#base` to `end`. */
  #bytes = Buffer.alloc(0);
  #base = 0;
  /** Position behind the last publication. */
  end = 0;
  /** Publications in the stream since its beginning. */
  count = 0;
  /** By publication number modulo `#mask + 1`: position behind it. */
  #endOf = new Float64Array(0);
  /** By publication number modulo `#mask + 1`: its place in the window. */
  #placeOf = new Int32Array(0);
  #mask = 0;
  #offset = -1;
  #epoch: string | undefined;
  /** Sessions that have stopped reading. */
  #stopped = 0;
  /** The same stream in frames, see `matchFrames`: from publication `#framesBase` on. */
  #frames = Buffer.alloc(0);
  #framesBase = 0;
  /** Bytes of each of these frames. */
  #frameBytes = 0;

  constructor(index: number, name: string, wire: Wire, window: PublishWindow) {
    this.#index = index;
    this.name = name;
    this.#wire = wire;
    this.#window = window;
  }

  /** Adds a session that receives this room from its first publication on. */
  addReader(histogram: LatencyHistogram): Reader {
    const reader = { position: 0, received: 0, histogram };
    this.#readers.push(reader);
    return reader;
  }

  addPublisher(publisherIndex: number): void {
    this.#expected.set(publisherIndex, 0);
    const openMax = this.#expected.size * OPEN_PER_PUBLISHER;
    // Room for as much again, so that `#slide` moves bytes once in a while and not for every publication.
    this.#bytes = Buffer.alloc(2 * openMax * LINE_BYTES_MAX);
    const ring = 2 ** Math.ceil(Math.log2(openMax));
    this.#endOf = new Float64Array(ring);
    this.#placeOf = new Int32Array(ring);
    this.#mask = ring - 1;
  }

  /**
   * Whether `chunk` from `start` to `end` equals the stream at `position`. With `endsLine` the line break behind
   * `end` is implied (a WebSocket message's end stands for it). The stream must be long enough to tell.
   */
  matches(position: number, chunk: Buffer, start: number, end: number, endsLine: boolean): boolean {
    const at = position - this.#base;
    const behind = at + end - start;
    if (endsLine && this.#bytes[behind] !== NEWLINE) return false;
    return chunk.compare(this.#bytes, at, behind, start, end) === 0;
  }

  /**
   * Matches whole frames of a server that sends each publication as a frame of its own: header and all, many at once.
   * Moves the session on by those that equal the stream, and returns their bytes; none, if any differs.
   */
  matchFrames(reader: Reader, chunk: Buffer, start: number, end: number, nowUs: number): number {
    const frameBytes = this.#frameBytes;
    const frames = Math.min(this.count - reader.received, Math.floor((end - start) / frameBytes));
    const bytes = frames * frameBytes;
    const at = (reader.received - this.#framesBase) * frameBytes;
    if (bytes === 0 || chunk.compare(this.#frames, at, at + bytes, start, start + bytes) !== 0) return 0;
    this.advance(reader, frames * (frameBytes - FRAME_HEADER_BYTES + 1), nowUs);
    return bytes;
  }

  /** Lets a session receive nothing any more: nobody waits for it. */
  abandon(reader: Reader): void {
    this.#readers.splice(this.#readers.indexOf(reader), 1);
    for (let number = reader.received; number < this.count; number++) {
      this.#window.forgone(this.#placeOf[number & this.#mask] as number);
    }
    this.#stopped++;
  }

  /** Moves a session on by `bytes` that matched, and counts the publications in them. Returns how many. */
  advance(reader: Reader, bytes: number, nowUs: number): number {
    const position = reader.position + bytes;
    const before = reader.received;
    let received = before;
    while (received < this.count && (this.#endOf[received & this.#mask] as number) <= position) {
      this.#window.delivered(this.#placeOf[received & this.#mask] as number, nowUs, reader.histogram);
      received++;
    }
    reader.position = position;
    reader.received = received;
    return received - before;
  }

  /**
   * Appends a publication that no session has had yet.
   *
   * @throws Error if it is not what must come next.
   */
  extend(line: Buffer, offset: number | undefined, epoch: string | undefined): void {
    const { publisher, sequence, sentUs } = readData(line);
    const expected = this.#expected.get(publisher);
    if (sequence !== expected) {
      throw new Error(`${this.name}: publisher ${publisher} is at ${expected}, got ${sequence}`);
    }
    if (offset !== undefined) this.#checkOffset(offset, epoch);
    const place = this.#window.placeOf(this.#index, publisher, sequence, sentUs);
    this.#expected.set(publisher, sequence + 1);
    if (line.length >= LINE_BYTES_MAX) throw new Error(`a delivery of ${line.length} bytes`);
    if (this.end - this.#base + line.length + 1 > this.#bytes.length) this.#slide();
    const at = this.end - this.#base;
    line.copy(this.#bytes, at);
    this.#bytes[at + line.length] = NEWLINE;
    this.end += line.length + 1;
    this.#endOf[this.count & this.#mask] = this.end;
    this.#placeOf[this.count & this.#mask] = place;
    if (this.#wire.onePublicationAFrame) this.#extendFrames(line);
    this.count++;
    for (let stopped = 0; stopped < this.#stopped; stopped++) this.#window.forgone(place);
  }

  /** @throws Error unless every session received every publication that was sent. */
  finish(): void {
    const sent = this.#window.sentTo(this.#index);
    if (this.count !== sent) throw new Error(`${this.name}: ${sent} publications sent, ${this.count} delivered`);
    for (const { received, position } of this.#readers) {
      if (received !== sent || position !== this.end) {
        throw new Error(`${this.name}: ${sent} publications sent, a session received ${received}`);
      }
    }
  }

  #extendFrames(line: Buffer): void {
    const frameBytes = FRAME_HEADER_BYTES + line.length;
    if (this.#frameBytes === 0) {
      this.#frameBytes = frameBytes;
      this.#frames = Buffer.alloc(2 * (this.#mask + 1) * frameBytes);
    }
    if (frameBytes !== this.#frameBytes) throw new Error(`a delivery of ${line.length} bytes, unlike those before`);
    let at = (this.count - this.#framesBase) * frameBytes;
    if (at === this.#frames.length) {
      const slowest = this.#readers.reduce((least, { received }) => Math.min(least, received), this.count);
      this.#frames.copyWithin(0, (slowest - this.#framesBase) * frameBytes);
      this.#framesBase = slowest;
      at = (this.count - slowest) * frameBytes;
    }
    this.#frames[at] = FINAL_TEXT;
    this.#frames[at + 1] = LENGTH_16;
    this.#frames.writeUInt16BE(line.length, at + 2);
    line.copy(this.#frames, at + FRAME_HEADER_BYTES);
  }

  #checkOffset(offset: number, epoch: string | undefined): void {
    if (offset <= this.#offset) throw new Error(`${this.name}: offset ${offset} after ${this.#offset}`);
    if (this.#epoch !== undefined && epoch !== this.#epoch) throw new Error(`${this.name}: the epoch changed`);
    this.#offset = offset;
    this.#epoch = epoch;
  }

  /** Forgets what every session has received. */
  #slide(): void {
    let slowest = this.end;
    for (const { position } of this.#readers) slowest = Math.min(slowest, position);
    this.#bytes.copyWithin(0, slowest - this.#base, this.end - this.#base);
    this.#base = slowest;
  }
}
