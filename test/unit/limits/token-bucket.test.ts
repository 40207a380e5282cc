import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { TokenBucket } from '../../../src/limits/token-bucket.ts';
import type { Rate } from '../../../src/protocol/limits.ts';

describe('TokenBucket', () => {
  it('is full at first, refills at its rate, and no higher than the burst', () => {
    const bucket = new TokenBucket({ perSecond: 10, burst: 3 });
    expect([0, 0, 0, 0].map((nowMs) => bucket.take(1, nowMs))).toEqual([0, 0, 0, 100]);
    expect(bucket.take(1, 99)).toBe(1);
    expect(bucket.take(1, 100)).toBe(0);
    expect(bucket.take(2, 100)).toBe(200);
    expect([1, 2, 3, 4].map(() => bucket.take(1, 60_000))).toEqual([0, 0, 0, 100]);
  });

  it('has no limit without a rate', () => {
    const bucket = new TokenBucket(null);
    for (let i = 0; i < 1_000; i += 1) expect(bucket.take(1e9, 0)).toBe(0);
  });

  it('lets a cost above the burst through when it is full, and is in debt then', () => {
    const bucket = new TokenBucket({ perSecond: 1_000, burst: 1_000 });
    expect(bucket.take(65_536, 0)).toBe(0);
    expect(bucket.take(1, 0)).toBe(64_537);
    expect(bucket.take(1_000, 0)).toBe(65_536);
    expect(bucket.take(65_536, 65_535)).toBe(1);
    expect(bucket.take(1, 65_535)).toBe(0);
    expect(bucket.take(65_536, 65_536)).toBe(1);
    expect(bucket.take(65_536, 65_537)).toBe(0);
  });

  it('makes no tokens and loses none when the clock is set back', () => {
    const bucket = new TokenBucket({ perSecond: 10, burst: 3 });
    expect(bucket.take(2, 1_000_000)).toBe(0);
    expect(bucket.take(1, 5_000)).toBe(0);
    expect(bucket.take(1, 4_900)).toBe(100);
    expect(bucket.take(1, 4_999)).toBe(1);
    expect(bucket.take(1, 5_000)).toBe(0);
    expect(bucket.take(1, 1_000_000)).toBe(0);
  });

  it.each([
    { perSecond: 0, burst: 1 },
    { perSecond: 1, burst: 0 },
    { perSecond: Number.NaN, burst: 1 },
  ])('refuses a rate that lets nothing through: %j', (rate) => {
    expect(() => new TokenBucket(rate)).toThrow(RangeError);
  });
});

/** A bucket that is filled every millisecond. Exact where a token takes a whole number of them. */
class NaiveBucket {
  readonly #tokenMs: number;
  readonly #fullMs: number;
  /** What is in it, as the time in which it was made. */
  #levelMs: number;

  constructor({ perSecond, burst }: Rate) {
    this.#tokenMs = 1_000 / perSecond;
    this.#fullMs = burst * this.#tokenMs;
    this.#levelMs = this.#fullMs;
  }

  pass(ms: number): void {
    for (let i = 0; i < ms; i += 1) this.#levelMs = Math.min(this.#levelMs + 1, this.#fullMs);
  }

  take(cost: number): boolean {
    if (this.#levelMs < Math.min(cost * this.#tokenMs, this.#fullMs)) return false;
    this.#levelMs -= cost * this.#tokenMs;
    return true;
  }
}

interface Call {
  /** Since the call before. */
  readonly afterMs: number;
  readonly cost: number;
}

const anyRate = fc.record({
  perSecond: fc.oneof(fc.integer({ min: 1, max: 1_000_000 }), fc.double({ min: 0.01, max: 5_000, noNaN: true })),
  burst: fc.oneof(fc.integer({ min: 1, max: 100 }), fc.double({ min: 0.5, max: 1_000, noNaN: true })),
});
const wholeRate = fc.record({
  perSecond: fc.constantFrom(1, 2, 4, 5, 8, 10, 20, 25, 40, 50, 100, 125, 200, 250, 500, 1_000),
  burst: fc.integer({ min: 1, max: 30 }),
});
const cost = fc.oneof(fc.constant(1), fc.integer({ min: 0, max: 10 }), fc.integer({ min: 1, max: 200 }));
const calls = fc.array(fc.record<Call>({ afterMs: fc.oneof(fc.constant(0), fc.nat({ max: 3_000 })), cost }), {
  maxLength: 60,
});
const startMs = fc.oneof(fc.nat({ max: 1e9 }), fc.double({ min: 0, max: 1e9, noNaN: true }));

/** The calls as they went: at which time, and what they were answered. */
function takeAll(bucket: TokenBucket, startMs: number, calls: readonly Call[]) {
  let nowMs = startMs;
  return calls.map(({ afterMs, cost }) => {
    nowMs += afterMs;
    return { nowMs, cost, waitMs: bucket.take(cost, nowMs) };
  });
}

describe('any sequence of calls', () => {
  it('is answered as by a naive bucket', () => {
    fc.assert(
      fc.property(wholeRate, fc.nat({ max: 1e9 }), calls, (rate, startMs, calls) => {
        const naive = new NaiveBucket(rate);
        const expected = calls.map(({ afterMs, cost }) => {
          naive.pass(afterMs);
          return naive.take(cost);
        });
        const got = takeAll(new TokenBucket(rate), startMs, calls);
        expect(got.map(({ waitMs }) => waitMs === 0)).toEqual(expected);
      }),
    );
  });

  it('is answered as by a naive bucket for which no time passes when the clock is set back', () => {
    const steps = fc.array(fc.record({ afterMs: fc.integer({ min: -5_000, max: 1_000 }), cost }), { maxLength: 60 });
    fc.assert(
      fc.property(wholeRate, steps, (rate, steps) => {
        const naive = new NaiveBucket(rate);
        const expected = steps.map(({ afterMs, cost }) => {
          naive.pass(Math.max(0, afterMs));
          return naive.take(cost);
        });
        const got = takeAll(new TokenBucket(rate), 1_000_000, steps);
        expect(got.map(({ waitMs }) => waitMs === 0)).toEqual(expected);
      }),
    );
  });

  it('takes in any window no more than the rate gives and the burst, or the greatest cost', () => {
    fc.assert(
      fc.property(anyRate, startMs, calls, (rate, startMs, calls) => {
        const taken = takeAll(new TokenBucket(rate), startMs, calls).filter(({ waitMs }) => waitMs === 0);
        for (const [from, first] of taken.entries()) {
          let sum = 0;
          let greatest = rate.burst;
          for (const { nowMs, cost } of taken.slice(from)) {
            sum += cost;
            greatest = Math.max(greatest, cost);
            const most = ((nowMs - first.nowMs) / 1_000) * rate.perSecond + greatest;
            // A rounding of 2⁻²² ms in the times that reach 1e9.
            expect(sum).toBeLessThanOrEqual(most * (1 + 1e-9) + rate.perSecond * 1e-8 * calls.length);
          }
        }
      }),
    );
  });

  it('is refused with the very time to wait: then it succeeds, and a millisecond earlier not', () => {
    fc.assert(
      fc.property(anyRate, startMs, calls, cost, (rate, startMs, calls, cost) => {
        const prepared = () => {
          const bucket = new TokenBucket(rate);
          const nowMs = takeAll(bucket, startMs, calls).at(-1)?.nowMs ?? startMs;
          return { bucket, nowMs };
        };
        const { bucket, nowMs } = prepared();
        const waitMs = bucket.take(cost, nowMs);
        if (waitMs === 0) return;
        expect(Number.isSafeInteger(waitMs)).toBe(true);
        expect(waitMs).toBeGreaterThan(0);
        expect(bucket.take(cost, nowMs + waitMs - 1)).toBe(1);
        expect(prepared().bucket.take(cost, nowMs + waitMs)).toBe(0);
      }),
      { numRuns: 1_000 },
    );
  });

  it('is answered as if the refused calls had not been, in whatever order', () => {
    fc.assert(
      fc.property(anyRate, startMs, calls, (rate, startMs, calls) => {
        const first = takeAll(new TokenBucket(rate), startMs, calls);
        const without = new TokenBucket(rate);
        const twice = new TokenBucket(rate);
        for (const { nowMs, cost, waitMs } of first) {
          if (waitMs === 0) expect(without.take(cost, nowMs)).toBe(0);
          // Calls at one time that are refused may change places, and be repeated.
          const refused = first.filter((other) => other.nowMs === nowMs && other.waitMs > 0 && other.cost >= cost);
          if (waitMs > 0) for (const other of refused.reverse()) twice.take(other.cost, nowMs);
          expect(twice.take(cost, nowMs)).toBe(waitMs);
        }
      }),
    );
  });
});
