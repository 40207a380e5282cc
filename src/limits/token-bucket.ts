import type { Rate } from '../protocol/limits.ts';

/**
 * A token bucket as the generic cell rate algorithm (GCRA; the virtual scheduling algorithm of ITU-T I.371, annex A):
 * instead of tokens it keeps the "theoretical arrival time" at which the bucket is full again. No timer, O(1).
 *
 * A cost above the burst would never find enough tokens, so it is let through when the bucket is full, and leaves it
 * in debt for the whole of its cost: over any time t no more is taken than `perSecond` × t + the burst, or,
 * where that is more, `perSecond` × t + the greatest cost.
 */
export class TokenBucket {
  /** Shared by all buckets of its kind: what follows from it is worked out each time, and not kept. */
  readonly #rate: Rate | null;
  #fullAtMs = Number.NEGATIVE_INFINITY;
  /** The time of the last call, whether refused or not: to see that the clock was set back. */
  #latestMs = Number.NEGATIVE_INFINITY;

  /** Full at first. `null`: no limit. */
  constructor(rate: Rate | null) {
    if (rate !== null && !(rate.perSecond > 0 && rate.burst > 0)) {
      throw new RangeError(`A rate of ${rate.perSecond} a second, ${rate.burst} at once`);
    }
    this.#rate = rate;
  }

  /** Takes `cost` tokens if they are there, and returns 0. Else takes nothing, and returns {@link waitMs}. */
  take(cost: number, nowMs: number): number {
    const waitMs = this.waitMs(cost, nowMs);
    if (waitMs === 0 && this.#rate !== null) {
      this.#fullAtMs = Math.max(this.#fullAtMs, nowMs) + cost * tokenMs(this.#rate);
    }
    return waitMs;
  }

  /** Whether it is as one that is new. */
  isFull(nowMs: number): boolean {
    return this.#fullAtMs <= nowMs;
  }

  /**
   * After how many whole ms `cost` tokens could be taken, if nobody takes anything else meanwhile, and no sooner; 0:
   * now.
   *
   * Where `nowMs` is less than it was, no time has passed: no tokens are made, and none are lost.
   */
  waitMs(cost: number, nowMs: number): number {
    if (this.#rate === null) return 0;
    if (nowMs < this.#latestMs) this.#fullAtMs -= this.#latestMs - nowMs;
    this.#latestMs = nowMs;
    // So long before the bucket is full there are enough tokens.
    const aheadMs = Math.max(0, this.#rate.burst - cost) * tokenMs(this.#rate);
    if (this.#fullAtMs - nowMs <= aheadMs) return 0;
    let waitMs = Math.floor(this.#fullAtMs - nowMs - aheadMs);
    // By the very comparison that will be made then: the difference above may be rounded to the wrong side.
    while (this.#fullAtMs - (nowMs + waitMs) > aheadMs) waitMs += 1;
    return waitMs;
  }
}

/** The time that one token takes. */
function tokenMs({ perSecond }: Rate): number {
  return 1_000 / perSecond;
}
