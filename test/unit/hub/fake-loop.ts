import { vi } from 'vitest';

interface Timer {
  readonly dueMs: number;
  readonly call: () => void;
}

/** Node's clock and timers in the test's hands; either kind of timer may be cleared as the other, as in Node. */
export class FakeLoop {
  /** Milliseconds of the monotonic clock; whoever takes time adds to it. */
  nowMs = 10_000;
  readonly #timers = new Set<Timer>();

  get timerCount(): number {
    return this.#timers.size;
  }

  install(): void {
    const clear = (timer: Timer | null) => {
      if (timer !== null) this.#timers.delete(timer);
    };
    vi.stubGlobal('setTimeout', (call: () => void, ms: number) => this.#add(call, ms));
    vi.stubGlobal('setImmediate', (call: () => void) => this.#add(call, 0));
    vi.stubGlobal('clearTimeout', clear);
    vi.stubGlobal('clearImmediate', clear);
    vi.spyOn(performance, 'now').mockImplementation(() => this.nowMs);
  }

  uninstall(): void {
    vi.unstubAllGlobals();
    vi.restoreAllMocks();
  }

  /** Lets time pass; 0 ends the turn. Timers that are set meanwhile wait for the next call. */
  advance(ms: number): void {
    this.nowMs += ms;
    for (const timer of [...this.#timers]) {
      if (timer.dueMs > this.nowMs || !this.#timers.delete(timer)) continue;
      timer.call();
    }
  }

  #add(call: () => void, ms: number): Timer {
    const timer = { dueMs: this.nowMs + ms, call };
    this.#timers.add(timer);
    return timer;
  }
}
