import { describe, expect, it } from 'vitest';
import { REFUSALS, SessionLimits, type SessionRates } from '../../../src/limits/session-limits.ts';
import { OPS } from '../../../src/protocol/reader.ts';

const NONE: SessionRates = { commands: null, publishes: null, signals: null, bytes: null };

function limits(rates: Partial<SessionRates>): SessionLimits {
  return new SessionLimits({ ...NONE, ...rates });
}

describe('SessionLimits', () => {
  it('lets everything through where there is no rate', () => {
    const free = limits({});
    for (let i = 0; i < 10_000; i += 1) expect(free.take(OPS[i % OPS.length] ?? null, 65_536, 0)).toBe(null);
  });

  it('counts every command, and every line that is none, as one', () => {
    for (const op of [...OPS, null]) {
      const few = limits({ commands: { perSecond: 10, burst: 3 } });
      for (let i = 0; i < 3; i += 1) expect(few.take(op, 10, 0)).toBe(null);
      expect(few.take(op, 10, 0)).toEqual({ of: 'commands', waitMs: 100 });
      expect(few.take(op, 10, 99)).toEqual({ of: 'commands', waitMs: 1 });
      expect(few.take(op, 10, 100)).toBe(null);
    }
  });

  it('counts publishes and signals by themselves as well', () => {
    const rate = { perSecond: 1, burst: 1 };
    for (const [op, other, of] of [
      ['publish', 'signal', 'publishes'],
      ['signal', 'publish', 'signals'],
    ] as const) {
      const few = limits({ publishes: rate, signals: rate });
      expect(few.take(op, 10, 0)).toBe(null);
      expect(few.take(op, 10, 0)).toEqual({ of, waitMs: 1_000 });
      expect(few.take('ping', 10, 0)).toBe(null);
      expect(few.take(null, 10, 0)).toBe(null);
      expect(few.take(other, 10, 0)).toBe(null);
      expect(few.take(op, 10, 1_000)).toBe(null);
    }
  });

  it('counts bytes, whatever they are of; a line above the burst goes through a full bucket', () => {
    const few = limits({ bytes: { perSecond: 1_000, burst: 100 } });
    expect(few.take('ping', 60, 0)).toBe(null);
    expect(few.take(null, 60, 0)).toEqual({ of: 'bytes', waitMs: 20 });
    expect(few.take(null, 60, 20)).toBe(null);
    expect(few.take('ping', 5_000, 119)).toEqual({ of: 'bytes', waitMs: 1 });
    expect(few.take('ping', 5_000, 120)).toBe(null);
    expect(few.take('ping', 1, 120)).toEqual({ of: 'bytes', waitMs: 4_901 });
  });

  it('takes nothing for a line whose bytes are paid for, even in debt', () => {
    const few = limits({ bytes: { perSecond: 1_000, burst: 10 } });
    expect(few.take('connect', 5_000, 0)).toBe(null);
    expect(few.take('join', 0, 0)).toBe(null);
    expect(few.take('join', 0, 0)).toBe(null);
    expect(few.take('join', 1, 0)).toEqual({ of: 'bytes', waitMs: 4_991 });
  });

  it('takes all of what a command costs or nothing of it', () => {
    const rate = { perSecond: 1, burst: 1 };
    const few = limits({
      bytes: { perSecond: 1_000, burst: 100 },
      commands: { perSecond: 1, burst: 2 },
      publishes: rate,
    });
    expect(few.take('publish', 10, 0)).toBe(null);
    // Refused for the publish: neither the bytes nor the command are gone.
    expect(few.take('publish', 90, 0)).toEqual({ of: 'publishes', waitMs: 1_000 });
    expect(few.take('ping', 90, 0)).toBe(null);
    // For the command: the publish that has been made meanwhile is not gone.
    expect(few.take('publish', 10, 1_000)).toBe(null);
    expect(few.take('publish', 10, 1_000)).toEqual({ of: 'commands', waitMs: 1_000 });
    // For bytes, before all else.
    expect(few.take('publish', 200, 1_000)).toEqual({ of: 'bytes', waitMs: 10 });
    expect(few.take('publish', 10, 2_000)).toBe(null);
  });

  it('gives so many refusals, and says when there is the next one', () => {
    const few = limits({});
    for (let i = 0; i < REFUSALS.burst; i += 1) expect(few.takeRefusal(0)).toBe(0);
    const waitMs = 1_000 / REFUSALS.perSecond;
    expect(few.takeRefusal(0)).toBe(waitMs);
    expect(few.takeRefusal(waitMs - 1)).toBe(1);
    expect(few.takeRefusal(waitMs)).toBe(0);
    expect(few.takeRefusal(waitMs)).toBe(waitMs);
  });

  it('bounds the refusals of a flood over time', () => {
    const few = limits({ commands: { perSecond: 1, burst: 1 } });
    let refused = 0;
    for (let nowMs = 0; nowMs < 10_000; nowMs += 0.5) {
      if (few.take('ping', 10, nowMs) !== null && few.takeRefusal(nowMs) === 0) refused += 1;
    }
    expect(refused).toBeLessThanOrEqual(REFUSALS.burst + 10 * REFUSALS.perSecond);
    expect(refused).toBeGreaterThan(10 * REFUSALS.perSecond);
  });

  it('is each session’s own', () => {
    const rates = { ...NONE, commands: { perSecond: 1, burst: 1 } };
    expect([new SessionLimits(rates), new SessionLimits(rates)].map((one) => one.take('ping', 1, 0))).toEqual([
      null,
      null,
    ]);
  });

  it('are full until something is taken, whatever it is, and when it has come back', () => {
    const rate = { perSecond: 10, burst: 3 };
    const all = { commands: rate, publishes: rate, signals: rate, bytes: { perSecond: 1_000, burst: 100 } };
    const takings: ((some: SessionLimits) => void)[] = [
      (some) => some.take('publish', 0, 0),
      (some) => some.take('signal', 0, 0),
      (some) => some.take(null, 100, 0),
      (some) => some.takeRefusal(0),
    ];
    for (const [i, take] of takings.entries()) {
      const some = limits(all);
      expect(some.areFull(0)).toBe(true);
      take(some);
      expect(some.areFull(i === 3 ? 9 : 99)).toBe(false);
      expect(some.areFull(100)).toBe(true);
    }
  });
});
