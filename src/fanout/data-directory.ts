import {
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { readdir } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { describeError } from './sqlite-error.ts';

/** Why a data directory (or a backup of one) can't be used, in words for the operator who reads it. */
export class DataDirectoryError extends Error {
  override readonly name = 'DataDirectoryError';
}

const LOG_FILE = 'log.sqlite';
const RESTORING_FILE = 'log.sqlite.restoring';
const LOCK_FILE = 'lock.sqlite';
const OWNER_FILE = 'owner.json';
const WITNESS_FILE = 'ends.witness';

/** What may lie in a directory that holds no log yet; the last is every ext4 volume's. */
const NOT_FOREIGN = new Set([LOCK_FILE, `${LOCK_FILE}-journal`, OWNER_FILE, `${OWNER_FILE}.new`, 'lost+found']);

/** The paths of a data directory's files. */
export function dataFiles(directory: string) {
  return {
    log: join(directory, LOG_FILE),
    restoring: join(directory, RESTORING_FILE),
    lock: join(directory, LOCK_FILE),
    owner: join(directory, OWNER_FILE),
    witness: join(directory, WITNESS_FILE),
  } as const;
}

/**
 * Creates the directory if it is absent.
 *
 * @throws DataDirectoryError if it can't be had, or holds what is no log of ours
 */
export function prepareDataDirectory(directory: string): void {
  holdsLog(directory, createDirectory(directory));
}

/** Whether a log is there; throws where something else is. */
function holdsLog(directory: string, names: readonly string[]): boolean {
  if (names.includes(LOG_FILE)) return true;
  if (names.some((name) => name.startsWith(RESTORING_FILE))) {
    throw new DataDirectoryError(`data directory ${directory} holds a restore that was not finished; restore again`);
  }
  const foreign = names.find((name) => !NOT_FOREIGN.has(name));
  if (foreign !== undefined) {
    throw new DataDirectoryError(
      `data directory ${directory} holds files (as ${JSON.stringify(foreign)}) but no log of tidegate's (${LOG_FILE}); give an empty or absent directory`,
    );
  }
  return false;
}

/**
 * Says what `prepareDataDirectory` would find, and changes nothing.
 *
 * @returns in words
 * @throws DataDirectoryError if it holds what is no log of ours, or can't be read
 */
export async function checkDataDirectory(directory: string): Promise<string> {
  let names: string[];
  try {
    names = await readdir(directory);
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return 'absent, to be created';
    throw new DataDirectoryError(`data directory ${directory} can't be used: ${describeError(error)}`);
  }
  if (!holdsLog(directory, names)) return 'empty';
  const pid = names.includes(OWNER_FILE) ? readOwner(directory) : undefined;
  return pid === undefined ? 'a log' : `a log, in use by process ${pid} unless that was killed`;
}

/**
 * The path of a directory's log.
 *
 * @throws DataDirectoryError if there is none
 */
export function findLog(directory: string): string {
  const { log } = dataFiles(directory);
  if (!existsSync(log)) throw new DataDirectoryError(`there is no log of tidegate's in ${directory}`);
  return log;
}

/**
 * Creates the directory if it is absent, to restore a log into.
 *
 * @throws DataDirectoryError if it can't be had, or holds anything but an earlier restore that was cut short
 */
export function prepareRestoreDirectory(directory: string): void {
  const foreign = createDirectory(directory).find((name) => !NOT_FOREIGN.has(name) && !name.startsWith(RESTORING_FILE));
  if (foreign !== undefined) {
    throw new DataDirectoryError(
      `directory ${directory} is not empty (it holds ${JSON.stringify(foreign)}); restore into an empty or absent one`,
    );
  }
}

/** Makes what was created or renamed in a directory survive a power cut. */
export function syncDirectory(directory: string): void {
  syncFile(directory);
}

/** Makes a file's bytes survive a power cut. */
export function syncFile(path: string): void {
  const descriptor = openSync(path, 'r');
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}

/**
 * Notes who holds the directory's lock, so that whoever is refused can be told. Where the disk is too full for
 * it, nothing is noted: the lock is what counts.
 */
export function writeOwner(directory: string): void {
  const { owner } = dataFiles(directory);
  removeOwner(directory);
  try {
    writeFileSync(`${owner}.new`, `${JSON.stringify({ pid: process.pid, since: new Date().toISOString() })}\n`);
    renameSync(`${owner}.new`, owner);
  } catch {
    rmSync(`${owner}.new`, { force: true });
  }
}

export function removeOwner(directory: string): void {
  rmSync(dataFiles(directory).owner, { force: true });
}

/** The process that holds the directory's lock, as far as it can be read. */
export function readOwner(directory: string): number | undefined {
  try {
    const owner: unknown = JSON.parse(readFileSync(dataFiles(directory).owner, 'utf8'));
    if (typeof owner === 'object' && owner !== null && 'pid' in owner && typeof owner.pid === 'number')
      return owner.pid;
  } catch {
    // Not written yet, or by nobody: the lock is what counts, and it is held.
  }
  return undefined;
}

function createDirectory(directory: string): string[] {
  try {
    const first = mkdirSync(directory, { recursive: true, mode: 0o700 });
    if (first !== undefined) {
      // Each directory on the way is an entry of its parent, and lost with it.
      for (let path = resolve(directory); ; path = dirname(path)) {
        syncDirectory(dirname(path));
        if (path === resolve(first) || path === dirname(path)) break;
      }
    }
    return readdirSync(directory);
  } catch (error) {
    throw new DataDirectoryError(`data directory ${directory} can't be used: ${describeError(error)}`);
  }
}
