/** A measured difference is believed for so long; then a less exact one takes its place. */
const BELIEVED_MS = 60_000;

interface Difference {
  /** To be added to this machine's time. */
  readonly ms: number;
  /** By how much it may be wrong. */
  readonly errorMs: number;
  /** By the monotonic clock. */
  readonly atMs: number;
}

/**
 * What time it is at each broker, learned from the times that they give the records of this replica: somewhere
 * between sending them and having the answer (Cristian's algorithm).
 */
export class BrokerClocks {
  readonly #differences = new Map<number, Difference>();
  readonly #wall: () => number;
  readonly #monotonic: () => number;

  constructor(wall: () => number = Date.now, monotonic: () => number = () => performance.now()) {
    this.#wall = wall;
    this.#monotonic = monotonic;
  }

  /**
   * @param leader the broker's id
   * @param appendedMs milliseconds since 1970 as the broker gave them
   * @param tookMs from sending to the answer, which came just now
   */
  learn(leader: number, appendedMs: number, tookMs: number): void {
    const atMs = this.#monotonic();
    const known = this.#differences.get(leader);
    const errorMs = tookMs / 2;
    if (known !== undefined && known.errorMs < errorMs && atMs - known.atMs < BELIEVED_MS) return;
    this.#differences.set(leader, { ms: appendedMs - (this.#wall() - errorMs), errorMs, atMs });
  }

  /** Milliseconds since 1970 at a broker; this machine's where nothing is known of it. */
  now(leader: number): number {
    return Math.round(this.#wall() + (this.#differences.get(leader)?.ms ?? 0));
  }

  /** The largest difference between this machine's time and a broker's that is certain, in milliseconds. */
  get skewMs(): number {
    let largest = 0;
    for (const { ms, errorMs } of this.#differences.values()) largest = Math.max(largest, Math.abs(ms) - errorMs);
    return Math.round(largest);
  }
}
