import type { MetricEntry } from './metric-entry.ts';

/** What replicas tell one another beside the log; all of it is 0 where they share no Redis. */
export const PEER_METRICS = {
  peerSignals: {
    name: 'tidegate_peer_signals_total',
    type: 'counter',
    signal: 'traffic',
    help: 'Signals between replicas: said to the others; shed, as Redis was down or had too much to do; and heard from others for members here',
    labels: { what: ['sent', 'shed', 'heard'] },
  },
  peerRemovals: {
    name: 'tidegate_peer_removals_total',
    type: 'counter',
    signal: 'traffic',
    help: 'Disconnects and kicks asked for here, and goodbyes of devices that have just come from another replica, that the others were told of; partial: not all have said that it is done',
    labels: { result: ['whole', 'partial'] },
  },
  peerUnreadable: {
    name: 'tidegate_peer_unreadable_total',
    type: 'counter',
    signal: 'errors',
    help: "What came over replicas' channels and was none of their messages, or of another version",
  },
  peerRooms: {
    name: 'tidegate_peer_rooms',
    type: 'gauge',
    signal: 'saturation',
    help: 'Rooms whose signals are heard from other replicas, a channel of Redis each',
  },
} as const satisfies Record<string, MetricEntry>;
