import { BOUNDS } from './bounds.ts';

/** Stands in for a line that is longer than `frameBytesMax`; nothing behind it can be read. */
export const OVERSIZE: unique symbol = Symbol('oversize');

const LF = 0x0a;
const CR = 0x0d;
/** Above so many, the pieces of a line or unread chunks are copied together: a byte at a time costs no object each. */
const PIECES_MAX = 64;
/** Where nothing is held: one for all, since most connections are idle. Never added to. */
const NOTHING: Buffer[] = [];

/**
 * Splits a stream of bytes at line feeds, whatever the chunks. Pull-based: chunks wait unsplit until `next`
 * asks, so that a reader that stops holds no more than what was pushed.
 */
export class LineSplitter {
  readonly #lineBytesMax: number;
  #chunks = NOTHING;
  /** Where the next unread byte of the first chunk is. */
  #at = 0;
  #pieces = NOTHING;
  #piecesBytes = 0;
  #broken = false;

  constructor(lineBytesMax: number = BOUNDS.frameBytesMax) {
    this.#lineBytesMax = lineBytesMax;
  }

  /** The chunk is kept, not copied: it must not change. */
  push(chunk: Buffer): void {
    this.#chunks = withOne(this.#chunks, chunk);
    if (this.#chunks.length > PIECES_MAX) this.#joinChunks();
  }

  /** The next line without its `\n` or `\r\n`, {@link OVERSIZE} from a line too long on, or null. */
  next(): Buffer | typeof OVERSIZE | null {
    while (!this.#broken) {
      const chunk = this.#chunks[0];
      if (chunk === undefined) return null;
      const lineFeed = chunk.indexOf(LF, this.#at);
      if (lineFeed !== -1) {
        const line = this.#finish(chunk.subarray(this.#at, lineFeed));
        this.#at = lineFeed + 1;
        if (this.#at === chunk.length) this.#dropChunk();
        if (line.length <= this.#lineBytesMax) return line;
        this.#break();
      } else {
        this.#keep(chunk.subarray(this.#at));
        this.#dropChunk();
        // One byte more may be the CR of a line that just fits.
        if (this.#piecesBytes > this.#lineBytesMax + 1) this.#break();
      }
    }
    return OVERSIZE;
  }

  #finish(end: Buffer): Buffer {
    let line = end;
    if (this.#pieces.length > 0) {
      this.#pieces.push(end);
      line = Buffer.concat(this.#pieces);
      this.#pieces = NOTHING;
      this.#piecesBytes = 0;
    }
    return line.length > 0 && line[line.length - 1] === CR ? line.subarray(0, -1) : line;
  }

  #keep(piece: Buffer): void {
    if (piece.length === 0) return;
    this.#pieces = withOne(this.#pieces, piece);
    this.#piecesBytes += piece.length;
    if (this.#pieces.length > PIECES_MAX) this.#pieces = [Buffer.concat(this.#pieces)];
  }

  #joinChunks(): void {
    const [first, ...rest] = this.#chunks;
    if (first === undefined) return;
    this.#chunks = [Buffer.concat([first.subarray(this.#at), ...rest])];
    this.#at = 0;
  }

  #dropChunk(): void {
    if (this.#chunks.length === 1) this.#chunks = NOTHING;
    else this.#chunks.shift();
    this.#at = 0;
  }

  #break(): void {
    this.#broken = true;
    this.#chunks = NOTHING;
    this.#pieces = NOTHING;
    this.#piecesBytes = 0;
  }
}

/** The list with one more; the one given is not to be used any more. */
function withOne(list: Buffer[], item: Buffer): Buffer[] {
  if (list.length === 0) return [item];
  list.push(item);
  return list;
}
