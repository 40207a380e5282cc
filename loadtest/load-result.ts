import type { LatencySummary } from './hdr.ts';
import type { Machine } from './machine.ts';
import type { Series } from './series.ts';

export const RESULT_FORMAT = 'tidegate-load/1';

/** Something that must hold, whatever the speed. */
export interface Check {
  readonly what: string;
  readonly isGood: boolean;
  /** What was found. */
  readonly found: string;
}

/** What was measured, as one number. */
export interface Figure {
  readonly name: string;
  readonly value: number;
  /** As `ms`, `/s`, `MB`, `%` or nothing. */
  readonly unit: string;
}

/** A moment of the run. */
export interface Moment {
  readonly name: string;
  /** Since the beginning of the series. */
  readonly seconds: number;
}

/** What a run gives, in plain JSON; the report and comparisons are made of it. */
export interface LoadResult {
  readonly format: typeof RESULT_FORMAT;
  readonly scenario: string;
  /** ISO 8601. */
  readonly startedAt: string;
  /** What it was told, with defaults. */
  readonly options: Readonly<Record<string, string | number | boolean | readonly string[]>>;
  /** The gateway in words. */
  readonly gateway: string;
  readonly machine: Machine;
  /** Whether it came to its end: not after Ctrl-C. */
  readonly isWhole: boolean;
  readonly checks: readonly Check[];
  /** What may have spoilt the figures. */
  readonly warnings: readonly string[];
  readonly figures: readonly Figure[];
  readonly latencies: Readonly<Record<string, LatencySummary>>;
  readonly moments: readonly Moment[];
  readonly series: Series;
}

/** @throws Error in words unless `text` is a result */
export function parseResult(text: string, name: string): LoadResult {
  let result: unknown;
  try {
    result = JSON.parse(text);
  } catch (error) {
    throw new Error(`${name} is no JSON: ${(error as Error).message}`);
  }
  const format = (result as { format?: unknown } | null)?.format;
  if (format !== RESULT_FORMAT) throw new Error(`${name} is no result of a load: its format is not ${RESULT_FORMAT}`);
  return result as LoadResult;
}

export function hasPassed({ checks }: Pick<LoadResult, 'checks'>): boolean {
  return checks.length > 0 && checks.every(({ isGood }) => isGood);
}
