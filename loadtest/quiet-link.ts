import type { LogLines } from '../src/fanout/log-lines.ts';
import { randomName } from '../src/random-name.ts';
import { RedisLink } from '../src/redis/redis-link.ts';
import { REDIS_DEFAULTS } from '../src/redis/redis-settings.ts';

/** More than a replica allows, so that a machine that is busy with other things fails no round. */
const TIMEOUT_MS = 2_000;

/** Whatever goes wrong is seen by what fails, or by what is missing. */
export const SILENT: LogLines = { info: () => {}, warn: () => {}, error: () => {} };

/** A replica's link to Redis, not opened yet, as a gateway has it but for its patience. */
export function quietLink(url: string, prefix: string): RedisLink {
  const node = randomName(4, 'hex');
  return new RedisLink({ ...REDIS_DEFAULTS, url, prefix, node, commandTimeoutMs: TIMEOUT_MS }, SILENT);
}
