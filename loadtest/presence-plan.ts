import type { Quantiles } from './latency-histogram.ts';
import type { Usage, UsageTarget } from './load-plan.ts';
import type { SimulatedSession } from './presence-scheme.ts';

/** What the bench tells the load process of presence, and what comes back. All of it is plain JSON. */

/** Ways to keep presence in Redis: a lease a replica, as tidegate does, or a time to live a session. */
export type SchemeName = 'leases' | 'ttls';

export interface PresencePlan extends UsageTarget {
  /** Of each scheme two Redis servers, one for few sessions and one for many. */
  readonly urls: Readonly<Record<SchemeName, { readonly few: string; readonly many: string }>>;
  readonly size: PresenceSize;
  readonly pace: PresencePace;
}

export interface PresenceSize {
  readonly replicas: number;
  /** Over all replicas. */
  readonly sessionsFew: number;
  readonly sessionsMany: number;
  /** Of the replica that crashes, beside those. */
  readonly sessionsCrashed: number;
  readonly sessionsPerRoom: number;
}

/** All in milliseconds, but `probesPerSecond`. */
export interface PresencePace {
  /** Of the scheme with a time to live each: it lives so long, and is set anew after `heartbeatMs` ± 20 %. */
  readonly ttlMs: number;
  readonly heartbeatMs: number;
  /** What tidegate's own times are divided by: 1, or more for a look. */
  readonly haste: number;
  readonly emptyMs: number;
  readonly settleMs: number;
  readonly idleMs: number;
  /** For how long the other client is measured before anything is purged. */
  readonly beforeMs: number;
  /** Of each kind of command. */
  readonly probesPerSecond: number;
}

export interface PresenceResult {
  readonly kind: 'done';
  readonly schemes: Readonly<Record<SchemeName, SchemeFigures>>;
  /** Of the Redis server that nobody uses yet, share of a core. */
  readonly emptyCpu: number;
  /** While nobody does anything; the server is tidegate's Redis with many sessions. */
  readonly idleUsage: Usage;
}

export interface SchemeFigures {
  readonly few: IdleFigures;
  readonly many: IdleFigures;
  readonly joins: JoinFigures;
  readonly memory: MemoryFigures;
  readonly purge: PurgeFigures;
}

export interface IdleFigures {
  readonly sessions: number;
  readonly seconds: number;
  /** Of sessions, or of leases with what is compared meanwhile: a script is one command. */
  readonly heartbeatsPerSecond: number;
  /** All that replicas send: a replica of tidegate also publishes, to see whether it is heard. */
  readonly sentPerSecond: number;
  /** As Redis counts, with those that scripts run. */
  readonly commandsPerSecond: number;
  readonly redisCpu: number;
}

export interface JoinFigures {
  readonly sessions: number;
  readonly seconds: number;
  /** Of Redis, a session. */
  readonly redisUs: number;
  readonly redisCpu: number;
  /** Of the load, with its replicas, a core being 1. */
  readonly loadCpu: number;
}

/** What Redis has grown by since it had no session, by session. */
export interface MemoryFigures {
  readonly bytes: number;
  /** Of that what Redis counts as its own: tables of keys, connections, scripts. */
  readonly overheadBytes: number;
}

export interface PurgeFigures {
  readonly sessions: number;
  /** From the crash until nothing of it was left. */
  readonly crashToGoneMs: number;
  /** The same from when the last of it could be removed: its grace had passed, or its time to live was over. */
  readonly dueToGoneMs: number;
  readonly redisCpu: number;
  readonly before: ProbeFigures;
  readonly meanwhile: ProbeFigures;
}

/** What another client of the same Redis sees, from when each command was due. */
export interface ProbeFigures {
  /** A session's status is set. */
  readonly writes: Quantiles;
  /** Who is in a room is asked for. */
  readonly reads: Quantiles;
  readonly count: number;
  /** Answered with an error, or not at all. */
  readonly failed: number;
  /** How late commands were sent: the client's own part. */
  readonly latenessP99Ms: number;
}

export interface ProbePlan {
  readonly scheme: SchemeName;
  readonly url: string;
  readonly pace: PresencePace;
  /** Its own, whose statuses it sets. */
  readonly sessions: readonly SimulatedSession[];
  readonly rooms: readonly string[];
}

/** What the thread of the other client is told. */
export type ProbeOrder = 'clear' | 'report' | 'stop';

/** What it says. */
export type ProbeMessage =
  | { readonly kind: 'ready' }
  | { readonly kind: 'stopped' }
  | { readonly kind: 'report'; readonly figures: ProbeFigures }
  | { readonly kind: 'failed'; readonly reason: string };
