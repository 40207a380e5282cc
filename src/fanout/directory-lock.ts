import { DatabaseSync } from 'node:sqlite';
import { DataDirectoryError, dataFiles, readOwner, removeOwner, writeOwner } from './data-directory.ts';
import { describeError, SQLITE, sqliteCode } from './sqlite-error.ts';

/**
 * Ownership of a data directory: an exclusive transaction, held for the life of the process, on a database
 * that holds nothing. The kernel releases it however the process ends. Nobody may open that file by other
 * means: POSIX drops a process's locks on a file when it closes *any* descriptor of it.
 */
export class DirectoryLock {
  readonly #directory: string;
  readonly #database: DatabaseSync;

  /** @throws DataDirectoryError if another process, or another log of this one, holds it */
  constructor(directory: string) {
    this.#directory = directory;
    try {
      this.#database = new DatabaseSync(dataFiles(directory).lock, { timeout: 0 });
    } catch (error) {
      throw new DataDirectoryError(`data directory ${directory} can't be locked: ${describeError(error)}`);
    }
    try {
      // Without a journal nothing is written, so that a full disk keeps nobody out.
      this.#database.exec('PRAGMA journal_mode = OFF; BEGIN EXCLUSIVE');
    } catch (error) {
      this.#database.close();
      throw refusal(directory, error);
    }
    writeOwner(directory);
  }

  release(): void {
    removeOwner(this.#directory);
    this.#database.close();
  }
}

function refusal(directory: string, error: unknown): DataDirectoryError {
  if (sqliteCode(error) === SQLITE.busy) {
    const pid = readOwner(directory) ?? 'unknown';
    return new DataDirectoryError(`data directory ${directory} is in use by another tidegate process (pid ${pid})`);
  }
  return new DataDirectoryError(`data directory ${directory} can't be locked: ${describeError(error)}`);
}
