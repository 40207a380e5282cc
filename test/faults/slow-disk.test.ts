import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import type { Publication } from '../../src/protocol/publication.ts';
import { codeOf, midOf } from '../contract/room-log-fixture.ts';
import { midsIn, openLog, publish, RecordedLines, read, temporaryDirectory } from './embedded-fixture.ts';

/** Keeps the log from being written, as a disk does that doesn't answer, until `release`. */
function holdUp(directory: string): { release(): void; execute(sql: string): void } {
  const database = new DatabaseSync(join(directory, 'log.sqlite'));
  onTestFinished(() => database.close());
  database.exec('BEGIN IMMEDIATE');
  return { release: () => database.exec('COMMIT'), execute: (sql) => database.exec(sql) };
}

describe('a disk that does not answer', () => {
  test('bounds every wait, and what was in flight arrives once in the end', async () => {
    const directory = await temporaryDirectory();
    const log = await openLog(directory, { queueWaitMsMax: 200, appendTimeoutMs: 600 });
    const tailed: Publication[] = [];
    log.tail((publications) => tailed.push(...publications));
    await log.append(publish('r', 'before'));
    const disk = holdUp(directory);

    const inFlight = codeOf(log.append(publish('r', 'in flight')));
    await new Promise(setImmediate);
    const queued = codeOf(log.append(publish('r', 'queued')));
    const behind = codeOf(log.append({ ...publish('r', 'behind'), after: 'queued' }));
    expect(await Promise.all([queued, behind])).toEqual(['overloaded', 'overloaded']);
    expect(log.state()).toEqual({ writable: false, reason: 'the disk does not answer' });
    expect(await inFlight).toBe('unknown_outcome');
    expect(tailed.map(midOf)).toEqual(['before']);

    const retries = [log.append(publish('r', 'in flight')), log.append(publish('r', 'in flight'))];
    expect(await codeOf(log.append({ ...publish('r', 'queued'), after: 'behind' }))).toBe('overloaded');
    disk.release();
    expect(await Promise.all(retries)).toEqual([
      { position: { epoch: log.epoch, offset: 1 }, duplicate: true },
      { position: { epoch: log.epoch, offset: 1 }, duplicate: true },
    ]);
    expect(tailed.map(midOf)).toEqual(['before', 'in flight']);
    expect(log.state()).toEqual({ writable: true });
    expect((await log.append(publish('r', 'queued'))).position.offset).toBe(2);
    expect(await midsIn(log, 'r')).toEqual(['before', 'in flight', 'queued']);
  });

  test('holds up neither reads nor answers to known publishes', async () => {
    const directory = await temporaryDirectory();
    const log = await openLog(directory);
    const known = await log.append(publish('r', 'known'));
    const disk = holdUp(directory);
    const stuck = log.append(publish('r', 'stuck'));
    await new Promise(setImmediate);
    expect(await log.append(publish('r', 'known'))).toEqual({ ...known, duplicate: true });
    expect(await codeOf(log.append(publish('r', 'known', '"other"')))).toBe('mid_conflict');
    expect(await midsIn(log, 'r')).toEqual(['known']);
    disk.release();
    expect((await stuck).duplicate).toBe(false);
  });

  test('fills the queue up to its bounds in records and in bytes', async () => {
    const directory = await temporaryDirectory();
    const log = await openLog(directory, { queueRecordsMax: 10, queueBytesMax: 5_000 });
    const disk = holdUp(directory);
    const accepted = Array.from({ length: 10 }, (_, index) => log.append(publish('r', `m${index}`)));
    expect(await codeOf(log.append(publish('r', 'one more')))).toBe('overloaded');
    expect(log.load()).toMatchObject({ appendsWaiting: 10 });
    disk.release();
    await Promise.all(accepted);
    expect(log.load()).toEqual({ appendsWaiting: 0, bytesWaiting: 0, readsWaiting: 0, dedupeEntries: 10 });

    const again = holdUp(directory);
    const large = log.append(publish('r', 'large', JSON.stringify('x'.repeat(4_900))));
    expect(await codeOf(log.append(publish('r', 'too many bytes', '"xxxxxxxxxxxxxxxxxxxxx"')))).toBe('overloaded');
    again.release();
    await large;
    expect(await midsIn(log, 'r')).toEqual([...Array.from({ length: 10 }, (_, index) => `m${index}`), 'large']);
  });

  test('is waited for by close, for as long as the bounds allow', async () => {
    const directory = await temporaryDirectory();
    const log = await openLog(directory, { appendTimeoutMs: 300 });
    const disk = holdUp(directory);
    const outcome = codeOf(log.append(publish('r', 'm')));
    const closed = log.close();
    expect(await outcome).toBe('unknown_outcome');
    disk.release();
    await closed;
    expect(await midsIn(await openLog(directory), 'r')).toEqual(['m']);
  });
});

test('a thread that dies fails what waits, in truth, and tells the owner', async () => {
  const directory = await temporaryDirectory();
  const onFailure = vi.fn<(error: Error) => void>();
  const lines = new RecordedLines();
  const log = await openLog(directory, { onFailure }, lines);
  await log.append(publish('r', 'before'));
  const disk = holdUp(directory);
  // Another program writes the next block: the writer can't know what is in the log any more.
  disk.execute("INSERT INTO blocks (number, block) VALUES (1, x'00')");
  const inFlight = codeOf(log.append(publish('r', 'in flight')));
  await new Promise(setImmediate);
  const queued = codeOf(log.append(publish('r', 'queued')));
  // The writer is held up, the reader is not.
  await read(log, { room: 'r' });
  disk.release();
  expect(await Promise.all([inFlight, queued])).toEqual(['unknown_outcome', 'unavailable']);
  expect(onFailure).toHaveBeenCalledOnce();
  expect(log.state()).toMatchObject({ writable: false, reason: expect.stringContaining('embedded-writer failed') });
  expect(lines.messages('error')).toEqual(['the log has failed and must be opened anew']);
  expect(await codeOf(log.append(publish('r', 'late')))).toBe('unavailable');
  expect(await codeOf(read(log, { room: 'r' }))).toBe('unavailable');
  await log.close();
});

describe('bounds of the node', () => {
  test('the memory of recent publishes', async () => {
    const clock = { now: 1_700_000_000_000 };
    const log = await openLog(await temporaryDirectory(), { dedupeEntriesMax: 3, now: () => clock.now, partitions: 4 });
    for (const mid of ['a', 'b', 'c']) await log.append(publish(`room ${mid}`, mid));
    expect(await codeOf(log.append(publish('r', 'd')))).toBe('overloaded');
    expect((await log.append(publish('room a', 'a'))).duplicate).toBe(true);
    clock.now += 300_000;
    await vi.waitFor(async () => expect((await log.append(publish('r', 'd'))).duplicate).toBe(false));
  });

  test('reads that wait', async () => {
    const log = await openLog(await temporaryDirectory(), { readsQueuedMax: 2 });
    const reads = [read(log, { room: 'r' }), read(log, { room: 'r' })];
    expect(await codeOf(read(log, { room: 'r' }))).toBe('overloaded');
    await Promise.all(reads);
    await read(log, { room: 'r' });
  });
});

test('time never falls, and neither a wall clock that steps back nor a restart makes a retry new', async () => {
  const directory = await temporaryDirectory();
  const clock = { now: 1_700_000_000_000 };
  const settings = { now: () => clock.now };
  const log = await openLog(directory, settings);
  await log.append(publish('r', 'a'));
  clock.now -= 3_600_000;
  await log.append(publish('r', 'b'));
  expect((await log.append(publish('r', 'a'))).duplicate).toBe(true);
  await log.close();
  const again = await openLog(directory, settings);
  await again.append(publish('r', 'c'));
  expect((await again.append(publish('r', 'a'))).duplicate).toBe(true);
  const page = await read(again, { room: 'r' });
  expect(page.publications.map(({ ts }) => ts)).toEqual(Array.from({ length: 3 }, () => 1_700_000_000_000));
});
