import type { Config } from './config.ts';
import type { LogLines } from './fanout/log-lines.ts';
import { MemoryPresence } from './presence/memory-presence-store.ts';
import type { PresenceStore } from './presence/presence-store.ts';
import type { RedisLink } from './redis/redis-link.ts';
import type { PresenceStoreFigures } from './redis/redis-presence-store.ts';

/** Milliseconds for which this process is taken to live without having said so, where nobody else asks. */
const LEASE_MS = 10_000;
/** Users who are offline whose last time is remembered. */
const LAST_SEEN_MAX = 100_000;
/** Of a lease: it is renewed after a fifth, so that one that is late doesn't lose it; and not relied on behind four. */
const RENEWALS_PER_LEASE = 5;

/** The presence that a process serves. */
export interface OpenPresence {
  readonly store: PresenceStore;
  /** What presence in Redis has to tell beside; null: it is in memory. */
  readonly figures: (() => PresenceStoreFigures) | null;
}

/** Presence where the settings want it: in Redis if there is a link to it, else in this process's memory. */
export async function openPresence(config: Config, link: RedisLink | null, logger: LogLines): Promise<OpenPresence> {
  if (link !== null) {
    const { RedisPresenceStore } = await import('./redis/redis-presence-store.ts');
    const { PRESENCE_DEFAULTS } = await import('./redis/presence-settings.ts');
    const renewMs = config.presenceLeaseMs / RENEWALS_PER_LEASE;
    const settings = {
      ...PRESENCE_DEFAULTS,
      leaseMs: config.presenceLeaseMs,
      renewMs,
      fenceMs: config.presenceLeaseMs - renewMs,
      graceMs: config.graceMs,
      graceMsMax: Math.max(config.graceMs, PRESENCE_DEFAULTS.graceMsMax),
      returnsPerSecond: config.presenceReturns,
      healMs: config.presenceHealMs,
      reapPauseMs: config.presenceReapPauseMs,
      compareMs: config.presenceCompareMs,
      lastSeenMax: LAST_SEEN_MAX,
    };
    const store = new RedisPresenceStore(link, settings, logger);
    return { store, figures: () => store.figures };
  }
  const memory = new MemoryPresence({
    leaseMs: LEASE_MS,
    graceMs: config.graceMs,
    lastSeenMax: LAST_SEEN_MAX,
    // Each replica knows its own sessions alone.
    partial: config.kafkaBrokers.length > 0,
  });
  return { store: memory.replica(), figures: null };
}
