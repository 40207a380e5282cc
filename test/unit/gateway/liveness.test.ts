import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Liveness, type LivenessSettings, type Living, type Reading } from '../../../src/gateway/liveness.ts';
import { TimerWheel } from '../../../src/limits/timer-wheel.ts';
import type { DisconnectReason } from '../../../src/protocol/disconnects.ts';

const SETTINGS: LivenessSettings = { connectTimeoutMs: 10_000, heartbeatMs: 20_000, heartbeatTimeoutMs: 5_000 };
const TICK_MS = 50;
/** How late a wheel's timer may be. */
const LATE_MS = 2 * TICK_MS + 1;
const DAY_MS = 86_400_000;

let wheel: TimerWheel;
/** Time that passes while the process does not turn. */
let stalledMs = 0;

beforeEach(() => {
  vi.useFakeTimers();
  stalledMs = 0;
  wheel = new TimerWheel({ nowMs: () => performance.now() + stalledMs });
  // The middle of the range: asked after `heartbeatMs` exactly.
  vi.spyOn(Math, 'random').mockReturnValue(0.5);
});

afterEach(() => {
  vi.restoreAllMocks();
  vi.useRealTimers();
});

/** A session without bytes: the test says how it reads and what it has taken. */
class FakeLiving implements Living {
  reading: Reading = 'reading';
  takenBytes = 0;
  asked = 0;
  readonly ends: DisconnectReason[] = [];
  readonly liveness: Liveness;
  onAsked = () => {};

  constructor(settings: LivenessSettings = SETTINGS) {
    this.liveness = new Liveness(this, wheel, settings);
  }

  askForSign(): void {
    this.asked += 1;
    this.onAsked();
  }

  /** As a session does: its end stops the clock. */
  disconnect(reason: DisconnectReason): void {
    this.ends.push(reason);
    this.liveness.stop();
  }
}

function connected(hasHeartbeats = true): FakeLiving {
  const living = new FakeLiving();
  living.liveness.connected(hasHeartbeats);
  return living;
}

function pass(ms: number): void {
  vi.advanceTimersByTime(ms);
}

/** Lets time pass in small steps, and does something in each. */
function passWith(ms: number, everyMs: number, act: () => void): void {
  for (let passed = 0; passed < ms; passed += everyMs) {
    act();
    pass(everyMs);
  }
}

describe('connect', () => {
  it('has its time, and no more, whatever else the client says', () => {
    const living = new FakeLiving();
    living.liveness.awaitConnect();
    passWith(9_900, 100, () => living.liveness.heard());
    expect(living.ends).toEqual([]);
    pass(100 + LATE_MS);
    expect(living.ends).toEqual(['connect_timeout']);
    expect(wheel.size).toBe(0);
  });

  it('may take as long as it likes where nobody awaits it', () => {
    const living = new FakeLiving();
    pass(DAY_MS);
    expect(living.ends).toEqual([]);
    living.liveness.connected(true);
    pass(20_000 + LATE_MS);
    expect(living.asked).toBe(1);
  });

  it('ends the waiting for it', () => {
    const living = new FakeLiving();
    living.liveness.awaitConnect();
    pass(9_000);
    living.liveness.connected(false);
    pass(DAY_MS);
    expect(living.ends).toEqual([]);
    expect(living.asked).toBe(0);
    expect(wheel.size).toBe(0);
  });
});

describe('a heartbeat', () => {
  it('is asked for after the silence, and ends the session where no byte comes in time', () => {
    const living = connected();
    pass(19_999);
    expect(living.asked).toBe(0);
    pass(1 + LATE_MS);
    expect(living.asked).toBe(1);
    pass(5_000 - LATE_MS);
    expect(living.ends).toEqual([]);
    pass(2 * LATE_MS);
    expect(living.ends).toEqual(['heartbeat_timeout']);
    expect(living.asked).toBe(1);
    expect(wheel.size).toBe(0);
  });

  it('is answered by any byte, and then the silence begins anew', () => {
    const living = connected();
    for (let i = 1; i <= 5; i += 1) {
      pass(20_000 + LATE_MS);
      expect(living.asked).toBe(i);
      pass(3_000);
      living.liveness.heard();
    }
    expect(living.ends).toEqual([]);
  });

  it('is answered by a byte that comes within the tick in which it was asked for', () => {
    const living = connected();
    living.onAsked = () => {
      setTimeout(() => living.liveness.heard(), 10);
    };
    pass(20_000 + LATE_MS + 5_000 + LATE_MS);
    expect(living.asked).toBe(1);
    expect(living.ends).toEqual([]);
  });

  it('is answered by a byte that comes at the very moment', () => {
    const living = connected();
    living.onAsked = () => living.liveness.heard();
    pass(10 * 21_000);
    expect(living.asked).toBeGreaterThan(5);
    expect(living.ends).toEqual([]);
  });

  it('is asked for within a fifth of its time, each time anew', () => {
    for (const [random, silenceMs] of [
      [0, 16_000],
      [0.25, 18_000],
      [1 - Number.EPSILON, 24_000],
    ] as const) {
      vi.spyOn(Math, 'random').mockReturnValue(random);
      const living = connected();
      pass(silenceMs - 1);
      expect(living.asked).toBe(0);
      pass(1 + LATE_MS);
      expect(living.asked).toBe(1);
      vi.spyOn(Math, 'random').mockReturnValue(0);
      living.liveness.heard();
      pass(16_000 + LATE_MS);
      expect(living.asked).toBe(2);
      living.liveness.stop();
    }
  });

  it('is not asked for while bytes come', () => {
    const living = connected();
    passWith(300_000, 15_000, () => living.liveness.heard());
    expect(living.asked).toBe(0);
  });

  it('is not asked of who wants none, who may be silent for ever', () => {
    const living = connected(false);
    pass(10 * DAY_MS);
    expect(living.asked).toBe(0);
    expect(living.ends).toEqual([]);
  });

  it('is asked for no sooner than the silence, and ends no session that is heard of in time, whatever comes', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 24_000 }), { minLength: 1, maxLength: 12 }), (pauses) => {
        const living = connected();
        for (const pauseMs of pauses) {
          const before = living.asked;
          pass(pauseMs);
          if (pauseMs < 20_000) expect(living.asked).toBe(before);
          if (pauseMs >= 20_000 + LATE_MS) expect(living.asked).toBe(before + 1);
          expect(living.ends).toEqual([]);
          living.liveness.heard();
        }
        pass(25_000 + 3 * LATE_MS);
        expect(living.ends).toEqual(['heartbeat_timeout']);
        expect(wheel.size).toBe(0);
      }),
      { numRuns: 50 },
    );
  });
});

describe('the heartbeat’s clock', () => {
  it('stands still while the session is withheld, and goes on where it stood', () => {
    const living = connected();
    living.reading = 'withheld';
    pass(10 * 60_000);
    expect(living.asked).toBe(0);
    expect(living.ends).toEqual([]);
    living.reading = 'reading';
    // Looked at each 20 s at most: from then on the silence counts.
    pass(40_000 + 2 * LATE_MS);
    expect(living.asked).toBe(1);
    pass(5_000 + LATE_MS);
    expect(living.ends).toEqual(['heartbeat_timeout']);
  });

  it('stands still where the session is withheld after it was asked', () => {
    const living = connected();
    pass(20_000 + LATE_MS);
    expect(living.asked).toBe(1);
    living.reading = 'withheld';
    pass(10 * 60_000);
    expect(living.ends).toEqual([]);
  });

  it('ends who is stalled and takes nothing', () => {
    const living = connected();
    living.takenBytes = 1_000;
    pass(10_000);
    living.reading = 'stalled';
    // The bytes taken before it was looked at first may count once.
    pass(2 * 20_000 + 5_000 + 4 * LATE_MS);
    expect(living.ends).toEqual(['heartbeat_timeout']);
  });

  it('lets live who is stalled and takes something', () => {
    const living = connected();
    living.reading = 'stalled';
    passWith(10 * 60_000, 4_000, () => {
      living.takenBytes += 1;
    });
    expect(living.ends).toEqual([]);
    pass(2 * 20_000 + 5_000 + 4 * LATE_MS);
    expect(living.ends).toEqual(['heartbeat_timeout']);
  });

  it('does not take bytes for life while the session is read: the kernel takes them of a dead peer too', () => {
    const living = connected();
    passWith(25_000 + 3 * LATE_MS, 100, () => {
      living.takenBytes += 100;
    });
    expect(living.ends).toEqual(['heartbeat_timeout']);
  });

  it('stands still while the process does: nobody is ended for it', () => {
    const living = connected();
    const asked = connected();
    pass(10_000);
    stalledMs += 3_600_000;
    pass(5_000);
    expect(living.asked).toBe(0);
    pass(5_000 + LATE_MS);
    expect(asked.asked).toBe(1);
    stalledMs += 3_600_000;
    pass(2_000);
    expect(asked.ends).toEqual([]);
    asked.liveness.heard();
    living.liveness.heard();
    pass(10_000);
    expect([...asked.ends, ...living.ends]).toEqual([]);
  });

  it('does not run while a suspended process steps on and off', () => {
    const living = connected();
    for (let i = 0; i < 3; i += 1) {
      stalledMs += 600_000;
      pass(1_000);
    }
    expect(living.asked).toBe(0);
    expect(living.ends).toEqual([]);
  });
});

describe('a token’s end', () => {
  it('ends the session, heartbeats or not', () => {
    for (const hasHeartbeats of [true, false]) {
      const living = connected(hasHeartbeats);
      living.liveness.expiresAt(Date.now() + 60_000);
      passWith(59_000, 1_000, () => living.liveness.heard());
      expect(living.ends).toEqual([]);
      pass(1_000 + LATE_MS);
      expect(living.ends).toEqual(['token_expired']);
      expect(wheel.size).toBe(0);
    }
  });

  it('may be told before the session is connected', () => {
    const living = new FakeLiving();
    living.liveness.awaitConnect();
    living.liveness.expiresAt(Date.now() + 5_000);
    living.liveness.connected(false);
    pass(5_000 + LATE_MS);
    expect(living.ends).toEqual(['token_expired']);
  });

  it('that has passed ends the session at the next tick', () => {
    const living = connected();
    living.liveness.expiresAt(Date.now() - 1_000);
    pass(LATE_MS);
    expect(living.ends).toEqual(['token_expired']);
  });

  it('may be put off, and be brought nearer', () => {
    const living = connected(false);
    living.liveness.expiresAt(Date.now() + 10_000);
    pass(9_000);
    living.liveness.expiresAt(Date.now() + 60_000);
    pass(50_000);
    expect(living.ends).toEqual([]);
    living.liveness.expiresAt(Date.now() + 2_000);
    pass(2_000 + LATE_MS);
    expect(living.ends).toEqual(['token_expired']);
  });

  it('may be years ahead', () => {
    // Looked at every ten minutes, or the years would take minutes here.
    const tickMs = 600_000;
    wheel = new TimerWheel({ tickMs, stepMsMax: tickMs });
    const living = connected(false);
    living.liveness.expiresAt(Date.now() + 400 * DAY_MS);
    expect(wheel.size).toBe(1);
    pass(400 * DAY_MS - tickMs);
    expect(living.ends).toEqual([]);
    pass(4 * tickMs);
    expect(living.ends).toEqual(['token_expired']);
    const far = connected(false);
    for (const ms of [100 * 365 * DAY_MS, 8.64e15, Number.MAX_SAFE_INTEGER, Number.POSITIVE_INFINITY]) {
      far.liveness.expiresAt(Date.now() + ms);
      pass(3 * DAY_MS);
    }
    expect(far.ends).toEqual([]);
  });

  it('is looked for once a day, by the clock that tokens know', () => {
    const living = connected(false);
    living.liveness.expiresAt(Date.now() + 10 * DAY_MS);
    vi.setSystemTime(Date.now() + 11 * DAY_MS);
    // The wheel's own clock has stood still; within a day the session ends all the same.
    pass(DAY_MS + LATE_MS);
    expect(living.ends).toEqual(['token_expired']);
  }, 60_000);

  it('comes before a heartbeat that is due as well', () => {
    const living = connected();
    living.liveness.expiresAt(Date.now() + 20_000);
    pass(20_000 + LATE_MS);
    expect(living.ends).toEqual(['token_expired']);
    expect(living.asked).toBe(0);
  });
});

describe('stop', () => {
  it('leaves no timer in the wheel, whenever it comes', () => {
    const waiting = new FakeLiving();
    waiting.liveness.awaitConnect();
    const living = connected();
    const asked = connected();
    pass(20_000 + LATE_MS);
    const expiring = connected(false);
    expiring.liveness.expiresAt(Date.now() + 5_000);
    for (const { liveness } of [waiting, living, asked, expiring]) liveness.stop();
    expect(wheel.size).toBe(0);
    pass(DAY_MS / 24);
    expect([waiting, living, asked, expiring].flatMap(({ ends }) => ends)).toEqual(['connect_timeout']);
  });

  it('stays stopped, whatever is heard or told later', () => {
    const living = connected();
    pass(20_000 + LATE_MS);
    living.liveness.stop();
    living.liveness.heard();
    living.liveness.expiresAt(Date.now() + 1_000);
    expect(wheel.size).toBe(0);
    pass(60_000);
    expect(living.ends).toEqual([]);
    expect(living.asked).toBe(1);
  });

  it('holds where asking for the sign has ended the session', () => {
    const living = connected();
    living.onAsked = () => living.disconnect('slow_consumer');
    pass(20_000 + LATE_MS);
    expect(living.ends).toEqual(['slow_consumer']);
    expect(wheel.size).toBe(0);
    pass(60_000);
    expect(living.ends).toEqual(['slow_consumer']);
  });
});
