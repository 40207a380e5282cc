import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { backupLog, restoreLog } from '../../src/fanout/backup.ts';
import { midsIn, openLog, publish, read, refusalOf, temporaryDirectory } from './embedded-fixture.ts';

describe('a backup', () => {
  test('of a log in use has all that was acknowledged before it, and becomes a log with an epoch of its own', async () => {
    const parent = await temporaryDirectory();
    const log = await openLog(join(parent, 'data'));
    const acked: string[] = [];
    let number = 0;
    const append = async () => {
      const mid = `m${number++}`;
      await log.append(publish('r', mid));
      acked.push(mid);
    };
    for (let index = 0; index < 100; index++) await append();

    const load = { on: true };
    const publishers = Array.from({ length: 10 }, async () => {
      while (load.on) await append();
    });
    const before = [...acked];
    const { records, bytes } = await backupLog(join(parent, 'data'), join(parent, 'backup'));
    load.on = false;
    await Promise.all(publishers);
    expect(acked.length).toBeGreaterThan(before.length);
    expect(records).toBeGreaterThanOrEqual(before.length);
    expect(bytes).toBe((await readFile(join(parent, 'backup'))).length);
    expect(await midsIn(log, 'r')).toEqual(expect.arrayContaining(acked));

    expect(await restoreLog(join(parent, 'backup'), join(parent, 'restored'))).toEqual({ records, bytes });
    const restored = await openLog(join(parent, 'restored'));
    expect(restored.epoch).not.toBe(log.epoch);
    expect(restored.ends()).toEqual([records - 1]);
    const original = await midsIn(log, 'r');
    expect(await midsIn(restored, 'r')).toEqual(original.slice(0, records));
    expect(original.slice(0, records)).toEqual(expect.arrayContaining(before));
    expect((await restored.append(publish('r', 'm0'))).duplicate).toBe(true);
    const page = await read(restored, { room: 'r', after: { epoch: log.epoch, offset: 0 } });
    expect(page.gap?.from).toBeNull();
    expect((await restored.append(publish('r', 'new'))).position.offset).toBe(records);
  });

  test('of a log that nobody has open', async () => {
    const { parent, data } = await closedLog();
    expect((await backupLog(data, join(parent, 'backup'))).records).toBe(3);
    expect(await midsIn(await openLog(data), 'r')).toEqual(['m0', 'm1', 'm2']);
  });

  test('never replaces a file, and leaves none behind that is no backup', async () => {
    const { parent, data } = await closedLog();
    const file = join(parent, 'backup');
    await writeFile(file, 'precious');
    expect(await refusalOf(backupLog(data, file))).toBe(`${file} exists already`);
    expect(await readFile(file, 'utf8')).toBe('precious');
    const elsewhere = join(parent, 'absent', 'backup');
    expect(await refusalOf(backupLog(data, elsewhere))).toContain(`${elsewhere} can't be written`);

    await flipBit(join(data, 'log.sqlite'), 'marker-1');
    expect(await refusalOf(backupLog(data, join(parent, 'second')))).toContain('the record at partition 0, offset 1');
    expect((await readdir(parent)).sort()).toEqual(['backup', 'data']);
  });

  test('needs a log', async () => {
    const parent = await temporaryDirectory();
    expect(await refusalOf(backupLog(parent, join(parent, 'backup')))).toBe(
      `there is no log of tidegate's in ${parent}`,
    );
    expect(await readdir(parent)).toEqual([]);
  });
});

describe('a restore', () => {
  test('refuses a directory that holds anything', async () => {
    const { parent, data } = await closedLog();
    await backupLog(data, join(parent, 'backup'));
    expect(await refusalOf(restoreLog(join(parent, 'backup'), data))).toContain(`directory ${data} is not empty`);
    await mkdir(join(parent, 'foreign'));
    await writeFile(join(parent, 'foreign', 'letters.txt'), '');
    expect(await refusalOf(restoreLog(join(parent, 'backup'), join(parent, 'foreign')))).toContain('letters.txt');
  });

  test('refuses what is no sound backup, and leaves no log behind', async () => {
    const { parent, data } = await closedLog();
    const file = join(parent, 'backup');
    const target = join(parent, 'restored');
    await backupLog(data, file);
    await flipBit(file, 'marker-2');
    expect(await refusalOf(restoreLog(file, target))).toContain(
      `${file} is damaged: the record at partition 0, offset 2 is damaged`,
    );
    expect(await readdir(target)).not.toContain('log.sqlite');
    await writeFile(
      file,
      'not a database, but as long as the header of one would be if it were one: a hundred bytes or so',
    );
    expect(await refusalOf(restoreLog(file, target))).toBe(`${file} is not an SQLite file`);
    expect(await refusalOf(restoreLog(join(parent, 'absent'), target))).toContain("can't be opened");
  });

  test('that was cut short is refused as a log, and can be made again', async () => {
    const { parent, data } = await closedLog();
    const target = join(parent, 'restored');
    await backupLog(data, join(parent, 'backup'));
    await mkdir(target);
    await writeFile(join(target, 'log.sqlite.restoring'), 'half of it');
    expect(await refusalOf(openLog(target))).toContain('holds a restore that was not finished');
    await restoreLog(join(parent, 'backup'), target);
    expect(await midsIn(await openLog(target), 'r')).toEqual(['m0', 'm1', 'm2']);
  });

  test('takes no part of a directory that another process is about to use', async () => {
    const { parent, data } = await closedLog();
    await backupLog(data, join(parent, 'backup'));
    const target = join(parent, 'restored');
    const log = await openLog(target);
    expect(await refusalOf(restoreLog(join(parent, 'backup'), target))).toContain('is not empty');
    await log.append(publish('r', 'm'));
  });
});

async function closedLog(): Promise<{ parent: string; data: string }> {
  const parent = await temporaryDirectory();
  const data = join(parent, 'data');
  const log = await openLog(data);
  for (let index = 0; index < 3; index++) await log.append(publish('r', `m${index}`, `"marker-${index}"`));
  await log.close();
  return { parent, data };
}

async function flipBit(file: string, marker: string): Promise<void> {
  const bytes = await readFile(file);
  const at = bytes.indexOf(marker);
  bytes[at] = (bytes[at] ?? 0) ^ 1;
  await writeFile(file, bytes);
}
