import * as hdr from 'hdr-histogram-js';
import { LATENCY_US_MAX, type LatencyHistogram } from './latency-histogram.ts';

/** Finer than the buckets that latencies were counted in, so that these stay what they are. */
const SIGNIFICANT_DIGITS = 3;
/** Up to a hundred thousandth, as far as a percentile curve is drawn. */
const CURVE_DECADES = 5;
const CURVE_STEPS_A_DECADE = 8;

/** What a run tells of one kind of latency. */
export interface LatencySummary {
  readonly count: number;
  readonly meanMs: number;
  readonly p50Ms: number;
  readonly p90Ms: number;
  readonly p99Ms: number;
  readonly p999Ms: number;
  readonly maxMs: number;
  /** Share (0–1) that was no slower, and how slow that is in ms: ever closer to 1. */
  readonly curve: readonly (readonly [share: number, ms: number])[];
  /** All of it in µs, in HdrHistogram's own compressed form (base64), for other tools. */
  readonly hdr: string;
}

/** The form in which latencies go from one process to another, and into results. */
export function encodeHdr(histogram: LatencyHistogram): string {
  const all = newHistogram();
  for (const [us, count] of histogram.counted()) all.recordValueWithCount(us, count);
  return hdr.encodeIntoCompressedBase64(all);
}

/** Of all of these together. @throws Error where one is not of `encodeHdr` */
export function summarizeHdr(encoded: readonly string[]): LatencySummary {
  const all = newHistogram();
  for (const one of encoded) all.add(hdr.decodeFromCompressedBase64(one));
  const ms = (share: number): number => (all.totalCount === 0 ? 0 : all.getValueAtPercentile(share * 100) / 1000);
  return {
    count: all.totalCount,
    meanMs: all.totalCount === 0 ? 0 : all.mean / 1000,
    p50Ms: ms(0.5),
    p90Ms: ms(0.9),
    p99Ms: ms(0.99),
    p999Ms: ms(0.999),
    maxMs: ms(1),
    curve: curveShares(all.totalCount).map((share) => [share, ms(share)] as const),
    hdr: hdr.encodeIntoCompressedBase64(all),
  };
}

/** 0, 0.25, … 0.9, … 0.99, …: no further than so many values can tell. */
function curveShares(count: number): number[] {
  const shares = [0];
  for (let step = 1; step <= CURVE_DECADES * CURVE_STEPS_A_DECADE; step++) {
    const rest = 10 ** (-step / CURVE_STEPS_A_DECADE);
    if (count * rest < 1) break;
    shares.push(1 - rest);
  }
  return count === 0 ? [] : [...shares, 1];
}

function newHistogram(): hdr.Histogram {
  return hdr.build({
    lowestDiscernibleValue: 1,
    highestTrackableValue: LATENCY_US_MAX,
    numberOfSignificantValueDigits: SIGNIFICANT_DIGITS,
  });
}
