import { performance } from 'node:perf_hooks';
import { Redis } from 'ioredis';

/** What a Redis server tells of itself. */
export interface RedisReading {
  readonly atMs: number;
  /** Processed since it started, those that scripts run included. */
  readonly commands: number;
  /** Of those, scripts; and what was published. */
  readonly scripts: number;
  readonly published: number;
  /** Used by it since it started, all threads, user and kernel. */
  readonly cpuSeconds: number;
  readonly usedBytes: number;
  /** Of those what it counts as its own: tables of keys, connections, scripts. */
  readonly overheadBytes: number;
  /** Removed since it started because their time was over. */
  readonly expiredKeys: number;
}

/** A connection by which a Redis server is asked about itself. */
export class RedisReadings {
  readonly #redis: Redis;

  private constructor(redis: Redis) {
    this.#redis = redis;
  }

  static async open(url: string): Promise<RedisReadings> {
    const redis = new Redis(url, { lazyConnect: true });
    await redis.connect();
    return new RedisReadings(redis);
  }

  async read(): Promise<RedisReading> {
    const info = await this.#redis.info('all');
    const field = (name: string): number => Number(new RegExp(`^${name}:(\\S+)`, 'm').exec(info)?.[1]);
    const calls = (name: string): number =>
      Number(new RegExp(`^cmdstat_${name}:calls=(\\d+)`, 'm').exec(info)?.[1] ?? 0);
    return {
      atMs: performance.now(),
      commands: field('total_commands_processed'),
      scripts: calls('eval') + calls('evalsha'),
      published: calls('publish'),
      cpuSeconds: field('used_cpu_user') + field('used_cpu_sys'),
      usedBytes: field('used_memory'),
      overheadBytes: field('used_memory_overhead'),
      expiredKeys: field('expired_keys'),
    };
  }

  /** Of a sorted set. */
  members(key: string): Promise<string[]> {
    return this.#redis.zrange(key, '0', '-1');
  }

  /** Undefined where it is not in the sorted set. */
  async score(key: string, member: string): Promise<number | undefined> {
    const score = await this.#redis.zscore(key, member);
    return score === null ? undefined : Number(score);
  }

  close(): void {
    this.#redis.disconnect();
  }
}

/** Share of a core that the server used between two readings. */
export function redisCpu(before: RedisReading, after: RedisReading): number {
  return (after.cpuSeconds - before.cpuSeconds) / ((after.atMs - before.atMs) / 1000);
}
