import { mkdtemp } from 'node:fs/promises';
import { join } from 'node:path';
import { isRunning } from '../services/daemon.ts';
import { freePorts } from '../services/ports.ts';
import { Redis } from '../services/redis.ts';
import { killAtExit } from './children.ts';

/** A redis-server for as long as a part of the bench takes, and killed at the latest when this process exits. */
export class RedisServer {
  readonly #redis: Redis;
  readonly #untie: () => void;

  private constructor(redis: Redis) {
    this.#redis = redis;
    this.#untie = killAtExit({
      kill: (signal) => {
        if (isRunning(redis.daemon)) process.kill(redis.daemon.pid, signal);
      },
    });
  }

  /** Starts some, each empty and with a directory of its own inside `directory`, which is never removed here. */
  static async start(directory: string, count: number): Promise<RedisServer[]> {
    const ports = await freePorts(count);
    return Promise.all(
      ports.map(async (port) => new RedisServer(await Redis.start(await mkdtemp(join(directory, 'redis-')), port))),
    );
  }

  get pid(): number {
    return this.#redis.daemon.pid;
  }

  get url(): string {
    return this.#redis.url;
  }

  async stop(): Promise<void> {
    await this.#redis.stop();
    this.#untie();
  }
}
