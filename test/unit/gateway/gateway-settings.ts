import type { GatewaySettings } from '../../../src/gateway/gateway.ts';
import { Grants } from '../../../src/identity/grants.ts';
import { BOUNDS } from '../../../src/protocol/bounds.ts';

const { frameBytesMax, serverFrameBytesMax, dataBytesMax, signalBytesMax } = BOUNDS;
const { roomsMax, watchesMax, historyMax, publishesUnansweredMax } = BOUNDS;
const EVERYTHING = Grants.of({ join: ['**'], publish: ['**'], presence: ['**'] }, '');

/** A gateway without limits, that anybody may use. */
export const SETTINGS: GatewaySettings = {
  hub: { tickMaxMs: 0, tickBytesMax: 65_536, recentBytesMax: BOUNDS.pageBytesMax },
  outboxBytesMax: 1_000_000,
  unsharedBytesMax: 10_000_000,
  inboxBytesMax: 1_048_576,
  inboxesBytesMax: 1_048_576,
  connectionsMax: 10,
  handshakesMax: 10,
  roomMembersMax: 1_000,
  catchUpTimeoutMs: 10_000,
  liveness: { connectTimeoutMs: 10_000, heartbeatMs: 25_000, heartbeatTimeoutMs: 10_000 },
  rates: { commands: null, publishes: null, signals: null, bytes: null },
  tracker: { graceMs: 0, batchMs: 0, lingeringPerUserMax: 16, lingeringMax: 100 },
  feed: { intervalMs: 50, namesReadersMax: 250, fastReadersMax: 10_000, slowIntervalMs: 500 },
  access: {
    facts: {
      protocol: 1,
      features: [],
      server: 'tidegate/test',
      node: 'n1',
      heartbeatMs: 25_000,
      retryWindowMs: 1_000,
      limits: {
        ...{ frameBytesMax, serverFrameBytesMax, dataBytesMax, signalBytesMax },
        ...{ roomsMax, watchesMax, historyMax, publishesUnansweredMax },
        ...{ commands: null, publishes: null, signals: null, bytes: null },
      },
    },
    verifier: null,
    anonymousGrants: () => EVERYTHING,
    sessionsPerAddressMax: 0,
  },
  sessionsPerUserMax: 0,
};
