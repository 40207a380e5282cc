/** Bounds of the waits between tries, doubling from the first to the second. */
const BASE_MS = 1_000;
const CAP_MS = 30_000;
/** A session that has held for so long was a good one: what fails after it fails for the first time. */
const STABLE_MS = 60_000;

/**
 * How long a client waits before it tries again: "full jitter", uniform from nothing to a bound that doubles with
 * every try, so that the clients of a lost node do not come back as one
 * (https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/). The cap is on the bound and not on what
 * was drawn, or all who wait long would come in the same moment.
 */
export class Backoff {
  readonly #random: () => number;
  /** Tries since the last good session. */
  #tries = 0;

  constructor(random: () => number) {
    this.#random = random;
  }

  /**
   * Milliseconds until the next try.
   *
   * @param windowMs in which the server wants the clients of a lost node back at first; null: it never said
   */
  nextMs(windowMs: number | null): number {
    const boundMs = this.#tries === 0 && windowMs ? windowMs : Math.min(BASE_MS * 2 ** this.#tries, CAP_MS);
    this.#tries += 1;
    return this.#random() * boundMs;
  }

  /** A session has ended that held for so long. */
  sessionEnded(heldMs: number): void {
    if (heldMs >= STABLE_MS) this.#tries = 0;
  }

  reset(): void {
    this.#tries = 0;
  }
}
