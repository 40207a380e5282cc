import { execFileSync } from 'node:child_process';
import { rm, statfs, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { codeOf } from '../contract/room-log-fixture.ts';
import { FakeTrace } from '../unit/fake-trace.ts';
import { midsIn, openLog, publish, RecordedLines, refusalOf, temporaryDirectory } from './embedded-fixture.ts';

/** A file system of so many MiB, for as long as the test runs. */
async function smallDisk(mebibytes: number): Promise<string> {
  const directory = await temporaryDirectory();
  execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${mebibytes}m`, 'tmpfs', directory]);
  onTestFinished(() => void execFileSync('umount', ['--lazy', directory]));
  return directory;
}

// Only root may mount.
describe.skipIf(process.getuid?.() !== 0)('a full disk', () => {
  test.each([
    { name: 'that others fill', mebibytes: 16, ballastLeaves: 600_000 },
    { name: 'that the log fills itself', mebibytes: 16, ballastLeaves: 6_000_000 },
  ])('$name refuses appends, and the log goes on once there is space', async ({ mebibytes, ballastLeaves }) => {
    const disk = await smallDisk(mebibytes);
    const ballast = join(disk, 'ballast');
    const lines = new RecordedLines();
    const log = await openLog(join(disk, 'data'), {}, lines);
    const trace = new FakeTrace();
    const data = JSON.stringify('x'.repeat(16_000));
    const acked: string[] = [];
    const append = async (mid: string) => {
      const { duplicate } = await log.append({ ...publish('r', mid, data), trace });
      if (!duplicate) acked.push(mid);
    };
    await append('first');
    const { bavail, bsize } = await statfs(disk);
    await writeFile(ballast, Buffer.alloc(bavail * bsize - ballastLeaves));

    let refusals = 0;
    for (let index = 0; refusals < 5; index++) {
      const codes = await Promise.all([0, 1, 2].map((nth) => codeOf(append(`full-${index}-${nth}`))));
      for (const code of codes) {
        expect(['no error', 'unavailable']).toContain(code);
        if (code === 'unavailable') refusals++;
      }
    }
    expect(log.state()).toEqual({ writable: false, reason: 'the disk is full' });
    expect(lines.messages('error')).toEqual(["the log can't be written: the disk is full"]);
    expect(lines.lines.find(({ level }) => level === 'error')?.fields).toMatchObject(trace.ids);
    expect(await midsIn(log, 'r')).toEqual(acked);

    await rm(ballast);
    await vi.waitFor(() => expect(log.state()).toEqual({ writable: true }), { timeout: 10_000 });
    for (let index = 0; index < 20; index++) await append(`after-${index}`);
    // What was refused was not appended: it is new.
    expect((await log.append(publish('r', 'refused before', data))).duplicate).toBe(false);
    acked.push('refused before');
    expect(await midsIn(log, 'r')).toEqual(acked);
    await log.close();
    expect(await midsIn(await openLog(join(disk, 'data')), 'r')).toEqual(acked);
  });

  test('that leaves no room to open the log is named, and forgotten once there is space', async () => {
    const disk = await smallDisk(16);
    const directory = join(disk, 'data');
    const log = await openLog(directory);
    await log.append(publish('r', 'm'));
    await log.close();
    const { bavail, bsize } = await statfs(disk);
    await writeFile(join(disk, 'ballast'), Buffer.alloc(bavail * bsize));
    expect(await refusalOf(openLog(directory))).toBe(
      `${join(directory, 'log.sqlite')} can't be opened: the disk is full`,
    );
    await rm(join(disk, 'ballast'));
    expect(await midsIn(await openLog(directory), 'r')).toEqual(['m']);
  });
});
