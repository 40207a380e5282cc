import type { Quantiles } from './latency-histogram.ts';
import type { LoadTarget, Usage } from './load-plan.ts';
import type { LogBatches } from './log-batches.ts';
import type { PopulationShape } from './population.ts';
import type { Waiting } from './publish-schedule.ts';

/** An open loop: what its load process is told, and what comes back. */

/** A rate of publications, of the whole run. */
export interface Pace {
  readonly perSecond: number;
  /** At this rate, before it is measured. */
  readonly warmUpMs: number;
  readonly measureMs: number;
}

export interface OpenLoopPlan extends LoadTarget {
  readonly shape: PopulationShape;
  /** Sessions that are there as well, in rooms of their own, with presence, and say nothing. */
  readonly idle: PopulationShape | undefined;
  /** One after the other. */
  readonly paces: readonly Pace[];
  readonly waiting: Waiting;
  /** Whether tidegate is asked for its log's batches, at each pace. */
  readonly countsBatches: boolean;
}

/** What was measured at one pace. Latencies are from when a publication was due to its delivery. */
export interface OpenLoopMeasurement extends Usage, Quantiles {
  readonly perSecond: number;
  readonly publications: number;
  readonly deliveries: number;
  /** Of the deliveries by one port each. */
  readonly ports: readonly Quantiles[];
  /** From when a publication was due to its being handed to a socket: the client's own part of that. */
  readonly latenessP99Ms: number;
  /** Undefined where nobody asked. */
  readonly log: LogBatches | undefined;
}

export interface OpenLoopResult {
  readonly kind: 'done';
  /** By pace. */
  readonly measurements: readonly OpenLoopMeasurement[];
  /** Of the whole run, with warm-up and drain: every session's stream was complete. */
  readonly deliveriesVerified: number;
}
