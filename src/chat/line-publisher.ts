import { isUtf8 } from 'node:buffer';
import type { Readable } from 'node:stream';
import { BOUNDS } from '../protocol/bounds.ts';
import { LineSplitter, OVERSIZE } from '../protocol/line-splitter.ts';
import { jsonValue } from './json-lines.ts';
import { quoted } from './words.ts';

const LF = Buffer.from('\n');

export interface LinePublisherSettings {
  /** Publishes one value; rejects where that has failed for good. Values come to stand in the order of the calls. */
  readonly publish: (data: unknown) => Promise<unknown>;
  /** Lines are JSON values and no texts. */
  readonly isJson: boolean;
  /** Bytes of a value as JSON. */
  readonly dataBytesMax: number;
  /** Lines that may wait to be acknowledged; while there are as many, no more is read. */
  readonly waitingMax: number;
}

/** Publishes the lines of a stream, in order, no faster than they are acknowledged. The first that fails is the last. */
export class LinePublisher {
  readonly #settings: LinePublisherSettings;
  #waiting = 0;
  #lines = 0;
  /** The first line that failed, and why. */
  #failure: { readonly line: number; readonly words: string } | null = null;
  /** Called when a line is settled. */
  #onSettled: () => void = () => {};

  constructor(settings: LinePublisherSettings) {
    this.#settings = settings;
  }

  /** Lines that have been published, and are neither acknowledged nor refused. */
  get unacknowledged(): number {
    return this.#waiting;
  }

  /** Resolves when all that was published is settled: with null, or with what failed first. */
  async run(input: Readable): Promise<string | null> {
    const { isJson, dataBytesMax } = this.#settings;
    // A JSON value may have white space that is not published.
    const splitter = new LineSplitter(isJson ? BOUNDS.frameBytesMax : dataBytesMax);
    const fail = () => this.#failure !== null && input.destroy();
    try {
      for await (const chunk of input as AsyncIterable<Buffer>) {
        splitter.push(chunk);
        await this.#publishFrom(splitter, fail);
        if (this.#failure !== null) break;
      }
      splitter.push(LF);
      await this.#publishFrom(splitter, fail);
    } catch (error) {
      // The input that we have destroyed ourselves throws, too.
      this.#fails(this.#lines + 1, `cannot read the input: ${(error as Error).message}`);
    }
    while (this.#waiting > 0) await this.#settled();
    return this.#failure?.words ?? null;
  }

  async #publishFrom(splitter: LineSplitter, onFailure: () => void): Promise<void> {
    for (;;) {
      while (this.#waiting >= this.#settings.waitingMax) await this.#settled();
      if (this.#failure !== null) return;
      const line = splitter.next();
      if (line === null) return;
      this.#lines += 1;
      this.#publish(line, onFailure);
    }
  }

  #publish(line: Buffer | typeof OVERSIZE, onFailure: () => void): void {
    const number = this.#lines;
    let data: unknown;
    try {
      data = this.#valueOf(line);
    } catch (error) {
      this.#fails(number, `bad_request: ${(error as Error).message}: line ${number}`);
      return;
    }
    if (data === undefined) return;
    this.#waiting += 1;
    const settle = () => {
      this.#waiting -= 1;
      this.#onSettled();
    };
    this.#settings.publish(data).then(settle, (error: Error) => {
      this.#fails(number, `${error.message}: line ${number}: ${quoted(String(line))}`);
      onFailure();
      settle();
    });
  }

  /** What the line wants to be published; undefined: it is blank. @throws where it can't be */
  #valueOf(line: Buffer | typeof OVERSIZE): unknown {
    const { isJson, dataBytesMax } = this.#settings;
    if (line === OVERSIZE) throw new Error(`longer than ${dataBytesMax} bytes`);
    if (!isUtf8(line)) throw new Error('not UTF-8');
    const text = line.toString('utf8');
    if (text.trim() === '') return undefined;
    const data = isJson ? jsonValue(text) : { text };
    if (Buffer.byteLength(JSON.stringify(data)) > dataBytesMax) throw new Error(`longer than ${dataBytesMax} bytes`);
    return data;
  }

  #fails(line: number, words: string): void {
    if (this.#failure === null || line < this.#failure.line) this.#failure = { line, words };
  }

  #settled(): Promise<void> {
    return new Promise((resolve) => {
      this.#onSettled = resolve;
    });
  }
}
