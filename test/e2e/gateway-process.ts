import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { KAFKA_BROKERS, REDIS_URL } from '../services/test-services.ts';
import { Cluster } from './cluster.ts';
import { type GatewayProcess, MAIN, Replica } from './replica.ts';
import { REPLICAS } from './replica-count.ts';

export type { GatewayProcess, Ports } from './replica.ts';

/** The WebSocket library that gateways are started with; the suites run on each. */
export const ENGINE = process.env.TIDEGATE_TEST_WS_ENGINE ?? 'uws';

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
export async function startGateway(
  directory: string,
  { env = {}, prefix = [] }: StartOptions = {},
): Promise<GatewayProcess> {
  const engine = { TIDEGATE_WS_ENGINE: ENGINE };
  if (REPLICAS > 1) {
    const shared = { brokers: KAFKA_BROKERS ?? '', redisUrl: REDIS_URL ?? '' };
    return Cluster.start({ count: REPLICAS, ...shared, directory, env: { ...engine, ...env }, prefix });
  }
  const ports = { TIDEGATE_HTTP_PORT: '0', TIDEGATE_TCP_PORT: '0', TIDEGATE_INTERNAL_PORT: '0' };
  return Replica.start({ ...ports, TIDEGATE_DATA_DIR: directory, ...engine, ...env }, prefix);
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
