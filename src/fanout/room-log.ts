import type { PublishTrace } from '../observability/tracing.ts';
import type { Gap, Position } from '../protocol/position.ts';
import type { Publication } from '../protocol/publication.ts';

/** What a session asks the log to keep. Names and `data` were checked by the protocol's reader. */
export interface AppendRequest {
  readonly room: string;
  readonly from: string;
  readonly mid: string;
  /** JSON text, spliced into the record as it came. */
  readonly data: string;
  /**
   * The `mid` of a publish by the same user to the same room that was appended before this one and may be
   * unsettled. If it fails, this one fails with `overloaded` and is not appended.
   */
  readonly after?: string | undefined;
  /** Told how far the record comes, but not how the append ends. Absent: it is not traced. */
  readonly trace?: PublishTrace | undefined;
}

export interface Appended {
  /** Where the *first* record with this user, room and mid stands. */
  readonly position: Position;
  /** True if that first record was there before this call. */
  readonly duplicate: boolean;
}

/**
 * One page of one room. Exactly one of `after` and `before` may be given, both exclusive; with neither, the
 * newest publications up to `through` are read.
 */
export interface ReadRequest {
  readonly room: string;
  readonly after?: Position | undefined;
  readonly before?: Position | undefined;
  /** An offset, inclusive, up to which to read; at most `ends()` of the room's partition. */
  readonly through: number;
  /** 1–300 publications. */
  readonly limit: number;
  /** Bytes of values; the first publication is given whatever its size. */
  readonly bytesMax: number;
}

export interface Page {
  /** Oldest first. */
  readonly publications: readonly Publication[];
  /** The farthest that had to be looked for it: this process's memory, what replicas keep for each other, or the log. */
  readonly source: 'memory' | 'history' | 'log';
  /**
   * With `after`: newer ones follow within `through`, or may follow where it is not in memory. Otherwise: older ones
   * may follow.
   */
  readonly more: boolean;
  /** Given only if something between the request's position and this page may be missing. */
  readonly gap?: Gap | undefined;
}

/**
 * The durable, ordered log of every room: the port that the gateway hangs on.
 *
 * Rooms are spread over partitions by murmur2 (see partition.ts), a room lies in one partition for good, and
 * offsets rise within a partition. Which records count is the dedupe decision (dedupe.ts), and every method
 * speaks of records that count only.
 */
export interface RoomLog {
  /** Names this incarnation of the log; positions of two epochs do not compare. Changes only with a break: see `tail`. */
  readonly epoch: string;
  readonly partitions: number;

  /**
   * Appends one record. Resolves after the record is durable *and* this process's own tail has decided that it
   * counts and handed it on, or after an earlier record with the same user, room and mid was found. Appends to
   * one room take effect in the order of the calls. Atomic: rejected with any error but `unknown_outcome`, the
   * record is not in the log and will not be.
   *
   * @throws CommandError `mid_conflict` (same mid, other data), `overloaded` (buffers full, or `after` failed),
   * `unavailable` (the store refuses, as when its disk is full), `unknown_outcome` (neither confirmed nor
   * refused within the deadline: a retry with the same mid adds nothing if it did land).
   */
  append(request: AppendRequest): Promise<Appended>;

  /**
   * Hands every record that counts to `onBatch`, once, in offset order within a partition, beginning with the
   * first one after `ends()` as it stood when `tail` was called. Called at most once.
   *
   * `onBreak` is called where what follows in a partition does not follow what was handed on: records between are gone,
   * or the log is another one, with another epoch. `epoch`, `ends()` and `read` have changed by then. Neither of the two
   * may throw.
   */
  tail(onBatch: (publications: readonly Publication[]) => void, onBreak?: (partition: number) => void): void;

  /**
   * Reads one page. What is read up to `ends()` is exactly what `tail` handed on.
   *
   * @throws CommandError `overloaded` (too many reads wait) or `unavailable`.
   */
  read(request: ReadRequest): Promise<Page>;

  /**
   * The offset of the newest record in each partition that `tail` has handed on, or of one behind it that does not
   * count, or -1; indexed by partition. It covers a batch already while that is handed on, so that who joins meanwhile
   * has a position behind all of it. The array is live and belongs to the log.
   */
  ends(): readonly number[];

  /**
   * Resolves when `tail` has handed on all of a room that was acknowledged to anybody, by whatever process, before the
   * call; or after a second, where that can't be found out. To be awaited before a room's past is read.
   */
  untilCurrent(room: string): Promise<void>;

  /** Settles what is under way and releases the store. Idempotent. */
  close(): Promise<void>;
}
