import { randomBytes } from 'node:crypto';
import { DatabaseSync, type SQLOutputValue } from 'node:sqlite';
import { DataDirectoryError } from './data-directory.ts';
import { type Posting, readPostings } from './postings.ts';
import { RecordBlock } from './record-block.ts';
import { describeError, SQLITE, sqliteCode } from './sqlite-error.ts';

/** "tide": tells our files from other SQLite files. */
const APPLICATION_ID = 0x74696465;
const SCHEMA_VERSION = 2;

/** Milliseconds for which a statement waits for another connection's lock, as of an operator's shell. */
const BUSY_TIMEOUT_MS = 30_000;
/** Bytes to which the write-ahead log is cut back after it grew. */
const WAL_BYTES = 64 * 1024 * 1024;
/**
 * Pages in the write-ahead log at which a commit also moves them into the file: 4 MiB, some 5 ms. Few pages change
 * more than once, so that more would make fewer such commits and each of them longer, not less work; and until the
 * first of them the write-ahead log grows, which makes every sync half as dear again.
 */
const CHECKPOINT_PAGES = 1_000;

const SCHEMA = `
  CREATE TABLE meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID;
  -- See record-block.ts. Numbers are dense.
  CREATE TABLE blocks (
    number INTEGER PRIMARY KEY,
    block BLOB NOT NULL
  );
  -- Where a room's records stand: see postings.ts. Of those in the newest blocks nothing is here yet.
  CREATE TABLE room_index (
    room INTEGER,
    last INTEGER,
    postings BLOB NOT NULL,
    PRIMARY KEY (room, last)
  ) WITHOUT ROWID;
  -- What retention has deleted, so that offsets never start again and gaps can be told.
  CREATE TABLE partitions (
    partition INTEGER PRIMARY KEY,
    purged_through INTEGER NOT NULL DEFAULT -1,
    forgotten_through INTEGER NOT NULL DEFAULT -1
  );
  CREATE TABLE rooms (
    room INTEGER PRIMARY KEY,
    deleted_through INTEGER NOT NULL,
    ts INTEGER NOT NULL
  );
  CREATE INDEX rooms_by_ts ON rooms (ts, deleted_through);
  PRAGMA application_id = ${APPLICATION_ID};
  PRAGMA user_version = ${SCHEMA_VERSION};
`;

/**
 * What `meta` keeps: `epoch` and `partitions`; `clock`, the log's time at the last pass of retention, `salt` of the
 * rooms' keys, `purged_block`, the last block that retention has deleted, and `indexed_block`, up to which every
 * record is in the index of rooms.
 */
export type MetaKey = 'epoch' | 'partitions' | 'clock' | 'salt' | 'purged_block' | 'indexed_block' | 'probe';

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
  writeMeta(database, 'epoch', newEpoch());
  writeMeta(database, 'partitions', partitions);
  writeMeta(database, 'clock', 0);
  writeMeta(database, 'salt', randomBytes(12).toString('base64url'));
  writeMeta(database, 'purged_block', -1);
  writeMeta(database, 'indexed_block', -1);
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
    const verdict = textOf(database.prepare('PRAGMA integrity_check(1)').get(), 'integrity_check');
    if (verdict !== 'ok') throw damaged(path, verdict.replace(/^\*\*\*.*\n/, ''));
  });
}

/** The log's epoch, and the salt of its rooms' keys; refuses a log that has another number of partitions. */
export function readNames(database: DatabaseSync, path: string, partitions: number): { epoch: string; salt: string } {
  const kept = readMeta(database, 'partitions');
  if (kept !== partitions) {
    throw new DataDirectoryError(
      `${path} was created with ${String(kept)} partitions, which can't be changed, but ${partitions} are configured`,
    );
  }
  const epoch = readMeta(database, 'epoch');
  const salt = readMeta(database, 'salt');
  if (typeof epoch !== 'string' || epoch === '') throw damaged(path, 'it has no epoch');
  if (typeof salt !== 'string' || salt === '') throw damaged(path, 'it has no salt');
  return { epoch, salt };
}

export function readMeta(database: DatabaseSync, key: MetaKey): SQLOutputValue | undefined {
  const row: Row | undefined = database.prepare('SELECT value FROM meta WHERE key = ?').get(key);
  return row?.value;
}

export function writeMeta(database: DatabaseSync, key: MetaKey, value: string | number): void {
  database.prepare('INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)').run(key, value);
}

/** The block of a row of `blocks`, or undefined if its head is not what was written. */
export function blockOf(row: Row | undefined, number: number): RecordBlock | undefined {
  return row?.block instanceof Uint8Array ? RecordBlock.open(row.block, number) : undefined;
}

/** The postings of a row of `room_index`, or undefined if they are not what was written. */
export function postingsOf(row: Row): Posting[] | undefined {
  const { room, last, postings } = row;
  if (typeof room !== 'number' || typeof last !== 'number' || !(postings instanceof Uint8Array)) return undefined;
  return readPostings(room, last, postings);
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

export function damaged(path: string, what: string): DataDirectoryError {
  return new DataDirectoryError(`${path} is damaged: ${what}; restore it from a backup`);
}
