import type { PresenceScripts } from './presence-scripts.ts';
import type { RedisPresenceSettings } from './presence-settings.ts';
import type { RedisLink } from './redis-link.ts';

/** Leases whose place another has taken, and of which what they held is still to be dropped; the reaper finds others. */
const FORMERS_MAX = 16;

/** What is to be done, as the last renewal has found. */
export interface Due {
  /** Milliseconds from then on until the grace of some lease is over; 0: it is. */
  readonly reapMs: number;
  readonly sweep: boolean;
}

/**
 * One replica's lease. Where Redis has lost it, or something else, another one is taken, and what was held under the
 * former ones is to be said anew under it: see `isSaid`.
 */
export class PresenceLease {
  readonly #link: RedisLink;
  readonly #scripts: PresenceScripts;
  readonly #settings: RedisPresenceSettings;
  /** Names this replica's process, for what is said to it alone. */
  readonly #boot: string;
  #id = '';
  #generation = '';
  #formers: string[] = [];
  #isSaid = false;
  #writes = 0;
  #due: Due = { reapMs: Number.POSITIVE_INFINITY, sweep: false };
  #healingMs = 0;
  #renewing: Promise<void> | null = null;
  /** On the monotonic clock: when the renewal was sent that succeeded last, and the first one that has failed since. */
  #renewedMs = Number.NEGATIVE_INFINITY;
  #failingSinceMs: number | null = null;
  #failures = 0;
  /** Leases taken so far. */
  taken = 0;

  constructor(link: RedisLink, scripts: PresenceScripts, settings: RedisPresenceSettings, boot: string) {
    this.#link = link;
    this.#scripts = scripts;
    this.#settings = settings;
    this.#boot = boot;
  }

  get id(): string {
    return this.#id;
  }

  get generation(): string {
    return this.#generation;
  }

  /** Those of before, under which something may still be held. */
  get formers(): readonly string[] {
    return this.#formers;
  }

  /** All that is so on the replica has been said under this lease. */
  get isSaid(): boolean {
    return this.#isSaid;
  }

  get due(): Due {
    return this.#due;
  }

  /** So many milliseconds after the last renewal all replicas have said what is so on them, and what is read is all. */
  get healingMs(): number {
    return this.#healingMs;
  }

  /** It may have lapsed, by this replica's own clock: nothing is to be written under it before it was renewed. */
  get isFenced(): boolean {
    return performance.now() - this.#renewedMs > this.#settings.fenceMs;
  }

  /** For so many milliseconds it could not be renewed; 0: the last time it could. */
  get failingMs(): number {
    return this.#failingSinceMs === null ? 0 : performance.now() - this.#failingSinceMs;
  }

  /** Not only once: a replica that was paused has had no time to hear the answer. */
  get isFailing(): boolean {
    return this.#failures > 1 && (this.failingMs >= this.#settings.degradeAfterMs || this.isFenced);
  }

  /** What the scripts that write need: lifetime of keys, users remembered, generation, lease and the write's number. */
  head(): readonly (string | number)[] {
    this.#writes += 1;
    return [...this.tail(), this.#generation, this.#id, this.#writes];
  }

  tail(): readonly (string | number)[] {
    return [this.#settings.keyTtlMs, this.#settings.lastSeenMax];
  }

  /** Renews it, or takes another one. @throws RedisUnavailableError */
  renew(versionFloor: number): Promise<void> {
    this.#renewing ??= this.#renew(versionFloor).finally(() => {
      this.#renewing = null;
    });
    return this.#renewing;
  }

  /** It is not to be used any more: the next renewal takes another one. */
  drop(): void {
    if (this.#id !== '') this.#formers = [...this.#formers, this.#id].slice(-FORMERS_MAX);
    this.#id = '';
    this.#isSaid = false;
    this.#renewedMs = Number.NEGATIVE_INFINITY;
  }

  /** Everything has been said under this lease, and what its formers held is dropped. False: it was dropped itself. */
  said(id: string): boolean {
    if (id !== this.#id) return false;
    this.#isSaid = true;
    this.#formers = [];
    return true;
  }

  /** Gives it back. @throws RedisUnavailableError */
  async release(): Promise<void> {
    const id = this.#id;
    this.drop();
    if (id !== '') await this.#link.run(this.#scripts.release, id);
  }

  async #renew(versionFloor: number): Promise<void> {
    const { keyTtlMs, leaseMs, graceMs, healMs, reapPauseMs, sweepEveryMs } = this.#settings;
    const sentMs = performance.now();
    const former = this.#id;
    const known = [keyTtlMs, former, this.#generation, leaseMs, graceMs, versionFloor, Math.ceil(this.failingMs)];
    const sinceMs = Math.min(Math.ceil(sentMs - this.#renewedMs), Number.MAX_SAFE_INTEGER);
    const args = [...known, healMs, reapPauseMs, this.#boot, sweepEveryMs, sinceMs];
    let answer: unknown;
    try {
      answer = await this.#link.run(this.#scripts.lease, ...args);
    } catch (error) {
      this.#failingSinceMs ??= sentMs;
      this.#failures += 1;
      throw error;
    }
    const [outcome, id, generation, nowMs, healedMs, reapMs, isSweepDue] = answer as [
      string,
      string,
      string,
      string,
      string,
      string,
      number,
    ];
    // It was dropped meanwhile: what was renewed is one of the former ones.
    if (outcome === 'renewed' && this.#id !== id) return this.#renew(versionFloor);
    if (outcome === 'taken') {
      this.drop();
      this.#id = id;
      this.taken += 1;
    }
    this.#generation = generation;
    this.#renewedMs = sentMs;
    this.#failingSinceMs = null;
    this.#failures = 0;
    this.#due = { reapMs: Number(reapMs), sweep: isSweepDue === 1 };
    this.#healingMs = Number(healedMs) - Number(nowMs);
  }
}
