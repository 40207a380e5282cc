import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { type Daemon, isRunning, sizeOf, startDaemon, stopDaemon, untilReady } from '../../services/daemon.ts';
import { HOST, lastingPorts } from '../../services/ports.ts';
import { RedisLink } from '../../src/redis/redis-link.ts';
import { REDIS_DEFAULTS, type RedisSettings } from '../../src/redis/redis-settings.ts';
import { CuttingProxy } from '../faults/cutting-proxy.ts';

/** Times at which tests need not wait long. */
export const QUICK = {
  commandTimeoutMs: 200,
  connectTimeoutMs: 400,
  reconnectMsMax: 60,
  silenceMs: 600,
  probeMs: 100,
} as const;

/** A line that a link has said to its operator. */
export interface Line {
  readonly level: 'info' | 'warn' | 'error';
  readonly fields: object;
  readonly message: string;
}

/** A redis-server of a test's own, which comes back on the same port. */
export class RedisServer {
  readonly port: number;
  readonly #args: readonly string[];
  readonly #directory: string;
  #daemon: Daemon;

  private constructor(port: number, args: readonly string[], directory: string, daemon: Daemon) {
    this.port = port;
    this.#args = args;
    this.#directory = directory;
    this.#daemon = daemon;
  }

  /** @param args in addition; a later one of the same name counts */
  static async start(directory: string, args: readonly string[] = []): Promise<RedisServer> {
    const [port = 0] = await lastingPorts(1);
    return new RedisServer(port, args, directory, await startRedis(directory, port, args));
  }

  async restart(): Promise<void> {
    this.#daemon = await startRedis(this.#directory, this.port, this.#args);
  }

  async kill(): Promise<void> {
    this.resume();
    await stopDaemon(this.#daemon, 0);
  }

  /** It is there, and does nothing. */
  pause(): void {
    process.kill(this.#daemon.pid, 'SIGSTOP');
  }

  resume(): void {
    if (isRunning(this.#daemon)) process.kill(this.#daemon.pid, 'SIGCONT');
  }

  /** What an operator does. @param args of redis-cli, as user and password */
  async cli(command: readonly string[], args: readonly string[] = []): Promise<string> {
    const all = ['-h', HOST, '-p', String(this.port), '--no-auth-warning', ...args, ...command];
    return (await promisify(execFile)('redis-cli', all)).stdout.trimEnd();
  }
}

async function startRedis(directory: string, port: number, args: readonly string[]): Promise<Daemon> {
  const logFile = join(directory, `redis-${port}.log`);
  const before = sizeOf(logFile);
  const isTls = args.includes('--tls-cert-file');
  const options = [`--${isTls ? 'tls-port' : 'port'}`, String(port), ...(isTls ? ['--port', '0'] : [])];
  const fixed = ['--bind', HOST, '--dir', directory, '--save', '', '--appendonly', 'no'];
  const daemon = await startDaemon('redis-server', [...options, ...fixed, ...args], logFile);
  await untilReady('redis-server', daemon, logFile, 10_000, async () => {
    const said = (await readFile(logFile)).subarray(before).toString();
    return said.includes('Ready to accept connections') || said.includes('monitor master');
  });
  return daemon;
}

/** A Redis behind a proxy, and links to it. */
export class RedisStage {
  readonly directory: string;
  readonly server: RedisServer;
  readonly proxy: CuttingProxy;
  readonly #links: RedisLink[] = [];

  private constructor(directory: string, server: RedisServer, proxy: CuttingProxy) {
    this.directory = directory;
    this.server = server;
    this.proxy = proxy;
  }

  static async open(args: readonly string[] = []): Promise<RedisStage> {
    const directory = await mkdtemp(join(tmpdir(), 'tidegate-redis-'));
    const server = await RedisServer.start(directory, args);
    return new RedisStage(directory, server, await CuttingProxy.open(server.port));
  }

  get url(): string {
    return `redis://${HOST}:${this.proxy.port}`;
  }

  /** A link that was opened, and what it has said. */
  async link(settings: Partial<RedisSettings> = {}): Promise<{ link: RedisLink; lines: Line[] }> {
    const opened = createLink({ url: this.url, ...settings });
    this.#links.push(opened.link);
    await opened.link.open();
    return opened;
  }

  /** Ends the links, and what they have left. */
  async clear(): Promise<void> {
    for (const link of this.#links.splice(0)) link.close();
    await this.server.cli(['FLUSHALL']);
  }

  async close(): Promise<void> {
    for (const link of this.#links) link.close();
    await this.proxy.close();
    await this.server.kill();
    await rm(this.directory, { recursive: true, force: true });
  }
}

export function createLink(settings: Partial<RedisSettings> & Pick<RedisSettings, 'url'>) {
  const lines: Line[] = [];
  const say = (level: Line['level']) => (fields: object, message: string) => {
    lines.push({ level, fields, message });
  };
  const logger = { info: say('info'), warn: say('warn'), error: say('error') };
  const link = new RedisLink({ ...REDIS_DEFAULTS, ...QUICK, prefix: 'test', node: 'one', ...settings }, logger);
  return { link, lines };
}
