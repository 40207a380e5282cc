import type { Config } from './config.ts';
import type { LogLines } from './fanout/log-lines.ts';
import type { RedisHistory } from './redis/redis-history.ts';
import type { RedisLink } from './redis/redis-link.ts';

/** What replicas keep of their rooms' past in Redis, if there is a link to it. */
export async function openHistory(
  config: Config,
  link: RedisLink | null,
  logger: LogLines,
): Promise<RedisHistory | null> {
  if (link === null) return null;
  const { RedisHistory: History } = await import('./redis/redis-history.ts');
  const { HISTORY_DEFAULTS } = await import('./redis/history-settings.ts');
  const settings = {
    ...HISTORY_DEFAULTS,
    lengthMax: config.historyLength,
    ageMs: config.historyMs,
    bytesMax: config.historyBytes,
    roomsMax: config.historyRooms,
  };
  return new History(link, settings, logger);
}
