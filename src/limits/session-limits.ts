import { CommandError } from '../protocol/errors.ts';
import type { Rate } from '../protocol/replies.ts';
import { TokenBucket } from './token-bucket.ts';

/** What one session may do, each a second and at once; null: as much as it likes. */
export interface SessionRates {
  readonly commands: Rate | null;
  readonly publishes: Rate | null;
  readonly signals: Rate | null;
  /** Bytes of lines, their line feeds included. */
  readonly bytes: Rate | null;
}

/**
 * Answers of `rate_limited` that a session is given. One that goes on beyond them isn't read until it may be given
 * one again: a flood costs the node no more than this, and then its sender waits.
 */
export const REFUSALS: Rate = { perSecond: 100, burst: 200 };

/** The token buckets of one session, each made when the session first needs it. */
export class SessionLimits {
  readonly #rates: SessionRates;
  #commands: TokenBucket | null = null;
  #publishes: TokenBucket | null = null;
  #signals: TokenBucket | null = null;
  #bytes: TokenBucket | null = null;
  #refusals: TokenBucket | null = null;

  constructor(rates: SessionRates) {
    this.#rates = rates;
  }

  /** Takes a command's line, if it has not been paid yet, and the command. null: it may be executed. */
  takeCommand(lineBytes: number, nowMs: number): CommandError | null {
    if (lineBytes > 0 && this.#rates.bytes !== null) {
      this.#bytes ??= new TokenBucket(this.#rates.bytes);
      const waitMs = this.#bytes.take(lineBytes, nowMs);
      if (waitMs > 0) return limited('bytes', waitMs);
    }
    if (this.#rates.commands === null) return null;
    this.#commands ??= new TokenBucket(this.#rates.commands);
    const waitMs = this.#commands.take(1, nowMs);
    return waitMs > 0 ? limited('commands', waitMs) : null;
  }

  /** @throws CommandError `rate_limited` */
  takePublish(nowMs: number): void {
    this.#publishes ??= new TokenBucket(this.#rates.publishes);
    const waitMs = this.#publishes.take(1, nowMs);
    if (waitMs > 0) throw limited('publishes', waitMs);
  }

  /** @throws CommandError `rate_limited` */
  takeSignal(nowMs: number): void {
    this.#signals ??= new TokenBucket(this.#rates.signals);
    const waitMs = this.#signals.take(1, nowMs);
    if (waitMs > 0) throw limited('signals', waitMs);
  }

  /** Takes one answer that refuses. Returns the milliseconds until there is one again; 0: it is taken. */
  takeRefusal(nowMs: number): number {
    this.#refusals ??= new TokenBucket(REFUSALS);
    return this.#refusals.take(1, nowMs);
  }
}

function limited(what: string, waitMs: number): CommandError {
  return new CommandError('rate_limited', `too many ${what}`, waitMs);
}
