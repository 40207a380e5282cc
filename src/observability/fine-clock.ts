/** Milliseconds beyond which nothing is known of two looks at clocks: the process was stopped between them. */
const APART_MS_MAX = 0.1;

/**
 * Where the monotonic clock begins in the time of day, more exactly than that is told, which is in milliseconds: so that
 * what comes in one of them is told in order. Where the time of day is set, it goes along.
 */
export class FineClock {
  readonly #wallMs: () => number;
  readonly #monotonicMs: () => number;
  #originMs = Number.NEGATIVE_INFINITY;

  constructor(wallMs = () => Date.now(), monotonicMs = () => performance.now()) {
    this.#wallMs = wallMs;
    this.#monotonicMs = monotonicMs;
  }

  /**
   * Milliseconds since 1970 where the monotonic clock is 0. It differs a little from one time to the next: whoever tells
   * of a beginning and an end adds both to the same.
   */
  originMs(): number {
    const beganMs = this.#monotonicMs();
    const wallMs = this.#wallMs();
    const endedMs = this.#monotonicMs();
    const originMs = wallMs - endedMs;
    // What is less than a millisecond is cut off, so that none is too late: the latest is nearest to the truth.
    const isBetter = originMs > this.#originMs || originMs < this.#originMs - 1 - APART_MS_MAX;
    if (this.#originMs === Number.NEGATIVE_INFINITY || (isBetter && endedMs - beganMs < APART_MS_MAX)) {
      this.#originMs = originMs;
    }
    return this.#originMs;
  }
}
