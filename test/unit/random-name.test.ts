import { expect, test } from 'vitest';
import { randomName } from '../../src/random-name.ts';

test('names have the length that was asked for, and none comes twice, also beyond the pool', () => {
  const names = Array.from({ length: 5_000 }, (_, i) =>
    randomName(i % 2 === 0 ? 12 : 8, i % 2 === 0 ? 'base64url' : 'hex'),
  );
  expect(new Set(names.map((name) => name.length))).toEqual(new Set([16]));
  expect(new Set(names).size).toBe(names.length);
});
