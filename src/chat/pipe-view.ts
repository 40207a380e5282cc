import { once } from 'node:events';
import type { Writable } from 'node:stream';
import type { Message } from '../client/client.ts';
import type { Gap } from '../protocol/position.ts';
import { harmless } from '../protocol/terminal.ts';
import { saidLine } from '../protocol/text-words.ts';
import { gapJson, messageJson } from './json-lines.ts';
import type { View } from './view.ts';
import { gapLine } from './words.ts';

/** Bytes that may wait for the reader of the standard output. */
const WAITING_BYTES_MAX = 4 * 1_048_576;

/** Shows messages to a program, one a line, and the rest beside them. */
export class PipeView implements View {
  readonly #output: Writable;
  readonly #notes: Writable;
  readonly #isJson: boolean;

  constructor(output: Writable, notes: Writable, isJson: boolean) {
    this.#output = output;
    this.#notes = notes;
    this.#isJson = isJson;
  }

  /** So much waits for the reader that nothing more should be shown before {@link drained}. */
  get isFull(): boolean {
    return this.#output.writableLength > WAITING_BYTES_MAX;
  }

  async drained(): Promise<void> {
    if (this.#output.writableNeedDrain) await once(this.#output, 'drain');
  }

  message(message: Message): void {
    this.#output.write(`${this.#isJson ? messageJson(message) : saidLine(message.room, message.from, message.data)}\n`);
  }

  gap(room: string, gap: Gap): void {
    if (this.#isJson) this.#output.write(`${gapJson(room, gap)}\n`);
    else this.note(gapLine(room));
  }

  note(line: string): void {
    this.#notes.write(`${harmless(line)}\n`);
  }

  error(words: string): void {
    this.note(`! ${words}`);
  }
}
