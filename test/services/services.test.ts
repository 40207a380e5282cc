import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { KAFKA_BROKERS } from './test-services.ts';

const MAIN = fileURLToPath(new URL('../../services/main.ts', import.meta.url));

interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs the command until nobody holds its output open any more. */
async function services(args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<Ended> {
  const child: ChildProcess = spawn(process.execPath, [MAIN, ...args], { env: { ...process.env, ...env } });
  let stdout = '';
  let stderr = '';
  child.stdout?.on('data', (chunk: Buffer) => {
    stdout += chunk.toString();
  });
  child.stderr?.on('data', (chunk: Buffer) => {
    stderr += chunk.toString();
  });
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, stdout, stderr };
}

describe.skipIf(KAFKA_BROKERS === undefined && !process.env.CI)('npm run services', () => {
  let directory: string;
  let env: Record<string, string>;

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'tidegate-services-'));
    env = { TIDEGATE_SERVICES_DIRECTORY: directory };
  });

  afterAll(async () => {
    await services(['stop'], env);
    await rm(directory, { recursive: true, force: true });
  }, 60_000);

  test('starts, tells, keeps and stops what a replica needs', async () => {
    expect(await services(['status'], env)).toMatchObject({ code: 3, stdout: 'nothing was started yet\n' });
    const started = await services(['start'], env);
    const form = /^TIDEGATE_REDIS_URL=redis:\/\/127\.0\.0\.1:\d+\nTIDEGATE_KAFKA_BROKERS=127\.0\.0\.1:\d+\n$/;
    expect(started.stdout).toMatch(form);
    expect(started.code).toBe(0);
    const status = await services(['status'], env);
    expect(status.code).toBe(0);
    expect(status.stdout).toMatch(
      /^redis +127\.0\.0\.1:\d+ +runs \(pid \d+\)\nkafka 1 +127\.0\.0\.1:\d+ +runs \(pid \d+\)\n$/,
    );
    // What runs is left as it is.
    expect(await services(['start'], env)).toEqual({ code: 0, stdout: started.stdout, stderr: '' });
    expect((await services(['status'], env)).stdout).toBe(status.stdout);
    const others = await services(['start', '--brokers', '3'], env);
    expect(others).toMatchObject({ code: 1, stdout: '' });
    expect(others.stderr).toContain('Kafka runs with 1 brokers');

    expect(await services(['stop'], env)).toEqual({ code: 0, stdout: '', stderr: '' });
    expect((await services(['status'], env)).stdout).toMatch(/^redis .* does not run\nkafka 1 .* does not run\n$/);
    expect(readFileSync(join(directory, 'redis.log'), 'utf8')).toContain('Ready to accept connections');
    // One that was killed is started again where it was, with what it had.
    const again = await services(['start'], env);
    expect(again.stdout).toBe(started.stdout);
    const pid = Number(/redis .*pid (\d+)/.exec((await services(['status'], env)).stdout)?.[1]);
    process.kill(pid, 'SIGKILL');
    await expect.poll(async () => (await services(['status'], env)).code).toBe(3);
    expect((await services(['start'], env)).stdout).toBe(started.stdout);
    expect((await services(['status'], env)).code).toBe(0);
  }, 120_000);

  test('says what is missing, and how to get it', async () => {
    const nowhere = { ...env, PATH: directory, TIDEGATE_SERVICES_DIRECTORY: join(directory, 'other') };
    const { code, stdout, stderr } = await services(['start'], nowhere);
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toContain('no Docker engine answers, and this is missing:');
    expect(stderr).toMatch(/^ {2}redis-server \(Debian, Ubuntu: apt-get install redis-server/m);
    expect(stderr).toMatch(/^ {2}java 17 or newer \(Debian, Ubuntu: apt-get install/m);
  });

  test.each([
    [[]],
    [['begin']],
    [['start', 'now']],
    [['start', '--brokers', '2']],
    [['stop', '--brokers', '1']],
    [['start', '--x']],
  ])('is not used as %j', async (args) => {
    const { code, stdout, stderr } = await services(args, env);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toContain('npm run services -- start');
  });
});
