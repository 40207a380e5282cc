import type { BackupData, FromBackup } from './embedded-messages.ts';
import { LogThread } from './log-thread.ts';

/** What a backup holds. */
export interface BackupReport {
  readonly records: number;
  /** Of the backup's file. */
  readonly bytes: number;
}

/**
 * Copies the log of a data directory into one file, also while a gateway runs on it. The copy is that of one
 * moment, is verified, and survives a power cut once this has resolved.
 *
 * @throws DataDirectoryError if there is no sound log, or `file` exists already, or can't be written
 */
export function backupLog(directory: string, file: string): Promise<BackupReport> {
  return run({ task: 'backup', directory, file });
}

/**
 * Makes a data directory from a backup, whose every record is verified first. The log gets a new epoch, since
 * what it had after the backup is lost: clients are told that they missed something.
 *
 * @throws DataDirectoryError if the backup isn't sound, or the directory holds anything
 */
export function restoreLog(file: string, directory: string): Promise<BackupReport> {
  return run({ task: 'restore', directory, file });
}

async function run(data: BackupData): Promise<BackupReport> {
  const thread = new LogThread<never, FromBackup>('embedded-backup', data);
  const { records, bytes } = await thread.opened();
  await thread.exited;
  return { records, bytes };
}
