import type { DatabaseSync } from 'node:sqlite';
import { DataDirectoryError } from './data-directory.ts';
import { numberOf, RECORD_COLUMNS, type Row, soundRecord } from './embedded-schema.ts';
import { type BlockRecord, offsetOfKey, packRecords, recordKey } from './record-block.ts';

const RECORDS_PER_BLOCK = 8_192;
const NO_VALUE = Buffer.alloc(0);

/** Where a partition begins and ends. */
export interface PartitionEnds {
  /** Offset of the newest record that retention has deleted, or -1. */
  readonly purged: number;
  /** Offset of the newest record, whether it is still there or not, or -1. */
  readonly end: number;
  /** Time of that record, in milliseconds since 1970, or 0. */
  readonly ts: number;
}

export function readEnds(database: DatabaseSync, partition: number): PartitionEnds {
  const row = database.prepare('SELECT purged_through, purged_ts FROM partitions WHERE partition = ?').get(partition);
  const last = database
    .prepare('SELECT key, ts + 0.0 AS ts FROM records WHERE key >= ? AND key < ? ORDER BY key DESC LIMIT 1')
    .get(recordKey(partition, 0), recordKey(partition + 1, 0));
  const purged = numberOf(row, 'purged_through', -1);
  if (last === undefined) return { purged, end: purged, ts: numberOf(row, 'purged_ts') };
  return { purged, end: offsetOfKey(numberOf(last, 'key')), ts: numberOf(last, 'ts') };
}

/**
 * The records of a partition from `oldestTs` on, oldest first, without values, in blocks. Each was verified:
 * without any one of them a retry could be delivered twice.
 *
 * @throws DataDirectoryError naming the partition and offset of a record that is damaged or missing
 */
export function readWindow(
  database: DatabaseSync,
  path: string,
  partition: number,
  ends: PartitionEnds,
  oldestTs: number,
): ArrayBuffer[] {
  // Backwards, since only a verified record's time can say that those before it are too old.
  const rows = database
    .prepare(`SELECT ${RECORD_COLUMNS} FROM records WHERE key >= ? AND key < ? ORDER BY key DESC`)
    .iterate(recordKey(partition, 0), recordKey(partition + 1, 0)) as Iterable<Row>;
  const blocks: ArrayBuffer[] = [];
  let records: BlockRecord[] = [];
  const pack = () => {
    if (records.length > 0) blocks.push(packRecords(records.reverse()));
    records = [];
  };
  const complete = () => {
    pack();
    return blocks.reverse();
  };
  let expected = ends.end;
  for (const row of rows) {
    const offset = offsetOfKey(numberOf(row, 'key'));
    if (offset !== expected) throw damage(path, partition, expected, 'is missing');
    const record = soundRecord(row);
    if (record === undefined) throw damage(path, partition, offset, 'is damaged');
    const { ts, id, dataHash } = record;
    if (ts < oldestTs) return complete();
    expected = offset - 1;
    const text = Buffer.from(id.buffer, id.byteOffset, id.byteLength).toString('latin1');
    records.push({ partition, offset, ts, dataHash, id: text, value: NO_VALUE });
    if (records.length === RECORDS_PER_BLOCK) pack();
  }
  if (expected !== ends.purged) throw damage(path, partition, expected, 'is missing');
  return complete();
}

function damage(path: string, partition: number, offset: number, what: string): DataDirectoryError {
  return new DataDirectoryError(
    `${path} is damaged: the record at partition ${partition}, offset ${offset} ${what}, and without it retries could be delivered twice; restore it from a backup`,
  );
}
