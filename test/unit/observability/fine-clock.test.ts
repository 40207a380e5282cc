import { expect, it } from 'vitest';
import { FineClock } from '../../../src/observability/fine-clock.ts';

/** Where the monotonic clock is 0. */
const TRUTH_MS = 1_700_000_000_000.75;

it('is finer than the time of day, and goes along where that is set', () => {
  let monotonicMs = 0;
  let setByMs = 0;
  const wallMs = () => Math.floor(TRUTH_MS + monotonicMs + setByMs);
  const clock = new FineClock(wallMs, () => monotonicMs);
  for (let look = 0; look < 100; look += 1) {
    monotonicMs += 0.37;
    const toldMs = clock.now() - TRUTH_MS - monotonicMs;
    expect(Math.abs(toldMs)).toBeLessThan(1);
  }
  // By then it knows the truth.
  expect(clock.now() - TRUTH_MS - monotonicMs).toBeCloseTo(0, 1);
  expect(clock.at(monotonicMs - 10)).toBeCloseTo(clock.now() - 10, 5);
  for (const ms of [60_000, -60_000]) {
    setByMs += ms;
    expect(Math.abs(clock.now() - TRUTH_MS - monotonicMs - setByMs)).toBeLessThan(1);
  }
});
