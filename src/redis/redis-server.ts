import { createHash } from 'node:crypto';
import { databaseOf } from './redis-client.ts';
import type { RedisConnection } from './redis-connection.ts';
import { type RedisSettings, shownAddress } from './redis-settings.ts';
import { RedisSetupError } from './redis-setup-error.ts';
import { RedisUnavailableError } from './redis-unavailable-error.ts';

/** What a Redis says of itself, as far as replicas have to do with it. */
export interface RedisServer {
  readonly version: string;
  /** It may drop keys to make room for others. */
  readonly mayEvict: boolean;
}

const VERSION_MIN = [6, 2] as const;
/** Does of each kind what the scripts do, so that a right that is missing is found out at once. */
const TRIAL = `
local key = KEYS[1] .. ':trial'
redis.call('SET', key, redis.call('TIME')[1], 'PX', 1000)
redis.call('PUBLISH', key, redis.call('GET', key))
return redis.call('PUBSUB', 'NUMSUB', key)`;
const TRIAL_SHA = createHash('sha1').update(TRIAL).digest('hex');

/**
 * Makes sure that a connection leads to a Redis that can be written to.
 *
 * @param key all keys begin with it
 * @throws RedisSetupError in words for the operator, RedisUnavailableError or ioredis' ReplyError
 */
export async function checkServer(
  connection: RedisConnection,
  settings: RedisSettings,
  key: string,
): Promise<RedisServer> {
  const info = readInfo(await connection.ask((client) => client.info()));
  // It is there, and will be of use soon.
  if (info.get('loading') === '1') throw new RedisUnavailableError('it reads its data', 'refused');
  const version = info.get('redis_version') ?? 'unknown';
  const refuse = (words: string) => new RedisSetupError(`Redis can't be used at ${shownAddress(settings)}: ${words}`);
  if (isOld(version)) throw refuse(`it is version ${version}, and ${VERSION_MIN.join('.')} or newer is needed`);
  if (info.get('cluster_enabled') === '1') {
    throw refuse('it is a Redis Cluster; a single primary, or one that Sentinels name, is needed');
  }
  if (info.get('role') !== 'master') {
    throw refuse(
      `it is a replica of ${info.get('master_host')}:${info.get('master_port')}; TIDEGATE_REDIS_URL must name the primary, or TIDEGATE_REDIS_SENTINELS those who know it`,
    );
  }
  const database = databaseOf(settings.url);
  if (database > 0) await connection.ask((client) => client.select(database));
  await connection.ask((client) => client.eval(TRIAL, 1, key));
  await connection.ask((client) => client.evalsha(TRIAL_SHA, 1, key));
  const mayEvict = info.get('maxmemory') !== '0' && info.get('maxmemory_policy') !== 'noeviction';
  return { version, mayEvict };
}

/** `name:value` lines, between headings. */
function readInfo(text: string): Map<string, string> {
  const pairs = text.split('\r\n').flatMap((line) => {
    const at = line.indexOf(':');
    return at > 0 ? [[line.slice(0, at), line.slice(at + 1)] as const] : [];
  });
  return new Map(pairs);
}

function isOld(version: string): boolean {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  const [majorMin, minorMin] = VERSION_MIN;
  return major < majorMin || (major === majorMin && minor < minorMin);
}
