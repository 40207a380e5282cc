import { describe, expect, it, vi } from 'vitest';
import { LineBudget } from '../../../src/observability/line-budget.ts';
import { createLogger } from '../../../src/observability/logger.ts';

function open(level = 'trace') {
  let text = '';
  const write = (line: string) => {
    text += line;
  };
  const logger = createLogger({ level, node: 'n1' }, { write });
  const lines = () =>
    text
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line) as Record<string, unknown>);
  return { logger, lines, text: () => text };
}

describe('a line', () => {
  it('says level, time, process and node, and what it is told', () => {
    const { logger, lines } = open();
    logger.info({ port: 1, room: 'r', list: ['a'], big: 1n, none: null }, 'ready');
    logger.warn('words alone');
    expect(lines()).toEqual([
      {
        ...{ level: 30, time: expect.any(Number), pid: process.pid, node: 'n1' },
        ...{ port: 1, room: 'r', list: ['a'], big: '1', none: null, msg: 'ready' },
      },
      { level: 40, time: expect.any(Number), pid: process.pid, node: 'n1', msg: 'words alone' },
    ]);
  });

  it('shows no secret and no content, wherever it stands', () => {
    const { logger, text, lines } = open();
    const secret = 'hush-hush';
    for (const name of [
      ...['token', 'accessToken', 'authorization', 'Authorization', 'cookie', 'set-cookie', 'secret', 'jwtSecret'],
      ...['password', 'key', 'apiKey', 'apiKeys', 'api_key', 'keys', 'credentials', 'data', 'text', 'body', 'payload'],
    ]) {
      logger.error({ [name]: secret, deep: { [name]: [secret], list: [{ [name]: { inner: secret } }] } }, name);
    }
    logger.error({ bytes: Buffer.from(secret), typed: new Uint8Array(9) }, 'bytes');
    expect(text()).not.toContain(secret);
    expect(text()).not.toContain(String([...Buffer.from(secret)]));
    expect(lines()[0]).toMatchObject({ token: '[hidden]', deep: { token: '[hidden]', list: [{ token: '[hidden]' }] } });
    expect(lines().at(-1)).toMatchObject({ bytes: '[9 bytes]', typed: '[9 bytes]' });
  });

  it('shows of an error its words, stack, code and cause, and nothing that was put onto it', () => {
    const { logger, text, lines } = open();
    const cause = Object.assign(new TypeError('inner'), { payload: 'claims' });
    const error = Object.assign(new Error('outer', { cause }), { payload: { sub: 'claims' }, code: 'ERR_X' });
    logger.error({ err: error, reason: new Error('other') }, 'failed');
    logger.error(error);
    expect(text()).not.toContain('claims');
    const shown = {
      ...{ type: 'Error', message: 'outer', code: 'ERR_X', stack: expect.stringContaining('logger.test.ts') },
      cause: { type: 'TypeError', message: 'inner', stack: expect.any(String) },
    };
    expect(lines()).toMatchObject([{ err: shown, reason: { message: 'other' } }, { err: shown }]);
  });

  it('is bounded', () => {
    const { logger, text, lines } = open();
    const deep: Record<string, unknown> = {};
    deep.self = deep;
    const huge = 'x'.repeat(1_000_000);
    const many = Object.fromEntries(Array.from({ length: 1_000 }, (_, i) => [`f${i}`, i]));
    const error = new Error(huge);
    logger.info({ huge, deep, list: new Array(10_000).fill(1), many, err: error }, 'big');
    expect(text().length).toBeLessThan(16_384);
    expect(lines()[0]).toMatchObject({ huge: expect.stringMatching(/^x{1024}… and 998976 more$/) });
  });
});

describe('lines alike', () => {
  it('are not more than a few a second, and it is said how many were left out', () => {
    vi.useFakeTimers();
    try {
      const { logger, lines } = open();
      for (let i = 0; i < 10_000; i += 1) logger.error({ i }, 'flood');
      logger.error({}, 'another');
      logger.warn({}, 'flood');
      expect(lines().filter(({ level, msg }) => level === 50 && msg === 'flood')).toHaveLength(20);
      expect(lines().slice(-2)).toMatchObject([{ msg: 'another' }, { level: 40, msg: 'flood' }]);
      vi.advanceTimersByTime(1_000);
      logger.error({ i: 'later' }, 'flood');
      expect(lines().at(-1)).toMatchObject({ msg: 'flood', i: 'later', alikeLeftOut: 9_980 });
      vi.advanceTimersByTime(1_000);
      logger.error({}, 'flood');
      expect(lines().at(-1)).not.toHaveProperty('alikeLeftOut');
    } finally {
      vi.useRealTimers();
    }
  });

  it('are all there below info, and where the process ends', () => {
    const { logger, lines } = open();
    for (let i = 0; i < 100; i += 1) {
      logger.debug({}, 'detail');
      logger.fatal({}, 'the end');
    }
    expect(lines()).toHaveLength(200);
  });

  it('are told apart without end in memory', () => {
    const budget = new LineBudget();
    for (let i = 0; i < 100_000; i += 1) expect(budget.take(`kind ${i}`, 0)).toBe(0);
  });
});
