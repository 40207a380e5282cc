/** What a metric is looked at for: one of the four golden signals, or who is here. */
export type Signal = 'latency' | 'traffic' | 'errors' | 'saturation' | 'presence';

/** One metric as it is exported and documented. */
export interface MetricEntry {
  readonly name: string;
  readonly type: 'counter' | 'gauge' | 'histogram';
  readonly signal: Signal;
  readonly help: string;
  /**
   * Each label with its only values; null: one value for the life of the process. Never what a client may choose, such
   * as a user, a room or an address.
   */
  readonly labels?: Readonly<Record<string, readonly string[] | null>>;
  /** Upper bounds of a histogram's buckets, in seconds. */
  readonly buckets?: readonly number[];
}
