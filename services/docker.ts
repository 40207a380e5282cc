import { execFile } from 'node:child_process';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { HOST } from './ports.ts';

const ENGINE_MS_MAX = 10_000;
const READY_MS_MAX = 120_000;
const POLL_MS = 200;

/** What is started in a container where it can't be had natively. */
export interface Image {
  /** Of the container, the same each time. */
  readonly name: string;
  readonly image: string;
  /** On loopback, the same inside and outside. */
  readonly port: number;
  readonly env: Readonly<Record<string, string>>;
  readonly command: readonly string[];
  readonly isReady: () => Promise<boolean>;
}

export function redisImage(name: string, port: number, isReady: () => Promise<boolean>): Image {
  const command = ['redis-server', '--port', String(port), '--save', '', '--appendonly', 'no'];
  return { name, image: 'redis:7.4.2-alpine', port, env: {}, command, isReady };
}

export function kafkaImage(name: string, port: number, isReady: () => Promise<boolean>): Image {
  const env = {
    KAFKA_NODE_ID: '1',
    KAFKA_PROCESS_ROLES: 'broker,controller',
    KAFKA_CONTROLLER_QUORUM_VOTERS: '1@localhost:9093',
    KAFKA_LISTENERS: `PLAINTEXT://:${port},CONTROLLER://:9093`,
    KAFKA_ADVERTISED_LISTENERS: `PLAINTEXT://${HOST}:${port}`,
    KAFKA_LISTENER_SECURITY_PROTOCOL_MAP: 'PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT',
    KAFKA_CONTROLLER_LISTENER_NAMES: 'CONTROLLER',
    KAFKA_AUTO_CREATE_TOPICS_ENABLE: 'false',
    KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR: '1',
    KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS: '0',
  };
  return { name, image: 'apache/kafka:4.1.0', port, env, command: [], isReady };
}

/** Whether a Docker engine answers. */
export async function dockerAnswers(): Promise<boolean> {
  try {
    await docker(['version', '--format', '{{.Server.Version}}']);
    return true;
  } catch {
    return false;
  }
}

export async function isContainerRunning(name: string): Promise<boolean> {
  try {
    return (await docker(['inspect', '--format', '{{.State.Running}}', name])).trim() === 'true';
  } catch {
    return false;
  }
}

/** Starts a container and resolves when it is ready. @throws Error with its last lines if it isn't in time */
export async function startContainer({ name, image, port, env, command, isReady }: Image): Promise<void> {
  await removeContainer(name);
  const settings = Object.entries(env).flatMap(([key, value]) => ['--env', `${key}=${value}`]);
  const published = ['--publish', `${HOST}:${port}:${port}`];
  await docker(['run', '--detach', '--name', name, ...published, ...settings, image, ...command], READY_MS_MAX);
  const deadlineMs = performance.now() + READY_MS_MAX;
  while (!(await isReady())) {
    const hasEnded = !(await isContainerRunning(name));
    if (hasEnded || performance.now() > deadlineMs) {
      const what = hasEnded ? 'has ended' : `was not ready within ${READY_MS_MAX} ms`;
      throw new Error(`the container ${name} ${what}:\n${await docker(['logs', '--tail', '15', name])}`);
    }
    await delay(POLL_MS);
  }
}

/** Idempotent. */
export async function removeContainer(name: string): Promise<void> {
  await docker(['rm', '--force', name]).catch((error: unknown) => {
    if (!String((error as { stderr?: string }).stderr).includes('No such container')) throw error;
  });
}

async function docker(args: readonly string[], timeout = ENGINE_MS_MAX): Promise<string> {
  const { stdout } = await promisify(execFile)('docker', args, { timeout });
  return stdout;
}
