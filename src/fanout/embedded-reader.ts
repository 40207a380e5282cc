/** The thread that serves pages, on a connection of its own, so that a long resume never delays a commit. */
import type { DatabaseSync, StatementSync } from 'node:sqlite';
import { parentPort, workerData } from 'node:worker_threads';
import { DataDirectoryError, dataFiles } from './data-directory.ts';
import type { FromReader, ReaderData, ReadQuery, ReadResult, ToReader } from './embedded-messages.ts';
import { numberOf, openDatabase, RECORD_COLUMNS, type Row, rollBack, soundRecord } from './embedded-schema.ts';
import { type BlockRecord, offsetOfKey, packRecords, recordKey } from './record-block.ts';
import { describeError } from './sqlite-error.ts';

/** Damaged offsets told with one page, for the log's error lines. */
const DAMAGED_TOLD_MAX = 100;

interface Scan {
  /** In the order in which they were read. */
  readonly records: BlockRecord[];
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
  readonly #room: StatementSync;
  readonly #partition: StatementSync;

  constructor(data: ReaderData) {
    const database = openDatabase(dataFiles(data.directory).log, { readOnly: true });
    this.#database = database;
    const records = `SELECT ${RECORD_COLUMNS} FROM records WHERE room = ? AND key > ? AND key < ? ORDER BY key`;
    this.#newer = database.prepare(`${records} ASC`);
    this.#older = database.prepare(`${records} DESC`);
    this.#room = database.prepare('SELECT deleted_through FROM rooms WHERE room = ?');
    this.#partition = database.prepare('SELECT forgotten_through FROM partitions WHERE partition = ?');
  }

  read(query: ReadQuery): ReadResult {
    // One transaction, so that retention can't come between the records and what is known of those deleted.
    this.#database.exec('BEGIN');
    try {
      const after = query.direction === 'after';
      const scan = this.#scan(query, after);
      const records = after ? scan.records : scan.records.reverse();
      return {
        kind: 'page',
        number: query.number,
        partition: query.partition,
        block: packRecords(records),
        more: scan.more,
        gap: this.#gap(query, scan.passedOver),
        damaged: scan.damaged,
      };
    } finally {
      rollBack(this.#database);
    }
  }

  close(): void {
    this.#database.close();
  }

  #scan(query: ReadQuery, after: boolean): Scan {
    const lowest = recordKey(query.partition, after ? query.start : -1);
    const highest = recordKey(query.partition, after ? query.through + 1 : query.start);
    const rows = (after ? this.#newer : this.#older).iterate(query.room, lowest, highest) as Iterable<Row>;
    const records: BlockRecord[] = [];
    const damaged: number[] = [];
    let passedOver: Scan['passedOver'];
    let bytes = 0;
    for (const row of rows) {
      const record = soundRecord(row);
      if (record === undefined) {
        const offset = offsetOfKey(numberOf(row, 'key'));
        if (damaged.length < DAMAGED_TOLD_MAX) damaged.push(offset);
        // Behind a damaged record begins the next page, which can say so with a gap.
        if (records.length > 0) return { records, more: true, passedOver, damaged };
        passedOver = {
          lowest: Math.min(offset, passedOver?.lowest ?? offset),
          highest: Math.max(offset, passedOver?.highest ?? offset),
        };
        continue;
      }
      const value = Buffer.from(record.value.buffer, record.value.byteOffset, record.value.byteLength);
      bytes += value.length;
      if (records.length > 0 && (records.length === query.limit || bytes > query.bytesMax)) {
        return { records, more: true, passedOver, damaged };
      }
      const { key, ts, dataHash } = record;
      records.push({ partition: query.partition, offset: offsetOfKey(key), ts, dataHash, id: '', value });
    }
    return { records, more: false, passedOver, damaged };
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
  #missingThrough(query: ReadQuery): number {
    const room = this.#room.get(query.room);
    if (room !== undefined) return numberOf(room, 'deleted_through');
    // Those deleted are always a partition's first, so that this lies before whatever there is of the room.
    return numberOf(this.#partition.get(query.partition), 'forgotten_through', -1);
  }
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
