import type { WireName } from '../load-plan.ts';
import { BareWsWire } from './bare-ws.ts';
import { SocketIoWire } from './socket-io.ts';
import { type Presence, TidegateWire } from './tidegate.ts';
import type { Wire } from './wire.ts';

/** How the clients of a server speak. `presence` is for those servers that know of it. */
export function wireOf(name: WireName, presence?: Presence): Wire {
  switch (name) {
    case 'tidegate-ws':
      return new TidegateWire('websocket', presence);
    case 'tidegate-tcp':
      return new TidegateWire('lines', presence);
    case 'socket.io':
      return new SocketIoWire();
    case 'ws':
      return new BareWsWire();
  }
}
