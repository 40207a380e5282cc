import { FINAL_TEXT, FRAME_HEADER_BYTES, LENGTH_16 } from '../room-stream.ts';
import type { Framing, LineSink } from './framing.ts';

const CONTINUATION = 0;
const TEXT = 1;
const CLOSE = 8;
const PING = 9;
const PONG = 10;

const LENGTH_64 = 127;
/** A server's frames are not masked, so their header is 2, 4 or 10 bytes. */
const HEADER_BYTES_MAX = 10;
const MASK_BYTES = 4;
const PAYLOAD_BYTES_MAX = 65_535;
const NORMAL_CLOSURE = 1000;

/**
 * A client masks what it sends. One mask for all will do on loopback, but zero won't: servers skip unmasking
 * then, and would be spared work that real clients give them.
 */
const MASK = [0x9d, 0x4b, 0xe2, 0x71] as const;

/** A client's WebSocket (RFC 6455) after the upgrade, without extensions. */
export class WebSocketFraming implements Framing {
  readonly trailerBytes = 0;
  readonly #sink: LineSink;
  readonly #send: (bytes: Buffer) => void;
  readonly #header = Buffer.alloc(HEADER_BYTES_MAX);
  #headerLength = 0;
  #headerNeeded = 2;
  /** Bytes of the current frame's payload still to come. */
  #payloadLeft = 0;
  #opcode = TEXT;
  #isFinal = false;

  constructor(sink: LineSink, send: (bytes: Buffer) => void) {
    this.#sink = sink;
    this.#send = send;
  }

  read(chunk: Buffer, length: number): void {
    let at = 0;
    while (at < length) {
      if (this.#payloadLeft === 0) {
        if (this.#headerLength === 0 && this.#sink.expectsFrames) {
          const taken = this.#sink.frames(chunk, at, framesEnd(chunk, at, length));
          at += taken;
          if (taken > 0) continue;
        }
        at = this.#readHeader(chunk, at, length);
        if (this.#headerLength > 0) return;
        if (this.#payloadLeft === 0) this.#payload(chunk, at, at);
        continue;
      }
      const end = Math.min(length, at + this.#payloadLeft);
      this.#payloadLeft -= end - at;
      this.#payload(chunk, at, end);
      at = end;
    }
  }

  headerBytes(payloadBytes: number): number {
    return (payloadBytes < LENGTH_16 ? 2 : 4) + MASK_BYTES;
  }

  seal(target: Buffer, start: number, end: number): void {
    writeFrame(target, TEXT, start, end, this.headerBytes(end - start));
  }

  goodbye(): Buffer {
    const header = this.headerBytes(2);
    const frame = Buffer.alloc(header + 2);
    frame.writeUInt16BE(NORMAL_CLOSURE, header);
    writeFrame(frame, CLOSE, header, frame.length, header);
    return frame;
  }

  /** Returns the position behind the header, or `length` with `#headerLength` > 0 if bytes are short. */
  #readHeader(chunk: Buffer, start: number, length: number): number {
    let at = start;
    while (this.#headerLength < this.#headerNeeded) {
      if (at === length) return at;
      this.#header[this.#headerLength++] = chunk[at++] as number;
      if (this.#headerLength === 2) this.#headerNeeded = headerBytesBy(this.#header[1] as number);
    }
    this.#headerLength = 0;
    this.#headerNeeded = 2;
    const first = this.#header[0] as number;
    this.#opcode = first & 0x0f;
    this.#isFinal = first >= 0x80;
    if ((first & 0x70) !== 0) throw new Error('a WebSocket frame with reserved bits');
    const short = this.#header[1] as number;
    if (short < LENGTH_16) this.#payloadLeft = short;
    else if (short === LENGTH_16) this.#payloadLeft = this.#header.readUInt16BE(2);
    else this.#payloadLeft = Number(this.#header.readBigUInt64BE(2));
    return at;
  }

  #payload(chunk: Buffer, start: number, end: number): void {
    const endsFrame = this.#payloadLeft === 0;
    if (this.#opcode === TEXT || this.#opcode === CONTINUATION) {
      this.#sink.piece(chunk, start, end, endsFrame && this.#isFinal);
    } else if (this.#opcode === PING) {
      this.#pong(chunk, start, end, endsFrame);
    } else if (this.#opcode === CLOSE && end - start >= 2) {
      throw new Error(`the server closed the WebSocket: ${chunk.readUInt16BE(start)}`);
    } else {
      throw new Error(`a WebSocket frame of opcode ${this.#opcode}`);
    }
  }

  #pong(chunk: Buffer, start: number, end: number, isWhole: boolean): void {
    if (!isWhole) throw new Error('a ping in pieces');
    const header = this.headerBytes(end - start);
    const frame = Buffer.alloc(header + end - start);
    chunk.copy(frame, header, start, end);
    writeFrame(frame, PONG, header, frame.length, header);
    this.#send(frame);
  }
}

/** Where the whole frames from `start` on end, as far as their lengths take 16 bits. */
function framesEnd(chunk: Buffer, start: number, length: number): number {
  let at = start;
  while (at + FRAME_HEADER_BYTES <= length && chunk[at] === FINAL_TEXT && chunk[at + 1] === LENGTH_16) {
    const next = at + FRAME_HEADER_BYTES + ((chunk[at + 2] as number) << 8) + (chunk[at + 3] as number);
    if (next > length) break;
    at = next;
  }
  return at;
}

/** By the header's second byte. */
function headerBytesBy(lengthByte: number): number {
  return lengthByte < LENGTH_16 ? 2 : lengthByte === LENGTH_64 ? 10 : 4;
}

/** Writes the header before `start` and masks the payload in place. */
function writeFrame(target: Buffer, opcode: number, start: number, end: number, headerBytes: number): void {
  const length = end - start;
  if (length > PAYLOAD_BYTES_MAX) throw new Error(`a payload of ${length} bytes`);
  const at = start - headerBytes;
  target[at] = 0x80 | opcode;
  target[at + 1] = 0x80 | (length < LENGTH_16 ? length : LENGTH_16);
  if (length >= LENGTH_16) target.writeUInt16BE(length, at + 2);
  for (let index = 0; index < MASK_BYTES; index++) target[start - MASK_BYTES + index] = MASK[index & 3] as number;
  for (let index = 0; index < length; index++) {
    target[start + index] = (target[start + index] as number) ^ (MASK[index & 3] as number);
  }
}
