import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis as Client } from 'ioredis';
import { freePorts } from '../../services/ports.ts';
import { Redis } from '../../services/redis.ts';
import { randomName } from '../../src/random-name.ts';
import { RedisLink } from '../../src/redis/redis-link.ts';
import { REDIS_DEFAULTS } from '../../src/redis/redis-settings.ts';

export const silent = { info() {}, warn() {}, error() {} };

/** What Redis held at some moment. */
export type Snapshot = readonly { readonly key: string; readonly bytes: Buffer; readonly ttlMs: number }[];

/** A Redis of a test's own, whose streams are trimmed to the entry nearly. */
export class HistoryStage {
  readonly client: Client;
  readonly #redis: Redis;
  readonly #directory: string;
  readonly #links: RedisLink[] = [];

  private constructor(redis: Redis, directory: string) {
    this.#redis = redis;
    this.#directory = directory;
    this.client = new Client(redis.url);
  }

  static async open(): Promise<HistoryStage> {
    const directory = await mkdtemp(join(tmpdir(), 'tidegate-redis-'));
    const [port = 0] = await freePorts(1);
    const redis = await Redis.start(directory, port, ['--stream-node-max-entries', '2']);
    return new HistoryStage(redis, directory);
  }

  get port(): number {
    return this.#redis.port;
  }

  /** It answers no more, or again. */
  signal(signal: 'SIGSTOP' | 'SIGCONT'): void {
    process.kill(this.#redis.daemon.pid, signal);
  }

  /** A link of a replica's, patient unless told otherwise: machines that run tests are busy. */
  async link(prefix = 'test', port = this.#redis.port, commandTimeoutMs = 3_000): Promise<RedisLink> {
    const url = `redis://127.0.0.1:${port}`;
    const settings = { ...REDIS_DEFAULTS, url, prefix, node: randomName(4, 'hex'), commandTimeoutMs };
    const link = new RedisLink(settings, silent);
    this.#links.push(link);
    await link.open();
    return link;
  }

  async snapshot(): Promise<Snapshot> {
    const keys = await this.client.keys('*');
    const dumps = keys.map(async (key) => {
      const [bytes, ttlMs] = await Promise.all([this.client.dumpBuffer(key), this.client.pttl(key)]);
      // It may be gone by then.
      return bytes === null ? [] : [{ key, bytes, ttlMs: Math.max(0, ttlMs) }];
    });
    return (await Promise.all(dumps)).flat();
  }

  /** As after a failover to a replica that had not heard of what came since. */
  async restore(snapshot: Snapshot): Promise<void> {
    await this.client.flushall();
    for (const entry of snapshot) await this.restoreKey(entry);
  }

  async restoreKey({ key, bytes, ttlMs }: Snapshot[number]): Promise<void> {
    await this.client.restore(key, ttlMs, bytes, 'REPLACE');
  }

  async close(): Promise<void> {
    this.client.disconnect();
    for (const link of this.#links) link.close();
    await this.#redis.stop();
    await rm(this.#directory, { recursive: true, force: true });
  }
}
