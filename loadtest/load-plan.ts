/** What the bench tells its load processes, and what comes back. All of it is plain JSON. */

export type WireName = 'tidegate-ws' | 'tidegate-tcp' | 'socket.io' | 'bare' | 'centrifugo';

/** Whose use of which cores is measured. */
export interface UsageTarget {
  readonly serverPid: number;
  /** What else serves, on the server's cores: other replicas, a broker. */
  readonly besidePids: readonly number[];
  readonly serverCores: readonly number[];
  /** Others than the server's, or the same. */
  readonly clientCores: readonly number[];
}

/** What every load process is told: whom to load, and where both run. */
export interface LoadTarget extends UsageTarget {
  readonly wire: WireName;
  /** Sessions take turns on them: several where a cluster has several replicas. */
  readonly ports: readonly number[];
  /** Of tidegate: where its metrics are, in the same order. */
  readonly internalPorts: readonly number[];
}

export interface LoadFailure {
  readonly kind: 'failed';
  readonly reason: string;
}

/** What server and client used. CPU figures are shares of one core, above 1 where several threads have several. */
export interface Usage {
  readonly seconds: number;
  readonly serverCpu: number;
  /** In the order of `besidePids`. */
  readonly besideCpus: readonly number[];
  readonly clientCpu: number;
  /** Share of the time in which the client's loop was not waiting for something to come. */
  readonly clientBusy: number;
  /**
   * Share of a core that nobody of the run used: other load on the machine. Where server and client have cores of their
   * own, of whichever had more of it; where they share them, of all together.
   */
  readonly otherCpu: number;
}

/** Share of its time beyond which the client may be what limits the run. */
const CLIENT_BUSY_MAX = 0.9;
/** Share of its core from which on a server is certainly what limits the run. */
const SERVER_SATURATED = 0.95;

/**
 * Whether the client may have held the server back, so that the server's speed is only known to be no less. Its
 * reads grow with what waits for it, so a busy client alone proves nothing while the server has no core left.
 */
export function isClientBound({ clientCpu, clientBusy, serverCpu }: Usage): boolean {
  return Math.max(clientCpu, clientBusy) > CLIENT_BUSY_MAX && serverCpu < SERVER_SATURATED;
}

/** Share of a core that other processes may take before figures suffer. */
export const OTHER_LOAD_MAX = 0.1;

export function otherLoad({ otherCpu }: Usage): number {
  return otherCpu;
}

/** Said below a table whose figures others may have spoilt; nothing otherwise. */
export function formatDisturbance(usages: readonly Usage[]): string[] {
  const other = Math.max(0, ...usages.map(otherLoad));
  if (other <= OTHER_LOAD_MAX) return [];
  return ['', `WARNING: other processes took up to ${Math.round(other * 100)} % of a core meanwhile.`];
}
