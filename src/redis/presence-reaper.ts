import { setTimeout as sleep } from 'node:timers/promises';
import type { PresenceLease } from './presence-lease.ts';
import type { PresenceScripts } from './presence-scripts.ts';
import type { RedisPresenceSettings } from './presence-settings.ts';
import type { RedisLink, Script } from './redis-link.ts';

/** For which one replica reaps or sweeps alone, since its last step. */
const LOCK_MS = 2_000;

/** Between two steps at most: on a busy machine a step takes this process much longer than Redis. */
const PAUSE_MS_MAX = 10;

/**
 * Drops what dead leases held, and looks for what no lease holds: in small steps, with as long a pause behind each as it
 * took, so that others find Redis free for half of the time at least.
 */
export class PresenceReaper {
  readonly #link: RedisLink;
  readonly #scripts: PresenceScripts;
  readonly #settings: RedisPresenceSettings;
  readonly #lease: PresenceLease;
  /** It has ended before all was done that it may do. */
  hasMore = false;
  reapedUsers = 0;
  sweptUsers = 0;

  constructor(link: RedisLink, scripts: PresenceScripts, settings: RedisPresenceSettings, lease: PresenceLease) {
    this.#link = link;
    this.#scripts = scripts;
    this.#settings = settings;
    this.#lease = lease;
  }

  /** Does what is due, as far as it may. @throws RedisUnavailableError */
  async work(): Promise<void> {
    const { leaseMs, renewMs, graceMs, graceMsMax, returnsPerSecond, reapChunk, sweepEveryMs } = this.#settings;
    this.hasMore = false;
    // The lease is renewed in between.
    const untilMs = performance.now() + renewMs;
    const graces = [leaseMs, graceMs, graceMsMax, returnsPerSecond];
    if (this.#lease.due.reapMs === 0) {
      await this.#step(this.#scripts.reap, [...graces, reapChunk, LOCK_MS], untilMs, (users) => {
        this.reapedUsers += users;
      });
    }
    if (this.#lease.due.sweep) {
      await this.#step(this.#scripts.sweep, [reapChunk, LOCK_MS, sweepEveryMs], untilMs, (users) => {
        this.sweptUsers += users;
      });
    }
  }

  /** Goes on while there is more, and says of how many users each step was. */
  async #step(
    script: Script,
    args: readonly number[],
    untilMs: number,
    onUsers: (users: number) => void,
  ): Promise<void> {
    for (;;) {
      const startedMs = performance.now();
      const { generation, id } = this.#lease;
      const answer = await this.#link.run(script, ...this.#lease.tail(), generation, id, ...args);
      const [outcome, users] = answer as [string, number];
      onUsers(users);
      if (outcome !== 'more') return;
      if (performance.now() > untilMs) {
        this.hasMore = true;
        return;
      }
      await sleep(Math.min(performance.now() - startedMs, PAUSE_MS_MAX));
    }
  }
}
