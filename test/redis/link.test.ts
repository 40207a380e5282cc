import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { RedisLink } from '../../src/redis/redis-link.ts';
import { RedisUnavailableError } from '../../src/redis/redis-unavailable-error.ts';
import { REDIS_URL } from '../services/test-services.ts';
import { createLink, type Line, QUICK, RedisStage } from './redis-stage.ts';

const COUNT = { name: 'count', lua: "return redis.call('INCRBY', KEYS[1] .. ':n', ARGV[1])" };

/** How a promise fails: why Redis has not done it. */
function failure(promise: Promise<unknown>): Promise<string | null> {
  return promise.then(
    () => 'nothing',
    (error: unknown) => {
      if (error instanceof RedisUnavailableError) return error.failure;
      throw error;
    },
  );
}

/** Takes the time of this process without letting it run. */
function block(ms: number): void {
  const untilMs = performance.now() + ms;
  while (performance.now() < untilMs);
}

function said(lines: readonly Line[], words: string): Line[] {
  return lines.filter(({ message }) => message.includes(words));
}

describe.skipIf(REDIS_URL === undefined && !process.env.CI)('a link to Redis', () => {
  let stage: RedisStage;

  beforeAll(async () => {
    stage = await RedisStage.open();
  });

  afterEach(() => stage.clear());

  afterAll(() => stage.close());

  /** Counts what a link comes to. */
  function listen(link: RedisLink): { ready: number; hearing: number } {
    const counts = { ready: 0, hearing: 0 };
    link.listen({
      onReady: () => {
        counts.ready += 1;
      },
      onHearing: () => {
        counts.hearing += 1;
      },
    });
    return counts;
  }

  async function untilUp(link: RedisLink): Promise<void> {
    await expect.poll(() => link.isUp && link.isHearing, { timeout: 5_000 }).toBe(true);
  }

  test('asks, runs scripts, and hears what is published', async () => {
    const { link, lines } = await stage.link();
    const kinds: string[] = [];
    link.onAnswered = (kind, ms) => {
      kinds.push(kind);
      expect(ms).toBeGreaterThan(0);
    };
    expect([link.isUp, link.isHearing, link.trouble]).toEqual([true, true, null]);
    expect(await link.call('SET', link.key('a', 1), 'x')).toBe('OK');
    expect(await link.run(COUNT, 2)).toBe(2);
    expect(await link.run(COUNT, 3)).toBe(5);
    expect(await stage.server.cli(['GET', '{test}:n'])).toBe('5');
    const heard: string[] = [];
    await link.subscribe(link.key('c'), (message) => heard.push(message));
    expect(link.publish(link.key('c'), 'hällo')).toBe(true);
    await link.call('PUBLISH', link.key('c'), '');
    await link.heard();
    expect(heard).toEqual(['hällo', '']);
    link.unsubscribe(link.key('c'));
    await link.call('PUBLISH', link.key('c'), 'more');
    await link.heard();
    expect(heard).toHaveLength(2);
    expect(kinds).toEqual(['other', 'other', 'other', 'publish', 'publish', 'publish']);
    expect(lines.map(({ message }) => message).sort()).toEqual([
      'Redis can be asked',
      'what is published through Redis is heard',
    ]);
    const names = (await stage.server.cli(['CLIENT', 'LIST'])).match(/ name=\S+/g);
    expect(names).toEqual(expect.arrayContaining([' name=tidegate-one-commands', ' name=tidegate-one-subscriber']));
  });

  test('goes on where what is published is not understood, and keeps it to itself', async () => {
    const { link, lines } = await stage.link();
    const heard: unknown[] = [];
    await link.subscribe(link.key('c'), (message) => heard.push(JSON.parse(message)));
    for (const message of ['1', 'private', '2']) await stage.server.cli(['PUBLISH', '{test}:c', message]);
    await link.heard();
    expect(heard).toEqual([1, 2]);
    const [line] = said(lines, 'is not understood');
    expect(line).toMatchObject({ level: 'error', fields: { error: 'SyntaxError' } });
    expect(JSON.stringify(lines)).not.toContain('private');
  });

  test('tells what Redis makes of a command, without what it was told', async () => {
    const { link, lines } = await stage.link();
    await link.call('SET', link.key('s'), 'x');
    const error = await link.call('HGET', link.key('s'), 'private').catch((each: Error) => each);
    expect(error).toMatchObject({ name: 'ReplyError', message: expect.stringMatching(/^WRONGTYPE/) });
    expect(JSON.stringify([error, { ...(error as Error) }, lines])).not.toContain('private');
    await expect(link.run({ name: 'broken', lua: 'return nothing.at.all' })).rejects.toMatchObject({
      name: 'ReplyError',
    });
    expect(link.isUp).toBe(true);
  });

  test('runs scripts also where Redis has forgotten them', async () => {
    const { link } = await stage.link();
    await link.run(COUNT, 1);
    await stage.server.cli(['SCRIPT', 'FLUSH']);
    expect(await Promise.all([link.run(COUNT, 1), link.run(COUNT, 1)])).toEqual([2, 3]);
  });

  test('waits for no answer longer than it may, and asks again once there are answers', async () => {
    const { link, lines } = await stage.link({ silenceMs: 60_000 });
    const counts = listen(link);
    stage.proxy.hold('down');
    const asked = Array.from({ length: 8 }, () => failure(link.run(COUNT, 1)));
    expect(new Set(await Promise.all(asked))).toEqual(new Set(['timeout']));
    expect([link.isUp, link.figures().isBroken]).toEqual([false, true]);
    // What waits for nothing is refused, and Redis not told.
    const startedMs = performance.now();
    expect(await failure(link.run(COUNT, 1))).toBe('broken');
    expect(link.publish(link.key('c'), 'x')).toBe(false);
    expect(performance.now() - startedMs).toBeLessThan(QUICK.commandTimeoutMs);
    expect(said(lines, 'does not answer in time')).toHaveLength(1);
    stage.proxy.release('down');
    await untilUp(link);
    // It has done what it was told, and no more.
    expect(await link.run(COUNT, 0)).toBe(8);
    expect(counts).toEqual({ ready: 1, hearing: 0 });
    expect(said(lines, 'answers in time again')).toHaveLength(1);
    const { connections, failures, unanswered } = link.figures();
    expect(connections).toEqual({ commands: 1, subscriber: 1 });
    expect(failures).toMatchObject({ broken: 1, lost: 0, down: 0 });
    expect(failures.timeout).toBeGreaterThanOrEqual(8);
    expect(unanswered).toBeLessThanOrEqual(1);
  });

  test('reads what has come before it takes Redis for slow, where this process could not run', async () => {
    // The proxy is this process as well.
    const { link } = await stage.link({ url: `redis://127.0.0.1:${stage.server.port}` });
    const asked = Array.from({ length: 8 }, () => link.run(COUNT, 1));
    block(2 * QUICK.commandTimeoutMs);
    expect(await Promise.all(asked)).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
    expect([link.isUp, link.figures().failures.timeout]).toEqual([true, 0]);
  });

  test('makes anew the connections that have died without a word, and hears all channels again', async () => {
    const { link } = await stage.link();
    const counts = listen(link);
    const heard: string[] = [];
    await link.subscribe(link.key('c'), (message) => heard.push(message));
    stage.proxy.silence();
    expect(await failure(link.run(COUNT, 1))).toBe('timeout');
    await expect.poll(() => counts, { timeout: 10_000 }).toEqual({ ready: 1, hearing: 1 });
    expect(link.figures().connections).toEqual({ commands: 2, subscriber: 2 });
    await link.call('PUBLISH', link.key('c'), 'again');
    await link.heard();
    expect(heard).toEqual(['again']);
    // What nobody can answer any more is not counted for ever.
    await expect.poll(() => link.figures().unanswered).toBe(0);
  });

  test('sends nothing twice, and nothing later', async () => {
    const { link } = await stage.link({ commandTimeoutMs: 5_000, silenceMs: 60_000 });
    await link.run(COUNT, 1);
    stage.proxy.hold('down');
    const startedMs = performance.now();
    const lost = [failure(link.run(COUNT, 10)), failure(link.call('INCRBY', link.key('n'), 100))];
    await expect.poll(() => stage.server.cli(['GET', '{test}:n'])).toBe('111');
    stage.proxy.reset();
    // At once, and not when they would have timed out.
    expect(await Promise.all(lost)).toEqual(['lost', 'lost']);
    expect(performance.now() - startedMs).toBeLessThan(4_000);
    const unsent = [failure(link.run(COUNT, 1_000)), failure(link.subscribe(link.key('later'), () => {}))];
    expect(await Promise.all(unsent)).toEqual(['down', 'down']);
    await untilUp(link);
    expect(await link.run(COUNT, 0)).toBe(111);
    expect(await stage.server.cli(['PUBSUB', 'NUMSUB', '{test}:later'])).toBe('{test}:later\n1');
  });

  test('comes back when Redis does', async () => {
    const { link, lines } = await stage.link();
    const counts = listen(link);
    const heard: string[] = [];
    await link.subscribe(link.key('c'), (message) => heard.push(message));
    await stage.server.kill();
    await expect.poll(() => link.isUp || link.isHearing).toBe(false);
    expect(link.trouble).toMatch(/^Redis can't be reached at 127\.0\.0\.1:\d+: /);
    await sleep(10 * QUICK.reconnectMsMax);
    await stage.server.restart();
    await untilUp(link);
    expect(link.trouble).toBeNull();
    expect(await link.run(COUNT, 1)).toBe(1);
    await link.call('PUBLISH', link.key('c'), 'again');
    await link.heard();
    expect(heard).toEqual(['again']);
    expect(counts).toEqual({ ready: 1, hearing: 1 });
    // However often it has tried.
    expect(lines.filter(({ level }) => level === 'warn').length).toBeLessThanOrEqual(4);
    expect(said(lines, 'Redis can be asked')).toHaveLength(2);
  });

  test('begins also where Redis is not there yet', async () => {
    await stage.server.kill();
    const { link, lines } = createLink({ url: stage.url });
    try {
      await link.open();
      expect([link.isUp, link.isHearing]).toEqual([false, false]);
      expect(said(lines, "Redis can't be reached")).not.toEqual([]);
      const heard: string[] = [];
      expect(await failure(link.subscribe(link.key('c'), (message) => heard.push(message)))).toBe('down');
      expect(await failure(link.heard())).toBe('down');
      await stage.server.restart();
      await untilUp(link);
      await link.call('PUBLISH', link.key('c'), 'x');
      await link.heard();
      expect(heard).toEqual(['x']);
    } finally {
      link.close();
    }
  });

  test('does without a Redis that is a replica of another one, for as long as it is', async () => {
    const { link, lines } = await stage.link();
    const [host, port] = ['127.0.0.1', String(stage.server.port + 1)];
    await stage.server.cli(['REPLICAOF', host, port]);
    expect(await failure(link.run(COUNT, 1))).toBe('refused');
    await expect.poll(() => link.trouble).toContain(`it is a replica of ${host}:${port}; TIDEGATE_REDIS_URL must`);
    expect(link.isUp).toBe(false);
    await stage.server.cli(['REPLICAOF', 'NO', 'ONE']);
    await untilUp(link);
    expect(await link.run(COUNT, 1)).toBe(1);
    expect(said(lines, 'it is a replica of')).toHaveLength(1);
  });

  test('counts a Redis that can write no more as unavailable, and goes on with it', async () => {
    const { link, lines } = await stage.link();
    await stage.server.cli(['CONFIG', 'SET', 'maxmemory', '1']);
    try {
      expect(await failure(link.run({ name: 'add', lua: "return redis.call('SET', KEYS[1] .. ':n', 1)" }))).toBe(
        'refused',
      );
      expect(said(lines, `Redis can't be used for now at ${new URL(stage.url).host}: OOM`)).not.toEqual([]);
      expect([link.isUp, link.figures().failures.refused]).toEqual([true, 1]);
    } finally {
      await stage.server.cli(['CONFIG', 'SET', 'maxmemory', '0']);
    }
  });

  test('says that Redis may drop keys', async () => {
    await stage.server.cli(['CONFIG', 'SET', 'maxmemory', '1gb', 'maxmemory-policy', 'allkeys-lru']);
    try {
      const { lines } = await stage.link();
      expect(said(lines, 'see its maxmemory-policy')).toHaveLength(1);
    } finally {
      await stage.server.cli(['CONFIG', 'SET', 'maxmemory', '0', 'maxmemory-policy', 'noeviction']);
    }
  });

  test('keeps within its bounds what has no answer', async () => {
    const { link } = await stage.link({ inFlightMax: 10, unansweredMax: 50, breakAfter: 1_000, silenceMs: 60_000 });
    stage.proxy.hold('down');
    const published = Array.from({ length: 15 }, () => link.publish(link.key('c'), 'x'));
    expect(published.filter(Boolean).length).toBeGreaterThanOrEqual(9);
    expect(published.at(-1)).toBe(false);
    const asked = await Promise.all(Array.from({ length: 100 }, () => failure(link.run(COUNT, 1))));
    expect(asked.filter((each) => each === 'overfull').length).toBeGreaterThanOrEqual(100 - 50);
    // Nobody waits any more, and Redis has not answered all the same.
    await sleep(2 * QUICK.commandTimeoutMs);
    expect(await failure(link.run(COUNT, 1))).toBe('overfull');
    const { unanswered, shed, failures } = link.figures();
    expect(unanswered).toBeLessThanOrEqual(2 * 50);
    expect([shed, failures.overfull]).toEqual([published.filter((each) => !each).length, expect.any(Number)]);
    stage.proxy.release('down');
    await expect.poll(() => link.figures().unanswered).toBeLessThanOrEqual(2);
    expect(await link.run(COUNT, 0)).toBe(asked.filter((each) => each === 'timeout').length);
  });

  test('hears many channels again, and none that is not heard any more', async () => {
    const { link } = await stage.link();
    const counts = listen(link);
    let heard = 0;
    const channels = Array.from({ length: 1_800 }, (_, i) => link.key('many', i));
    await Promise.all(channels.map((channel) => link.subscribe(channel, () => (heard += 1))));
    stage.proxy.reset();
    await expect.poll(() => link.isHearing).toBe(false);
    for (const channel of channels.slice(0, 100)) link.unsubscribe(channel);
    await expect.poll(() => counts.hearing, { timeout: 5_000 }).toBe(1);
    const shouted = await stage.server.cli([
      'EVAL',
      "local n = 0 for i = 0, 1799 do n = n + redis.call('PUBLISH', '{test}:many:' .. i, 'x') end return n",
      '0',
    ]);
    expect(Number(shouted)).toBe(1_700);
    await link.heard();
    expect(heard).toBe(1_700);
    expect(link.figures().channels).toBe(1_701);
  });

  test('ends with what it has begun', async () => {
    const { link, lines } = await stage.link();
    const open = async () => (await stage.server.cli(['CLIENT', 'LIST'])).split('\n').length - 1;
    expect(await open()).toBe(2);
    link.close();
    await expect.poll(open).toBe(0);
    await sleep(5 * QUICK.reconnectMsMax);
    expect(await open()).toBe(0);
    expect(await failure(link.run(COUNT, 1))).toBe('down');
    expect(lines).toHaveLength(2);
  });
});
