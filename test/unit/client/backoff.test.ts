import { expect, it } from 'vitest';
import { Backoff } from '../../../src/client/backoff.ts';

/** Bounds of the next waits, as chance says one half. */
function boundsOf(backoff: Backoff, windowMs: number | null, count: number): number[] {
  return Array.from({ length: count }, () => 2 * backoff.nextMs(windowMs));
}

function halved(): Backoff {
  return new Backoff(() => 0.5);
}

it('doubles from 1 s to 30 s', () => {
  expect(boundsOf(halved(), null, 8)).toEqual([1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000]);
});

it('stays at its cap for ever', () => {
  const backoff = halved();
  boundsOf(backoff, null, 5_000);
  expect(boundsOf(backoff, 5_000, 2)).toEqual([30_000, 30_000]);
});

it('begins within the server’s window, however long that is', () => {
  expect(boundsOf(halved(), 45_000, 3)).toEqual([45_000, 2_000, 4_000]);
  expect(boundsOf(halved(), 200, 2)).toEqual([200, 2_000]);
});

it('begins with 1 s where the window is none', () => {
  expect(boundsOf(halved(), 0, 2)).toEqual([1_000, 2_000]);
});

it('begins anew after a session of a minute', () => {
  const backoff = halved();
  boundsOf(backoff, 5_000, 3);
  backoff.sessionEnded(59_999);
  expect(boundsOf(backoff, 5_000, 1)).toEqual([8_000]);
  backoff.sessionEnded(60_000);
  expect(boundsOf(backoff, 5_000, 2)).toEqual([5_000, 2_000]);
});

it('begins anew when it is told to', () => {
  const backoff = halved();
  boundsOf(backoff, null, 3);
  backoff.reset();
  expect(boundsOf(backoff, null, 1)).toEqual([1_000]);
});

it('draws from nothing to the bound, which it does not reach', () => {
  const backoff = new Backoff(() => 0);
  expect(backoff.nextMs(5_000)).toBe(0);
  const rolls = [1 - 2 ** -53, 0.999];
  const high = new Backoff(() => rolls.shift() as number);
  expect(high.nextMs(5_000)).toBeLessThan(5_000);
  expect(high.nextMs(5_000)).toBe(1_998);
});
