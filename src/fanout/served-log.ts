import type { RoomLog } from './room-log.ts';

/** Whether appends can be expected to succeed. */
export interface LogState {
  readonly writable: boolean;
  /** Why not, in words. */
  readonly reason?: string | undefined;
}

/** What a log holds in memory for its callers, against the bounds of its settings. */
export interface LogLoad {
  readonly appendsWaiting: number;
  /** Of values. */
  readonly bytesWaiting: number;
  readonly readsWaiting: number;
  readonly dedupeEntries: number;
}

/** A log that a process serves rooms from, with what its operator wants to know of it. */
export interface ServedLog extends RoomLog {
  /** For readiness. */
  state(): LogState;
  load(): LogLoad;
}
