import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { stopDaemon } from '../../services/daemon.ts';
import { lastingPorts } from '../../services/ports.ts';
import { Redis } from '../../services/redis.ts';
import { randomName } from '../../src/random-name.ts';
import { loadPresenceScripts, type PresenceScripts } from '../../src/redis/presence-scripts.ts';
import { PRESENCE_DEFAULTS, type RedisPresenceSettings } from '../../src/redis/presence-settings.ts';
import { RedisLink } from '../../src/redis/redis-link.ts';
import { RedisPresenceStore } from '../../src/redis/redis-presence-store.ts';
import { REDIS_DEFAULTS } from '../../src/redis/redis-settings.ts';
import { ReplicaUnderTest } from '../contract/presence-store-fixture.ts';
import { CuttingProxy } from '../faults/cutting-proxy.ts';

const SILENT = { info() {}, warn() {}, error() {} };
const PATIENCE_MS = 15_000;
const POLL_MS = 10;

/** Short, so that tests need not wait; each as long as it must be for a machine that has other things to do. */
export const QUICK: RedisPresenceSettings = {
  ...PRESENCE_DEFAULTS,
  leaseMs: 500,
  renewMs: 100,
  fenceMs: 400,
  graceMs: 500,
  degradeAfterMs: 200,
  healMs: 400,
  reapPauseMs: 2_000,
};

/** One replica's store, with a way of its own to Redis. */
export interface StagedReplica {
  readonly replica: ReplicaUnderTest;
  readonly store: RedisPresenceStore;
  readonly link: RedisLink;
  readonly proxy: CuttingProxy;
}

export interface ReplicaOptions {
  readonly settings?: Partial<RedisPresenceSettings>;
  readonly scripts?: PresenceScripts;
}

/** A redis-server of a test's own, and replicas that share presence in it. */
export class PresenceStage {
  readonly port: number;
  readonly prefix = `test-${randomName(4, 'hex')}`;
  readonly #directory: string;
  readonly #replicas: StagedReplica[] = [];
  #redis: Redis;
  #ask: RedisLink | null = null;

  private constructor(directory: string, redis: Redis) {
    this.#directory = directory;
    this.#redis = redis;
    this.port = redis.port;
  }

  static async open(): Promise<PresenceStage> {
    const directory = await mkdtemp(join(tmpdir(), 'tidegate-redis-'));
    const [port = 0] = await lastingPorts(1);
    return new PresenceStage(directory, await Redis.start(directory, port));
  }

  get pid(): number {
    return this.#redis.daemon.pid;
  }

  async replica({ settings = {}, scripts = loadPresenceScripts() }: ReplicaOptions = {}): Promise<StagedReplica> {
    const proxy = await CuttingProxy.open(this.port);
    const link = this.#link(proxy.port);
    await link.open();
    const store = new RedisPresenceStore(link, { ...QUICK, ...settings }, SILENT, scripts);
    const replica = new ReplicaUnderTest(store);
    await store.open(replica);
    const staged = { replica, store, link, proxy };
    this.#replicas.push(staged);
    return staged;
  }

  /** Runs a command at Redis, as an operator would. */
  async ask(command: string, ...args: readonly (string | number)[]): Promise<unknown> {
    if (this.#ask === null) {
      this.#ask = this.#link(this.port);
      await this.#ask.open();
    }
    return this.#ask.call(command, ...args);
  }

  /** Of the stage's keys. */
  async keys(): Promise<string[]> {
    return (await this.ask('KEYS', `{${this.prefix}}:*`)) as string[];
  }

  key(...parts: readonly string[]): string {
    return [`{${this.prefix}}`, ...parts].join(':');
  }

  /** Redis is gone, with all that it held. */
  async killRedis(): Promise<void> {
    this.#ask?.close();
    this.#ask = null;
    await stopDaemon(this.#redis.daemon, 0);
  }

  async startRedis(): Promise<void> {
    this.#redis = await Redis.start(this.#directory, this.port);
  }

  async close(): Promise<void> {
    this.#ask?.close();
    for (const { store, link, proxy } of this.#replicas) {
      await store.close();
      link.close();
      await proxy.close();
    }
    await stopDaemon(this.#redis.daemon, 0);
    await rm(this.#directory, { recursive: true, force: true });
  }

  #link(port: number): RedisLink {
    const settings = { ...REDIS_DEFAULTS, commandTimeoutMs: 200, reconnectMsMax: 100, retryMs: 100 };
    return new RedisLink({ ...settings, url: `redis://127.0.0.1:${port}`, prefix: this.prefix, node: 'test' }, SILENT);
  }
}

/** Resolves when it is so. @throws with what was expected, and how it is, when patience ends */
export async function untilIt<T>(what: string, look: () => Promise<T> | T, isSo: (found: T) => boolean): Promise<T> {
  const deadlineMs = performance.now() + PATIENCE_MS;
  for (;;) {
    const found = await look();
    if (isSo(found)) return found;
    if (performance.now() > deadlineMs) throw new Error(`waited in vain for ${what}: ${JSON.stringify(found)}`);
    await delay(POLL_MS);
  }
}
