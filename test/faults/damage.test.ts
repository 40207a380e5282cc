import { execFileSync } from 'node:child_process';
import { readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { describe, expect, test } from 'vitest';
import { codeOf, midOf, midsOf } from '../contract/room-log-fixture.ts';
import { midsIn, openLog, publish, RecordedLines, read, refusalOf, temporaryDirectory } from './embedded-fixture.ts';

const START = 1_700_000_000_000;
const HOUR_MS = 3_600_000;

/** Of a block of one record. */
const HEAD_BYTES = 64;
const PARTS = [
  { part: 'checksum', at: 0 },
  { part: 'count', at: 4 },
  { part: 'high byte of count', at: 7 },
  { part: 'number', at: 14 },
  { part: 'time', at: 20 },
  { part: 'offset', at: 30 },
  { part: 'room', at: 36 },
  { part: 'id', at: 45 },
  { part: 'data hash', at: 57 },
  { part: 'length', at: 60 },
  { part: 'first byte of the value', at: HEAD_BYTES },
  { part: 'data', at: HEAD_BYTES + 45 },
];

/** As `logOf`, with m0 to m9. */
function logOfTen() {
  return logOf(10);
}

/**
 * A log of m0 and so on in room r, out of the dedupe window's reach, and two later records. Each has a block of its
 * own, with the number that is its offset.
 */
async function logOf(count: number) {
  const directory = await temporaryDirectory();
  let now = START;
  const log = await openLog(directory, { now: () => now });
  for (let index = 0; index < count; index++) await log.append(publish('r', `m${index}`, `"marker-${index}"`));
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

/** The block with this number, of a log that is closed. */
function blockAt(directory: string, number: number): Buffer {
  const database = new DatabaseSync(join(directory, 'log.sqlite'), { readOnly: true });
  const { block } = database.prepare('SELECT block FROM blocks WHERE number = ?').get(number) as { block: Uint8Array };
  database.close();
  return Buffer.from(block);
}

function writeBlock(directory: string, number: number, block: Uint8Array): void {
  const database = new DatabaseSync(join(directory, 'log.sqlite'));
  database.prepare('UPDATE blocks SET block = ? WHERE number = ?').run(block, number);
  database.close();
}

function flipInBlock(directory: string, number: number, at: number): void {
  const block = blockAt(directory, number);
  block.writeUInt8(block.readUInt8(at) ^ 0x10, at);
  writeBlock(directory, number, block);
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

  test.each(PARTS)('is never delivered, whichever part of it is damaged: $part', async ({ at }) => {
    // Of the first hundred records there is a row in the index of rooms, of the others not yet.
    const { directory, now } = await logOf(105);
    const whole = blockAt(directory, 4);
    flipInBlock(directory, 4, at);
    const log = await openLog(directory, { now });
    const { epoch } = log;
    const mids = Array.from({ length: 105 }, (_, index) => `m${index}`);
    expect(await midsIn(log, 'r')).toEqual(mids.filter((mid) => mid !== 'm4'));
    const page = await read(log, { room: 'r', after: { epoch, offset: 3 } });
    expect(page.gap).toEqual({ from: { epoch, offset: 3 }, to: { epoch, offset: 4 } });
    await log.close();

    writeBlock(directory, 4, whole);
    flipInBlock(directory, 103, at);
    if (at >= HEAD_BYTES) {
      const again = await openLog(directory, { now });
      expect(await midsIn(again, 'r')).toEqual(mids.filter((mid) => mid !== 'm103'));
    } else {
      expect(await refusalOf(openLog(directory, { now }))).toContain('log.sqlite is damaged: block 103 is damaged');
    }
  });

  test('is a gap also when retention has deleted it', async () => {
    const { directory, now } = await logOf(105);
    flipInBlock(directory, 104, HEAD_BYTES);
    flipInBlock(directory, 4, 0);
    flipInBlock(directory, 5, 0);
    const retentionMs = 90 * 60_000;
    const log = await openLog(directory, { now, retentionMs });
    const { epoch } = log;
    expect(await log.retain()).toMatchObject({ recordsDeleted: 103, failure: undefined });
    const page = await read(log, { room: 'r', after: { epoch, offset: 3 } });
    expect(page).toEqual({
      publications: [],
      source: 'log',
      more: false,
      gap: { from: { epoch, offset: 3 }, to: { epoch, offset: 104 } },
    });
    await log.close();
    expect((await openLog(directory, { now, retentionMs })).ends()).toEqual([106]);
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
    const block = blockAt(directory, 1);
    block.writeDoubleLE(5, 16);
    writeBlock(directory, 1, block);
    expect(await refusalOf(openLog(directory))).toContain('block 1 is damaged');
  });

  test.each([0, 1])('refuses the start where the block %i is missing', async (number) => {
    const { directory, now } = await logOfTen();
    const database = new DatabaseSync(join(directory, 'log.sqlite'));
    database.exec(`DELETE FROM blocks WHERE number = ${number}`);
    database.close();
    expect(await refusalOf(openLog(directory, { now }))).toContain(`block ${number} is missing`);
  });

  test('is not taken for lost where the index has only some of the newest', async () => {
    const directory = await temporaryDirectory();
    const kept = new Map<string, string[]>();
    for (let round = 0; round < 4; round++) {
      const log = await openLog(directory);
      for (const [room, mids] of kept) expect(await midsIn(log, room)).toEqual(mids);
      for (let index = 0; index < 130; index++) {
        for (const room of index % 40 === 0 ? ['quiet', 'busy'] : ['busy']) {
          const mid = `m${round}-${index}`;
          kept.set(room, [...(kept.get(room) ?? []), mid]);
          await log.append(publish(room, mid));
        }
      }
      await log.close();
    }
  });

  test('refuses the start where the index of rooms has lost it', async () => {
    const { directory, now } = await logOf(205);
    const database = new DatabaseSync(join(directory, 'log.sqlite'));
    database.exec('DELETE FROM room_index WHERE last < 150');
    database.close();
    expect(await refusalOf(openLog(directory, { now }))).toContain(
      'the index of rooms does not agree with the records',
    );
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
