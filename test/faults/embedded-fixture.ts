import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { type EmbeddedLog, openEmbeddedLog } from '../../src/fanout/embedded-log.ts';
import { EMBEDDED_LOG_DEFAULTS, type EmbeddedLogSettings } from '../../src/fanout/embedded-settings.ts';
import type { LogLines } from '../../src/fanout/log-lines.ts';
import type { AppendRequest, Page, ReadRequest } from '../../src/fanout/room-log.ts';
import { midOf } from '../contract/room-log-fixture.ts';

/** Keeps what a log says to its operator. */
export class RecordedLines implements LogLines {
  readonly lines: Array<{ level: string; fields: object; message: string }> = [];
  info(fields: object, message: string): void {
    this.lines.push({ level: 'info', fields, message });
  }
  warn(fields: object, message: string): void {
    this.lines.push({ level: 'warn', fields, message });
  }
  error(fields: object, message: string): void {
    this.lines.push({ level: 'error', fields, message });
  }
  messages(level: string): string[] {
    return this.lines.filter((line) => line.level === level).map(({ message }) => message);
  }
}

/** A directory that is removed when the test ends. */
export async function temporaryDirectory(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'tidegate-log-'));
  onTestFinished(() => rm(directory, { recursive: true, force: true }));
  return directory;
}

export type Overrides = Partial<EmbeddedLogSettings>;

/** Opens the log of a directory, with one partition unless told otherwise; closed when the test ends. */
export async function openLog(directory: string, overrides: Overrides = {}, lines: LogLines = new RecordedLines()) {
  const settings = { ...EMBEDDED_LOG_DEFAULTS, directory, partitions: 1, ...overrides };
  const log = await openEmbeddedLog(settings, lines);
  onTestFinished(() => log.close());
  return log;
}

/** The words with which opening is refused. */
export async function refusalOf(opening: Promise<unknown>): Promise<string> {
  const error: unknown = await opening.then(
    () => new Error('not refused'),
    (reason: unknown) => reason,
  );
  if (error instanceof Error && error.name === 'DataDirectoryError') return error.message;
  throw error;
}

export function publish(room: string, mid: string, data = '{"text":"hello"}'): AppendRequest {
  return { room, from: 'user', mid, data };
}

/** Reads with bounds that don't bind. */
export function read(log: EmbeddedLog, request: Partial<ReadRequest> & { room: string }): Promise<Page> {
  return log.read({ through: Number.MAX_SAFE_INTEGER, limit: 300, bytesMax: 1_048_576, ...request });
}

/** Everything in a room, in pages. */
export async function midsIn(log: EmbeddedLog, room: string): Promise<string[]> {
  const mids: string[] = [];
  let offset = -1;
  for (;;) {
    const page = await read(log, { room, after: { epoch: log.epoch, offset } });
    mids.push(...page.publications.map(midOf));
    if (!page.more) return mids;
    offset = page.publications.at(-1)?.offset ?? page.gap?.to.offset ?? Number.NaN;
  }
}
