import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

/** Another build can be tested, as one that nobody makes anew meanwhile. */
const MAIN = process.env.TIDEGATE_TEST_MAIN ?? fileURLToPath(new URL('../../dist/main.js', import.meta.url));

export interface Ports {
  readonly http: number;
  readonly tcp: number;
  readonly internal: number;
}

/** The WebSocket library that gateways are started with; the suites run on each. */
export const ENGINE = process.env.TIDEGATE_TEST_WS_ENGINE ?? 'uws';

/** A gateway in a process of its own, as its users run it. */
export class GatewayProcess {
  readonly pid: number;
  readonly ports: Ports;
  /** Lines of its standard output so far, parsed. */
  readonly logs: readonly Record<string, unknown>[];
  readonly #child: ChildProcess;

  constructor(child: ChildProcess, pid: number, ports: Ports, logs: readonly Record<string, unknown>[]) {
    this.#child = child;
    this.pid = pid;
    this.ports = ports;
    this.logs = logs;
  }

  get exited(): boolean {
    return this.#child.exitCode !== null || this.#child.signalCode !== null;
  }

  /** Sends the signal to the gateway itself (not to what it was started through) and waits for its end. */
  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<number | null> {
    if (!this.exited) {
      const exit = once(this.#child, 'exit');
      process.kill(this.pid, signal);
      await exit;
    }
    return this.#child.exitCode;
  }
}

/** Of a gateway whose clients may send as fast as they can. */
export const UNLIMITED = {
  TIDEGATE_LIMIT_COMMANDS: '0',
  TIDEGATE_LIMIT_PUBLISHES: '0',
  TIDEGATE_LIMIT_SIGNALS: '0',
  TIDEGATE_LIMIT_BYTES: '0',
};

export interface StartOptions {
  readonly env?: Readonly<Record<string, string>>;
  /** Put before `node`, as `strace` and its options. */
  readonly prefix?: readonly string[];
}

/** Starts a gateway on free ports and resolves when it is ready. @throws with its output if it ends before. */
export async function startGateway(directory: string, { env = {}, prefix = [] }: StartOptions = {}) {
  const [command = '', ...args] = [...prefix, process.execPath, MAIN];
  const child = spawn(command, args, {
    env: {
      PATH: process.env.PATH,
      TIDEGATE_HTTP_PORT: '0',
      TIDEGATE_TCP_PORT: '0',
      TIDEGATE_INTERNAL_PORT: '0',
      TIDEGATE_DATA_DIR: directory,
      TIDEGATE_WS_ENGINE: ENGINE,
      ...env,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const logs: Record<string, unknown>[] = [];
  let errors = '';
  child.stderr.on('data', (chunk: Buffer) => {
    errors += chunk.toString();
  });
  return new Promise<GatewayProcess>((resolve, reject) => {
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
      resolve(new GatewayProcess(child, pid, { http, tcp, internal }, logs));
    });
  });
}

/** Runs the command line to its end. */
export async function runTidegate(args: readonly string[], env: Readonly<Record<string, string>> = {}) {
  const child = spawn(process.execPath, [MAIN, ...args], { env: { PATH: process.env.PATH, ...env } });
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (chunk: Buffer) => {
    stdout += chunk.toString();
  });
  child.stderr.on('data', (chunk: Buffer) => {
    stderr += chunk.toString();
  });
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, stdout, stderr };
}

/** A directory of a test's own, and its removal. */
export async function temporaryDirectory(): Promise<{ path: string; remove(): Promise<void> }> {
  const path = await mkdtemp(join(tmpdir(), 'tidegate-test-'));
  return { path, remove: () => rm(path, { recursive: true, force: true }) };
}
