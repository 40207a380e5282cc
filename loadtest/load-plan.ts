/** What the bench tells a load process, and what comes back. All of it is plain JSON. */

export type WireName = 'tidegate-ws' | 'tidegate-tcp' | 'socket.io' | 'ws';

export interface Workload {
  readonly name: string;
  readonly rooms: number;
  readonly sessionsPerRoom: number;
  /** Members of each room that publish, and receive what they publish like everyone else. */
  readonly publishersPerRoom: number;
  /** Where calibration begins, in publications open at once. */
  readonly windowMin: number;
}

export interface LoadPlan {
  readonly wire: WireName;
  readonly port: number;
  readonly workload: Workload;
  readonly serverPid: number;
  readonly serverCore: number;
  readonly clientCore: number;
  readonly task: CalibrationTask | MeasuringTask;
}

/** Looks for the best window. */
export interface CalibrationTask {
  readonly kind: 'calibrate';
  readonly warmUpMs: number;
  readonly stepSettleMs: number;
  readonly stepMs: number;
  /**
   * A window counts only if its median publish→deliver latency stays within this. The median, since a hiccup of
   * the machine moves the p99 of a short step and so would rule out any window.
   */
  readonly p50MaxMs: number;
}

export interface MeasuringTask {
  readonly kind: 'measure';
  /** Publications open at once in the whole run. */
  readonly window: number;
  readonly warmUpMs: number;
  readonly measureMs: number;
}

/** One measuring window. CPU figures are shares of one core, 0–1 and above where several threads have several. */
export interface Measurement {
  readonly window: number;
  readonly seconds: number;
  /** Received and verified within the window, by all sessions together. */
  readonly deliveries: number;
  readonly deliveriesPerSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly serverCpu: number;
  readonly clientCpu: number;
  /** Share of the time in which the client's loop was not waiting for something to come. */
  readonly clientBusy: number;
  /** Share of each core that neither server nor client used: other load on the machine. */
  readonly serverCoreOther: number;
  readonly clientCoreOther: number;
  /** All bytes read, with frames and answers, by the deliveries. */
  readonly bytesPerDelivery: number;
}

export interface LoadResult {
  readonly kind: 'done';
  /** Of a calibration each window tried, else one. */
  readonly measurements: readonly Measurement[];
  /** Of the whole run, with warm-up and drain: every session's stream was complete. */
  readonly deliveriesVerified: number;
}

export interface LoadFailure {
  readonly kind: 'failed';
  readonly reason: string;
}

/** Share of its time beyond which the client may be what limits the run. */
const CLIENT_BUSY_MAX = 0.9;
/** Share of its core from which on a server is certainly what limits the run. */
const SERVER_SATURATED = 0.95;

/**
 * Whether the client may have held the server back, so that the server's speed is only known to be no less. Its
 * reads grow with what waits for it, so a busy client alone proves nothing while the server has no core left.
 */
export function isClientBound({ clientCpu, clientBusy, serverCpu }: Measurement): boolean {
  return Math.max(clientCpu, clientBusy) > CLIENT_BUSY_MAX && serverCpu < SERVER_SATURATED;
}

/** Share of a core that other processes may take before figures suffer. */
export const OTHER_LOAD_MAX = 0.1;

/** Share of a core, the busier of the two, that neither server nor client used. */
export function otherLoad({ serverCoreOther, clientCoreOther }: Measurement): number {
  return Math.max(serverCoreOther, clientCoreOther);
}

/** Which of two measurements of the same thing was less disturbed. */
export function quieter(one: Measurement, other: Measurement): Measurement {
  return otherLoad(one) <= otherLoad(other) ? one : other;
}
