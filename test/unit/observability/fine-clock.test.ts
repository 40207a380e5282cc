import { expect, it } from 'vitest';
import { FineClock } from '../../../src/observability/fine-clock.ts';

/** Where the monotonic clock is 0. */
const TRUTH_MS = 1_700_000_000_000.75;

let monotonicMs = 0;
let setByMs = 0;
/** For which the process stands still behind its next look at the time of day. */
let stopMs = 0;

function open(): FineClock {
  monotonicMs = 0;
  setByMs = 0;
  stopMs = 0;
  const wallMs = () => {
    const shown = Math.floor(TRUTH_MS + monotonicMs + setByMs);
    monotonicMs += stopMs;
    return shown;
  };
  return new FineClock(wallMs, () => monotonicMs);
}

/** By how much it is off, at most, over that many looks. */
function offBy(clock: FineClock, looks: number): number {
  const off = Array.from({ length: looks }, () => {
    monotonicMs += 0.37;
    return Math.abs(clock.originMs() - TRUTH_MS - setByMs);
  });
  return Math.max(...off);
}

it('is never off by more than what is cut off, and soon by next to nothing', () => {
  const clock = open();
  expect(offBy(clock, 100)).toBeLessThan(1);
  expect(offBy(clock, 1)).toBeLessThan(0.05);
});

it('goes along where the time of day is set', () => {
  const clock = open();
  for (const ms of [60_000, -60_000, 2, -2]) {
    setByMs += ms;
    expect(offBy(clock, 10)).toBeLessThan(1.1);
  }
});

it('learns nothing from a look in whose middle the process was stopped', () => {
  const clock = open();
  offBy(clock, 100);
  const knownMs = clock.originMs();
  stopMs = 50;
  expect(clock.originMs()).toBe(knownMs);
  stopMs = 0;
  expect(offBy(clock, 10)).toBeLessThan(0.05);
});
