import type { Config } from './config.ts';
import type { LogLines } from './fanout/log-lines.ts';
import { readAuthorities, readIdentity } from './pem-file.ts';
import type { RedisLink } from './redis/redis-link.ts';
import type { RedisSettings } from './redis/redis-settings.ts';

/**
 * The way to the Redis that the settings name, where they name one. It need not be reachable yet.
 *
 * @throws ConfigError or RedisSetupError, in words for the operator
 */
export async function openRedis(config: Config, logger: LogLines): Promise<RedisLink | null> {
  const { redisUrl } = config;
  if (redisUrl === null) return null;
  // Who has no Redis does without its library as well.
  const { RedisLink: Link } = await import('./redis/redis-link.ts');
  const { REDIS_DEFAULTS } = await import('./redis/redis-settings.ts');
  const silenceMs = Math.max(REDIS_DEFAULTS.silenceMs, 2 * config.redisTimeoutMs);
  const link = new Link({ ...REDIS_DEFAULTS, ...redisSettings(config, redisUrl), silenceMs }, logger);
  await link.open();
  return link;
}

/** What `tidegate check` says of Redis. @throws ConfigError or RedisSetupError */
export async function describeRedis(config: Config): Promise<string> {
  const link = await openRedis(config, { info() {}, warn() {}, error() {} });
  if (link === null) return config.kafkaBrokers.length > 0 ? "each replica's own" : "this process's own";
  const { trouble } = link;
  link.close();
  if (trouble !== null) {
    const { RedisSetupError } = await import('./redis/redis-setup-error.ts');
    throw new RedisSetupError(trouble);
  }
  const { shownAddress } = await import('./redis/redis-settings.ts');
  return `in Redis, ${shownAddress(link.settings)}, keys {${config.prefix}}*: good`;
}

function redisSettings(config: Config, url: string) {
  const { redisSentinels, redisSentinelName, redisCa, redisCert, redisKey } = config;
  const sentinels: RedisSettings['sentinels'] =
    redisSentinelName === null
      ? null
      : {
          name: redisSentinelName,
          addresses: redisSentinels.map(addressOf),
          user: config.redisSentinelUser,
          password: config.redisSentinelPassword,
        };
  return {
    url,
    sentinels,
    tls: {
      ...(redisCa !== null && { ca: readAuthorities('TIDEGATE_REDIS_CA', redisCa) }),
      ...(redisCert !== null &&
        redisKey !== null &&
        readIdentity(['TIDEGATE_REDIS_CERT', redisCert], ['TIDEGATE_REDIS_KEY', redisKey])),
    },
    prefix: config.prefix,
    node: config.nodeId,
    commandTimeoutMs: config.redisTimeoutMs,
  };
}

/** Of `host:port`, where IPv6 has brackets. */
function addressOf(text: string): { host: string; port: number } {
  const at = text.lastIndexOf(':');
  return { host: text.slice(0, at).replace(/^\[(.*)\]$/, '$1'), port: Number(text.slice(at + 1)) };
}
