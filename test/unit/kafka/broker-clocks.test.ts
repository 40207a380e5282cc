import { expect, test } from 'vitest';
import { BrokerClocks } from '../../../src/kafka/broker-clocks.ts';

function clocksAt(time: { wall: number; monotonic: number }): BrokerClocks {
  return new BrokerClocks(
    () => time.wall,
    () => time.monotonic,
  );
}

test('a broker that nothing is known of has the time of this machine', () => {
  const clocks = clocksAt({ wall: 1_000, monotonic: 0 });
  expect([clocks.now(1), clocks.skewMs]).toEqual([1_000, 0]);
});

test('the difference to a broker is learned, for each by itself, and goes on with the wall clock', () => {
  const time = { wall: 100_000, monotonic: 0 };
  const clocks = clocksAt(time);
  // Sent at 99,980 and answered now: appended at 99,990 by this clock.
  clocks.learn(1, 129_990, 20);
  clocks.learn(2, 69_995, 10);
  expect([clocks.now(1), clocks.now(2)]).toEqual([130_000, 70_000]);
  expect(clocks.skewMs).toBe(29_995);
  time.wall += 500;
  expect(clocks.now(1)).toBe(130_500);
});

test('the most exact measurement of a minute counts', () => {
  const time = { wall: 100_000, monotonic: 0 };
  const clocks = clocksAt(time);
  clocks.learn(1, 100_000, 2);
  clocks.learn(1, 100_000, 1_000);
  expect(clocks.now(1)).toBe(100_001);
  time.monotonic = 60_000;
  clocks.learn(1, 100_000, 1_000);
  expect(clocks.now(1)).toBe(100_500);
});

test('what may be an answer that took long is no skew', () => {
  const clocks = clocksAt({ wall: 100_000, monotonic: 0 });
  clocks.learn(1, 95_000, 10_000);
  expect(clocks.skewMs).toBe(0);
  clocks.learn(1, 95_000, 8_000);
  expect(clocks.skewMs).toBe(0);
});
