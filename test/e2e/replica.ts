import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

/** Another build can be tested, as one that nobody makes anew meanwhile. */
export const MAIN = process.env.TIDEGATE_TEST_MAIN ?? fileURLToPath(new URL('../../dist/main.js', import.meta.url));

export interface Ports {
  readonly http: number;
  readonly tcp: number;
  readonly internal: number;
}

/** A gateway as its users run it. */
export interface GatewayProcess {
  readonly pid: number;
  readonly ports: Ports;
  /** Lines of its standard output so far, parsed. */
  readonly logs: readonly Record<string, unknown>[];
  readonly exited: boolean;
  /** Sends the signal to the gateway itself (not to what it was started through) and waits for its end. */
  stop(signal?: NodeJS.Signals): Promise<number | null>;
}

/** One process. */
export class Replica implements GatewayProcess {
  readonly pid: number;
  readonly ports: Ports;
  readonly logs: readonly Record<string, unknown>[];
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess, pid: number, ports: Ports, logs: readonly Record<string, unknown>[]) {
    this.#child = child;
    this.pid = pid;
    this.ports = ports;
    this.logs = logs;
  }

  /**
   * Resolves when it is ready.
   *
   * @param prefix put before `node`, as `strace` and its options
   * @throws with its output if it ends before
   */
  static async start(env: Readonly<Record<string, string>>, prefix: readonly string[] = []): Promise<Replica> {
    const [command = '', ...args] = [...prefix, process.execPath, MAIN];
    const child = spawn(command, args, {
      env: { PATH: process.env.PATH, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const logs: Record<string, unknown>[] = [];
    let errors = '';
    child.stderr.on('data', (chunk: Buffer) => {
      errors += chunk.toString();
    });
    return new Promise((resolve, reject) => {
      const onExit = (code: number | null) => {
        reject(new Error(`the gateway ended with ${code} before it was ready: ${errors}${JSON.stringify(logs)}`));
      };
      child.once('exit', onExit);
      createInterface({ input: child.stdout }).on('line', (line) => {
        const entry = JSON.parse(line) as Record<string, unknown>;
        logs.push(entry);
        if (entry.msg !== 'ready') return;
        child.off('exit', onExit);
        const { pid, http, tcp, internal } = entry as unknown as Ports & { pid: number };
        resolve(new Replica(child, pid, { http, tcp, internal }, logs));
      });
    });
  }

  get exited(): boolean {
    return this.#child.exitCode !== null || this.#child.signalCode !== null;
  }

  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<number | null> {
    if (!this.exited) {
      const exit = once(this.#child, 'exit');
      process.kill(this.pid, signal);
      await exit;
    }
    return this.#child.exitCode;
  }
}
