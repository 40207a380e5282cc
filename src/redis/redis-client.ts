import { Redis } from 'ioredis';
import type { RedisSettings } from './redis-settings.ts';

const PORT = 6_379;
/** Milliseconds for the other side to end a connection that we have ended; then it is gone all the same. */
const DISCONNECT_MS = 100;

/**
 * A client of ioredis' that does nothing behind our back: what can't be sent now fails now, what was sent fails as soon
 * as the connection is gone and is not sent again, and no subscription is made anew that we don't know of.
 */
export function createRedis(settings: RedisSettings, role: 'commands' | 'subscriber'): Redis {
  const { url, sentinels, node, connectTimeoutMs, reconnectMsMax, silenceMs } = settings;
  const { protocol, hostname, port, username, password } = new URL(url);
  const tls = protocol === 'rediss:' ? settings.tls : undefined;
  return new Redis({
    host: hostname.replace(/^\[(.*)\]$/, '$1'),
    port: port === '' ? PORT : Number(port),
    ...(username !== '' && { username: decodeURIComponent(username) }),
    ...(password !== '' && { password: decodeURIComponent(password) }),
    ...(tls !== undefined && { tls }),
    ...(sentinels !== null && {
      name: sentinels.name,
      sentinels: [...sentinels.addresses],
      ...(sentinels.user !== null && { sentinelUsername: sentinels.user }),
      ...(sentinels.password !== null && { sentinelPassword: sentinels.password }),
      ...(tls !== undefined && { sentinelTLS: tls, enableTLSForSentinelMode: true }),
      sentinelRetryStrategy: () => reconnectMsMax,
      // One that hangs would hold up the way to the others.
      sentinelCommandTimeout: connectTimeoutMs,
      // Those that were named are asked: what they call each other may not be theirs from here.
      updateSentinels: false,
    }),
    connectionName: `tidegate-${node}-${role}`.replace(/[^\w.:-]/g, '_'),
    disableClientInfo: true,
    lazyConnect: true,
    enableOfflineQueue: false,
    autoResendUnfulfilledCommands: false,
    autoResubscribe: false,
    // With 1, what is under way when a connection is lost fails with the second attempt to connect, or never.
    maxRetriesPerRequest: 0,
    // It bounds what is said in order to connect as well; there is no timeout of commands, which RedisConnection has.
    socketTimeout: silenceMs,
    connectTimeout: connectTimeoutMs,
    disconnectTimeout: DISCONNECT_MS,
    // What a server must be like is for redis-server.ts to say.
    enableReadyCheck: false,
    retryStrategy: () => Math.round(reconnectMsMax * (0.5 + Math.random() / 2)),
    // What was a primary is one no more: connect anew, and leave it to the caller to ask again. Redis 6 says it in the
    // midst of what it says of a script.
    reconnectOnError: ({ message }) => (/\bREADONLY\b/.test(message) ? 1 : false),
  });
}

/** The database that the URL names. */
export function databaseOf(url: string): number {
  return Number(new URL(url).pathname.slice(1));
}
