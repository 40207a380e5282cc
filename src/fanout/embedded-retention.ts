import type { DatabaseSync, StatementSync } from 'node:sqlite';
import { blockOf, numberOf, postingsOf, pragma, type Row, readMeta, rollBack, writeMeta } from './embedded-schema.ts';
import { partitionOfKey } from './record-block.ts';

/** Records from which on no block is added to a transaction: few, since appends wait for it. */
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
 * Deletes old blocks in small steps, oldest first, and remembers up to where each room's records were deleted. What
 * is deleted of a partition is always its beginning.
 */
export class Retention {
  readonly #database: DatabaseSync;
  readonly #limits: RetentionLimits;
  #rooms: number;
  readonly #oldest: StatementSync;
  readonly #deleteBlocks: StatementSync;
  readonly #deletePostings: StatementSync;
  readonly #allPostings: StatementSync;
  readonly #purge: StatementSync;
  readonly #moveRoom: StatementSync;
  readonly #addRoom: StatementSync;
  readonly #oldestRooms: StatementSync;
  readonly #deleteRoom: StatementSync;
  readonly #forget: StatementSync;

  constructor(database: DatabaseSync, limits: RetentionLimits) {
    this.#database = database;
    this.#limits = limits;
    this.#rooms = numberOf(database.prepare('SELECT count(*) AS n FROM rooms').get(), 'n');
    this.#oldest = database.prepare('SELECT number, block FROM blocks ORDER BY number');
    this.#deleteBlocks = database.prepare('DELETE FROM blocks WHERE number <= ?');
    this.#deletePostings = database.prepare('DELETE FROM room_index WHERE room = ? AND last <= ?');
    this.#allPostings = database.prepare('SELECT room, last, postings FROM room_index');
    this.#purge = database.prepare('UPDATE partitions SET purged_through = ? WHERE partition = ?');
    this.#moveRoom = database.prepare('UPDATE rooms SET deleted_through = ?, ts = ? WHERE room = ?');
    this.#addRoom = database.prepare('INSERT INTO rooms (deleted_through, ts, room) VALUES (?, ?, ?)');
    this.#oldestRooms = database.prepare(
      'SELECT room, deleted_through, ts FROM rooms ORDER BY ts, deleted_through LIMIT ?',
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
    // The dedupe window outlives every setting of retention: what it needs would be published twice.
    const deletableTs = now - limits.windowSpanMs;
    const expiredTs = Math.min(now - limits.retentionMs, deletableTs);
    let deleted = this.#deleteBefore(expiredTs, RECORDS_PER_STEP, now);
    if (deleted === undefined && this.#bytes() > limits.retentionBytes) {
      deleted = this.#deleteBefore(deletableTs, RECORDS_PER_SIZE_STEP, now);
    }
    if (deleted !== undefined) return { recordsDeleted: deleted, roomsForgotten: 0 };
    const roomsForgotten = this.#forgetRooms(now - limits.roomMemoryMs);
    return roomsForgotten === 0 ? undefined : { recordsDeleted: 0, roomsForgotten };
  }

  #bytes(): number {
    const pages = pragma(this.#database, 'page_count') - pragma(this.#database, 'freelist_count');
    return pages * pragma(this.#database, 'page_size');
  }

  /** @returns how many records were deleted, or undefined if there is no block that is older */
  #deleteBefore(ts: number, recordsMax: number, now: number): number | undefined {
    const rooms = new Map<number, number>();
    const damaged = new Set<number>();
    const indexedThrough = numberOf({ value: readMeta(this.#database, 'indexed_block') ?? -1 }, 'value', -1);
    let last: number | undefined;
    let records = 0;
    for (const row of this.#oldest.iterate() as Iterable<Row>) {
      const number = numberOf(row, 'number');
      const block = blockOf(row, number);
      if (block === undefined) {
        // Nothing says whose records it had, so that nobody could be told of them.
        if (number > indexedThrough) break;
        // Its time is unknown: it goes with the one behind it.
        damaged.add(number);
        continue;
      }
      if (block.ts >= ts) break;
      last = number;
      records += block.count;
      for (let index = 0; index < block.count; index++) rooms.set(block.room(index), block.offset(index));
      if (records >= recordsMax) break;
    }
    if (last === undefined) return undefined;
    const through = last;
    if (damaged.size > 0) this.#addDamaged(rooms, (block) => block <= through && damaged.has(block));
    this.#transaction(() => {
      this.#deleteBlocks.run(through);
      writeMeta(this.#database, 'purged_block', through);
      writeMeta(this.#database, 'clock', now);
      let added = 0;
      const ends = new Map<number, number>();
      for (const [room, offset] of rooms) {
        const partition = partitionOfKey(room);
        ends.set(partition, Math.max(offset, ends.get(partition) ?? -1));
        this.#deletePostings.run(room, offset);
        if (this.#moveRoom.run(offset, now, room).changes !== 0) continue;
        this.#addRoom.run(offset, now, room);
        added++;
      }
      for (const [partition, end] of ends) this.#purge.run(end, partition);
      return added;
    });
    return records;
  }

  /** Adds the rooms of blocks that can't say themselves whose records they had. */
  #addDamaged(rooms: Map<number, number>, isGone: (block: number) => boolean): void {
    for (const row of this.#allPostings.iterate() as Iterable<Row>) {
      const room = numberOf(row, 'room');
      for (const { offset, block } of postingsOf(row) ?? []) {
        if (isGone(block)) rooms.set(room, Math.max(offset, rooms.get(room) ?? -1));
      }
    }
  }

  #forgetRooms(ts: number): number {
    const excess = this.#rooms - this.#limits.roomsRememberedMax;
    const rows: Row[] = this.#oldestRooms.all(ROOMS_PER_STEP);
    const forgotten = rows.filter((row, index) => index < excess || numberOf(row, 'ts') < ts);
    if (forgotten.length === 0) return 0;
    this.#transaction(() => {
      for (const row of forgotten) {
        const room = numberOf(row, 'room');
        const deletedThrough = numberOf(row, 'deleted_through');
        this.#forget.run(deletedThrough, partitionOfKey(room));
        // Those whose rows were written only after their records had been deleted.
        this.#deletePostings.run(room, deletedThrough);
        this.#deleteRoom.run(room);
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
