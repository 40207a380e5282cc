import type { SecureContextOptions } from 'node:tls';

/** Where Redis is, and how long it is waited for. Defaults in parentheses: see `REDIS_DEFAULTS`. */
export interface RedisSettings {
  /**
   * `redis://` or `rediss://` with user, password, host, port and database. Where there are Sentinels they say where the
   * primary is, and host and port are not used.
   */
  readonly url: string;
  /** null: the URL's host is the primary. */
  readonly sentinels: SentinelSettings | null;
  /** For `rediss://`: authorities, and a certificate of this process. Sentinels speak TLS as well then. */
  readonly tls: Pick<SecureContextOptions, 'ca' | 'cert' | 'key'>;
  /** Of keys and channels, all in one slot: `{<prefix>}:…`. */
  readonly prefix: string;
  /** This replica, as `CLIENT LIST` shows it; another one for each. */
  readonly node: string;
  /** Milliseconds for an answer (250); then a command counts as failed, though it may have taken effect. */
  readonly commandTimeoutMs: number;
  /** Milliseconds to connect (1,000). */
  readonly connectTimeoutMs: number;
  /** Milliseconds between two attempts to connect, at most (1,000); half of it and more at random. */
  readonly reconnectMsMax: number;
  /**
   * Milliseconds without a byte while an answer is due (2,000), until the connection counts as dead and is made anew; more
   * than `commandTimeoutMs`, and than `probeMs`.
   */
  readonly silenceMs: number;
  /** Commands in a row that have no answer in time until no more are sent (5). */
  readonly breakAfter: number;
  /**
   * Milliseconds between two looks whether Redis answers again where it did not (1,000); three times that between two
   * whether what is published is heard.
   */
  readonly probeMs: number;
  /** Commands without an answer (1,000); beyond, what may be lost is not sent. */
  readonly inFlightMax: number;
  /** The same (10,000), those that nobody waits for any more included; beyond, nothing is sent. */
  readonly unansweredMax: number;
}

export interface SentinelSettings {
  /** Of the primary. */
  readonly name: string;
  readonly addresses: readonly { readonly host: string; readonly port: number }[];
  readonly user: string | null;
  readonly password: string | null;
}

export const REDIS_DEFAULTS = {
  sentinels: null,
  tls: {},
  commandTimeoutMs: 250,
  connectTimeoutMs: 1_000,
  reconnectMsMax: 1_000,
  silenceMs: 2_000,
  breakAfter: 5,
  probeMs: 1_000,
  inFlightMax: 1_000,
  unansweredMax: 10_000,
} as const satisfies Omit<RedisSettings, 'url' | 'prefix' | 'node'>;

/** Where Redis is asked for, without what is secret in it. */
export function shownAddress({ url, sentinels }: RedisSettings): string {
  if (sentinels === null) return new URL(url).host;
  const addresses = sentinels.addresses.map(({ host, port }) => `${host}:${port}`);
  return `${sentinels.name} of ${addresses.join(', ')}`;
}
