import { createInterface, type Interface } from 'node:readline';
import type { WriteStream } from 'node:tty';
import type { Message } from '../client/client.ts';
import { harmless } from '../protocol/terminal.ts';
import { saidLine } from '../protocol/text-words.ts';
import { keyByKey, type TerminalInput } from './keys.ts';
import type { View } from './view.ts';
import { gapLine } from './words.ts';

const DIM = '2';
const RED = '31';
const RESET = '\u001b[0m';
const LINES_REMEMBERED = 500;

/** What a person does at the terminal. */
export interface Keyboard {
  onLine(line: string): void;
  /** Ctrl-D, or the end of the input. */
  onEnd(): void;
  /** Ctrl-C. */
  onInterrupt(): void;
}

export interface ScreenSettings {
  readonly input: TerminalInput;
  readonly output: Pick<WriteStream, 'write' | 'hasColors'> & NodeJS.WritableStream;
  /** false: the terminal can't move its cursor, so that lines are just written one after the other. */
  readonly canEdit: boolean;
  readonly keyboard: Keyboard;
}

/** A terminal with a line that is being edited at its end: everything else is shown above, and leaves it as it is. */
export class Screen implements View {
  readonly #output: ScreenSettings['output'];
  readonly #readline: Interface;
  readonly #hasColours: boolean;
  #hasPrompt: boolean;
  /** Lines of this turn of the event loop: they are shown in one go. */
  #waiting: string[] = [];

  constructor({ input, output, canEdit, keyboard }: ScreenSettings) {
    this.#output = output;
    this.#hasColours = canEdit && output.hasColors();
    this.#hasPrompt = canEdit;
    this.#readline = createInterface({
      input: canEdit ? keyByKey(input) : input,
      output,
      terminal: canEdit,
      historySize: LINES_REMEMBERED,
    });
    this.#readline.on('line', (line) => {
      keyboard.onLine(line);
      this.#draw();
    });
    // As of a terminal that is gone.
    this.#readline.on('error', () => keyboard.onEnd());
    this.#readline.on('SIGINT', () => keyboard.onInterrupt());
    this.#readline.on('close', () => {
      if (this.#hasPrompt) output.write('\n');
      this.#hasPrompt = false;
      keyboard.onEnd();
    });
  }

  /** Shows where what is typed goes. */
  prompt(room: string | null): void {
    this.#readline.setPrompt(`${room ?? ''}> `);
    this.#draw();
  }

  message(message: Message): void {
    this.#show(saidLine(message.room, message.from, message.data), null);
  }

  gap(room: string): void {
    this.note(gapLine(room));
  }

  note(line: string): void {
    this.#show(line, DIM);
  }

  error(words: string): void {
    this.#show(`! ${words}`, RED);
  }

  /** Gives the terminal back, and shows what comes yet without a prompt. */
  close(): void {
    this.flush();
    this.#readline.close();
  }

  /** Shows what waits to be shown. */
  flush(): void {
    if (this.#waiting.length === 0) return;
    const text = `${this.#waiting.join('\n')}\n`;
    this.#waiting = [];
    if (!this.#hasPrompt) {
      this.#output.write(text);
      return;
    }
    // The edited line is wiped, and drawn anew below. To draw it, readline goes up first by the rows that the cursor
    // stood below the line's first one.
    const { rows } = this.#readline.getCursorPos();
    const up = rows > 0 ? `\u001b[${rows}A` : '';
    this.#output.write(`\r${up}\u001b[J${text}${'\n'.repeat(rows)}`);
    this.#draw();
  }

  #show(line: string, colour: string | null): void {
    const shown = harmless(line);
    this.#waiting.push(colour !== null && this.#hasColours ? `\u001b[${colour}m${shown}${RESET}` : shown);
    if (this.#waiting.length === 1) setImmediate(() => this.flush());
  }

  #draw(): void {
    if (this.#hasPrompt) this.#readline.prompt(true);
  }
}
