import { hash } from 'node:crypto';
import { partitionOf } from './partition.ts';
import { POSTINGS_PER_ROW_MAX, type Posting, type PostingRow, packPostings } from './postings.ts';
import { partitionOfKey, roomKey } from './record-block.ts';

/** Records that may be appended after one before the row with that one must be written. */
const UNINDEXED_RECORDS_MAX = 65_536;
/** Rows that go with a commit beside one for each of its records, so that what is due can't pile up. */
const ROWS_MORE = 16;
/** Rooms whose keys are remembered; then all are found anew, at about a microsecond each. */
const ROOMS_KNOWN_MAX = 65_536;

/** What the log knows of a room in which something was said lately. */
export interface Room {
  readonly partition: number;
  /** See `roomKey`. */
  readonly key: number;
  /** Of the records that have no row in the index yet. */
  readonly unindexed: Posting[];
}

interface ListedRoom extends Room {
  unindexed: Posting[];
  /** How many records were appended before the first of these. */
  since: number;
  isListed: boolean;
  next: ListedRoom | undefined;
  previous: ListedRoom | undefined;
}

/** Rows that are to be written with a commit. */
export interface IndexRows {
  readonly rows: readonly PostingRow[];
  /** Once they are, every record of the blocks up to this one is in the index. */
  readonly indexedThrough: number;
}

/**
 * The part of the index of rooms that is not on the disk yet. A row of the index for each record would be most of
 * what an append costs, since each goes to another page of the index; so a room's records are collected, and
 * written as one row when there are many or the first of them has waited long. After a crash they are found again
 * in the newest blocks.
 */
export class RoomIndex {
  readonly #partitions: number;
  readonly #salt: string;
  readonly #byName = new Map<string, ListedRoom>();
  /** Those with unindexed records. */
  readonly #byKey = new Map<number, ListedRoom>();
  /** Of these, the ends of a list in the order of their first unindexed records. */
  #oldest: ListedRoom | undefined;
  #newest: ListedRoom | undefined;
  /** Those with so many that a row is full. */
  readonly #full = new Set<ListedRoom>();
  /** Those whose rows are on their way. */
  #taken: ListedRoom[] = [];
  #records = 0;

  /** @param salt of this log alone, so that nobody else can find names that share a key */
  constructor(partitions: number, salt: string) {
    this.#partitions = partitions;
    this.#salt = salt;
  }

  room(name: string): Room {
    const known = this.#byName.get(name);
    if (known !== undefined) return known;
    const partition = partitionOf(name, this.#partitions);
    const key = roomKey(partition, Number.parseInt(hash('sha256', this.#salt + name).slice(0, 10), 16));
    const room = this.#byKey.get(key) ?? newRoom(partition, key);
    if (this.#byName.size >= ROOMS_KNOWN_MAX) this.#byName.clear();
    this.#byName.set(name, room);
    return room;
  }

  /** Notes where a record was read that has no row in the index. */
  restore(key: number, posting: Posting): void {
    this.note(this.#byKey.get(key) ?? newRoom(partitionOfKey(key), key), posting);
  }

  /** Notes where a record stands, after those that were appended before it. */
  note(room: Room, posting: Posting): void {
    const listed = this.#listed(room as ListedRoom);
    listed.unindexed.push(posting);
    if (listed.unindexed.length === POSTINGS_PER_ROW_MAX) this.#full.add(listed);
    this.#records++;
  }

  /**
   * Takes the rows that are due.
   *
   * @param records of the commit with which they go
   * @param nextBlock number of its first block
   */
  take(records: number, nextBlock: number): IndexRows | undefined {
    const rowsMax = records + ROWS_MORE;
    const rows: PostingRow[] = [];
    const due = this.#records - UNINDEXED_RECORDS_MAX;
    const taken = new Set<ListedRoom>();
    let oldest = this.#oldest;
    for (; oldest !== undefined && oldest.since < due && rows.length < rowsMax; oldest = oldest.next) {
      taken.add(oldest);
      packRows(oldest, rows);
    }
    for (const room of this.#full) {
      if (rows.length >= rowsMax) break;
      if (taken.has(room)) continue;
      taken.add(room);
      packRows(room, rows);
    }
    if (rows.length === 0) return undefined;
    this.#taken = [...taken];
    while (oldest !== undefined && taken.has(oldest)) oldest = oldest.next;
    return { rows, indexedThrough: (oldest?.unindexed[0]?.block ?? nextBlock) - 1 };
  }

  /** The rows that were taken are written. */
  written(): void {
    for (const room of this.#taken) this.#unlist(room);
    this.#taken = [];
  }

  /** They are not, and may be taken again. */
  notWritten(): void {
    this.#taken = [];
  }

  #listed(room: ListedRoom): ListedRoom {
    if (room.isListed) return room;
    // Its name may have been forgotten while a record of it was on its way.
    const other = this.#byKey.get(room.key);
    if (other !== undefined) return other;
    this.#byKey.set(room.key, room);
    room.isListed = true;
    room.since = this.#records;
    room.previous = this.#newest;
    if (this.#newest === undefined) this.#oldest = room;
    else this.#newest.next = room;
    this.#newest = room;
    return room;
  }

  #unlist(room: ListedRoom): void {
    this.#byKey.delete(room.key);
    this.#full.delete(room);
    room.isListed = false;
    room.unindexed = [];
    if (room.previous === undefined) this.#oldest = room.next;
    else room.previous.next = room.next;
    if (room.next === undefined) this.#newest = room.previous;
    else room.next.previous = room.previous;
    room.previous = undefined;
    room.next = undefined;
  }
}

function newRoom(partition: number, key: number): ListedRoom {
  return { partition, key, unindexed: [], since: 0, isListed: false, next: undefined, previous: undefined };
}

function packRows({ key, unindexed }: Room, rows: PostingRow[]): void {
  for (let from = 0; from < unindexed.length; from += POSTINGS_PER_ROW_MAX) {
    rows.push(packPostings(key, unindexed, from, Math.min(POSTINGS_PER_ROW_MAX, unindexed.length - from)));
  }
}
