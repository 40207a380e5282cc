import { readdirSync } from 'node:fs';
import { basename } from 'node:path';
import { describe, expect, it } from 'vitest';
import { METRICS } from '../../../src/observability/catalogue.ts';
import { CALL_KINDS, callKind } from '../../../src/redis/call-kinds.ts';
import { REDIS_FAILURES } from '../../../src/redis/redis-unavailable-error.ts';

/** What is no script by itself, but stands before others. */
const PARTS = ['presence-common', 'presence-edit'];

describe('what Redis is asked for', () => {
  const files = readdirSync(new URL('../../../src/redis/lua/', import.meta.url));
  const scripts = files.map((file) => basename(file, '.lua')).filter((name) => !PARTS.includes(name));

  it.each(scripts)('is told apart: %s', (name) => {
    expect(callKind(name)).not.toBe('other');
  });

  it('is of a kind that metrics have', () => {
    expect(scripts.length).toBeGreaterThan(8);
    expect(METRICS.redisCall.labels.call).toEqual(CALL_KINDS);
    expect(METRICS.redisFailures.labels.reason).toEqual(REDIS_FAILURES);
    expect([callKind('publish'), callKind('get'), callKind('x-presence-lease')]).toEqual(['publish', 'other', 'other']);
  });
});
