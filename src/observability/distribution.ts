import type { TraceIds } from './tracing.ts';

/** Something that was traced, for whoever looks at a bucket to look at. */
export interface Exemplar {
  readonly ids: TraceIds;
  readonly seconds: number;
  /** When it was observed, milliseconds since 1970. */
  readonly atMs: number;
}

/**
 * How often something took how long, or was how large: a Prometheus histogram's numbers, without its library's cost (15 ns instead of
 * 300 an observation).
 */
export class Distribution {
  /** Upper bounds of the buckets, rising; of times in seconds. */
  readonly bounds: readonly number[];
  /** Of each bucket alone, and of what lies above the last one. */
  readonly counts: number[];
  sum = 0;
  /** By bucket: the last one that was traced. */
  readonly exemplars: (Exemplar | undefined)[] = [];

  constructor(bounds: readonly number[]) {
    this.bounds = bounds;
    this.counts = new Array<number>(bounds.length + 1).fill(0);
  }

  /** Negative times, which a clock that was set back makes, count as none. */
  observeMs(ms: number, traced?: TraceIds): void {
    this.observe(ms > 0 ? ms / 1_000 : 0, traced);
  }

  observe(value: number, traced?: TraceIds): void {
    const { bounds } = this;
    let i = 0;
    while (i < bounds.length && value > (bounds[i] as number)) i += 1;
    this.counts[i] = (this.counts[i] as number) + 1;
    this.sum += value;
    if (traced !== undefined) this.exemplars[i] = { ids: traced, seconds: value, atMs: Date.now() };
  }
}
