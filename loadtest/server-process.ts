import { mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { startNode, stop } from './children.ts';
import type { Contender } from './contender.ts';

const READY_MS_MAX = 20_000;
const STOP_GRACE_MS = 5_000;
/** What a server that fails says last is shown, this much of it. */
const OUTPUT_CHARACTERS = 2_000;

export interface RunningServer {
  readonly pid: number;
  /** The port that the contender's clients use. */
  readonly port: number;
  /** All of its public ports. */
  readonly ports: { readonly http?: number; readonly tcp?: number };
  /** Of tidegate: where its metrics are; 0 of others. */
  readonly internalPort: number;
  /** What it said last. */
  output(): string;
  /** Resolves with its exit code when it has ended, or null where a signal has ended it. */
  readonly exited: Promise<number | null>;
  /** Stops the server and removes what it stored. */
  stop(): Promise<void>;
}

/** How a server is to run beyond what all have in common. */
export interface ServerExtras {
  /** For node itself. */
  readonly nodeOptions?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

/**
 * For speed: the limits per session are off, since a few sessions publish what in life comes from many; durability and
 * everything else stay as they are by default.
 */
export const WITHOUT_LIMITS: ServerExtras = {
  env: { TIDEGATE_LIMIT_COMMANDS: '0', TIDEGATE_LIMIT_PUBLISHES: '0', TIDEGATE_LIMIT_BYTES: '0' },
};

interface ReadyMessage {
  readonly pid: number;
  readonly http?: number;
  readonly tcp?: number;
  readonly internal?: number;
}

/** Starts a server on these cores, with an empty data directory inside `directory`, and waits until it serves. */
export async function startServer(
  contender: Contender,
  cores: readonly number[],
  directory: string,
  { nodeOptions = [], env = {} }: ServerExtras = {},
): Promise<RunningServer> {
  const data = await mkdtemp(join(directory, 'data-'));
  const child = startNode(cores, [...nodeOptions, fileURLToPath(new URL(contender.script, import.meta.url))], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...settings(data), ...contender.env, ...env },
  });
  const exited = new Promise<number | null>((resolve) => child.once('exit', resolve));
  const stopAll = async (): Promise<void> => {
    await stop(child, STOP_GRACE_MS);
    await rm(data, { recursive: true, force: true });
  };
  let output = '';
  const remember = (text: string): void => {
    output = (output + text).slice(-OUTPUT_CHARACTERS);
  };
  child.stderr?.setEncoding('utf8').on('data', remember);
  const ready = new Promise<ReadyMessage>((resolve, reject) => {
    if (child.stdout === null) throw new Error('the server has no standard output');
    createInterface(child.stdout).on('line', (line) => {
      const message = readReady(line);
      if (message === undefined) remember(`${line}\n`);
      else resolve(message);
    });
    child.once('error', reject);
    child.once('exit', (code, signal) => reject(new Error(`it ended with ${code ?? signal}`)));
    setTimeout(() => reject(new Error(`not ready within ${READY_MS_MAX} ms`)), READY_MS_MAX).unref();
  });
  try {
    const { pid, internal = 0, ...ports } = await ready;
    const port = ports[contender.port];
    if (port === undefined) throw new Error('its ready line lacks a port');
    return { pid, port, ports, internalPort: internal, output: () => output, exited, stop: stopAll };
  } catch (error) {
    await stopAll();
    throw new Error(`${contender.name} did not start: ${(error as Error).message}\n${output}`);
  }
}

/**
 * Starts servers one after the other, and stops them all once `use` is done with them. Where something fails, what they
 * said last is told.
 */
export async function withServers<R>(
  starts: readonly (() => Promise<RunningServer>)[],
  use: (servers: readonly RunningServer[]) => Promise<R>,
): Promise<R> {
  const servers: RunningServer[] = [];
  try {
    for (const start of starts) servers.push(await start());
    return await use(servers);
  } catch (error) {
    const outputs = servers.map((server) => server.output());
    throw new Error([(error as Error).message, ...outputs].join('\n').trimEnd());
  } finally {
    await Promise.all(servers.map((server) => server.stop()));
  }
}

/** Free ports and an empty log. Those that aren't tidegate's look at the directory alone. */
function settings(data: string): Record<string, string> {
  return {
    TIDEGATE_HTTP_PORT: '0',
    TIDEGATE_TCP_PORT: '0',
    TIDEGATE_INTERNAL_PORT: '0',
    TIDEGATE_DATA_DIR: data,
    TIDEGATE_LOG_LEVEL: 'info',
  };
}

function readReady(line: string): ReadyMessage | undefined {
  if (!line.startsWith('{')) return undefined;
  const message = JSON.parse(line) as ReadyMessage & { readonly msg?: string };
  return message.msg === 'ready' ? message : undefined;
}
