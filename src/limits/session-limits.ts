import type { Command } from '../protocol/commands.ts';
import type { Rate } from '../protocol/limits.ts';
import { TokenBucket } from './token-bucket.ts';

/** What one session may do, each a second and at once; null: as much as it likes. */
export interface SessionRates {
  readonly commands: Rate | null;
  readonly publishes: Rate | null;
  readonly signals: Rate | null;
  /** Bytes of lines, their line feeds included. */
  readonly bytes: Rate | null;
}

/** Names a bucket. */
export type RateName = keyof SessionRates;

/** A bucket had too few tokens: after `waitMs` there would be enough. */
export interface Shortage {
  readonly of: RateName;
  /** Whole milliseconds, > 0. */
  readonly waitMs: number;
}

/**
 * Answers of `rate_limited` that a session is given. One that goes on beyond them isn't read until it may be given
 * one again: a flood costs the node no more than this, and then its sender waits.
 */
export const REFUSALS: Rate = { perSecond: 100, burst: 200 };

/** The token buckets of one session, each made when the session first needs it; to be let go while they are full. */
export class SessionLimits {
  readonly #rates: SessionRates;
  #bytes: TokenBucket | null = null;
  #commands: TokenBucket | null = null;
  #publishes: TokenBucket | null = null;
  #signals: TokenBucket | null = null;
  #refusals: TokenBucket | null = null;

  constructor(rates: SessionRates) {
    this.#rates = rates;
  }

  /**
   * Takes what one command costs, all of it or nothing. `lineBytes` is what its line has not paid for yet; `op` is
   * null for a line that is no command, which counts as one all the same.
   */
  take(op: Command['op'] | null, lineBytes: number, nowMs: number): Shortage | null {
    const { bytes, commands, publishes, signals } = this.#rates;
    if (bytes !== null) this.#bytes ??= new TokenBucket(bytes);
    if (commands !== null) this.#commands ??= new TokenBucket(commands);
    if (op === 'publish' && publishes !== null) this.#publishes ??= new TokenBucket(publishes);
    if (op === 'signal' && signals !== null) this.#signals ??= new TokenBucket(signals);
    const ofOp = op === 'publish' ? this.#publishes : op === 'signal' ? this.#signals : null;
    const shortage =
      shortageOf('bytes', this.#bytes, lineBytes, nowMs) ??
      shortageOf('commands', this.#commands, 1, nowMs) ??
      shortageOf(op === 'signal' ? 'signals' : 'publishes', ofOp, 1, nowMs);
    if (shortage !== null) return shortage;
    this.#bytes?.take(lineBytes, nowMs);
    this.#commands?.take(1, nowMs);
    ofOp?.take(1, nowMs);
    return null;
  }

  /** Whether all buckets are full, so that new ones would do as well. */
  areFull(nowMs: number): boolean {
    const made = [this.#bytes, this.#commands, this.#publishes, this.#signals, this.#refusals];
    return made.every((bucket) => bucket === null || bucket.isFull(nowMs));
  }

  /** Takes one answer that refuses. Returns the milliseconds until there is one again; 0: it is taken. */
  takeRefusal(nowMs: number): number {
    this.#refusals ??= new TokenBucket(REFUSALS);
    return this.#refusals.take(1, nowMs);
  }
}

function shortageOf(of: RateName, bucket: TokenBucket | null, cost: number, nowMs: number): Shortage | null {
  const waitMs = bucket === null || cost === 0 ? 0 : bucket.waitMs(cost, nowMs);
  return waitMs === 0 ? null : { of, waitMs };
}
