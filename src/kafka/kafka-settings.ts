import type { ConnectionOptions } from 'node:tls';
import type { SASLOptions } from 'kafkajs';

/** Settings of the log on Kafka, with their defaults in parentheses: see `KAFKA_LOG_DEFAULTS`. */
export interface KafkaLogSettings {
  readonly brokers: readonly string[];
  readonly ssl: ConnectionOptions | boolean;
  readonly sasl: SASLOptions | null;
  /** Of the topics' names: `<prefix>.rooms` and `<prefix>.meta`. */
  readonly prefix: string;
  /** This replica, told with its records and in its group's name. */
  readonly node: string;

  /** 1–4096 (16). Fixed when the topic is made: opening it with another number is refused. */
  readonly partitions: number;
  /** Of topics that are made (3); of three or more two must be in sync, or appends wait. */
  readonly replicationFactor: number;
  /** Milliseconds that records are kept in a topic that is made (24 h); never less than the dedupe window needs. */
  readonly retentionMs: number;

  /** W of the dedupe decision, milliseconds (180,000): the same for all replicas. */
  readonly windowMs: number;
  /** Milliseconds for which the window remembers beyond W, as brokers' clocks differ (60,000). */
  readonly slackMs: number;
  /** Entries of the dedupe window, over all partitions (3,000,000); beyond, appends are `overloaded`. */
  readonly dedupeEntriesMax: number;
  /** Milliseconds in broker time from taking a record to send it until it does not count any more (45,000). */
  readonly recordLifeMs: number;
  /** Milliseconds by which a broker's clock may differ from this machine's (20,000); beyond, this replica is not ready. */
  readonly skewMsMax: number;

  /** Appends without an outcome, those in flight included (4,000); beyond, `overloaded`. */
  readonly queueRecordsMax: number;
  /** Bytes of their values (8 MiB); beyond, `overloaded`. */
  readonly queueBytesMax: number;
  /** Milliseconds that a record may wait before it is sent (2,000); then `overloaded`. */
  readonly queueWaitMsMax: number;
  /** Milliseconds from then on until it must have come back through the tail (15,000); then `unknown_outcome`. */
  readonly appendTimeoutMs: number;
  /** Records, and bytes of values, that go to a broker at once (500, 256 KiB). */
  readonly batchRecordsMax: number;
  readonly batchBytesMax: number;
  /** Milliseconds that a busy lane waits for more before it sends (4). */
  readonly lingerMs: number;
  /** Milliseconds after which an answer is not waited for any more, and the records are sent anew (5,000). */
  readonly attemptTimeoutMs: number;
  /** Milliseconds before records that failed are sent anew (100). */
  readonly retryMs: number;
  /** Producers that were given up and still hold connections (4); beyond, no lane sends until one is gone. */
  readonly producersDroppedMax: number;

  /** Milliseconds that a broker holds a fetch that finds nothing (250). */
  readonly fetchWaitMs: number;
  /**
   * Milliseconds between signs of life to the tail's group (90,000), less than 300,000. kafkajs reads nothing until
   * they are answered, and the group is of no use: the more seldom, the less a broker matters that only coordinates it.
   */
  readonly heartbeatMs: number;
  /** Milliseconds without an answer to a fetch after which the consumer is made anew (10,000). */
  readonly fetchStuckMs: number;
  /** Milliseconds that a partition must have had its leader before a place beyond its end is taken to be nowhere (10,000). */
  readonly leaderSettledMs: number;
  /** Milliseconds between looks at whether the topic is still the same (5,000). */
  readonly watchMs: number;
  /** Milliseconds for which it must have seemed lost until it is taken to be (15,000). */
  readonly lostAfterMs: number;
  /** Milliseconds between two notes of how far it has come (60,000). */
  readonly checkpointMs: number;
  /** Publications, and bytes of values, kept in memory for reads, over all partitions (100,000, 64 MiB). */
  readonly recentRecordsMax: number;
  readonly recentBytesMax: number;
  /** Reads that may wait (1,024); beyond, `overloaded`. */
  readonly readsQueuedMax: number;
  /**
   * Records that are scanned for one page beyond what is in memory, and milliseconds that one scan takes (50,000,
   * 2,000), without those that come before to know what counts. What lies beyond is told as a gap.
   */
  readonly scanRecordsMax: number;
  readonly scanMsMax: number;
  /** Scans at the same time, over all partitions (2), 1 or more; a partition has one at a time. */
  readonly scansMax: number;
}

export const KAFKA_LOG_DEFAULTS = {
  ssl: false,
  sasl: null,
  partitions: 16,
  replicationFactor: 3,
  retentionMs: 24 * 3_600_000,
  windowMs: 180_000,
  slackMs: 60_000,
  dedupeEntriesMax: 3_000_000,
  recordLifeMs: 45_000,
  skewMsMax: 20_000,
  queueRecordsMax: 4_000,
  queueBytesMax: 8 * 1024 * 1024,
  queueWaitMsMax: 2_000,
  appendTimeoutMs: 15_000,
  batchRecordsMax: 500,
  batchBytesMax: 256 * 1024,
  lingerMs: 4,
  attemptTimeoutMs: 5_000,
  retryMs: 100,
  producersDroppedMax: 4,
  fetchWaitMs: 250,
  heartbeatMs: 90_000,
  fetchStuckMs: 10_000,
  leaderSettledMs: 10_000,
  watchMs: 5_000,
  lostAfterMs: 15_000,
  checkpointMs: 60_000,
  recentRecordsMax: 100_000,
  recentBytesMax: 64 * 1024 * 1024,
  readsQueuedMax: 1_024,
  scanRecordsMax: 50_000,
  scanMsMax: 2_000,
  scansMax: 2,
} as const satisfies Omit<KafkaLogSettings, 'brokers' | 'prefix' | 'node'>;
