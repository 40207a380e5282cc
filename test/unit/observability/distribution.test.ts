import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Distribution } from '../../../src/observability/distribution.ts';

describe('Distribution', () => {
  it('counts what is at a bound below it, and what is above the last one apart', () => {
    const distribution = new Distribution([0.001, 0.01]);
    for (const ms of [0, 1, 1.001, 10, 10.001, 5_000]) distribution.observeMs(ms);
    expect(distribution.counts).toEqual([2, 2, 2]);
    expect(distribution.sum).toBeCloseTo(5.022002);
  });

  it('takes what a clock that was set back makes for no time at all', () => {
    const distribution = new Distribution([0.001]);
    distribution.observeMs(-5_000);
    distribution.observeMs(Number.NaN);
    expect(distribution.counts).toEqual([2, 0]);
    expect(distribution.sum).toBe(0);
  });

  it('keeps the last one of each bucket that was traced', () => {
    const distribution = new Distribution([0.001, 0.01]);
    const ids = (trace_id: string) => ({ trace_id, span_id: 's' });
    for (const [ms, name] of [
      [2, 'a'],
      [3, 'b'],
      [5_000, 'c'],
    ] as const)
      distribution.observeMs(ms, ids(name));
    distribution.observeMs(4);
    expect(distribution.exemplars).toEqual([
      undefined,
      { ids: ids('b'), seconds: 0.003, atMs: expect.any(Number) },
      { ids: ids('c'), seconds: 5, atMs: expect.any(Number) },
    ]);
  });

  it('counts everything once', () => {
    const times = fc.array(fc.double({ min: 0, max: 20_000, noNaN: true }));
    fc.assert(
      fc.property(times, (given) => {
        const distribution = new Distribution([0.001, 0.1, 1, 10]);
        for (const ms of given) distribution.observeMs(ms);
        const atMost = (seconds: number) => given.filter((ms) => ms / 1_000 <= seconds).length;
        let sum = 0;
        for (const [i, bound] of distribution.bounds.entries()) {
          sum += distribution.counts[i] ?? 0;
          expect(sum).toBe(atMost(bound));
        }
        expect(sum + (distribution.counts.at(-1) ?? 0)).toBe(given.length);
      }),
    );
  });
});
