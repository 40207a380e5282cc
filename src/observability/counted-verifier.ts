import type { Identity, TokenVerifier } from '../identity/token-verifier.ts';
import { CommandError } from '../protocol/errors.ts';
import type { Tally } from './tally.ts';

/** Counts the tokens that were not accepted. */
export class CountedVerifier implements TokenVerifier {
  readonly #verifier: TokenVerifier;
  readonly #tally: Tally;

  constructor(verifier: TokenVerifier, tally: Tally) {
    this.#verifier = verifier;
    this.#tally = tally;
  }

  async verify(token: string): Promise<Identity> {
    try {
      return await this.#verifier.verify(token);
    } catch (error) {
      const isUnavailable = error instanceof CommandError && error.code === 'unavailable';
      this.#tally.tokensRefused[isUnavailable ? 'unavailable' : 'unauthorized'] += 1;
      throw error;
    }
  }
}
