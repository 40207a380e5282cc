import fc from 'fast-check';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { CHUNK_NAMES_MAX, OrderedNames } from '../../../src/presence/ordered-names.ts';

afterEach(() => vi.restoreAllMocks());

function namesOf(...names: readonly string[]): OrderedNames {
  const set = new OrderedNames();
  for (const name of names) set.add(name);
  return set;
}

/** Pages through the whole set. */
function pagesOf(set: OrderedNames, limit: number): string[][] {
  const pages: string[][] = [];
  for (let page = set.after(undefined, limit); page.length > 0; page = set.after(page.at(-1), limit)) pages.push(page);
  return pages;
}

/** As many names as asked for, in an order that looks random and is always the same. */
function scattered(count: number): string[] {
  // A multiplication by an odd number permutes the numbers below a power of two.
  const names = Array.from({ length: 2 ** 17 }, (_, i) => ((i * 48_271) % 2 ** 17).toString(36).padStart(4, '0'));
  return names.slice(0, count);
}

describe('OrderedNames', () => {
  test('is empty at first', () => {
    const set = new OrderedNames();
    expect(set.size).toBe(0);
    expect(set.after(undefined, 10)).toEqual([]);
    expect(set.after('a', 10)).toEqual([]);
    expect(set.has('a')).toBe(false);
    expect(set.delete('a')).toBe(false);
  });

  test('orders names by their bytes', () => {
    const set = namesOf('b', 'a', 'B', '_', '9', 'ab', '-', 'A', 'a0');
    expect(set.after(undefined, 100)).toEqual(['-', '9', 'A', 'B', '_', 'a', 'a0', 'ab', 'b']);
  });

  test('tells whether a name is new, or was there', () => {
    const set = namesOf('a');
    expect(set.add('a')).toBe(false);
    expect(set.add('b')).toBe(true);
    expect(set.size).toBe(2);
    expect(set.delete('a')).toBe(true);
    expect(set.delete('a')).toBe(false);
    expect(set.size).toBe(1);
    expect(set.has('b')).toBe(true);
  });

  test('gives pages behind a name, which need not be there', () => {
    const set = namesOf('a', 'c', 'e', 'g');
    expect(set.after(undefined, 2)).toEqual(['a', 'c']);
    expect(set.after('c', 2)).toEqual(['e', 'g']);
    expect(set.after('b', 2)).toEqual(['c', 'e']);
    expect(set.after('0', 1)).toEqual(['a']);
    expect(set.after('g', 2)).toEqual([]);
    expect(set.after('z', 2)).toEqual([]);
  });

  test('gives pages over the borders of chunks', () => {
    const names = scattered(5 * CHUNK_NAMES_MAX);
    const set = namesOf(...names);
    const sorted = [...names].sort();
    expect(set.size).toBe(names.length);
    for (const limit of [1, 7, CHUNK_NAMES_MAX - 1, CHUNK_NAMES_MAX, CHUNK_NAMES_MAX + 1, 10_000]) {
      const pages = pagesOf(set, limit);
      expect(pages.flat()).toEqual(sorted);
      expect(pages.slice(0, -1).every(({ length }) => length === limit)).toBe(true);
    }
  });

  test('moves no more than a chunk for an addition or a removal, however many names there are', () => {
    const names = scattered(40_000);
    let moved = 0;
    let mostMoved = 0;
    const splice = Array.prototype.splice;
    const set = new OrderedNames();
    vi.spyOn(Array.prototype, 'splice').mockImplementation(function (this: unknown[], ...parameters) {
      const moves = this.length - (parameters[0] as number);
      moved += moves;
      mostMoved = Math.max(mostMoved, moves);
      return Reflect.apply(splice, this, parameters) as unknown[];
    });
    for (const name of names) set.add(name);
    const sizeThen = set.size;
    for (const name of [...names].reverse()) set.delete(name);
    vi.restoreAllMocks();
    expect([sizeThen, set.size]).toEqual([names.length, 0]);
    expect(moved).toBeGreaterThan(names.length);
    expect(mostMoved).toBeLessThanOrEqual(CHUNK_NAMES_MAX);
    // One sorted array would move about 800 million.
    expect(moved).toBeLessThan(2 * names.length * (CHUNK_NAMES_MAX / 2));
  });

  test('is left with few chunks when most of many names are removed', () => {
    const names = scattered(20_000);
    const set = namesOf(...names);
    for (const name of names.slice(200)) set.delete(name);
    const slices = vi.spyOn(Array.prototype, 'slice');
    expect(set.after(undefined, 500)).toHaveLength(200);
    expect(slices.mock.calls.length).toBeLessThan(20);
  });
});

describe('properties', () => {
  // Few enough names that many are added twice and removed again, in runs long enough to split and merge chunks.
  const name = fc.integer({ min: 0, max: 2_999 }).map((number) => `${number}`);
  const runs = fc.array(
    fc.record({
      isAdded: fc.boolean(),
      from: fc.integer({ min: 0, max: 2_999 }),
      count: fc.integer({ min: 1, max: 1_500 }),
      step: fc.constantFrom(1, 7, 1_999),
    }),
    { maxLength: 12 },
  );

  test('it holds what a set holds, in order', () => {
    fc.assert(
      fc.property(runs, name, fc.integer({ min: 1, max: 700 }), (operations, behind, limit) => {
        const model = new Set<string>();
        const set = new OrderedNames();
        for (const { isAdded, from, count, step } of operations) {
          for (let i = 0; i < count; i += 1) {
            const each = `${(from + i * step) % 3_000}`;
            const isDone = isAdded ? !model.has(each) : model.has(each);
            if (isAdded) model.add(each);
            else model.delete(each);
            expect(isAdded ? set.add(each) : set.delete(each)).toBe(isDone);
          }
        }
        const sorted = [...model].sort();
        expect(set.size).toBe(sorted.length);
        expect(set.has(behind)).toBe(model.has(behind));
        expect(set.after(behind, limit)).toEqual(sorted.filter((each) => each > behind).slice(0, limit));
        expect(pagesOf(set, limit).flat()).toEqual(sorted);
      }),
      { numRuns: 40 },
    );
  });
});
