/** Settings of the embedded log, with their defaults in parentheses: see `EMBEDDED_LOG_DEFAULTS`. */
export interface EmbeddedLogSettings {
  /** Where the log lies; created if absent. One process at a time owns it. */
  readonly directory: string;
  /** 1–4096 (16). Fixed when the log is created: opening it with another number is refused. */
  readonly partitions: number;

  /** W of the dedupe decision, milliseconds (180,000); at least the time for which clients retry. */
  readonly windowMs: number;
  /** Milliseconds for which the window remembers beyond W (60,000). */
  readonly slackMs: number;
  /** Entries of the dedupe window, over all partitions (3,000,000); beyond, appends are `overloaded`. */
  readonly dedupeEntriesMax: number;

  /** Appends without an outcome, those in flight included (4,000); beyond, `overloaded`. */
  readonly queueRecordsMax: number;
  /** Bytes of their values (8 MiB); beyond, `overloaded`. */
  readonly queueBytesMax: number;
  /** Milliseconds that a record may wait before it is sent to be written (2,000); then `overloaded`. */
  readonly queueWaitMsMax: number;
  /** Milliseconds that its transaction may take from then on (15,000); then `unknown_outcome`. */
  readonly appendTimeoutMs: number;
  /** Reads that may wait (1,024); beyond, `overloaded`. */
  readonly readsQueuedMax: number;

  /** Milliseconds that records are kept (24 h); those that the dedupe window needs are always kept. */
  readonly retentionMs: number;
  /** Bytes of the file's pages in use above which the oldest records are deleted (8 GiB). */
  readonly retentionBytes: number;
  /** Milliseconds between passes of retention (60,000). */
  readonly retentionIntervalMs: number;
  /** Milliseconds for which a room's last deleted offset is remembered, so that gaps are exact (30 days). */
  readonly roomMemoryMs: number;
  /** Rooms whose last deleted offset is remembered (1,000,000); the ones deleted from longest ago go first. */
  readonly roomsRememberedMax: number;

  /** Milliseconds for which `close` waits for the disk once everyone has an answer (5,000). */
  readonly closeTimeoutMs: number;
  /** false: nothing is synced to the disk (true). Only for tests that prove that others can fail. */
  readonly synced: boolean;
  /** The wall clock, milliseconds since 1970 (`Date.now`); may step back. */
  readonly now: () => number;
  /** Called once if a thread of the log died: no more can be appended or read until the log is opened anew. */
  readonly onFailure?: ((error: Error) => void) | undefined;
}

export const EMBEDDED_LOG_DEFAULTS = {
  partitions: 16,
  windowMs: 180_000,
  slackMs: 60_000,
  dedupeEntriesMax: 3_000_000,
  queueRecordsMax: 4_000,
  queueBytesMax: 8 * 1024 * 1024,
  queueWaitMsMax: 2_000,
  appendTimeoutMs: 15_000,
  readsQueuedMax: 1_024,
  retentionMs: 24 * 3_600_000,
  retentionBytes: 8 * 1024 ** 3,
  retentionIntervalMs: 60_000,
  roomMemoryMs: 30 * 24 * 3_600_000,
  roomsRememberedMax: 1_000_000,
  closeTimeoutMs: 5_000,
  synced: true,
  now: Date.now,
} as const satisfies Omit<EmbeddedLogSettings, 'directory'>;
