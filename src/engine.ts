import { type Config, ConfigError } from './config.ts';
import { loadUws } from './gateway/uws-library.ts';

/**
 * Which library serves WebSockets, in words too.
 *
 * @throws ConfigError if the settings want one that does not load
 */
export function chooseEngine({ wsEngine }: Pick<Config, 'wsEngine'>) {
  if (wsEngine === 'ws') return { name: 'ws', library: null, what: 'ws, as TIDEGATE_WS_ENGINE wants' } as const;
  const loaded = loadUws();
  if (loaded.library !== null) return { name: 'uws', ...loaded } as const;
  if (wsEngine === 'uws') throw new ConfigError(`TIDEGATE_WS_ENGINE: "uws" does not load here: ${loaded.why}`);
  return { name: 'ws', library: null, what: `ws, since uWebSockets.js does not load: ${loaded.why}` } as const;
}
