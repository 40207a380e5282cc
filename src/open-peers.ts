import type { Config } from './config.ts';
import type { LogLines } from './fanout/log-lines.ts';
import { NoPeers } from './fanout/no-peers.ts';
import type { Peers } from './fanout/peers.ts';
import type { RedisLink } from './redis/redis-link.ts';
import type { PeerFigures } from './redis/redis-peers.ts';

/** What other replicas are told through. */
export interface OpenPeers {
  readonly peers: Peers;
  /** null: they are told nothing. */
  readonly figures: (() => PeerFigures) | null;
}

/** Peers over Redis if there is a link to it. */
export async function openPeers(config: Config, link: RedisLink | null, logger: LogLines): Promise<OpenPeers> {
  // Replicas that share a log alone know nothing of one another.
  if (link === null) return { peers: new NoPeers(config.kafkaBrokers.length > 0), figures: null };
  const { PEERS_DEFAULTS, RedisPeers } = await import('./redis/redis-peers.ts');
  const peers = new RedisPeers(link, PEERS_DEFAULTS, logger);
  return { peers, figures: () => peers.figures() };
}
