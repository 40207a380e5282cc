import { styleText } from 'node:util';
import type { Level, LogEvent } from './log-events.ts';

type Style = Parameters<typeof styleText>[0];

/** Of sources, in the order in which they are seen first. */
const SOURCE_STYLES: readonly Style[] = ['cyan', 'green', 'blue', 'magenta', 'cyanBright', 'greenBright', 'blueBright'];
const LEVEL_STYLES: Readonly<Partial<Record<Level, Style>>> = { warn: 'yellow', error: 'red', fatal: 'red' };
/** As long as what it has to line up. */
const SOURCE_CHARS = 'gateway-1'.length;
const LEVEL_CHARS = 'error'.length;

/** Where the view is printed: where that is no terminal, or NO_COLOR is set, without colours. */
export type Output = NodeJS.WriteStream;

/** What all of them say, an event a line, told apart by colours. */
export class LogView {
  readonly #output: Output;
  readonly #styles = new Map<string, Style>();

  constructor(output: Output) {
    this.#output = output;
  }

  show(source: string, { atMs, level, text }: LogEvent, alike = 0): void {
    const time = this.#styled('dim', timeOfDay(atMs));
    const name = this.#styled(this.#styleOf(source), source.padEnd(SOURCE_CHARS));
    const style = LEVEL_STYLES[level];
    const more = alike === 0 ? '' : `  (and ${alike} more like it)`;
    const shown = `${level.padEnd(LEVEL_CHARS)}  ${text}${more}`;
    this.#output.write(`${time}  ${name}  ${style === undefined ? shown : this.#styled(style, shown)}\n`);
  }

  /** Lines that are no event, as they are. */
  print(lines: readonly string[]): void {
    this.#output.write(lines.map((line) => `${line}\n`).join(''));
  }

  #styleOf(source: string): Style {
    const known = this.#styles.get(source);
    if (known !== undefined) return known;
    const style = SOURCE_STYLES[this.#styles.size % SOURCE_STYLES.length] as Style;
    this.#styles.set(source, style);
    return style;
  }

  #styled(style: Style, text: string): string {
    return styleText(style, text, { stream: this.#output });
  }
}

/** `HH:MM:SS.mmm`, here and now. */
function timeOfDay(atMs: number): string {
  const at = new Date(atMs);
  const two = (value: number) => String(value).padStart(2, '0');
  const time = [at.getHours(), at.getMinutes(), at.getSeconds()].map(two).join(':');
  return `${time}.${String(at.getMilliseconds()).padStart(3, '0')}`;
}
