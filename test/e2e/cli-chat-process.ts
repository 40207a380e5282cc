import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

const MAIN = process.env.TIDEGATE_TEST_MAIN ?? fileURLToPath(new URL('../../dist/main.js', import.meta.url));
/** Milliseconds that a test waits for one thing. */
const PATIENCE_MS = 20_000;
const ESCAPE = new RegExp(`${'\u001b'}\\[[\\d;?]*[A-Za-z]`, 'g');

/** A `tidegate chat` in a process of its own, as its users run it. */
export class ChatProcess {
  readonly child: ChildProcessWithoutNullStreams;
  readonly #exit: Promise<number | null>;
  #stdout = '';
  #stderr = '';

  private constructor(command: string, args: readonly string[], env: Readonly<Record<string, string>>) {
    this.child = spawn(command, args, { env: { PATH: process.env.PATH, TERM: 'xterm', ...env } });
    this.child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
      this.#stdout += chunk;
    });
    this.child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
      this.#stderr += chunk;
    });
    // A chat that has ended takes no input.
    this.child.stdin.on('error', () => {});
    this.#exit = once(this.child, 'close').then(([code]) => code as number | null);
  }

  /** In pipes. */
  static piped(args: readonly string[], env: Readonly<Record<string, string>> = {}): ChatProcess {
    return new ChatProcess(process.execPath, [MAIN, 'chat', ...args], env);
  }

  /** At a terminal: what is written to its input is typed. */
  static atTerminal(args: readonly string[], env: Readonly<Record<string, string>> = {}): ChatProcess {
    // In the place of the shell, which would end by Ctrl-C, too.
    const command = `exec ${[process.execPath, MAIN, 'chat', ...args].map((word) => `'${word}'`).join(' ')}`;
    return new ChatProcess('script', ['--quiet', '--return', '--command', command, '/dev/null'], env);
  }

  get stderr(): string {
    return this.#stderr;
  }

  /** Whole lines of the standard output so far, as a terminal comes to show them: without what was wiped. */
  get lines(): string[] {
    const written = this.#stdout.replaceAll(ESCAPE, '').split(/\r*\n/).slice(0, -1);
    return written.map((line) => line.slice(line.lastIndexOf('\r') + 1));
  }

  /** What was written, as it was. */
  get output(): string {
    return this.#stdout;
  }

  /** Texts of the messages shown so far. */
  get texts(): string[] {
    return this.lines.map((line) => line.replace(/^\[[^\]]+\] [^ ]+: /, ''));
  }

  write(text: string | Buffer): this {
    this.child.stdin.write(text);
    return this;
  }

  /** Ends the input, and resolves with the exit code. */
  async end(text = ''): Promise<number | null> {
    this.child.stdin.end(text);
    return this.exited();
  }

  /** Resolves with the exit code. */
  async exited(): Promise<number | null> {
    let patience: NodeJS.Timeout | undefined;
    const impatient = new Promise<never>((_resolve, reject) => {
      patience = setTimeout(() => reject(this.#inVain('the end')), PATIENCE_MS);
    });
    return Promise.race([this.#exit, impatient]).finally(() => clearTimeout(patience));
  }

  /** Resolves when `find` finds something in what was written. */
  async until<T>(what: string, find: (chat: this) => T | undefined | null | false | Promise<T | false>): Promise<T> {
    const deadline = performance.now() + PATIENCE_MS;
    for (;;) {
      const found = await find(this);
      if (found !== undefined && found !== null && found !== false) return found;
      if (performance.now() > deadline) throw this.#inVain(what);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  /** Resolves when there is a line like this on the standard output. */
  untilShown(pattern: string | RegExp): Promise<string> {
    const isIt = (line: string) => (typeof pattern === 'string' ? line === pattern : pattern.test(line));
    return this.until(`a line ${pattern}`, ({ lines }) => lines.find(isIt));
  }

  /** Resolves when the standard error has this. */
  async untilTold(words: string): Promise<void> {
    await this.until(`the words "${words}"`, ({ stderr }) => stderr.includes(words));
  }

  kill(): void {
    this.child.kill('SIGKILL');
  }

  #inVain(what: string): Error {
    const end = `exit ${this.child.exitCode}; shown: ${JSON.stringify(this.#stdout.slice(-1_000))}`;
    return new Error(`waited in vain for ${what}; ${end}; told: ${JSON.stringify(this.#stderr.slice(-1_000))}`);
  }
}
