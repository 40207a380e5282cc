import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { Ports } from '../e2e/replica.ts';
import { eventually } from '../faults/load.ts';

const MAIN = fileURLToPath(new URL('../../cluster/main.ts', import.meta.url));

export interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A line of `status`, of a replica or HAProxy. */
interface Listed {
  readonly pid: number;
  readonly isReady: boolean;
  readonly line: string;
}

/** `npm run cluster` with a directory of its own, and with what is built already. */
export class ClusterCommand {
  readonly #directory: string;
  readonly #env: Readonly<Record<string, string | undefined>>;
  #up: ChildProcess | null = null;
  /** Of `up`, so far. */
  readonly lines: string[] = [];

  constructor(directory: string, settings: Readonly<Record<string, string>> = {}) {
    this.#directory = directory;
    const { PATH, HOME } = process.env;
    this.#env = { PATH, HOME, ...settings };
  }

  /** Begins, and goes on until it is stopped. */
  up(args: readonly string[]): void {
    this.#up = this.#spawn(['up', '--http-port', '0', '--tcp-port', '0', ...args]);
    for (const stream of [this.#up.stdout, this.#up.stderr]) {
      if (stream !== null) createInterface({ input: stream }).on('line', (line) => this.lines.push(line));
    }
  }

  /** Resolves with the line, once there is one. @throws if `up` has ended before */
  async said(pattern: RegExp): Promise<string> {
    const find = () => this.lines.find((line) => pattern.test(line));
    await eventually(`a line as ${pattern}`, () => {
      if (find() === undefined && this.hasEnded) throw new Error(`it has ended: ${this.lines.join('\n')}`);
      return find() !== undefined;
    });
    return find() as string;
  }

  /** Where clients go; `internal` is a replica's. */
  async ports(): Promise<Ports> {
    const portOf = async (pattern: RegExp) => Number(pattern.exec(await this.said(pattern))?.[1]);
    return {
      internal: await portOf(/metrics +http:\/\/localhost:(\d+)\//),
      http: await portOf(/page +http:\/\/localhost:(\d+)\//),
      tcp: await portOf(/netcat +nc localhost (\d+)$/),
    };
  }

  /** Runs another one of the commands to its end. */
  async run(...args: readonly string[]): Promise<Ended> {
    const child = this.#spawn(args);
    let stdout = '';
    let stderr = '';
    child.stdout?.on('data', (chunk: Buffer) => {
      stdout += chunk.toString();
    });
    child.stderr?.on('data', (chunk: Buffer) => {
      stderr += chunk.toString();
    });
    const [code] = (await once(child, 'close')) as [number | null];
    return { code, stdout, stderr };
  }

  /** Everything that `status` lists, by name. */
  async list(): Promise<ReadonlyMap<string, Listed>> {
    const { stdout } = await this.run('status');
    const lines = stdout.trimEnd().split('\n');
    return new Map(
      lines.map((line) => {
        const [, name = '', state] = /^(\w+(?:-| )?\d?) +(ready|away) /.exec(line) ?? [];
        return [name.trim(), { pid: Number(/pid (\d+)/.exec(line)?.[1]), isReady: state === 'ready', line }];
      }),
    );
  }

  get hasEnded(): boolean {
    return this.#up === null || this.#up.exitCode !== null || this.#up.signalCode !== null;
  }

  /** Ends `up`, and resolves with its exit code. */
  async end(signal: NodeJS.Signals): Promise<number | null> {
    if (this.#up === null) throw new Error('it was not started');
    if (!this.hasEnded) {
      const exit = once(this.#up, 'exit');
      this.#up.kill(signal);
      await exit;
    }
    return this.#up.exitCode;
  }

  #spawn(args: readonly string[]): ChildProcess {
    const all = [MAIN, ...args, '--no-build', '--directory', this.#directory];
    return spawn(process.execPath, all, { env: this.#env, stdio: ['ignore', 'pipe', 'pipe'] });
  }
}
