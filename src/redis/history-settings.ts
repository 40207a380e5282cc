/** Settings of the history in Redis, with their defaults in parentheses: see `HISTORY_DEFAULTS`. */
export interface HistorySettings {
  /** Publications of a room (1,000), and milliseconds after which none of them is kept (24 h). */
  readonly lengthMax: number;
  readonly ageMs: number;
  /**
   * Bytes that are kept, of all rooms (256 MiB), each publication counted with its overhead. What is older goes first, but
   * in rooms that go on only when they do: Redis holds twice as much at most.
   */
  readonly bytesMax: number;
  /** Rooms whose last offset is known (1,000,000), and milliseconds that it is known for if there were less (30 d). */
  readonly roomsMax: number;
  readonly lastMs: number;

  /** Milliseconds that a partition's writer is the only one without a word (10,000), and between two words (3,000). */
  readonly leaseMs: number;
  readonly renewMs: number;
  /** Milliseconds over which a writer gathers what goes together (100). */
  readonly writeMs: number;
  /** Publications, and bytes of values, that go together at most (500, 256 KiB). */
  readonly batchRecordsMax: number;
  readonly batchBytesMax: number;
  /** Milliseconds after a write that failed until the next one (1,000). */
  readonly retryMs: number;

  /** Reads that Redis is asked at the same time (8), and milliseconds that one waits for its turn (500). */
  readonly readsMax: number;
  readonly readWaitMsMax: number;
}

const DAY_MS = 24 * 3_600_000;

export const HISTORY_DEFAULTS: HistorySettings = {
  lengthMax: 1_000,
  ageMs: DAY_MS,
  bytesMax: 256 * 1024 * 1024,
  roomsMax: 1_000_000,
  lastMs: 30 * DAY_MS,
  leaseMs: 10_000,
  renewMs: 3_000,
  writeMs: 100,
  batchRecordsMax: 500,
  batchBytesMax: 256 * 1024,
  retryMs: 1_000,
  readsMax: 8,
  readWaitMsMax: 500,
};
