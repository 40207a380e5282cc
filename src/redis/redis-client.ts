import { Redis } from 'ioredis';
import type { RedisSettings } from './redis-settings.ts';

/**
 * A connection that does nothing behind our back: what can't be sent now fails now, what was sent and not answered is not
 * sent again, and no subscription is made anew that we don't know of.
 */
export function createRedis(settings: RedisSettings, role: 'commands' | 'subscriber'): Redis {
  const { url, sentinels, tls, node, commandTimeoutMs, connectTimeoutMs, reconnectMsMax } = settings;
  const { protocol, hostname, port, username, password, pathname } = new URL(url);
  return new Redis({
    host: hostname.replace(/^\[(.*)\]$/, '$1'),
    port: port === '' ? 6_379 : Number(port),
    db: Number(pathname.slice(1)),
    ...(username !== '' && { username: decodeURIComponent(username) }),
    ...(password !== '' && { password: decodeURIComponent(password) }),
    ...(protocol === 'rediss:' && { tls }),
    ...(sentinels !== null && {
      name: sentinels.name,
      sentinels: [...sentinels.addresses],
      sentinelRetryStrategy: () => reconnectMsMax,
    }),
    connectionName: `tidegate-${node}-${role}`.replace(/[^\w.:-]/g, '_'),
    lazyConnect: true,
    enableOfflineQueue: false,
    autoResendUnfulfilledCommands: false,
    autoResubscribe: false,
    maxRetriesPerRequest: 1,
    commandTimeout: commandTimeoutMs,
    connectTimeout: connectTimeoutMs,
    retryStrategy: () => Math.round(reconnectMsMax * (0.5 + Math.random() / 2)),
    // What was a primary is one no more: connect anew, and leave it to the caller to ask again.
    reconnectOnError: ({ message }) => (message.startsWith('READONLY') ? 1 : false),
  });
}
