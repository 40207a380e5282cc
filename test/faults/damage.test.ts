import { execFileSync } from 'node:child_process';
import { readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { describe, expect, test } from 'vitest';
import { codeOf, midOf, midsOf } from '../contract/room-log-fixture.ts';
import { midsIn, openLog, publish, RecordedLines, read, refusalOf, temporaryDirectory } from './embedded-fixture.ts';

const START = 1_700_000_000_000;
const HOUR_MS = 3_600_000;

/** A log of m0 to m9 in room r, at offsets 0 to 9 and out of the dedupe window's reach, and two later records. */
async function logOfTen() {
  const directory = await temporaryDirectory();
  let now = START;
  const log = await openLog(directory, { now: () => now });
  for (let index = 0; index < 10; index++) await log.append(publish('r', `m${index}`, `"marker-${index}"`));
  for (const mid of ['later', 'last']) {
    now += HOUR_MS;
    await log.append(publish('another', mid, `"marker-${mid}"`));
  }
  await log.close();
  return { directory, now: () => now };
}

/** Changes one bit of a record's data on the disk. The log must be closed. */
async function flipBit(directory: string, marker: string): Promise<void> {
  const file = join(directory, 'log.sqlite');
  const bytes = await readFile(file);
  const at = bytes.indexOf(`"${marker}"`);
  expect(at).toBeGreaterThan(0);
  expect(bytes.indexOf(`"${marker}"`, at + 1)).toBe(-1);
  bytes[at + 3] = (bytes[at + 3] ?? 0) ^ 0x04;
  await writeFile(file, bytes);
}

describe('a record that is not what was written', () => {
  test('is a gap to those who read forward over it, and makes one line', async () => {
    const { directory, now } = await logOfTen();
    await flipBit(directory, 'marker-4');
    const lines = new RecordedLines();
    const log = await openLog(directory, { now }, lines);
    const { epoch } = log;
    const first = await read(log, { room: 'r', after: { epoch, offset: -1 } });
    expect(midsOf(first)).toEqual(['m0', 'm1', 'm2', 'm3']);
    expect([first.more, first.gap]).toEqual([true, undefined]);

    const second = await read(log, { room: 'r', after: { epoch, offset: 3 } });
    expect(midsOf(second)).toEqual(['m5', 'm6', 'm7', 'm8', 'm9']);
    expect([second.more, second.gap]).toEqual([false, { from: { epoch, offset: 3 }, to: { epoch, offset: 4 } }]);
    expect(lines.messages('error')).toEqual(['the record at partition 0, offset 4 is damaged and can’t be served']);
  });

  test('is a gap to those who read backward over it', async () => {
    const { directory, now } = await logOfTen();
    await flipBit(directory, 'marker-4');
    const log = await openLog(directory, { now });
    const { epoch } = log;
    const newest = await read(log, { room: 'r' });
    expect(midsOf(newest)).toEqual(['m5', 'm6', 'm7', 'm8', 'm9']);
    expect([newest.more, newest.gap]).toEqual([true, undefined]);

    const older = await read(log, { room: 'r', before: { epoch, offset: 5 } });
    expect(midsOf(older)).toEqual(['m0', 'm1', 'm2', 'm3']);
    expect([older.more, older.gap]).toEqual([false, { from: { epoch, offset: 3 }, to: { epoch, offset: 4 } }]);
  });

  test('is one gap with those beside it, also at either end of the room', async () => {
    const { directory, now } = await logOfTen();
    for (const index of [0, 1, 5, 6, 8, 9]) await flipBit(directory, `marker-${index}`);
    const log = await openLog(directory, { now });
    const { epoch } = log;
    const at = (offset: number) => ({ epoch, offset });

    const first = await read(log, { room: 'r', after: at(-1) });
    expect([midsOf(first), first.more, first.gap]).toEqual([['m2', 'm3', 'm4'], true, { from: at(-1), to: at(1) }]);
    const second = await read(log, { room: 'r', after: at(4) });
    expect([midsOf(second), second.more, second.gap]).toEqual([['m7'], true, { from: at(4), to: at(6) }]);
    const last = await read(log, { room: 'r', after: at(7) });
    expect([midsOf(last), last.more, last.gap]).toEqual([[], false, { from: at(7), to: at(9) }]);

    const newest = await read(log, { room: 'r' });
    expect([midsOf(newest), newest.more, newest.gap]).toEqual([['m7'], true, { from: at(7), to: at(9) }]);
    const older = await read(log, { room: 'r', before: at(7) });
    expect([midsOf(older), older.more, older.gap]).toEqual([['m2', 'm3', 'm4'], true, { from: at(4), to: at(6) }]);
    const oldest = await read(log, { room: 'r', before: at(2) });
    expect([midsOf(oldest), oldest.more, oldest.gap]).toEqual([[], false, { from: at(-1), to: at(1) }]);
  });

  test('is never delivered, whichever column is damaged', async () => {
    const { directory, now } = await logOfTen();
    const database = new DatabaseSync(join(directory, 'log.sqlite'));
    database.exec(`
      UPDATE records SET ts = ts + 1 WHERE key = 1;
      UPDATE records SET ts = 9223372036854775807 WHERE key = 2;
      UPDATE records SET data_hash = data_hash + 1 WHERE key = 3;
      UPDATE records SET data_hash = 1.5 WHERE key = 4;
      UPDATE records SET id = zeroblob(16) WHERE key = 5;
      UPDATE records SET checksum = -1 WHERE key = 6;
      UPDATE records SET value = 'text' WHERE key = 7;
      UPDATE records SET room = 'r2' WHERE key = 8;
    `);
    database.close();
    const log = await openLog(directory, { now });
    expect(await midsIn(log, 'r')).toEqual(['m0', 'm9']);
    expect(await midsIn(log, 'r2')).toEqual([]);
  });

  test('refuses the start, by its place, where retries could be delivered twice without it', async () => {
    const { directory, now } = await logOfTen();
    await flipBit(directory, 'marker-last');
    expect(await refusalOf(openLog(directory, { now }))).toContain(
      `${join(directory, 'log.sqlite')} is damaged: the record at partition 0, offset 11 is damaged`,
    );
  });

  test('refuses the start where its time would end the search for such records', async () => {
    const directory = await temporaryDirectory();
    const log = await openLog(directory);
    for (const mid of ['m0', 'm1', 'm2']) await log.append(publish('r', mid));
    await log.close();
    const database = new DatabaseSync(join(directory, 'log.sqlite'));
    database.exec('UPDATE records SET ts = 5 WHERE key = 1');
    database.close();
    expect(await refusalOf(openLog(directory))).toContain('the record at partition 0, offset 1 is damaged');
  });

  test.each([0, 1])('refuses the start where the record at %i is missing among such records', async (key) => {
    const directory = await temporaryDirectory();
    const log = await openLog(directory);
    for (const mid of ['m0', 'm1', 'm2']) await log.append(publish('r', mid));
    await log.close();
    const database = new DatabaseSync(join(directory, 'log.sqlite'));
    database.exec(`DELETE FROM records WHERE key = ${key}`);
    database.close();
    expect(await refusalOf(openLog(directory))).toContain(`the record at partition 0, offset ${key} is missing`);
  });
});

test('a file that is damaged while it is served makes `unavailable`, and nothing is made up', async () => {
  const { directory, now } = await logOfTen();
  const lines = new RecordedLines();
  const log = await openLog(directory, { now }, lines);
  const file = join(directory, 'log.sqlite');
  const pages = (await stat(file)).size / 4_096;
  // By another process: this one would drop SQLite's locks on the file.
  execFileSync('dd', ['if=/dev/urandom', `of=${file}`, 'bs=4096', 'seek=1', `count=${pages - 1}`, 'conv=notrunc'], {
    stdio: 'ignore',
  });
  const outcome = await read(log, { room: 'r' }).then(
    (page) => page.publications.map(midOf),
    (error: { code?: string }) => error.code,
  );
  expect(outcome).toBe('unavailable');
  expect(lines.messages('error').length).toBeGreaterThan(0);
  expect(await codeOf(read(log, { room: 'another', after: { epoch: log.epoch, offset: -1 } }))).toBe('unavailable');
});
