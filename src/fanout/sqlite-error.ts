/** Those of SQLite's primary result codes that are told apart. */
export const SQLITE = {
  busy: 5,
  readOnly: 8,
  ioError: 10,
  corrupt: 11,
  full: 13,
  constraint: 19,
  notADatabase: 26,
} as const;

/** SQLITE_IOERR_SHMSIZE: there is no room for the small file by which connections share the write-ahead log. */
const NO_ROOM_TO_SHARE = 4874;

/** The primary result code of an error of SQLite's, else undefined. */
export function sqliteCode(error: unknown): number | undefined {
  if (!(error instanceof Error) || !('errcode' in error) || typeof error.errcode !== 'number') return undefined;
  return error.errcode & 0xff;
}

/** An error in words, with SQLite's extended code where there is one. */
export function describeError(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (!('errcode' in error)) return error.message;
  if (sqliteCode(error) === SQLITE.full || error.errcode === NO_ROOM_TO_SHARE) return 'the disk is full';
  return `${error.message} (SQLite code ${String(error.errcode)})`;
}
