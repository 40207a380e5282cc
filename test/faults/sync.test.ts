import { execFileSync, spawnSync } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { temporaryDirectory } from './embedded-fixture.ts';

const hasTracer = spawnSync('strace', ['-V']).status === 0;
const ALL_MIDS = Array.from({ length: 40 }, (_, index) => `m${index}`);

/** Runs the prober under strace; gives its lines, and its syncs and lines in the order in which they happened. */
async function probe(options: { synced: boolean; inject?: string }): Promise<{ lines: string[]; trace: string[] }> {
  const directory = await temporaryDirectory();
  const prober = fileURLToPath(new URL('log-prober.ts', import.meta.url));
  const traceFile = join(directory, 'trace');
  const output = execFileSync(
    'strace',
    [
      ...['-f', '-qq', '-o', traceFile, '-e', 'trace=fsync,fdatasync,write', '-e', 'signal=none'],
      ...(options.inject === undefined ? [] : ['-e', `inject=fsync,fdatasync:${options.inject}`]),
      ...[process.execPath, '--disable-warning=ExperimentalWarning', prober],
      ...[join(directory, 'data'), String(options.synced)],
    ],
    { encoding: 'utf8' },
  );
  const trace = (await readFile(traceFile, 'utf8')).split('\n').flatMap((line) => {
    const said = /write\(1, "(.*)\\n"/.exec(line)?.[1];
    if (said !== undefined) return [said];
    return /sync(\(| resumed).*= 0$/.test(line) ? ['synced'] : [];
  });
  return { lines: output.trimEnd().split('\n'), trace };
}

/** The mids that were acknowledged without a sync since what was said before. */
function ackedUnsynced(trace: readonly string[]): string[] {
  const said = trace.slice(trace.indexOf('open'));
  return said.filter((event, index) => event.startsWith('acked') && said[index - 1] !== 'synced');
}

describe.skipIf(!hasTracer)('the sync to the disk', () => {
  test('comes before each acknowledgement', async () => {
    const { lines, trace } = await probe({ synced: true });
    expect(lines).toEqual(['open', ...ALL_MIDS.map((mid) => `acked ${mid}`), `kept ${ALL_MIDS.join(' ')}`]);
    expect(ackedUnsynced(trace)).toEqual([]);
  });

  test('is what the test before this one sees', async () => {
    const { trace } = await probe({ synced: false });
    expect(ackedUnsynced(trace)).toHaveLength(ALL_MIDS.length);
  });

  test('may fail: then the outcome is unknown, a retry adds nothing twice, and the log goes on', async () => {
    const { lines, trace } = await probe({ synced: true, inject: 'error=EIO:when=20+5' });
    expect(lines.filter((line) => line === 'unknown_outcome').length).toBeGreaterThanOrEqual(4);
    expect(lines.filter((line) => line.startsWith('acked'))).toEqual(ALL_MIDS.map((mid) => `acked ${mid}`));
    expect(lines.at(-1)).toBe(`kept ${ALL_MIDS.join(' ')}`);
    expect(ackedUnsynced(trace)).toEqual([]);
  });
});
