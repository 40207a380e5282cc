import type { ConnectionOptions } from 'node:tls';

/** Where Redis is, and how long it is waited for. Defaults in parentheses: see `REDIS_DEFAULTS`. */
export interface RedisSettings {
  /** `redis://` or `rediss://` with user, password, host, port and database; of a primary, or of what Sentinel leads to. */
  readonly url: string;
  /** Sentinels, and what they call the primary; null: the URL's host is the primary. */
  readonly sentinels: SentinelSettings | null;
  /** For `rediss://`. */
  readonly tls: ConnectionOptions;
  /** Of keys and channels, all in one slot: `{<prefix>}:…`. */
  readonly prefix: string;
  /** This replica, as `CLIENT LIST` shows it. */
  readonly node: string;
  /** Milliseconds for an answer (250); then a command counts as failed, though it may have taken effect. */
  readonly commandTimeoutMs: number;
  /** Milliseconds to connect (1,000). */
  readonly connectTimeoutMs: number;
  /** Milliseconds between two attempts to connect, at most (1,000); half of it and more at random. */
  readonly reconnectMsMax: number;
  /** Commands in a row that fail until no more are tried (5), and milliseconds until one is tried again (1,000). */
  readonly breakAfter: number;
  readonly retryMs: number;
  /** Commands without an answer (1,000); beyond, what may be lost is not sent. */
  readonly inFlightMax: number;
}

export interface SentinelSettings {
  readonly name: string;
  readonly addresses: readonly { readonly host: string; readonly port: number }[];
}

export const REDIS_DEFAULTS = {
  sentinels: null,
  tls: {},
  commandTimeoutMs: 250,
  connectTimeoutMs: 1_000,
  reconnectMsMax: 1_000,
  breakAfter: 5,
  retryMs: 1_000,
  inFlightMax: 1_000,
} as const satisfies Omit<RedisSettings, 'url' | 'prefix' | 'node'>;
