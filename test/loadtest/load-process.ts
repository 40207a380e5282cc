import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type LoadResult, parseResult } from '../../loadtest/load-result.ts';

const LOAD = fileURLToPath(new URL('../../loadtest/load.ts', import.meta.url));

/** A load as its users run it. */
export class LoadProcess {
  readonly #child: ChildProcess;
  readonly #exit: Promise<unknown[]>;
  readonly #file: string;
  #output = '';

  /** @param directory where it puts its result, under a name of its own */
  constructor(directory: string, args: readonly string[], env: Readonly<Record<string, string>> = {}) {
    this.#file = join(directory, `${args[0]}-${Math.random().toString(36).slice(2)}.json`);
    this.#child = spawn(process.execPath, [LOAD, ...args, '--json', this.#file], {
      env: { PATH: process.env.PATH, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#exit = once(this.#child, 'close');
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream?.on('data', (chunk: Buffer) => {
        this.#output += chunk.toString();
      });
    }
  }

  signal(name: NodeJS.Signals): void {
    this.#child.kill(name);
  }

  /** Resolves when it has said this. */
  async said(words: string): Promise<void> {
    while (!this.#output.includes(words)) await once(this.#child.stderr as NodeJS.ReadableStream, 'data');
  }

  /** @throws Error with its output where it has no result */
  async result(): Promise<{ readonly code: number; readonly result: LoadResult; readonly output: string }> {
    const [code] = (await this.#exit) as [number];
    const text = await readFile(this.#file, 'utf8').catch(() => {
      throw new Error(`there is no result: ${this.#output}`);
    });
    return { code, result: parseResult(text, this.#file), output: this.#output };
  }
}
