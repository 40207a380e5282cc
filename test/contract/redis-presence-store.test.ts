import { describe } from 'vitest';
import { randomName } from '../../src/random-name.ts';
import { PRESENCE_DEFAULTS, type RedisPresenceSettings } from '../../src/redis/presence-settings.ts';
import { RedisLink, type Script } from '../../src/redis/redis-link.ts';
import { RedisPresenceStore } from '../../src/redis/redis-presence-store.ts';
import { REDIS_DEFAULTS } from '../../src/redis/redis-settings.ts';
import { RedisUnavailableError } from '../../src/redis/redis-unavailable-error.ts';
import { REDIS_URL } from '../services/test-services.ts';
import { describePresenceStore } from './presence-store.contract.ts';
import { type PresenceStoreUnderTest, ReplicaUnderTest } from './presence-store-fixture.ts';

const SILENT = { info() {}, warn() {}, error() {} };

const SETTINGS: RedisPresenceSettings = {
  ...PRESENCE_DEFAULTS,
  leaseMs: 300,
  renewMs: 60,
  fenceMs: 240,
  graceMs: 450,
};

describe.skipIf(REDIS_URL === undefined)('with Redis', () => {
  describePresenceStore('presence in Redis', async () => openRedis(REDIS_URL ?? ''), { modelRuns: 1 });
});

/** A link of a process that can be stopped: what it has asked for when it was is not answered. */
class SleepyLink extends RedisLink {
  #wake: (() => void) | null = null;
  #sleep: Promise<void> | null = null;

  sleep(): void {
    this.#sleep = new Promise((resolve) => {
      this.#wake = resolve;
    });
  }

  async wake(): Promise<void> {
    this.#wake?.();
    this.#sleep = null;
    await new Promise((resolve) => setImmediate(resolve));
  }

  override async run(script: Script, ...args: readonly (string | number | Buffer)[]): Promise<unknown> {
    if (this.#sleep === null) return super.run(script, ...args);
    await this.#sleep;
    throw new RedisUnavailableError('asleep');
  }
}

function openRedis(url: string): PresenceStoreUnderTest {
  const prefix = `test-${randomName(6, 'hex')}`;
  const links = new Map<ReplicaUnderTest, SleepyLink>();
  return {
    leaseMs: SETTINGS.leaseMs,
    graceMs: SETTINGS.graceMs,
    async replica() {
      const link = new SleepyLink({ ...REDIS_DEFAULTS, url, prefix, node: 'test', commandTimeoutMs: 5_000 }, SILENT);
      await link.open();
      const replica = new ReplicaUnderTest(new RedisPresenceStore(link, SETTINGS, SILENT));
      await replica.store.open(replica);
      links.set(replica, link);
      return replica;
    },
    async crash(replica) {
      links.get(replica)?.close();
    },
    async pause(replica) {
      links.get(replica)?.sleep();
    },
    async resume(replica) {
      await links.get(replica)?.wake();
    },
    async advance(ms) {
      await new Promise((resolve) => setTimeout(resolve, ms));
    },
    async settle() {
      // Whose connection is closed hears no more.
      for (const link of links.values()) await link.heard().catch(() => {});
    },
    async dispose() {
      for (const [replica, link] of links) {
        await link.wake();
        await replica.store.close();
        link.close();
      }
      const link = new RedisLink({ ...REDIS_DEFAULTS, url, prefix, node: 'test' }, SILENT);
      await link.open();
      const keys = (await link.call('KEYS', link.key('*'))) as string[];
      if (keys.length > 0) await link.call('DEL', ...keys);
      link.close();
    },
  };
}
