/** The thread that makes a backup of a log, or a log of a backup, and then ends. */
import { randomBytes } from 'node:crypto';
import { closeSync, constants, copyFileSync, openSync, renameSync, rmSync, statSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import type { DatabaseSync } from 'node:sqlite';
import { parentPort, workerData } from 'node:worker_threads';
import {
  DataDirectoryError,
  dataFiles,
  findLog,
  prepareRestoreDirectory,
  syncDirectory,
  syncFile,
} from './data-directory.ts';
import { DirectoryLock } from './directory-lock.ts';
import type { BackupData, FromBackup } from './embedded-messages.ts';
import { verifyRecords } from './embedded-scan.ts';
import { checkIdentity, checkSound, newEpoch, openDatabase, writeMeta } from './embedded-schema.ts';
import { describeError } from './sqlite-error.ts';

/** @returns how many records the backup has */
function backup(directory: string, file: string): number {
  const log = findLog(directory);
  // The name is taken at once, so that no other file can come under it, and is given to the copy at the end.
  reserve(file);
  const copy = `${file}.${randomBytes(6).toString('hex')}.partial`;
  try {
    // One statement and one snapshot, which commits don't disturb: SQLite's step-by-step copy begins anew whenever
    // another connection commits.
    using(openDatabase(log, { readOnly: true }), (database) => {
      checkIdentity(database, log);
      database.prepare('VACUUM INTO ?').run(copy);
    });
    const records = using(openDatabase(copy, { readOnly: true }), (database) => verify(database, log));
    syncFile(copy);
    renameSync(copy, file);
    syncDirectory(dirname(resolve(file)));
    return records;
  } catch (error) {
    rmSync(copy, { force: true });
    rmSync(file, { force: true });
    throw error;
  }
}

/** @returns how many records the log has */
function restore(file: string, directory: string): number {
  using(openDatabase(file, { readOnly: true }), (database) => checkSound(database, file));
  prepareRestoreDirectory(directory);
  const lock = new DirectoryLock(directory);
  try {
    prepareRestoreDirectory(directory);
    const { log, restoring } = dataFiles(directory);
    for (const suffix of ['', '-journal', '-wal', '-shm']) rmSync(restoring + suffix, { force: true });
    copyFileSync(file, restoring, constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE);
    // The copy is what is verified: it is what will be served.
    const records = using(openDatabase(restoring, { readOnly: false }), (database) => {
      const count = verify(database, file);
      writeMeta(database, 'epoch', newEpoch());
      return count;
    });
    syncFile(restoring);
    renameSync(restoring, log);
    syncDirectory(directory);
    return records;
  } finally {
    lock.release();
  }
}

/** @returns how many records there are, all of them sound */
function verify(database: DatabaseSync, path: string): number {
  checkSound(database, path);
  return verifyRecords(database, path);
}

function reserve(file: string): void {
  try {
    closeSync(openSync(file, 'wx', 0o600));
  } catch (error) {
    const exists = error instanceof Error && 'code' in error && error.code === 'EEXIST';
    throw new DataDirectoryError(
      exists ? `${file} exists already` : `${file} can't be written: ${describeError(error)}`,
    );
  }
}

function using<T>(database: DatabaseSync, work: (database: DatabaseSync) => T): T {
  try {
    return work(database);
  } finally {
    database.close();
  }
}

function run(): FromBackup {
  const { task, directory, file } = workerData as BackupData;
  try {
    const records = task === 'backup' ? backup(directory, file) : restore(file, directory);
    return { kind: 'opened', records, bytes: statSync(file).size };
  } catch (error) {
    return {
      kind: 'refused',
      message: error instanceof DataDirectoryError ? error.message : `${task} failed: ${describeError(error)}`,
    };
  }
}

parentPort?.postMessage(run());
