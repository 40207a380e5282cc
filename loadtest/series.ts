/** A run by its slots: every list is as long as `seconds`. */
export interface Series {
  readonly slotMs: number;
  /** When each slot began, in seconds since the first one. */
  readonly seconds: readonly number[];
  /** How often what happened in each slot. */
  readonly counts: Readonly<Record<string, readonly number[]>>;
  /** Of what was recorded in each slot, in ms; null: nothing was. */
  readonly latencies: Readonly<Record<string, SlotQuantiles>>;
  /** What was read of servers and load processes; null: it was not read in that slot. */
  readonly gauges: Readonly<Record<string, readonly (number | null)[]>>;
}

export interface SlotQuantiles {
  readonly p50Ms: readonly (number | null)[];
  readonly p99Ms: readonly (number | null)[];
}
