import { AsyncLocalStorage } from 'node:async_hooks';

const ORIGINALS = { setTimeout, setInterval, clearTimeout, clearInterval };
const owner = new AsyncLocalStorage<HeldTimers>();

/**
 * The timers of one part of this process, which can be held as those of a stopped process are: what comes due meanwhile
 * runs when they are released, and time goes on. They are those of all that is begun in `run`, and of what comes of it.
 */
export class HeldTimers {
  #isHeld = false;
  #isDiscarded = false;
  /** What has come due and has not run, by its timer. */
  readonly #due = new Map<object, () => void>();

  /** From now on `setTimeout` and `setInterval` know whose a timer is; until what is returned is called. */
  static install(): () => void {
    Object.assign(globalThis, {
      setTimeout: holding(ORIGINALS.setTimeout),
      setInterval: holding(ORIGINALS.setInterval),
      clearTimeout: clearing(ORIGINALS.clearTimeout),
      clearInterval: clearing(ORIGINALS.clearInterval),
    });
    return () => void Object.assign(globalThis, ORIGINALS);
  }

  run<T>(begin: () => T): T {
    return owner.run(this, begin);
  }

  hold(): void {
    this.#isHeld = true;
  }

  /** What is due runs now, in the order in which it came due. */
  release(): void {
    this.#isHeld = false;
    for (const [timer, act] of this.#due) {
      // Each by itself: one may clear another, and all may be held again before.
      ORIGINALS.setTimeout(() => this.#due.delete(timer) && this.act(timer, act), 0);
    }
  }

  /** Nothing of it ever runs again. */
  discard(): void {
    this.#isDiscarded = true;
    this.#due.clear();
  }

  act(timer: object, act: () => void): void {
    if (this.#isDiscarded) return;
    if (this.#isHeld) this.#due.set(timer, act);
    else act();
  }

  clear(timer: object): void {
    this.#due.delete(timer);
  }
}

type Act = (...args: unknown[]) => void;

function holding(set: (act: () => void, ms?: number) => NodeJS.Timeout) {
  return (act: Act, ms?: number, ...args: unknown[]): NodeJS.Timeout => {
    const timers = owner.getStore();
    const timer: NodeJS.Timeout = set(
      () => (timers === undefined ? act(...args) : timers.act(timer, () => act(...args))),
      ms,
    );
    return timer;
  };
}

function clearing(clear: (timer: NodeJS.Timeout | string | number | undefined) => void) {
  return (timer: NodeJS.Timeout | string | number | undefined): void => {
    if (typeof timer === 'object') owner.getStore()?.clear(timer);
    clear(timer);
  };
}
