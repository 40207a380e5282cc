import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Timed, Timeout, TimerWheel, type TimerWheelSettings } from '../../../src/limits/timer-wheel.ts';

const TICK_MS = 50;
/** How late a timer may be by the wheel's time: two ticks, and the rounding to a millisecond. */
const LATE_MS = 2 * TICK_MS + 1;

/** Time that passes while the process does not turn. */
let stalledMs = 0;

beforeEach(() => {
  vi.useFakeTimers();
  stalledMs = 0;
});

afterEach(() => {
  vi.useRealTimers();
});

function newWheel(settings: TimerWheelSettings = {}): TimerWheel {
  return new TimerWheel({ nowMs: () => performance.now() + stalledMs, ...settings });
}

/** A timer that knows when it was due, by the wheel's time. */
class Recorded extends Timed {
  readonly dueMs: number[] = [];
  readonly #wheel: TimerWheel;

  constructor(wheel: TimerWheel) {
    super();
    this.#wheel = wheel;
  }

  onDue(): void {
    this.dueMs.push(this.#wheel.nowMs);
  }
}

describe('TimerWheel', () => {
  it('lets a timer be due once, when its delay is over', () => {
    const wheel = newWheel();
    const timer = new Recorded(wheel);
    expect(wheel.has(timer)).toBe(false);
    wheel.set(timer, 1_000);
    expect(wheel.has(timer)).toBe(true);
    expect(wheel.size).toBe(1);
    vi.advanceTimersByTime(999);
    expect(timer.dueMs).toEqual([]);
    vi.advanceTimersByTime(LATE_MS);
    expect(timer.dueMs).toHaveLength(1);
    expect(wheel.has(timer)).toBe(false);
    expect(wheel.size).toBe(0);
    vi.advanceTimersByTime(100_000);
    expect(timer.dueMs).toHaveLength(1);
  });

  it('is not a millisecond early where a tick comes just before the time', () => {
    const wheel = newWheel();
    const timer = new Recorded(wheel);
    wheel.set(timer, 100);
    // Filed at the first tick, so due at 150; the second comes at 149.
    vi.advanceTimersByTime(TICK_MS);
    stalledMs += 49;
    vi.advanceTimersByTime(TICK_MS);
    expect(wheel.nowMs).toBe(149);
    expect(timer.dueMs).toEqual([]);
    vi.advanceTimersByTime(TICK_MS);
    expect(timer.dueMs).toEqual([199]);
  });

  it('calls a callback', () => {
    const wheel = newWheel();
    const called = vi.fn();
    const timeout = new Timeout(called);
    wheel.set(timeout, 10);
    vi.advanceTimersByTime(10 + LATE_MS);
    expect(called).toHaveBeenCalledTimes(1);
  });

  it('knows nothing of a timer that was cleared', () => {
    const wheel = newWheel();
    const timer = new Recorded(wheel);
    wheel.clear(timer);
    for (const waitedMs of [0, 70]) {
      wheel.set(timer, 100);
      vi.advanceTimersByTime(waitedMs);
      wheel.clear(timer);
      wheel.clear(timer);
      expect(wheel.has(timer)).toBe(false);
      expect(wheel.size).toBe(0);
    }
    vi.advanceTimersByTime(1_000);
    expect(timer.dueMs).toEqual([]);
  });

  it('sets a timer anew, nearer or further', () => {
    const wheel = newWheel();
    const later = new Recorded(wheel);
    const sooner = new Recorded(wheel);
    wheel.set(later, 100);
    wheel.set(sooner, 100_000);
    vi.advanceTimersByTime(80);
    wheel.set(later, 500);
    wheel.set(sooner, 50);
    expect(wheel.size).toBe(2);
    vi.advanceTimersByTime(50 + LATE_MS);
    expect(sooner.dueMs).toHaveLength(1);
    vi.advanceTimersByTime(499 - 50 - LATE_MS);
    expect(later.dueMs).toHaveLength(0);
    vi.advanceTimersByTime(1 + LATE_MS);
    expect(later.dueMs).toHaveLength(1);
  });

  it('takes delays of many rounds', () => {
    const wheel = newWheel({ slots: 8 });
    const roundMs = 8 * TICK_MS;
    const delays = [0, 1, roundMs - 1, roundMs, roundMs + 1, 10 * roundMs, 86_400_000];
    const timers = delays.map((delay) => ({ delay, timer: new Recorded(wheel) }));
    for (const { delay, timer } of timers) wheel.set(timer, delay);
    vi.advanceTimersByTime(86_400_000 + LATE_MS);
    for (const { delay, timer } of timers) {
      expect(timer.dueMs).toHaveLength(1);
      expect(timer.dueMs[0]).toBeGreaterThanOrEqual(delay);
      expect(timer.dueMs[0]).toBeLessThanOrEqual(delay + LATE_MS);
    }
  });

  it.each([-1, Number.NaN, Number.POSITIVE_INFINITY])('refuses a delay of %d', (delay) => {
    const wheel = newWheel();
    expect(() => wheel.set(new Recorded(wheel), delay)).toThrow(RangeError);
    expect(wheel.size).toBe(0);
    expect(vi.getTimerCount()).toBe(0);
  });

  it('forgets everything when it closes, and can be used again', () => {
    const wheel = newWheel();
    const timers = [10, 100, 1_000_000].map((delay) => ({ delay, timer: new Recorded(wheel) }));
    for (const { delay, timer } of timers) wheel.set(timer, delay);
    vi.advanceTimersByTime(TICK_MS);
    const fresh = new Recorded(wheel);
    wheel.set(fresh, 10);
    wheel.close();
    expect(wheel.size).toBe(0);
    expect(timers.some(({ timer }) => wheel.has(timer))).toBe(false);
    expect(wheel.has(fresh)).toBe(false);
    expect(vi.getTimerCount()).toBe(0);
    wheel.set(fresh, 10);
    vi.advanceTimersByTime(10 + LATE_MS);
    expect(fresh.dueMs).toHaveLength(1);
  });
});

describe('what is due', () => {
  it('may set itself again, without a delay too, and is due at a later tick', () => {
    const wheel = newWheel();
    const times: number[] = [];
    const again = new Timeout(() => {
      times.push(wheel.nowMs);
      if (times.length < 4) wheel.set(again, 0);
    });
    wheel.set(again, 0);
    vi.advanceTimersByTime(TICK_MS);
    expect(times).toHaveLength(1);
    vi.advanceTimersByTime(10 * TICK_MS);
    expect(times).toEqual([1, 2, 3, 4].map((n) => n * TICK_MS));
  });

  it('may clear, or set anew, others that are due at the same tick', () => {
    const wheel = newWheel();
    const order: string[] = [];
    const cleared = new Timeout(() => order.push('cleared'));
    const moved = new Timeout(() => order.push('moved'));
    const first = new Timeout(() => {
      order.push('first');
      expect(wheel.has(cleared)).toBe(true);
      wheel.clear(cleared);
      wheel.set(moved, 500);
    });
    for (const timer of [first, cleared, moved]) wheel.set(timer, 10);
    vi.advanceTimersByTime(400);
    expect(order).toEqual(['first']);
    expect(wheel.size).toBe(1);
    vi.advanceTimersByTime(200 + LATE_MS);
    expect(order).toEqual(['first', 'moved']);
  });

  it('may close the wheel, and begin anew', () => {
    const wheel = newWheel();
    const order: string[] = [];
    const other = new Timeout(() => order.push('other'));
    const first = new Timeout(() => {
      order.push('first');
      wheel.close();
      wheel.set(last, 10);
    });
    const last = new Timeout(() => order.push('last'));
    wheel.set(first, 10);
    wheel.set(other, 10);
    vi.advanceTimersByTime(1_000);
    expect(order).toEqual(['first', 'last']);
    expect(vi.getTimerCount()).toBe(0);
  });

  it('may throw, and the others are called before that is uncaught', () => {
    const wheel = newWheel();
    const order: string[] = [];
    const microtasks: (() => void)[] = [];
    const queued = vi.spyOn(globalThis, 'queueMicrotask').mockImplementation((task) => void microtasks.push(task));
    const fault = new Error('a fault');
    wheel.set(
      new Timeout(() => {
        throw fault;
      }),
      10,
    );
    wheel.set(new Timeout(() => order.push('other')), 10);
    wheel.set(new Timeout(() => order.push('later')), 200);
    vi.advanceTimersByTime(10 + LATE_MS);
    queued.mockRestore();
    expect(order).toEqual(['other']);
    expect(microtasks).toHaveLength(1);
    expect(microtasks[0]).toThrow(fault);
    vi.advanceTimersByTime(200);
    expect(order).toEqual(['other', 'later']);
  });
});

describe("the wheel's time", () => {
  it('moves with the ticks', () => {
    const wheel = newWheel();
    wheel.set(new Recorded(wheel), 10_000);
    for (let i = 0; i < 100; i += 1) {
      vi.advanceTimersByTime(7);
      expect(wheel.nowMs).toBe(Math.floor(performance.now() / TICK_MS) * TICK_MS);
    }
  });

  it('stands still while the process does not turn, but for a bounded step', () => {
    const wheel = newWheel({ stepMsMax: 300 });
    const timers = [100, 250, 400, 600].map(() => new Recorded(wheel));
    vi.advanceTimersByTime(1_000);
    for (const [i, timer] of timers.entries()) wheel.set(timer, [100, 250, 400, 600][i] ?? 0);
    vi.advanceTimersByTime(TICK_MS);
    const before = wheel.nowMs;
    stalledMs += 3_600_000;
    vi.advanceTimersByTime(TICK_MS);
    expect(wheel.nowMs).toBe(before + 300);
    expect(timers.map(({ dueMs }) => dueMs.length)).toEqual([1, 1, 0, 0]);
    vi.advanceTimersByTime(99);
    expect(timers.map(({ dueMs }) => dueMs.length)).toEqual([1, 1, 0, 0]);
    vi.advanceTimersByTime(1);
    expect(timers.map(({ dueMs }) => dueMs.length)).toEqual([1, 1, 1, 0]);
    vi.advanceTimersByTime(200);
    expect(timers.map(({ dueMs }) => dueMs.length)).toEqual([1, 1, 1, 1]);
    expect(wheel.nowMs).toBe(before + 600);
  });

  it('does not count what was left of the turn that set a timer', () => {
    const wheel = newWheel();
    wheel.set(new Recorded(wheel), 10_000);
    vi.advanceTimersByTime(TICK_MS);
    const timer = new Recorded(wheel);
    stalledMs += 450;
    wheel.set(timer, 500);
    stalledMs += 450;
    vi.advanceTimersByTime(TICK_MS + 499);
    expect(timer.dueMs).toEqual([]);
    vi.advanceTimersByTime(TICK_MS);
    expect(timer.dueMs).toHaveLength(1);
  });

  it('goes on while there are no timers, and counts against none that are set then', () => {
    const wheel = newWheel();
    vi.advanceTimersByTime(5_000);
    expect(wheel.nowMs).toBe(5_000);
    const timer = new Recorded(wheel);
    vi.advanceTimersByTime(3_600_000);
    wheel.set(timer, 500);
    expect(wheel.nowMs).toBe(3_605_000);
    vi.advanceTimersByTime(499);
    expect(timer.dueMs).toEqual([]);
    vi.advanceTimersByTime(LATE_MS);
    expect(timer.dueMs).toHaveLength(1);
    // The same once it has ticked and stopped.
    vi.advanceTimersByTime(3_600_000);
    wheel.set(timer, 500);
    vi.advanceTimersByTime(499);
    expect(timer.dueMs).toHaveLength(1);
    vi.advanceTimersByTime(LATE_MS);
    expect(timer.dueMs).toHaveLength(2);
  });

  it('never goes back', () => {
    const wheel = newWheel();
    const timer = new Recorded(wheel);
    wheel.set(timer, 500);
    vi.advanceTimersByTime(TICK_MS);
    stalledMs -= 1_000;
    vi.advanceTimersByTime(TICK_MS);
    expect(wheel.nowMs).toBe(TICK_MS);
    vi.advanceTimersByTime(500);
    expect(timer.dueMs).toHaveLength(1);
  });
});

describe('the ticker', () => {
  it('is one timer that keeps no process alive, and only while there are timers', () => {
    const wheel = newWheel();
    const made = vi.spyOn(globalThis, 'setInterval');
    expect(vi.getTimerCount()).toBe(0);
    const timers = Array.from({ length: 100 }, () => new Recorded(wheel));
    for (const [i, timer] of timers.entries()) wheel.set(timer, i * 10);
    expect(vi.getTimerCount()).toBe(1);
    expect(made).toHaveBeenCalledTimes(1);
    const ticker: NodeJS.Timeout | undefined = made.mock.results[0]?.value;
    expect(ticker?.hasRef()).toBe(false);
    vi.advanceTimersByTime(1_000 + LATE_MS);
    expect(vi.getTimerCount()).toBe(0);
    // One that is cleared: at the next tick there is nothing left.
    wheel.set(timers[0] as Recorded, 10_000);
    wheel.clear(timers[0] as Recorded);
    wheel.set(timers[0] as Recorded, 10_000);
    wheel.clear(timers[0] as Recorded);
    expect(made).toHaveBeenCalledTimes(2);
    vi.advanceTimersByTime(TICK_MS);
    expect(vi.getTimerCount()).toBe(0);
    made.mockRestore();
  });
});

type Step =
  | { readonly do: 'set'; readonly timer: number; readonly delayMs: number }
  | { readonly do: 'clear'; readonly timer: number }
  | { readonly do: 'wait'; readonly ms: number }
  | { readonly do: 'stall'; readonly ms: number };

const TIMERS = 12;
const timerNumber = fc.nat({ max: TIMERS - 1 });
const delayMs = fc.oneof(fc.nat({ max: 300 }), fc.nat({ max: 5_000 }), fc.double({ min: 0, max: 900, noNaN: true }));
const set: fc.Arbitrary<Step> = fc.record({ do: fc.constant('set'), timer: timerNumber, delayMs });
const clear: fc.Arbitrary<Step> = fc.record({ do: fc.constant('clear'), timer: timerNumber });
const wait: fc.Arbitrary<Step> = fc.record({ do: fc.constant('wait'), ms: fc.nat({ max: 400 }) });
const stall: fc.Arbitrary<Step> = fc.record({ do: fc.constant('stall'), ms: fc.nat({ max: 4_000 }) });

/**
 * Takes the steps with a wheel and with a naive model of it: a map of when each timer was set, by both clocks.
 * What a timer that is due does is given by `onDue`: the delay with which it is set again, or the number
 * of another one to clear.
 */
function check(steps: readonly Step[], slots: number, lateMs: number, onDue: readonly (Step | null)[]): void {
  stalledMs = 0;
  const wheel = newWheel({ slots, tickMs: TICK_MS, stepMsMax: 1_000 });
  interface Pending {
    readonly wheelMs: number;
    readonly clockMs: number;
    readonly delayMs: number;
  }
  const pending = new Map<number, Pending>();
  let calls = 0;
  const apply = (step: Step) => {
    if (step.do === 'set') {
      wheel.set(timers[step.timer] as Timed, step.delayMs);
      const clockMs = performance.now() + stalledMs;
      pending.set(step.timer, { wheelMs: wheel.nowMs, clockMs, delayMs: step.delayMs });
    } else if (step.do === 'clear') {
      wheel.clear(timers[step.timer] as Timed);
      pending.delete(step.timer);
    } else if (step.do === 'wait') {
      vi.advanceTimersByTime(step.ms);
    } else {
      stalledMs += step.ms;
    }
  };
  const timers = Array.from({ length: TIMERS }, (_, number) => {
    return new Timeout(() => {
      const it = pending.get(number);
      if (it === undefined) throw new Error(`timer ${number} was due but not set`);
      pending.delete(number);
      const passedMs = wheel.nowMs - it.wheelMs;
      expect(passedMs).toBeGreaterThanOrEqual(it.delayMs);
      expect(passedMs).toBeLessThanOrEqual(it.delayMs + lateMs);
      expect(performance.now() + stalledMs - it.clockMs).toBeGreaterThanOrEqual(it.delayMs);
      const then = onDue[calls % onDue.length] ?? null;
      calls += 1;
      if (then !== null) apply(then);
    });
  });
  const faults: (() => void)[] = [];
  const queued = vi.spyOn(globalThis, 'queueMicrotask').mockImplementation((task) => void faults.push(task));
  try {
    for (const step of steps) {
      apply(step);
      expect(wheel.size).toBe(pending.size);
      expect(timers.map((timer) => wheel.has(timer))).toEqual(timers.map((_, number) => pending.has(number)));
      // Nothing is left waiting for longer than it may be late.
      for (const it of pending.values()) {
        expect(wheel.nowMs - it.wheelMs).toBeLessThanOrEqual(it.delayMs + lateMs);
      }
    }
    onDue = [null];
    vi.advanceTimersByTime(5_000 + LATE_MS);
    for (const fault of faults) fault();
  } finally {
    queued.mockRestore();
  }
  expect(pending.size).toBe(0);
  expect(wheel.size).toBe(0);
  expect(vi.getTimerCount()).toBe(0);
}

describe('the wheel and a naive model agree', () => {
  const slots = fc.constantFrom(1, 2, 7, 64, 1_024);
  const onDue = fc.array(fc.option(fc.oneof(set, clear)), { minLength: 1, maxLength: 8 });

  it('when the process always turns: never early, at most two ticks late', () => {
    const steps = fc.array(fc.oneof({ weight: 3, arbitrary: set }, clear, wait), { maxLength: 80 });
    fc.assert(
      fc.property(steps, slots, onDue, (steps, slots, onDue) => check(steps, slots, LATE_MS, onDue)),
      { numRuns: 300 },
    );
  });

  it('when it stalls: never early, and late by the step that a stall takes', () => {
    const steps = fc.array(fc.oneof({ weight: 3, arbitrary: set }, clear, wait, stall), { maxLength: 80 });
    fc.assert(
      fc.property(steps, slots, onDue, (steps, slots, onDue) => check(steps, slots, 2 * 1_000 + LATE_MS, onDue)),
      { numRuns: 300 },
    );
  });
});
