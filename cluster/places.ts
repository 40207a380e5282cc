import { isFree, lastingPorts } from '../services/ports.ts';
import { ClusterError } from './cluster-error.ts';

/** A gateway's ports. */
export interface Place {
  readonly http: number;
  readonly tcp: number;
  readonly internal: number;
}

/** Where everything listens, on loopback. */
export interface Places {
  /** The balancer's. */
  readonly http: number;
  readonly tcp: number;
  readonly stats: number;
  readonly gateways: readonly Place[];
}

const INTERNAL_PORT = 9_100;
const STATS_PORT = 8_404;

/**
 * The ports that were asked for, and for all else those behind them, or others where these are taken; 0: any. They stay
 * free while a replica restarts.
 *
 * @throws ClusterError if one that was asked for is taken
 */
export async function choosePlaces(replicas: number, httpPort: number, tcpPort: number): Promise<Places> {
  const spare = await lastingPorts(3 + 3 * replicas);
  const any = () => spare.pop() as number;
  const asked = async (port: number, option: string) => {
    if (port === 0) return any();
    if (!(await isFree(port))) throw new ClusterError(`port ${port} is taken; ${option} names another one`);
    return port;
  };
  const preferred = async (port: number) => (httpPort !== 0 && (await isFree(port)) ? port : any());
  const places = {
    http: await asked(httpPort, '--http-port'),
    tcp: await asked(tcpPort, '--tcp-port'),
    stats: await preferred(STATS_PORT),
  };
  const gateways: Place[] = [];
  for (let n = 1; n <= replicas; n++) {
    gateways.push({
      http: await preferred(httpPort + n),
      tcp: await preferred(tcpPort + n),
      internal: await preferred(INTERNAL_PORT + n),
    });
  }
  return { ...places, gateways };
}
