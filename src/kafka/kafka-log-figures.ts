import type { OutcomeCounts } from './partition-reader.ts';
import type { ScanCounts } from './scan-queue.ts';

/** What a log on Kafka has to tell of itself. */
export interface KafkaLogFigures {
  /** What the tail made of records, those that were read to warm it up included. */
  readonly outcomes: Readonly<OutcomeCounts>;
  /** Records that Kafka has and the tail has not read, by partition. */
  readonly lags: readonly number[];
  /** By how much this machine's clock and a broker's certainly differ, milliseconds. */
  readonly skewMs: number;
  /** Consumers that the tail had to be given instead of one that failed. */
  readonly tailRestarts: number;
  /** Batches that a broker has, or had to be sent again. */
  readonly batches: Readonly<Record<'sent' | 'failed', number>>;
  /** Brokers with a request under way. */
  readonly lanesBusy: number;
  /** Producers that were given up and are not gone. */
  readonly producersDropped: number;
  readonly producersDroppedMax: number;
  /** How scans of what is not in memory ended; one is for all who wait for its partition. */
  readonly scans: Readonly<ScanCounts>;
  /** Those under way. */
  readonly scansRunning: number;
  readonly scansMax: number;
}
