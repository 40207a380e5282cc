import type { WireName } from '../load-plan.ts';
import { BareWire } from './bare.ts';
import { CentrifugoWire } from './centrifugo.ts';
import { SocketIoWire } from './socket-io.ts';
import { TidegateWire, type TidegateWireOptions } from './tidegate.ts';
import type { Wire } from './wire.ts';

/** How the clients of a server speak. The options are for those servers that know of them. */
export function wireOf(name: WireName, options: TidegateWireOptions = {}): Wire {
  switch (name) {
    case 'tidegate-ws':
      return new TidegateWire('websocket', options);
    case 'tidegate-tcp':
      return new TidegateWire('lines', options);
    case 'socket.io':
      return new SocketIoWire();
    case 'bare':
      return new BareWire();
    case 'centrifugo':
      return new CentrifugoWire();
  }
}
