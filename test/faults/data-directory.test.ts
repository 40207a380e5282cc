import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readFile, stat, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { fileURLToPath } from 'node:url';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { checkDataDirectory } from '../../src/fanout/data-directory.ts';
import { midsIn, openLog, publish, refusalOf, temporaryDirectory } from './embedded-fixture.ts';

describe('the owner of a data directory', () => {
  test('is one process, named to others; killed, it leaves the directory free and what it acknowledged there', async () => {
    const directory = await temporaryDirectory();
    const { child, acked } = startHolder(directory);
    await vi.waitFor(() => expect(acked().length).toBeGreaterThan(200), { timeout: 20_000 });
    expect(await refusalOf(openLog(directory))).toBe(
      `data directory ${directory} is in use by another tidegate process (pid ${child.pid})`,
    );
    expect(await checkDataDirectory(directory)).toContain(String(child.pid));
    child.kill('SIGKILL');
    await once(child, 'close');

    const log = await openLog(directory);
    const kept = new Set(await midsIn(log, 'r'));
    expect(acked().filter((mid) => !kept.has(mid))).toEqual([]);
    expect((await log.append({ ...publish('r', acked()[0] ?? '') })).duplicate).toBe(true);
  });

  test('is one log within a process too, until it is closed', async () => {
    const directory = await temporaryDirectory();
    const first = await openLog(directory);
    expect(await refusalOf(openLog(directory))).toContain(`in use by another tidegate process (pid ${process.pid})`);
    expect((await first.append(publish('r', 'm'))).duplicate).toBe(false);
    await first.close();
    const second = await openLog(directory);
    expect((await second.append(publish('r', 'm'))).duplicate).toBe(true);
  });

  test('is nobody once opening was refused', async () => {
    const directory = await temporaryDirectory();
    await (await openLog(directory, { partitions: 2 })).close();
    await refusalOf(openLog(directory, { partitions: 3 }));
    await openLog(directory, { partitions: 2 });
  });
});

describe('a data directory', () => {
  test('is created for its owner alone, with all that leads to it', async () => {
    const directory = join(await temporaryDirectory(), 'a', 'b');
    expect(await checkDataDirectory(directory)).toBe('absent, to be created');
    await openLog(directory);
    expect((await stat(directory)).mode & 0o777).toBe(0o700);
    expect(await checkDataDirectory(directory)).toMatch(/^a log/);
  });

  test('may be the root of a volume', async () => {
    const directory = await temporaryDirectory();
    await mkdir(join(directory, 'lost+found'));
    expect(await checkDataDirectory(directory)).toBe('empty');
    await openLog(directory);
  });

  test('is refused and left as it is where it holds something else', async () => {
    const directory = await temporaryDirectory();
    await writeFile(join(directory, 'letters.txt'), 'dear');
    expect(await refusalOf(openLog(directory))).toContain(`data directory ${directory} holds files (as "letters.txt")`);
    expect(await refusalOf(checkDataDirectory(directory))).toContain('letters.txt');
  });

  test('is refused where a write-ahead log lies without its log', async () => {
    const directory = await temporaryDirectory();
    await writeFile(join(directory, 'log.sqlite-wal'), 'frames');
    expect(await refusalOf(openLog(directory))).toContain('"log.sqlite-wal"');
  });

  test('is refused where it is a file', async () => {
    const file = join(await temporaryDirectory(), 'file');
    await writeFile(file, '');
    expect(await refusalOf(openLog(file))).toContain(`data directory ${file} can't be used`);
  });

  test('goes on where its creation was cut short', async () => {
    const directory = await temporaryDirectory();
    await writeFile(join(directory, 'log.sqlite'), '');
    const log = await openLog(directory);
    expect((await log.append(publish('r', 'm'))).duplicate).toBe(false);
  });
});

describe('a log’s file is refused', () => {
  test('where it is no SQLite file', async () => {
    const { directory, file } = await directoryWith('log.sqlite');
    await writeFile(file, 'x'.repeat(5_000));
    expect(await refusalOf(openLog(directory))).toBe(`${file} is not an SQLite file`);
    expect(await readFile(file, 'utf8')).toBe('x'.repeat(5_000));
  });

  test('where it is another program’s, which finds it as it was', async () => {
    const { directory, file } = await directoryWith('log.sqlite');
    const theirs = new DatabaseSync(file);
    theirs.exec('PRAGMA application_id = 77; CREATE TABLE letters (text)');
    theirs.close();
    const bytes = await readFile(file);
    expect(await refusalOf(openLog(directory))).toBe(`${file} is an SQLite file, but no log of tidegate's`);
    expect((await readFile(file)).equals(bytes)).toBe(true);
  });

  test('where it is an SQLite file without a name', async () => {
    const { directory, file } = await directoryWith('log.sqlite');
    const theirs = new DatabaseSync(file);
    theirs.exec('CREATE TABLE letters (text)');
    theirs.close();
    expect(await refusalOf(openLog(directory))).toBe(`${file} is an SQLite file, but no log of tidegate's`);
  });

  test('where a newer version wrote it', async () => {
    const { directory, file } = await directoryWith('log.sqlite');
    await (await openLog(directory)).close();
    const database = new DatabaseSync(file);
    database.exec('PRAGMA user_version = 3');
    database.close();
    expect(await refusalOf(openLog(directory))).toContain('its schema is version 3, this one knows 2');
  });

  test('where it has another number of partitions', async () => {
    const { directory } = await directoryWith('log.sqlite');
    await (await openLog(directory, { partitions: 4 })).close();
    expect(await refusalOf(openLog(directory, { partitions: 8 }))).toContain(
      "was created with 4 partitions, which can't be changed, but 8 are configured",
    );
  });

  test('where its structure is damaged', async () => {
    const { directory, file } = await directoryWith('log.sqlite');
    const log = await openLog(directory);
    await Promise.all(Array.from({ length: 500 }, (_, index) => log.append(publish(`r${index}`, 'm'))));
    await log.close();
    const bytes = await readFile(file);
    bytes.fill(0xa5, 4_096 * 12, 4_096 * 13);
    await writeFile(file, bytes);
    expect(await refusalOf(openLog(directory))).toMatch(new RegExp(`^${file} is damaged: .*restore it from a backup$`));
  });

  test('where it was cut off', async () => {
    const { directory, file } = await directoryWith('log.sqlite');
    const log = await openLog(directory);
    await Promise.all(Array.from({ length: 500 }, (_, index) => log.append(publish(`r${index}`, 'm'))));
    await log.close();
    await truncate(file, 4_096 * 12);
    expect(await refusalOf(openLog(directory))).toContain(`${file} is damaged`);
  });
});

async function directoryWith(name: string): Promise<{ directory: string; file: string }> {
  const directory = await temporaryDirectory();
  return { directory, file: join(directory, name) };
}

function startHolder(directory: string): { child: ChildProcess; acked: () => string[] } {
  const holder = fileURLToPath(new URL('log-holder.ts', import.meta.url));
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', holder, directory], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  onTestFinished(() => void child.kill('SIGKILL'));
  let output = '';
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    output += text;
  });
  // What stands behind the last line break may be half a line.
  return { child, acked: () => output.split('\n').slice(0, -1) };
}
