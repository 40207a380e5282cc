/** Settings of presence in Redis, with their defaults in parentheses: see `PRESENCE_DEFAULTS`. Times in milliseconds. */
export interface RedisPresenceSettings {
  /**
   * For which a lease lasts without being renewed (10,000), between two renewals (2,000), and after which a replica that
   * could not renew takes itself to be fenced, by its own monotonic clock (8,000).
   */
  readonly leaseMs: number;
  readonly renewMs: number;
  readonly fenceMs: number;
  /** For which Redis must have failed until a replica tells what it knows by itself (1,000). */
  readonly degradeAfterMs: number;
  /** For which what a lapsed lease held is still seen (15,000). */
  readonly graceMs: number;
  /** The same where many have to come back, at `returnsPerSecond` (2,000), at most (90,000). */
  readonly graceMsMax: number;
  readonly returnsPerSecond: number;
  /** For which what is read counts as partial once Redis has lost something, while replicas say it anew (5,000). */
  readonly healMs: number;
  /** For which nobody is reaped then, or when Redis did not answer (60,000). */
  readonly reapPauseMs: number;
  /** Users in one step of the reaper and the sweep (100). */
  readonly reapChunk: number;
  /** Between two sweeps through all that is stored, where nothing was lost (3,600,000). */
  readonly sweepEveryMs: number;
  /** Between two comparisons of watched rooms and users with what is stored (15,000). */
  readonly compareMs: number;
  /**
   * Between two times that a replica says all of its own again, so that no key that is used expires, and none that was
   * lost is missed for longer (3,600,000).
   */
  readonly refreshMs: number;
  /** After which a key that nobody says anything of is gone (86,400,000); several times `refreshMs`. */
  readonly keyTtlMs: number;
  /** Users without a session whose last seen is kept (100,000); the oldest are forgotten first. */
  readonly lastSeenMax: number;
  /** Changes in one step of a write; a larger batch is seen in parts, each user's changes together (500). */
  readonly chunkChanges: number;
}

export const PRESENCE_DEFAULTS: RedisPresenceSettings = {
  leaseMs: 10_000,
  renewMs: 2_000,
  fenceMs: 8_000,
  degradeAfterMs: 1_000,
  graceMs: 15_000,
  graceMsMax: 90_000,
  returnsPerSecond: 2_000,
  healMs: 5_000,
  reapPauseMs: 60_000,
  reapChunk: 100,
  sweepEveryMs: 3_600_000,
  compareMs: 15_000,
  refreshMs: 3_600_000,
  keyTtlMs: 86_400_000,
  lastSeenMax: 100_000,
  chunkChanges: 500,
};
