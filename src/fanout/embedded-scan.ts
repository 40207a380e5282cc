import type { DatabaseSync, StatementSync } from 'node:sqlite';
import type { DataDirectoryError } from './data-directory.ts';
import { blockOf, damaged, numberOf, postingsOf, type Row, readMeta } from './embedded-schema.ts';
import { PostingSum } from './postings.ts';
import { partitionOfKey, type RecordBlock } from './record-block.ts';

/** What a log's records come to. */
export interface Scanned {
  /** Offset of each partition's newest record, whether it is still there or not, or -1. */
  readonly ends: readonly number[];
  /** Number of the newest block, whether it is still there or not, or -1. */
  readonly lastBlock: number;
  readonly records: number;
}

export interface ScanOptions {
  readonly partitions: number;
  /** Milliseconds before the newest record whose records must all be what was written. */
  readonly neededMs: number;
  /** Why, in words behind `and`. */
  readonly reason: string;
  /**
   * Gets the blocks of that time, and those with records that are not in the index of rooms, oldest first, and which
   * records these are.
   */
  readonly onBlock: (block: RecordBlock, unindexed: readonly number[]) => void;
}

/**
 * Reads the heads of all blocks, and all of the index of rooms, and holds them against each other, since a record
 * that the index has lost would be a gap that nobody is told of. Where a value is damaged, or a block that is in
 * the index, readers are told of a gap.
 *
 * @throws DataDirectoryError naming what is damaged or missing
 */
export function scanLog(database: DatabaseSync, path: string, options: ScanOptions): Scanned {
  return new Scan(database, path, options).run();
}

class Scan {
  readonly #database: DatabaseSync;
  readonly #path: string;
  readonly #options: ScanOptions;
  readonly #ends: number[];
  /** Partitions in which a damaged block may have had the next records. */
  readonly #uncertain = new Set<number>();
  readonly #damaged = new Set<number>();
  readonly #indexedThrough: number;
  readonly #sum = new PostingSum();
  readonly #lastOf: StatementSync;
  /** By room: the last offset that the index has. */
  readonly #lastOffsets = new Map<number, number>();
  #lastBlock: number;
  #records = 0;

  constructor(database: DatabaseSync, path: string, options: ScanOptions) {
    this.#database = database;
    this.#path = path;
    this.#options = options;
    const purged = database.prepare('SELECT purged_through FROM partitions WHERE partition = ?');
    this.#ends = Array.from({ length: options.partitions }, (_, partition) =>
      numberOf(purged.get(partition), 'purged_through', -1),
    );
    this.#lastOf = database.prepare('SELECT max(last) AS last FROM room_index WHERE room = ?');
    this.#lastBlock = this.#metaNumber('purged_block');
    this.#indexedThrough = this.#metaNumber('indexed_block');
  }

  run(): Scanned {
    const firstBlock = this.#lastBlock + 1;
    const neededTs = this.#newestTs() - this.#options.neededMs;
    const rows = this.#database.prepare('SELECT number, block FROM blocks ORDER BY number').iterate() as Iterable<Row>;
    for (const row of rows) {
      const number = numberOf(row, 'number');
      if (number !== this.#lastBlock + 1) throw this.#damage(`block ${this.#lastBlock + 1} is missing`);
      this.#lastBlock = number;
      const block = blockOf(row, number);
      if (block === undefined) this.#skip(number);
      else this.#take(block, neededTs);
    }
    if (this.#indexedThrough > this.#lastBlock) throw this.#damage(`block ${this.#lastBlock + 1} is missing`);
    this.#checkIndex(firstBlock);
    return { ends: this.#ends, lastBlock: this.#lastBlock, records: this.#records };
  }

  #newestTs(): number {
    const row: Row | undefined = this.#database
      .prepare('SELECT number, block FROM blocks ORDER BY number DESC LIMIT 1')
      .get();
    if (row === undefined) return 0;
    const number = numberOf(row, 'number');
    const block = blockOf(row, number);
    if (block === undefined) throw this.#damage(`block ${number} is damaged, and ${this.#options.reason}`);
    return block.ts;
  }

  #skip(number: number): void {
    if (number > this.#indexedThrough)
      throw this.#damage(`block ${number} is damaged, and nothing else tells whose records it had`);
    this.#damaged.add(number);
    for (let partition = 0; partition < this.#options.partitions; partition++) this.#uncertain.add(partition);
  }

  #take(block: RecordBlock, neededTs: number): void {
    const { number, count, ts } = block;
    const unindexed: number[] = [];
    const isNeeded = ts >= neededTs;
    // Times don't fall: it is needed too, or may be.
    if (isNeeded && this.#damaged.has(number - 1))
      throw this.#damage(`block ${number - 1} is damaged, and ${this.#options.reason}`);
    this.#records += count;
    for (let index = 0; index < count; index++) {
      const room = block.room(index);
      const offset = block.offset(index);
      this.#advance(partitionOfKey(room), offset);
      // Of the newest blocks the index has some rooms' records already.
      if (number <= this.#indexedThrough || offset <= this.#lastOffset(room)) this.#sum.add(room, offset, number);
      else unindexed.push(index);
      if (isNeeded && block.value(index) === undefined) {
        throw this.#damage(`${recordAt(partitionOfKey(room), offset)} is damaged, and ${this.#options.reason}`);
      }
    }
    if (isNeeded || unindexed.length > 0) this.#options.onBlock(block, unindexed);
  }

  #lastOffset(room: number): number {
    let last = this.#lastOffsets.get(room);
    if (last === undefined) {
      last = numberOf(this.#lastOf.get(room), 'last', -1);
      this.#lastOffsets.set(room, last);
    }
    return last;
  }

  #advance(partition: number, offset: number): void {
    const expected = (this.#ends[partition] ?? -1) + 1;
    if (offset !== expected && !(offset > expected && this.#uncertain.has(partition))) {
      throw this.#damage(`${recordAt(partition, expected)} is missing`);
    }
    this.#uncertain.delete(partition);
    this.#ends[partition] = offset;
  }

  #checkIndex(firstBlock: number): void {
    const sum = new PostingSum();
    const rows = this.#database.prepare('SELECT room, last, postings FROM room_index').iterate() as Iterable<Row>;
    for (const row of rows) {
      const postings = postingsOf(row);
      if (postings === undefined) throw this.#damage('a row of the index of rooms is not what was written');
      for (const { offset, block } of postings) {
        if (block >= firstBlock && !this.#damaged.has(block)) sum.add(numberOf(row, 'room'), offset, block);
      }
    }
    if (!sum.equals(this.#sum)) throw this.#damage('the index of rooms does not agree with the records');
  }

  #metaNumber(key: 'purged_block' | 'indexed_block'): number {
    const value = readMeta(this.#database, key);
    if (typeof value !== 'number') throw this.#damage(`it has no ${key}`);
    return value;
  }

  #damage(what: string): DataDirectoryError {
    return damaged(this.#path, what);
  }
}

function recordAt(partition: number, offset: number): string {
  return `the record at partition ${partition}, offset ${offset}`;
}

/**
 * Reads every record of a log.
 *
 * @returns how many there are, all of them what was written
 * @throws DataDirectoryError naming what is damaged or missing
 */
export function verifyRecords(database: DatabaseSync, path: string): number {
  const partitions = readMeta(database, 'partitions');
  if (typeof partitions !== 'number') throw damaged(path, 'it has no partitions');
  const all = { neededMs: Number.POSITIVE_INFINITY, reason: 'a backup has every record', onBlock: () => {} };
  return scanLog(database, path, { partitions, ...all }).records;
}
