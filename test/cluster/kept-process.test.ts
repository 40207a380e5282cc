import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { KeptProcess } from '../../cluster/kept-process.ts';
import { RunningList } from '../../cluster/running-list.ts';

async function temporaryDirectory(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'tidegate-kept-'));
  onTestFinished(() => rm(directory, { recursive: true, force: true }));
  return directory;
}

async function kept(command: string, args: readonly string[], isReady = async () => true) {
  const directory = await temporaryDirectory();
  const said: string[] = [];
  const says = { info: (text: string) => said.push(text), warn: (text: string) => said.push(text) };
  const listFile = join(directory, 'running.json');
  const program = { name: 'it', command, args, env: {}, logFile: join(directory, 'it.log'), readyMsMax: 5_000 };
  const process = new KeptProcess({ ...program, isReady }, new RunningList(listFile), says);
  onTestFinished(() => process.stop(0).then(() => {}));
  /** What the next one would find. */
  const listed = () => new RunningList(listFile).names;
  return { process, said, listed };
}

test('a program that ends by itself is started again, more slowly each time', async () => {
  const { process, said } = await kept('sh', ['-c', 'sleep 0.1; exit 7']);
  await process.start();
  await expect
    .poll(() => said, { timeout: 10_000 })
    .toEqual([
      'it has ended with 7; it is started again in 1000 ms',
      'it is ready again',
      'it has ended with 7; it is started again in 2000 ms',
    ]);
});

test('one that is stopped is not, and is told of for as long as it runs', async () => {
  const { process, said, listed } = await kept('sleep', ['60']);
  expect(await process.stop(0)).toBeNull();
  await process.start();
  expect(listed()).toEqual(['it']);
  const killed = process.pid as number;
  expect(await process.stop(5_000)).toEqual({ code: null, signal: 'SIGTERM' });
  expect(listed()).toEqual([]);
  await process.start();
  expect(process.pid).not.toBe(killed);
  const sign = join(await temporaryDirectory(), 'deaf');
  const loop = `trap "" TERM; : > ${sign}; while :; do sleep 0.01; done`;
  const deaf = await kept('sh', ['-c', loop], async () => existsSync(sign));
  await deaf.process.start();
  expect(await deaf.process.stop(50)).toEqual({ code: null, signal: 'SIGKILL' });
  expect([...said, ...deaf.said]).toEqual([]);
});

test('one that ends before it is ready is not kept, and says why', async () => {
  const { process, said } = await kept('sh', ['-c', 'echo no room; exit 3'], async () => false);
  await expect(process.start()).rejects.toThrow(/^it has ended; the end of .*\nno room$/);
  const nowhere = await kept('/nowhere/to/be/found', []);
  await expect(nowhere.process.start()).rejects.toThrow('ENOENT');
  expect(said).toEqual([]);
});
