import type { Quantiles } from './latency-histogram.ts';
import type { Usage, UsageTarget } from './load-plan.ts';

/** What the bench tells the load process of history, and what comes back. All of it is plain JSON. */

/** Where pages come from: a replica's memory, Redis, or a scan of Kafka. */
export const SOURCES = ['memory', 'redis', 'scan'] as const;
export type SourceName = (typeof SOURCES)[number];

export interface HistoryPlan extends UsageTarget {
  readonly broker: string;
  readonly redisUrl: string;
  readonly size: HistorySize;
  readonly pace: HistoryPace;
}

export interface HistorySize {
  /** Of the room that is read. */
  readonly records: number;
  /** After so many of those comes one of another room of the partition: of so many rooms in turn. */
  readonly recordsBetween: number;
  readonly roomsBeside: number;
  /** Pages begin so many of the room's records ago, or up to `agoSpread` more. */
  readonly ago: number;
  readonly agoSpread: number;
  /** Publications of a page, and readers at a time: each with each is measured. */
  readonly limits: readonly number[];
  readonly readers: readonly number[];
}

export interface HistoryPace {
  /** Before each measurement, the same is done for so long and not counted. */
  readonly warmUpMs: number;
  /** By the source: the slower it is, the longer it takes to have as many pages. */
  readonly measureMs: Readonly<Record<SourceName, number>>;
}

/** Of one source, one length of pages and one number of readers. */
export interface PageFigures extends Quantiles {
  readonly source: SourceName;
  readonly limit: number;
  readonly readers: number;
  readonly pages: number;
  readonly pagesPerSecond: number;
}

export interface HistoryResult {
  readonly kind: 'done';
  readonly figures: readonly PageFigures[];
  readonly usage: Usage;
}
