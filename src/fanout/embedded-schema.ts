import { randomBytes } from 'node:crypto';
import { DatabaseSync, type SQLOutputValue } from 'node:sqlite';
import { crc32 } from 'node:zlib';
import { DataDirectoryError } from './data-directory.ts';
import { describeError, SQLITE, sqliteCode } from './sqlite-error.ts';

/** "tide": tells our files from other SQLite files. */
const APPLICATION_ID = 0x74696465;
const SCHEMA_VERSION = 1;

/** Milliseconds for which a statement waits for another connection's lock, as of an operator's shell. */
const BUSY_TIMEOUT_MS = 30_000;
/** Bytes to which the write-ahead log is cut back after it grew. */
const WAL_BYTES = 64 * 1024 * 1024;
/**
 * Pages in the write-ahead log at which a commit also moves them into the file: 16 MiB. Four times SQLite's
 * default, since pages that change again and again are then moved, and synced, less often.
 */
const CHECKPOINT_PAGES = 4_000;

// A record's value comes last, so that what needs only the columns before it reads no overflow pages.
const SCHEMA = `
  CREATE TABLE meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID;
  CREATE TABLE records (
    key INTEGER PRIMARY KEY,
    ts INTEGER NOT NULL,
    room TEXT NOT NULL,
    id BLOB NOT NULL,
    data_hash INTEGER NOT NULL,
    checksum INTEGER NOT NULL,
    value BLOB NOT NULL
  );
  CREATE INDEX records_by_room ON records (room);
  -- What retention has deleted, so that offsets never start again and gaps can be told.
  CREATE TABLE partitions (
    partition INTEGER PRIMARY KEY,
    purged_through INTEGER NOT NULL DEFAULT -1,
    purged_ts INTEGER NOT NULL DEFAULT 0,
    forgotten_through INTEGER NOT NULL DEFAULT -1
  );
  CREATE TABLE rooms (
    room TEXT PRIMARY KEY,
    partition INTEGER NOT NULL,
    deleted_through INTEGER NOT NULL,
    ts INTEGER NOT NULL
  ) WITHOUT ROWID;
  CREATE INDEX rooms_by_ts ON rooms (ts);
  PRAGMA application_id = ${APPLICATION_ID};
  PRAGMA user_version = ${SCHEMA_VERSION};
`;

/** A row as SQLite gives it: what a column holds is known only once it was looked at. */
export type Row = Record<string, SQLOutputValue>;

/**
 * Opens a file that should be a log. Nothing in it is changed by this.
 *
 * @throws DataDirectoryError if it can't be opened or is no SQLite file
 */
export function openDatabase(path: string, options: { readonly readOnly: boolean }): DatabaseSync {
  try {
    const database = new DatabaseSync(path, { readOnly: options.readOnly, timeout: BUSY_TIMEOUT_MS });
    // SQLite opens lazily: whether it is a database shows at the first read.
    pragma(database, 'application_id');
    return database;
  } catch (error) {
    if (sqliteCode(error) === SQLITE.notADatabase) throw new DataDirectoryError(`${path} is not an SQLite file`);
    if (sqliteCode(error) === SQLITE.corrupt) throw damaged(path, describeError(error));
    throw new DataDirectoryError(`${path} can't be opened: ${describeError(error)}`);
  }
}

/** Sets up the connection that changes the log. `synced: false` gives up durability: for tests alone. */
export function prepareToWrite(database: DatabaseSync, synced: boolean): void {
  database.exec(`
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = ${synced ? 'FULL' : 'OFF'};
    PRAGMA fullfsync = 1;
    PRAGMA journal_size_limit = ${WAL_BYTES};
    PRAGMA wal_autocheckpoint = ${CHECKPOINT_PAGES};
    PRAGMA cache_size = -16384;
  `);
}

/** Whether nothing was ever committed to this file, as after a crash between its creation and its schema. */
export function isBlank(database: DatabaseSync): boolean {
  const tables = numberOf(database.prepare('SELECT count(*) AS n FROM sqlite_master').get(), 'n');
  return tables === 0 && pragma(database, 'application_id') === 0 && pragma(database, 'user_version') === 0;
}

export function createSchema(database: DatabaseSync, partitions: number): void {
  database.exec('BEGIN IMMEDIATE');
  database.exec(SCHEMA);
  const meta = database.prepare('INSERT INTO meta (key, value) VALUES (?, ?)');
  meta.run('epoch', newEpoch());
  meta.run('partitions', partitions);
  meta.run('clock', 0);
  const partition = database.prepare('INSERT INTO partitions (partition) VALUES (?)');
  for (let number = 0; number < partitions; number++) partition.run(number);
  database.exec('COMMIT');
}

/** A name for an incarnation of the log: 16 printable ASCII characters. */
export function newEpoch(): string {
  return randomBytes(12).toString('base64url');
}

/**
 * Checks that a file is a log of ours, of a version we know.
 *
 * @throws DataDirectoryError in words
 */
export function checkIdentity(database: DatabaseSync, path: string): void {
  inspect(path, () => {
    if (pragma(database, 'application_id') !== APPLICATION_ID) {
      throw new DataDirectoryError(`${path} is an SQLite file, but no log of tidegate's`);
    }
    const version = pragma(database, 'user_version');
    if (version !== SCHEMA_VERSION) {
      throw new DataDirectoryError(
        `${path} was written by another version of tidegate (its schema is version ${version}, this one knows ${SCHEMA_VERSION})`,
      );
    }
  });
}

/**
 * As `checkIdentity`, and that the file is sound as far as SQLite can tell.
 *
 * @throws DataDirectoryError in words
 */
export function checkSound(database: DatabaseSync, path: string): void {
  checkIdentity(database, path);
  inspect(path, () => {
    // The whole check, not the quick one: a room's records are found by an index, and one that has lost an entry
    // would be a gap that nobody is told of.
    const verdict = textOf(database.prepare('PRAGMA integrity_check(1)').get(), 'integrity_check');
    if (verdict !== 'ok') throw damaged(path, verdict.replace(/^\*\*\*.*\n/, ''));
  });
}

/** The log's epoch; refuses a log that was created with another number of partitions. */
export function readEpoch(database: DatabaseSync, path: string, partitions: number): string {
  const kept = readMeta(database, 'partitions');
  if (kept !== partitions) {
    throw new DataDirectoryError(
      `${path} was created with ${String(kept)} partitions, which can't be changed, but ${partitions} are configured`,
    );
  }
  const epoch = readMeta(database, 'epoch');
  if (typeof epoch !== 'string' || epoch === '') throw new DataDirectoryError(`${path} is damaged: it has no epoch`);
  return epoch;
}

export function readMeta(database: DatabaseSync, key: string): SQLOutputValue | undefined {
  const row: Row | undefined = database.prepare('SELECT value FROM meta WHERE key = ?').get(key);
  return row?.value;
}

export function writeMeta(database: DatabaseSync, key: string, value: string | number): void {
  database.prepare('INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)').run(key, value);
}

/** What a record's checksum covers: all of it. */
export interface StoredRecord {
  readonly key: number;
  /** Milliseconds since 1970. */
  readonly ts: number;
  readonly room: string;
  readonly id: Uint8Array;
  readonly dataHash: number;
  readonly value: Uint8Array;
}

const HEADER_BYTES = 8 + 8 + 4;
/** Where a record is laid out to be summed: one call for all of it is several times cheaper than one a part. */
let scratch = Buffer.alloc(4_096);

/** CRC-32, unsigned. */
export function checksumOf({ key, ts, room, id, dataHash, value }: StoredRecord): number {
  const bytesMax = HEADER_BYTES + id.length + 3 * room.length + value.length;
  if (scratch.length < bytesMax) scratch = Buffer.alloc(2 * bytesMax);
  scratch.writeDoubleLE(key, 0);
  scratch.writeDoubleLE(ts, 8);
  scratch.writeInt32LE(dataHash, 16);
  scratch.set(id, HEADER_BYTES);
  let at = HEADER_BYTES + id.length;
  at += scratch.write(room, at);
  scratch.set(value, at);
  return crc32(scratch.subarray(0, at + value.length));
}

/**
 * The columns that `soundRecord` wants. Numbers come as floating point: an integer that damage has made greater
 * than 2⁵³ would make the whole read throw.
 */
export const RECORD_COLUMNS =
  'key, ts + 0.0 AS ts, room, id, data_hash + 0.0 AS data_hash, checksum + 0.0 AS checksum, value';

/** A row of `records`, or undefined if what was read is not what was written. */
export function soundRecord(row: Row): StoredRecord | undefined {
  const { key, ts, room, id, data_hash: dataHash, checksum, value } = row;
  if (typeof key !== 'number' || typeof ts !== 'number' || typeof dataHash !== 'number') return undefined;
  if (typeof room !== 'string' || !(id instanceof Uint8Array) || !(value instanceof Uint8Array)) return undefined;
  if (!Number.isInteger(dataHash) || dataHash !== (dataHash | 0)) return undefined;
  const record = { key, ts, room, id, dataHash, value };
  return checksumOf(record) === checksum ? record : undefined;
}

/** A column that is a number by the schema, or `absent` where there is no row. */
export function numberOf(row: Row | undefined, column: string, absent = 0): number {
  const value = row?.[column];
  return typeof value === 'number' ? value : absent;
}

/** A column that is a text by the schema. */
export function textOf(row: Row | undefined, column: string): string {
  const value = row?.[column];
  return typeof value === 'string' ? value : '';
}

export function pragma(database: DatabaseSync, name: string): number {
  return numberOf(database.prepare(`PRAGMA ${name}`).get(), name, Number.NaN);
}

/** Leaves a transaction that failed; throws if the connection can't be brought out of it. */
export function rollBack(database: DatabaseSync): void {
  try {
    database.exec('ROLLBACK');
  } catch (error) {
    // SQLite leaves it by itself after some failures, as of a commit.
    if (!(error instanceof Error) || !error.message.includes('no transaction is active')) throw error;
  }
}

function inspect(path: string, check: () => void): void {
  try {
    check();
  } catch (error) {
    if (error instanceof DataDirectoryError) throw error;
    throw damaged(path, describeError(error));
  }
}

function damaged(path: string, what: string): DataDirectoryError {
  return new DataDirectoryError(`${path} is damaged: ${what}; restore it from a backup`);
}
