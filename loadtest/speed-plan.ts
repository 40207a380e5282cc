import type { LoadTarget, Usage } from './load-plan.ts';
import type { LogBatches } from './log-batches.ts';
import type { PopulationShape } from './population.ts';

/** A closed loop: what its load process is told, and what comes back. */

export interface Workload extends PopulationShape {
  readonly name: string;
  /** Where calibration begins, in publications open at once. */
  readonly windowMin: number;
}

export interface SpeedPlan extends LoadTarget {
  readonly workload: Workload;
  readonly task: CalibrationTask | MeasuringTask;
  /** Whether tidegate is asked for its log's batches, for each window. */
  readonly countsBatches: boolean;
}

/** Looks for the best window. */
export interface CalibrationTask {
  readonly kind: 'calibrate';
  readonly warmUpMs: number;
  /** Each window is this many times the one before. */
  readonly stepFactor: number;
  readonly stepSettleMs: number;
  readonly stepMs: number;
  /** Wider windows are not tried once the median publish→deliver latency is beyond this. */
  readonly p50MaxMs: number;
}

export interface MeasuringTask {
  readonly kind: 'measure';
  /** Publications open at once in the whole run. */
  readonly window: number;
  readonly warmUpMs: number;
  readonly measureMs: number;
}

/** One measuring window. */
export interface Measurement extends Usage {
  readonly window: number;
  /** Received and verified within the window, by all sessions together. */
  readonly deliveries: number;
  readonly deliveriesPerSecond: number;
  /** From publishing to delivery. */
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly answersPerSecond: number;
  /** From publishing to the answer. */
  readonly answerP50Ms: number;
  readonly answerP99Ms: number;
  /** All bytes read, with frames and answers, by the deliveries. */
  readonly bytesPerDelivery: number;
  /** Undefined where nobody asked. */
  readonly log: LogBatches | undefined;
}

export interface SpeedResult {
  readonly kind: 'done';
  /** Of a calibration each window tried, else one. */
  readonly measurements: readonly Measurement[];
  /** Of the whole run, with warm-up and drain: every session's stream was complete. */
  readonly deliveriesVerified: number;
}

/** The best measurement of a calibration: its window serves best. */
export type Preference = (measurements: readonly Measurement[]) => Measurement;

/**
 * Most deliveries/s among the windows that are allowed by the first test that allows any; of windows that differ by less
 * than 3 %, which noise can explain, the smallest. A server that no window serves within any is measured with the
 * smallest.
 */
export function fastestOf(...tests: readonly ((measurement: Measurement) => boolean)[]): Preference {
  return (measurements) => {
    const allowed = tests.map((test) => measurements.filter(test)).find(({ length }) => length > 0);
    const candidates = allowed ?? measurements.slice(0, 1);
    const most = Math.max(...candidates.map(({ deliveriesPerSecond }) => deliveriesPerSecond));
    return candidates.find(({ deliveriesPerSecond }) => deliveriesPerSecond >= 0.97 * most) as Measurement;
  };
}
