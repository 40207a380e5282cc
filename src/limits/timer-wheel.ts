/**
 * Something that can be due at one time of a {@link TimerWheel}. What is to have several timers at once has several
 * of these. It belongs to one wheel at a time.
 */
export abstract class Timed {
  /** The wheel's own: the list that it is in, circular; null while it is in none. */
  wheelNext: Timed | null = null;
  /** The wheel's own. */
  wheelPrevious: Timed | null = null;
  /** The wheel's own: the delay until the next tick has filed it, then the time at which it is due. Whole ms. */
  wheelMs = 0;

  /** Called when the time has come; it is no longer set then. May set or clear any timer, itself too. */
  abstract onDue(): void;
}

/** A callback to be called at a time, for what isn't a class of its own. */
export class Timeout extends Timed {
  readonly #callback: () => void;

  constructor(callback: () => void) {
    super();
    this.#callback = callback;
  }

  onDue(): void {
    this.#callback();
  }
}

/** The head of a list. */
class Head extends Timed {
  override wheelNext: Timed = this;
  override wheelPrevious: Timed = this;

  onDue(): void {}
}

export interface TimerWheelSettings {
  /** Between two ticks: what is due is up to two of them late. */
  readonly tickMs?: number;
  /** Lists of timers. A timer is looked at once every `slots` × `tickMs` until it is due. */
  readonly slots?: number;
  /** At least a tick: by how much the wheel's time moves at most when the clock is looked at. */
  readonly stepMsMax?: number;
  /** A clock that doesn't step, in ms. */
  readonly nowMs?: () => number;
}

/**
 * All timeouts of a node on one timer: a hashed timing wheel with unsorted lists (Varghese and Lauck, "Hashed and
 * Hierarchical Timing Wheels", SOSP 1987, scheme 6). Setting and clearing are O(1) and make no object; a tick costs
 * what is due, what was set since the last one, and 1/`slots` of the rest.
 *
 * What was set waits for the next tick before it is filed, and its delay is counted from there. So setting needs
 * no look at the clock, a timer is never early, however long the loop's turn has taken that set it, and one
 * that is set over and over within a tick is filed once.
 */
export class TimerWheel {
  readonly #tickMs: number;
  readonly #stepMsMax: number;
  readonly #clock: () => number;
  /** A timer due at ms t is in the slot of t / tickMs, rounded down. */
  readonly #slots: readonly Head[];
  /** Set since the last tick. */
  readonly #fresh = new Head();
  /** Found due by the tick under way, and not called yet. */
  readonly #due = new Head();
  #size = 0;
  #nowMs = 0;
  /** What the clock said when it was looked at last. */
  #lookedMs: number;
  /** The slot's number, not yet modulo their count, up to which all that was due is gone; that slot itself in part. */
  #cursor = 0;
  #ticker: NodeJS.Timeout | null = null;

  constructor(settings: TimerWheelSettings = {}) {
    this.#tickMs = settings.tickMs ?? 50;
    this.#stepMsMax = settings.stepMsMax ?? 1_000;
    this.#clock = settings.nowMs ?? (() => performance.now());
    this.#slots = Array.from({ length: settings.slots ?? 1_024 }, () => new Head());
    this.#lookedMs = this.#clock();
  }

  /**
   * The wheel's time in ms, from 0: up to a tick old. It stands still while the process does not turn (stopped, or
   * its loop blocked): each tick moves it by `stepMsMax` at most. Where there are no timers nothing ticks; then
   * the clock is read here, and all that has passed counts.
   */
  get nowMs(): number {
    if (this.#ticker === null) this.#look(Number.POSITIVE_INFINITY);
    return this.#nowMs;
  }

  get size(): number {
    return this.#size;
  }

  has(timer: Timed): boolean {
    return timer.wheelNext !== null;
  }

  /**
   * Sets it, or sets it anew: due `delayMs` (≥ 0, finite) from now by the wheel's time, never earlier, and up to two
   * ticks later. Those due at the same tick come in no particular order.
   */
  set(timer: Timed, delayMs: number): void {
    if (!(delayMs >= 0 && delayMs < Number.POSITIVE_INFINITY)) throw new RangeError(`A delay of ${delayMs} ms`);
    if (timer.wheelNext === null) this.#size += 1;
    else unlink(timer);
    // Whole numbers: V8 keeps those below 2³¹ (24 days) in the object, and others in one of 16 bytes each.
    timer.wheelMs = Math.ceil(delayMs);
    append(this.#fresh, timer);
    if (this.#ticker === null) this.#start();
  }

  /** Idempotent. */
  clear(timer: Timed): void {
    if (timer.wheelNext === null) return;
    unlink(timer);
    // The ticker is left to find out by itself, or setting and clearing one timer would start and stop it each time.
    this.#size -= 1;
  }

  /** Forgets every timer and stops ticking. A timer set later starts it again. */
  close(): void {
    for (const head of [this.#fresh, this.#due, ...this.#slots]) {
      while (head.wheelNext !== head) this.clear(head.wheelNext);
    }
    this.#stop();
  }

  #start(): void {
    // Nothing was set while nothing ticked, so there is nobody for whom that time must not count.
    this.#look(Number.POSITIVE_INFINITY);
    this.#cursor = Math.floor(this.#nowMs / this.#tickMs);
    this.#ticker = setInterval(() => this.#tick(), this.#tickMs).unref();
  }

  #stop(): void {
    if (this.#ticker !== null) clearInterval(this.#ticker);
    this.#ticker = null;
  }

  #look(stepMsMax: number): void {
    const clockMs = this.#clock();
    this.#nowMs += Math.min(Math.max(clockMs - this.#lookedMs, 0), stepMsMax);
    this.#lookedMs = clockMs;
  }

  #tick(): void {
    this.#look(this.#stepMsMax);
    this.#fileFresh();
    this.#collectDue();
    while (this.#due.wheelNext !== this.#due) {
      const timer = this.#due.wheelNext;
      this.clear(timer);
      try {
        timer.onDue();
      } catch (error) {
        // Uncaught all the same, but only after the others.
        queueMicrotask(() => {
          throw error;
        });
      }
    }
    if (this.#size === 0) this.#stop();
  }

  #fileFresh(): void {
    while (this.#fresh.wheelNext !== this.#fresh) {
      const timer = this.#fresh.wheelNext;
      unlink(timer);
      timer.wheelMs = Math.ceil(this.#nowMs + timer.wheelMs);
      append(this.#slotOf(Math.floor(timer.wheelMs / this.#tickMs)), timer);
    }
  }

  #collectDue(): void {
    const last = Math.floor(this.#nowMs / this.#tickMs);
    const first = Math.max(this.#cursor, last - this.#slots.length + 1);
    // The last slot's time has not passed altogether: the next tick begins with it again.
    for (let number = first; number <= last; number += 1) {
      const head = this.#slotOf(number);
      for (let timer = head.wheelNext; timer !== head; ) {
        const next = timer.wheelNext ?? head;
        if (timer.wheelMs <= this.#nowMs) {
          unlink(timer);
          append(this.#due, timer);
        }
        timer = next;
      }
    }
    this.#cursor = last;
  }

  #slotOf(number: number): Head {
    return this.#slots[number % this.#slots.length] as Head;
  }
}

function append(head: Head, timer: Timed): void {
  const last = head.wheelPrevious;
  timer.wheelPrevious = last;
  timer.wheelNext = head;
  last.wheelNext = timer;
  head.wheelPrevious = timer;
}

function unlink(timer: Timed): void {
  const { wheelNext, wheelPrevious } = timer;
  if (wheelNext === null || wheelPrevious === null) return;
  wheelPrevious.wheelNext = wheelNext;
  wheelNext.wheelPrevious = wheelPrevious;
  timer.wheelNext = null;
  timer.wheelPrevious = null;
}
