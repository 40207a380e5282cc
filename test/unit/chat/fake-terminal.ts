import { PassThrough, Writable } from 'node:stream';

const ESC = '\u001b';
/** An escape sequence with what it asks for, or one character. */
const TOKENS = new RegExp(`${ESC}\\[(\\d*)([A-Za-z])|[^]`, 'g');

/** A terminal that draws what it is sent: as much of one as readline needs. Rows that scroll out are kept. */
export class FakeTerminal extends Writable {
  readonly isTTY = true;
  readonly columns: number;
  readonly rows = 24;
  /** What its user types. */
  readonly keys = Object.assign(new PassThrough(), { setRawMode: () => {} });
  readonly #hasColours: boolean;
  /** Everything that was sent. */
  sent = '';
  #drawn: string[][] = [[]];
  #row = 0;
  #column = 0;

  constructor(columns: number, hasColours = false) {
    super({ decodeStrings: false });
    this.columns = columns;
    this.#hasColours = hasColours;
  }

  hasColors(): boolean {
    return this.#hasColours;
  }

  /** Rows from the first one on, without what is blank at their ends. */
  get lines(): string[] {
    return this.#drawn.map((row) =>
      Array.from(row, (character) => character ?? ' ')
        .join('')
        .trimEnd(),
    );
  }

  get cursor(): { readonly row: number; readonly column: number } {
    return { row: this.#row, column: this.#column };
  }

  override _write(chunk: string | Buffer, _encoding: BufferEncoding, done: () => void): void {
    const text = chunk.toString();
    this.sent += text;
    for (const [token, count, action] of text.matchAll(TOKENS)) {
      if (action === undefined) this.#put(token);
      else this.#move(action, count === '' || count === undefined ? 1 : Number(count), count);
    }
    done();
  }

  #put(character: string): void {
    if (character === '\r') {
      this.#column = 0;
    } else if (character === '\n') {
      // Terminals in raw mode are set to begin a new line with it.
      this.#column = 0;
      this.#down();
    } else {
      if (this.#column === this.columns) {
        this.#column = 0;
        this.#down();
      }
      this.#current[this.#column] = character;
      this.#column += 1;
    }
  }

  #move(action: string, by: number, given: string | undefined): void {
    if (action === 'A') this.#row = Math.max(0, this.#row - by);
    else if (action === 'B') this.#row += by;
    else if (action === 'C') this.#column = Math.min(this.columns - 1, this.#column + by);
    else if (action === 'D') this.#column = Math.max(0, this.#column - by);
    else if (action === 'G') this.#column = by - 1;
    else if (action === 'J') this.#wipeDown();
    else if (action === 'K' && given !== '1') this.#current.length = Math.min(this.#current.length, this.#column);
    else if (action !== 'm' && action !== 'K') throw new Error(`this terminal does not know ${action}`);
  }

  #wipeDown(): void {
    this.#current.length = Math.min(this.#current.length, this.#column);
    this.#drawn.length = this.#row + 1;
  }

  #down(): void {
    this.#row += 1;
    this.#drawn[this.#row] ??= [];
  }

  get #current(): string[] {
    const row = this.#drawn[this.#row];
    if (row === undefined) throw new Error('the cursor is below the last row');
    return row;
  }
}
