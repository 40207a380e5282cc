/** The thread that serves pages, on a connection of its own, so that a long resume never delays a commit. */
import type { DatabaseSync, StatementSync } from 'node:sqlite';
import { parentPort, workerData } from 'node:worker_threads';
import { DataDirectoryError, dataFiles } from './data-directory.ts';
import type { FromReader, ReaderData, ReadQuery, ReadResult, ToReader } from './embedded-messages.ts';
import { blockOf, numberOf, openDatabase, postingsOf, type Row, rollBack } from './embedded-schema.ts';
import { type PageRecord, packPage } from './page-block.ts';
import type { Posting } from './postings.ts';
import { partitionOfKey, type RecordBlock } from './record-block.ts';
import { describeError } from './sqlite-error.ts';

/** Damaged offsets told with one page, for the log's error lines. */
const DAMAGED_TOLD_MAX = 100;

interface Scan {
  /** In the order in which they were read. */
  readonly records: PageRecord[];
  readonly more: boolean;
  /** The damaged records that lie between the request's position and the page, by offset. */
  readonly passedOver: { readonly lowest: number; readonly highest: number } | undefined;
  /** Offsets. */
  readonly damaged: readonly number[];
}

class Reader {
  readonly #database: DatabaseSync;
  readonly #newer: StatementSync;
  readonly #older: StatementSync;
  readonly #block: StatementSync;
  readonly #purged: StatementSync;
  readonly #room: StatementSync;
  readonly #partition: StatementSync;
  /** The block that was read last: a room's next record is often there too. */
  #held: RecordBlock | undefined;

  constructor(data: ReaderData) {
    const database = openDatabase(dataFiles(data.directory).log, { readOnly: true });
    this.#database = database;
    const rows = 'SELECT room, last, postings FROM room_index WHERE room = ?';
    this.#newer = database.prepare(`${rows} AND last >= ? ORDER BY last`);
    this.#older = database.prepare(`${rows} AND last < ? ORDER BY last DESC`);
    this.#block = database.prepare('SELECT block FROM blocks WHERE number = ?');
    this.#purged = database.prepare("SELECT value FROM meta WHERE key = 'purged_block'");
    this.#room = database.prepare('SELECT deleted_through FROM rooms WHERE room = ?');
    this.#partition = database.prepare('SELECT forgotten_through FROM partitions WHERE partition = ?');
  }

  read(query: ReadQuery): ReadResult {
    // One transaction, so that retention can't come between the records and what is known of those deleted.
    this.#database.exec('BEGIN');
    try {
      const after = query.direction === 'after';
      const scan = this.#scan(query, after ? this.#forward(query) : this.#backward(query));
      return {
        kind: 'page',
        number: query.number,
        block: packPage(after ? scan.records : scan.records.reverse()),
        more: scan.more,
        gap: this.#gap(query, scan.passedOver),
        damaged: scan.damaged,
      };
    } finally {
      this.#held = undefined;
      rollBack(this.#database);
    }
  }

  close(): void {
    this.#database.close();
  }

  /** Where the room's records behind the start stand, up to the end, in order. */
  *#forward({ key, start, through, unindexed }: ReadQuery): Generator<Posting> {
    let last = start;
    for (const posting of concatenate(this.#rows(this.#newer, key, start + 1), [unpack(unindexed)])) {
      if (posting.offset > through) return;
      // Its row may have been written since the query was.
      if (posting.offset <= last) continue;
      last = posting.offset;
      yield posting;
    }
  }

  /** Where the room's records before the start stand, the newest first. */
  *#backward({ key, start, unindexed }: ReadQuery): Generator<Posting> {
    let last = start;
    // The row that begins before the start and doesn't end there.
    const across: Row | undefined = this.#newer.get(key, start);
    const newest = [...(across === undefined ? [] : soundPostings(across)), ...unpack(unindexed)];
    for (const posting of concatenate([newest.reverse()], this.#rows(this.#older, key, start))) {
      if (posting.offset >= last) continue;
      last = posting.offset;
      yield posting;
    }
  }

  *#rows(statement: StatementSync, key: number, bound: number): Generator<Posting[]> {
    const reverse = statement === this.#older;
    for (const row of statement.iterate(key, bound) as Iterable<Row>) {
      yield reverse ? soundPostings(row).reverse() : soundPostings(row);
    }
  }

  #scan(query: ReadQuery, postings: Iterable<Posting>): Scan {
    // What the index still has of deleted blocks is none of the log any more.
    const purgedBlock = numberOf(this.#purged.get(), 'value', -1);
    const room = Buffer.from(`{"room":"${query.room}",`);
    const records: PageRecord[] = [];
    const damaged: number[] = [];
    let passedOver: Scan['passedOver'];
    let bytes = 0;
    for (const { offset, block: number } of postings) {
      if (number <= purgedBlock) {
        if (query.direction === 'before') break;
        continue;
      }
      const block = this.#read(number);
      const value = block?.value(block.find(query.key, offset));
      if (block === undefined || value === undefined) {
        if (damaged.length < DAMAGED_TOLD_MAX) damaged.push(offset);
        // Behind a damaged record begins the next page, which can say so with a gap.
        if (records.length > 0) return { records, more: true, passedOver, damaged };
        passedOver = {
          lowest: Math.min(offset, passedOver?.lowest ?? offset),
          highest: Math.max(offset, passedOver?.highest ?? offset),
        };
        continue;
      }
      // It is another room's, whose name has the same hash.
      if (!value.subarray(0, room.length).equals(room)) continue;
      bytes += value.length;
      if (records.length > 0 && (records.length === query.limit || bytes > query.bytesMax)) {
        return { records, more: true, passedOver, damaged };
      }
      records.push({ offset, ts: block.ts, value });
    }
    return { records, more: false, passedOver, damaged };
  }

  #read(number: number): RecordBlock | undefined {
    if (this.#held?.number !== number) this.#held = blockOf(this.#block.get(number), number);
    return this.#held;
  }

  #gap(query: ReadQuery, passedOver: Scan['passedOver']): ReadResult['gap'] {
    const damagedThrough = passedOver?.highest ?? -1;
    if (query.direction === 'before' && !query.foreign) {
      // Read backwards, what retention has deleted is the end of history and no gap.
      return passedOver === undefined ? undefined : { from: passedOver.lowest - 1, to: damagedThrough };
    }
    // What was deleted behind the end of the request is not its matter.
    const last = query.direction === 'before' ? query.start - 1 : query.through;
    const to = Math.max(Math.min(this.#missingThrough(query), last), damagedThrough);
    if (query.foreign) return { from: null, to };
    return to > query.start ? { from: query.start, to } : undefined;
  }

  /** The last offset at which a record of the room may have been deleted, or -1. */
  #missingThrough({ key }: ReadQuery): number {
    const room = this.#room.get(key);
    if (room !== undefined) return numberOf(room, 'deleted_through');
    // Those deleted are always a partition's first, so that this lies before whatever there is of the room.
    return numberOf(this.#partition.get(partitionOfKey(key)), 'forgotten_through', -1);
  }
}

/** @param words see `ReadQuery` */
function unpack(words: Float64Array): Posting[] {
  return Array.from({ length: words.length / 2 }, (_, index) => {
    return { offset: words[2 * index] as number, block: words[2 * index + 1] as number };
  });
}

function* concatenate(...lists: Iterable<readonly Posting[]>[]): Generator<Posting> {
  for (const list of lists) for (const postings of list) yield* postings;
}

function soundPostings(row: Row): Posting[] {
  const postings = postingsOf(row);
  if (postings === undefined) throw new Error('a row of the index of rooms is damaged');
  return postings;
}

function post(message: FromReader, transfer: ArrayBuffer[] = []): void {
  parentPort?.postMessage(message, transfer);
}

function open(): Reader | undefined {
  try {
    return new Reader(workerData as ReaderData);
  } catch (error) {
    post({ kind: 'refused', message: error instanceof DataDirectoryError ? error.message : describeError(error) });
    return undefined;
  }
}

const reader = open();
if (reader !== undefined) {
  post({ kind: 'opened' });
  parentPort?.on('message', (message: ToReader) => {
    if (message.kind === 'close') {
      reader.close();
      parentPort?.close();
      return;
    }
    try {
      const result = reader.read(message);
      post(result, [result.block]);
    } catch (error) {
      post({ kind: 'readFailed', number: message.number, message: describeError(error) });
    }
  });
}
