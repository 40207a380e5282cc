import { LineSplitter, OVERSIZE } from '../protocol/line-splitter.ts';

/**
 * - `json`, `text`: what the client speaks;
 * - `foreign`: HTTP, or TLS on a port without it: to be closed;
 * - `unknown`: more bytes are needed.
 */
export type Mode = 'json' | 'text' | 'foreign' | 'unknown';

const TLS_HANDSHAKE = 0x16;
const OPEN_BRACE = 0x7b;
const HTTP_REQUEST = /^[A-Z]+ \S+ HTTP\/\d/;

/** Tells from a connection's first bytes what its client speaks, whatever the chunks they come in. */
export class ModeDetector {
  /** Text mode's first line has to be complete before it can be told from HTTP. */
  readonly #lines = new LineSplitter();
  #first: number | null = null;

  /** Everything pushed so far but white space before the first byte; to be read once the mode is known. */
  readonly received = new LineSplitter();

  push(chunk: Buffer): Mode {
    const bytes = this.#first === null ? trimStart(chunk) : chunk;
    const [byte] = bytes;
    if (byte === undefined) return 'unknown';
    this.#first ??= byte;
    this.received.push(bytes);
    if (this.#first === OPEN_BRACE) return 'json';
    if (this.#first === TLS_HANDSHAKE) return 'foreign';
    this.#lines.push(bytes);
    const line = this.#lines.next();
    if (line === null) return 'unknown';
    // The session says what is wrong with a line that is too long.
    if (line === OVERSIZE) return 'text';
    return HTTP_REQUEST.test(line.toString('latin1')) ? 'foreign' : 'text';
  }
}

function trimStart(chunk: Buffer): Buffer {
  let at = 0;
  while (at < chunk.length && isSpace(chunk[at] ?? 0)) at += 1;
  return chunk.subarray(at);
}

function isSpace(byte: number): boolean {
  return byte === 0x20 || (byte >= 0x09 && byte <= 0x0d);
}
