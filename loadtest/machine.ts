import { closeSync, fdatasyncSync, openSync, readFileSync, statfsSync, writeSync } from 'node:fs';
import { arch, cpus } from 'node:os';
import { join } from 'node:path';
import { spreadOf } from './statistics.ts';

/** What the figures depend on, in general terms. */
export interface Machine {
  readonly cores: number;
  readonly architecture: string;
  readonly node: string;
  readonly socketIo: string;
  readonly ws: string;
  readonly uws: string;
  /** Of the data directory. */
  readonly fileSystem: string;
  /** Median of appending 4 KiB and syncing them, idle. */
  readonly syncMs: number;
}

const FILE_SYSTEMS: Readonly<Record<number, string>> = {
  61267: 'ext4',
  1481003842: 'xfs',
  2435016766: 'btrfs',
  2035054128: 'overlayfs',
  16914836: 'tmpfs',
};

const SYNCS = 50;
const SYNC_BYTES = 4096;

export function describeMachine(directory: string): Machine {
  return {
    cores: cpus().length,
    architecture: arch(),
    node: process.version,
    socketIo: versionOf('socket.io'),
    ws: versionOf('ws'),
    uws: versionOf('uWebSockets.js'),
    fileSystem: FILE_SYSTEMS[statfsSync(directory).type] ?? 'unknown',
    syncMs: measureSyncMs(directory),
  };
}

function versionOf(dependency: string): string {
  const url = new URL(`../node_modules/${dependency}/package.json`, import.meta.url);
  const { version } = JSON.parse(readFileSync(url, 'utf8')) as { version: string };
  return version;
}

function measureSyncMs(directory: string): number {
  const file = openSync(join(directory, 'sync'), 'w');
  const bytes = Buffer.alloc(SYNC_BYTES, 1);
  const times = Array.from({ length: SYNCS }, () => {
    const startMs = performance.now();
    writeSync(file, bytes);
    fdatasyncSync(file);
    return performance.now() - startMs;
  });
  closeSync(file);
  return spreadOf(times).median;
}
