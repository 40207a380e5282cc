import type { DatabaseSync, StatementSync } from 'node:sqlite';
import { numberOf, pragma, type Row, rollBack, textOf, writeMeta } from './embedded-schema.ts';
import { recordKey } from './record-block.ts';

/** Records of one transaction: few, since appends wait for it. */
const RECORDS_PER_STEP = 500;
/** As above, where the size decides, so that not much more is deleted than must be. */
const RECORDS_PER_SIZE_STEP = 100;
const ROOMS_PER_STEP = 500;

export interface RetentionLimits {
  readonly retentionMs: number;
  /** Bytes of the log's pages that are in use. */
  readonly retentionBytes: number;
  /** Milliseconds behind the log's time whose records are never deleted. */
  readonly windowSpanMs: number;
  readonly roomMemoryMs: number;
  /** Rooms whose last deleted offset is remembered. */
  readonly roomsRememberedMax: number;
}

/**
 * Deletes old records in small steps, oldest first, and remembers up to where each room's were deleted. What is
 * deleted of a partition is always its beginning.
 */
export class Retention {
  readonly #database: DatabaseSync;
  readonly #limits: RetentionLimits;
  readonly #partitions: number;
  #rooms: number;
  readonly #firstOf: StatementSync;
  readonly #oldestOf: StatementSync;
  readonly #deleteRange: StatementSync;
  readonly #purge: StatementSync;
  readonly #moveRoom: StatementSync;
  readonly #addRoom: StatementSync;
  readonly #oldestRooms: StatementSync;
  readonly #deleteRoom: StatementSync;
  readonly #forget: StatementSync;

  constructor(database: DatabaseSync, partitions: number, limits: RetentionLimits) {
    this.#database = database;
    this.#limits = limits;
    this.#partitions = partitions;
    this.#rooms = numberOf(database.prepare('SELECT count(*) AS n FROM rooms').get(), 'n');
    this.#firstOf = database.prepare('SELECT ts FROM records WHERE key >= ? AND key < ? ORDER BY key LIMIT 1');
    this.#oldestOf = database.prepare(
      'SELECT key, ts, room FROM records WHERE key >= ? AND key < ? ORDER BY key LIMIT ?',
    );
    this.#deleteRange = database.prepare('DELETE FROM records WHERE key >= ? AND key <= ?');
    this.#purge = database.prepare('UPDATE partitions SET purged_through = ?, purged_ts = ? WHERE partition = ?');
    this.#moveRoom = database.prepare('UPDATE rooms SET deleted_through = ?, ts = ? WHERE room = ?');
    this.#addRoom = database.prepare('INSERT INTO rooms (deleted_through, ts, room, partition) VALUES (?, ?, ?, ?)');
    this.#oldestRooms = database.prepare(
      'SELECT room, partition, deleted_through, ts FROM rooms ORDER BY ts, room LIMIT ?',
    );
    this.#deleteRoom = database.prepare('DELETE FROM rooms WHERE room = ?');
    this.#forget = database.prepare(
      'UPDATE partitions SET forgotten_through = max(forgotten_through, ?) WHERE partition = ?',
    );
  }

  /**
   * Does one step in at most one transaction.
   *
   * @param now the log's time; from now on no record may be stamped with an earlier one
   * @returns what it did, or undefined if nothing is left to do
   */
  step(now: number): { recordsDeleted: number; roomsForgotten: number } | undefined {
    const limits = this.#limits;
    const oldest = this.#oldestPartition();
    // The dedupe window outlives every setting of retention: what it needs would be published twice.
    const deletableTs = now - limits.windowSpanMs;
    const expiredTs = Math.min(now - limits.retentionMs, deletableTs);
    if (oldest !== undefined && oldest.ts < expiredTs) {
      return {
        recordsDeleted: this.#deleteBefore(oldest.partition, expiredTs, RECORDS_PER_STEP, now),
        roomsForgotten: 0,
      };
    }
    if (oldest !== undefined && oldest.ts < deletableTs && this.#bytes() > limits.retentionBytes) {
      return {
        recordsDeleted: this.#deleteBefore(oldest.partition, deletableTs, RECORDS_PER_SIZE_STEP, now),
        roomsForgotten: 0,
      };
    }
    const roomsForgotten = this.#forgetRooms(now - limits.roomMemoryMs);
    return roomsForgotten === 0 ? undefined : { recordsDeleted: 0, roomsForgotten };
  }

  /** The partition whose first record is oldest. */
  #oldestPartition(): { partition: number; ts: number } | undefined {
    let oldest: { partition: number; ts: number } | undefined;
    for (let partition = 0; partition < this.#partitions; partition++) {
      const first = this.#firstOf.get(recordKey(partition, 0), recordKey(partition + 1, 0));
      if (first === undefined) continue;
      const ts = numberOf(first, 'ts');
      if (oldest === undefined || ts < oldest.ts) oldest = { partition, ts };
    }
    return oldest;
  }

  #bytes(): number {
    const pages = pragma(this.#database, 'page_count') - pragma(this.#database, 'freelist_count');
    return pages * pragma(this.#database, 'page_size');
  }

  #deleteBefore(partition: number, ts: number, limit: number, now: number): number {
    const start = recordKey(partition, 0);
    const rows: Row[] = this.#oldestOf.all(start, recordKey(partition + 1, 0), limit);
    const rooms = new Map<string, number>();
    let deleted = 0;
    let last: Row | undefined;
    for (const row of rows) {
      if (numberOf(row, 'ts') >= ts) break;
      rooms.set(textOf(row, 'room'), numberOf(row, 'key') - start);
      last = row;
      deleted++;
    }
    if (last === undefined) return 0;
    const lastKey = numberOf(last, 'key');
    this.#transaction(() => {
      this.#deleteRange.run(start, lastKey);
      this.#purge.run(lastKey - start, numberOf(last, 'ts'), partition);
      writeMeta(this.#database, 'clock', now);
      let added = 0;
      for (const [room, offset] of rooms) {
        if (this.#moveRoom.run(offset, now, room).changes !== 0) continue;
        this.#addRoom.run(offset, now, room, partition);
        added++;
      }
      return added;
    });
    return deleted;
  }

  #forgetRooms(ts: number): number {
    const excess = this.#rooms - this.#limits.roomsRememberedMax;
    const rows: Row[] = this.#oldestRooms.all(ROOMS_PER_STEP);
    const forgotten = rows.filter((row, index) => index < excess || numberOf(row, 'ts') < ts);
    if (forgotten.length === 0) return 0;
    this.#transaction(() => {
      for (const row of forgotten) {
        this.#forget.run(numberOf(row, 'deleted_through'), numberOf(row, 'partition'));
        this.#deleteRoom.run(textOf(row, 'room'));
      }
      return -forgotten.length;
    });
    return forgotten.length;
  }

  /** @param change returns by how many the remembered rooms have changed */
  #transaction(change: () => number): void {
    try {
      this.#database.exec('BEGIN IMMEDIATE');
      const rooms = change();
      this.#database.exec('COMMIT');
      this.#rooms += rooms;
    } catch (error) {
      rollBack(this.#database);
      throw error;
    }
  }
}
