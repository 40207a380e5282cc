/**
 * The time of day, as fine as the monotonic clock: so that what comes in the same millisecond is told in order. Where the
 * time of day is set, it goes along.
 */
export class FineClock {
  readonly #wallMs: () => number;
  readonly #monotonicMs: () => number;
  /** Milliseconds since 1970 where the monotonic clock is 0. */
  #originMs = Number.NEGATIVE_INFINITY;

  constructor(wallMs = () => Date.now(), monotonicMs = () => performance.now()) {
    this.#wallMs = wallMs;
    this.#monotonicMs = monotonicMs;
  }

  /** Milliseconds since 1970. */
  now(): number {
    return this.at(this.#monotonicMs());
  }

  /** Milliseconds since 1970 at a moment of the monotonic clock. */
  at(momentMs: number): number {
    const originMs = this.#wallMs() - this.#monotonicMs();
    // The time of day is cut to milliseconds: of what is less than one apart the latest is nearest to the truth.
    if (originMs > this.#originMs || originMs < this.#originMs - 1) this.#originMs = originMs;
    return this.#originMs + momentMs;
  }
}
