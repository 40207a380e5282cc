/** Takes what a framing finds: pieces of lines, in order. */
export interface LineSink {
  /**
   * Bytes of `chunk` from `start` to `end`, which may hold many lines, each ended by `\n`, and a part of one.
   * With `endsLine` the last line ends at `end`. The bytes are the sink's only until it returns.
   */
  piece(chunk: Buffer, start: number, end: number, endsLine: boolean): void;
  /** Whether `frames` can take any now. */
  readonly expectsFrames: boolean;
  /**
   * Whole WebSocket frames, headers included, each long enough for a publication. Returns how many of their bytes the
   * sink has taken; the rest comes in pieces.
   */
  frames(chunk: Buffer, start: number, end: number): number;
}

/** Finds payload in the bytes of one connection, and frames what is sent. */
export interface Framing {
  /** Reads the first `length` bytes of a chunk that the connection will overwrite. */
  read(chunk: Buffer, length: number): void;
  /** Bytes before a payload of this size. */
  headerBytes(payloadBytes: number): number;
  /** Bytes behind each payload. */
  readonly trailerBytes: number;
  /** Completes a frame whose payload stands from `start` to `end`, with space for header and trailer around. */
  seal(target: Buffer, start: number, end: number): void;
  /** What says that the client leaves for good; null where there is nothing for it. */
  goodbye(): Buffer | null;
}

const NEWLINE = 10;

/** Lines on plain TCP. */
export class LineFraming implements Framing {
  readonly trailerBytes = 1;
  readonly #sink: LineSink;

  constructor(sink: LineSink) {
    this.#sink = sink;
  }

  read(chunk: Buffer, length: number): void {
    this.#sink.piece(chunk, 0, length, false);
  }

  headerBytes(): number {
    return 0;
  }

  seal(target: Buffer, _start: number, end: number): void {
    target[end] = NEWLINE;
  }

  goodbye(): null {
    return null;
  }
}
