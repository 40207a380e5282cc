/** What a metric is looked at for: one of the four golden signals, or who is here. */
export type Signal = 'latency' | 'traffic' | 'errors' | 'saturation' | 'presence';

/** One metric as it is exported and documented. */
export interface MetricEntry {
  readonly name: string;
  readonly type: 'counter' | 'gauge' | 'histogram';
  readonly signal: Signal;
  readonly help: string;
  /**
   * Each label with its only values; null: they are those of the process's settings and build. Never what a client may
   * choose, such as a user, a room or an address.
   */
  readonly labels?: Readonly<Record<string, readonly string[] | null>>;
  /** Upper bounds of a histogram's buckets, in seconds where it is of times. */
  readonly buckets?: readonly number[];
}

/** From a quarter of a millisecond, below which a disk doesn't sync, to the deadline of an append. */
export const APPEND_SECONDS = [
  0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 15,
];
/** What happens within this process, and is quick but for a busy loop. */
export const LOCAL_SECONDS = [
  0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5,
];
/** What may wait for a store or a key server. */
export const CALL_SECONDS = [0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 15];
