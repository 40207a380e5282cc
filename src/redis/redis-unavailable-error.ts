/** Why a command has no answer, or none that is one. */
export type RedisFailure = (typeof REDIS_FAILURES)[number];

/**
 * `down`: not sent, as there is no connection; `broken`: not sent, as others had no answer in time; `overfull`: not sent,
 * as too much is under way; `timeout`: no answer in time; `lost`: the connection was gone before its answer; `refused`:
 * Redis is in no state to do it.
 */
export const REDIS_FAILURES = ['down', 'broken', 'overfull', 'timeout', 'lost', 'refused'] as const;

/** Redis does not do it now; unless it wasn't asked (`down`, `broken`, `overfull`), it may have taken effect. */
export class RedisUnavailableError extends Error {
  override readonly name = 'RedisUnavailableError';
  /** null: it is for what Redis has, and not for the link. */
  readonly failure: RedisFailure | null;

  constructor(words: string, failure: RedisFailure | null = null) {
    super(`Redis is not available: ${words}`);
    this.failure = failure;
  }
}
