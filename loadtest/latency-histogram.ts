/** Buckets per power of two: a value is known to within 1/128 of itself. */
const STEPS = 128;
const STEP_BITS = 7;
/** Values up to 2^31 µs, about 36 minutes; longer ones count as that. */
export const LATENCY_US_MAX = 2 ** 31 - 1;
const BUCKETS = (31 - STEP_BITS + 1) * STEPS;

/**
 * Counts latencies in µs in buckets whose width grows with the value. Recording is one increment, since it
 * happens for every delivery, millions of times a second. What is reported of them is HdrHistogram's (hdr.ts).
 */
export class LatencyHistogram {
  readonly #counts = new Float64Array(BUCKETS);

  record(us: number): void {
    const index = bucketOf(us);
    this.#counts[index] = (this.#counts[index] as number) + 1;
  }

  clear(): void {
    this.#counts.fill(0);
  }

  /** Counts what another one has counted. */
  add(other: LatencyHistogram): void {
    for (const [index, count] of other.#counts.entries()) this.#counts[index] = (this.#counts[index] as number) + count;
  }

  /** Each latency in µs that was recorded, as the highest of its bucket, and how often. */
  *counted(): Iterable<readonly [us: number, count: number]> {
    for (const [index, count] of this.#counts.entries()) if (count > 0) yield [highestIn(index), count];
  }

  /** How many were recorded. */
  get count(): number {
    let total = 0;
    for (const count of this.#counts) total += count;
    return total;
  }

  /** The latency in µs that `share` (0–1) of the recorded ones did not exceed; 0 if there are none. */
  quantileUs(share: number): number {
    let left = Math.ceil(this.count * share);
    if (left === 0) return 0;
    for (let index = 0; index < BUCKETS; index++) {
      left -= this.#counts[index] as number;
      if (left <= 0) return highestIn(index);
    }
    return LATENCY_US_MAX;
  }
}

/** What results tell of latencies. */
export interface Quantiles {
  readonly p50Ms: number;
  readonly p99Ms: number;
}

export function quantilesOf(histogram: LatencyHistogram): Quantiles {
  return { p50Ms: histogram.quantileUs(0.5) / 1000, p99Ms: histogram.quantileUs(0.99) / 1000 };
}

function bucketOf(us: number): number {
  const value = us <= 0 ? 0 : us >= LATENCY_US_MAX ? LATENCY_US_MAX : us | 0;
  if (value < STEPS) return value;
  // The highest set bit picks the power of two, the seven bits below it the step within.
  const shift = 31 - Math.clz32(value) - STEP_BITS;
  return (shift + 1) * STEPS + ((value >>> shift) - STEPS);
}

function highestIn(index: number): number {
  if (index < STEPS) return index;
  const shift = Math.floor(index / STEPS) - 1;
  return ((index % STEPS) + STEPS + 1) * 2 ** shift - 1;
}
