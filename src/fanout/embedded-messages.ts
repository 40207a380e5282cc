import type { IndexRows } from './room-index.ts';

/**
 * What goes between the embedded log and its threads. A thread begins with `opened` or `refused`; the writer
 * sends any number of `window` before that.
 */
export interface WriterData {
  readonly directory: string;
  readonly partitions: number;
  readonly synced: boolean;
  /** Milliseconds before a partition's last record whose records the dedupe window needs: W + slack. */
  readonly windowSpanMs: number;
  readonly retentionMs: number;
  /** Bytes. */
  readonly retentionBytes: number;
  readonly roomMemoryMs: number;
  /** Rooms. */
  readonly roomsRememberedMax: number;
}

export interface ReaderData {
  readonly directory: string;
}

/** The log can't be used; `message` is for the operator. */
export interface Refused {
  readonly kind: 'refused';
  readonly message: string;
}

export interface WriterOpened {
  readonly kind: 'opened';
  readonly epoch: string;
  /** Of the rooms' keys. */
  readonly salt: string;
  /** Number of the newest block, or -1. */
  readonly lastBlock: number;
  /** Offset of each partition's newest record, or -1. */
  readonly ends: readonly number[];
  /** The log's time, in milliseconds since 1970, that no later record may be older than. */
  readonly clock: number;
}

/** Heads of blocks, for the dedupe window and for what is not in the index of rooms. Oldest first. */
export interface WindowPiece {
  readonly kind: 'window';
  readonly blocks: readonly BlockHead[];
}

export interface BlockHead {
  readonly number: number;
  readonly head: Uint8Array<ArrayBuffer>;
  /** Which of its records are not in the index. */
  readonly unindexed: readonly number[];
}

/**
 * One transaction. Without blocks it is a probe: it writes, so that its success says that the store works again.
 */
export interface Commit {
  readonly kind: 'commit';
  /** Number of the first block. */
  readonly first: number;
  /** One block behind the other. */
  readonly blocks: ArrayBuffer;
  /** Of each block, in bytes. */
  readonly lengths: readonly number[];
  /** Partitions, and behind each the offset of its newest record in this transaction. */
  readonly ends: readonly number[];
  readonly index: IndexRows | undefined;
}

export interface Committed {
  readonly kind: 'committed';
}

export interface CommitFailed {
  readonly kind: 'commitFailed';
  /** `refused`: none of the batch is in the log and none will be. `unknown`: it may be, after a crash. */
  readonly outcome: 'refused' | 'unknown';
  readonly message: string;
}

/** Begins a pass of retention, unless one is under way; `now` is the log's time. */
export interface Retain {
  readonly kind: 'retain';
  readonly now: number;
}

export interface Retained {
  readonly kind: 'retained';
  readonly recordsDeleted: number;
  readonly roomsForgotten: number;
  /** What ended the pass early, if anything did. */
  readonly failure: string | undefined;
}

export interface Close {
  readonly kind: 'close';
}

export type ToWriter = Commit | Retain | Close;
export type FromWriter = Refused | WriterOpened | WindowPiece | Committed | CommitFailed | Retained;

export interface ReadQuery {
  readonly kind: 'read';
  readonly number: number;
  readonly room: string;
  /** See `roomKey`. */
  readonly key: number;
  /** Offset and block of each of its records that may have no row in the index, oldest first. */
  readonly unindexed: Float64Array;
  readonly direction: 'after' | 'before';
  /** Offset, exclusive, at which reading begins. */
  readonly start: number;
  /** Offset, inclusive, at which reading in direction `after` ends. */
  readonly through: number;
  /** Whether the request's position says nothing here, so that a gap of unknown beginning is told. */
  readonly foreign: boolean;
  /** Publications. */
  readonly limit: number;
  /** Bytes of values. */
  readonly bytesMax: number;
}

export interface ReadResult {
  readonly kind: 'page';
  readonly number: number;
  /** Oldest first. */
  readonly block: ArrayBuffer;
  readonly more: boolean;
  readonly gap: { readonly from: number | null; readonly to: number } | undefined;
  /** Offsets of records that were passed over because they are not what was written. */
  readonly damaged: readonly number[];
}

export interface ReadFailed {
  readonly kind: 'readFailed';
  readonly number: number;
  readonly message: string;
}

export interface ReaderOpened {
  readonly kind: 'opened';
}

export type ToReader = ReadQuery | Close;
export type FromReader = Refused | ReaderOpened | ReadResult | ReadFailed;

export interface BackupData {
  readonly task: 'backup' | 'restore';
  readonly directory: string;
  readonly file: string;
}

/** All was done. */
export interface BackupDone {
  readonly kind: 'opened';
  readonly records: number;
  readonly bytes: number;
}

export type FromBackup = Refused | BackupDone;
