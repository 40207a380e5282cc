import type { Config } from './config.ts';
import type { LogLines } from './fanout/log-lines.ts';
import { NoPeers } from './fanout/no-peers.ts';
import type { Peers } from './fanout/peers.ts';
import type { FiguresExchange } from './observability/figures-exchange.ts';
import type { RedisLink } from './redis/redis-link.ts';
import type { PeerFigures } from './redis/redis-peers.ts';

/** What other replicas are told through. */
export interface OpenPeers {
  readonly peers: Peers;
  /** What dashboards have of other replicas; null: nothing. */
  readonly exchange: FiguresExchange | null;
  /** null: they are told nothing. */
  readonly figures: (() => PeerFigures) | null;
}

/**
 * Peers over Redis if there is a link to it.
 *
 * @param id of this process, among those whose figures are exchanged
 */
export async function openPeers(
  config: Config,
  link: RedisLink | null,
  id: string,
  logger: LogLines,
): Promise<OpenPeers> {
  // Replicas that share a log alone know nothing of one another.
  if (link === null) return { peers: new NoPeers(config.kafkaBrokers.length > 0), exchange: null, figures: null };
  const { PEERS_DEFAULTS, RedisPeers } = await import('./redis/redis-peers.ts');
  const { RedisFiguresExchange } = await import('./redis/redis-figures-exchange.ts');
  const peers = new RedisPeers(link, PEERS_DEFAULTS, logger);
  const exchange = new RedisFiguresExchange(link, id);
  const figures = () => {
    const ofPeers = peers.figures();
    return { ...ofPeers, unreadable: ofPeers.unreadable + exchange.unreadable };
  };
  return { peers, exchange, figures };
}
