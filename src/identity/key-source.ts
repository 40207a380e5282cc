import type { CryptoKey, FlattenedJWSInput, JWTHeaderParameters } from 'jose';

/** Where the keys come from that tokens are checked with. The kind of key fixes the algorithms (RFC 8725 section 3.1). */
export interface KeySource {
  /** The only values that a token's `alg` may have; a token with another one never gets to ask for a key. */
  readonly algorithms: readonly string[];

  /**
   * The key that a token's header names. Of the header only `alg` and `kid` count; keys or addresses that the
   * token brings along (`jwk`, `jku`, `x5c`, `x5u`) are no reason to trust it.
   *
   * @throws KeysUnavailableError if the keys cannot be had now, so that nothing can be said about the token
   * @throws JOSEError if there is no such key, or several
   */
  readonly keyFor: (header: JWTHeaderParameters, token: FlattenedJWSInput) => Promise<CryptoKey>;

  /** Ends what runs in the background. Keys that are here can still be used. */
  close(): void;
}

/** The keys could not be fetched: the token may well be good. */
export class KeysUnavailableError extends Error {
  override readonly name = 'KeysUnavailableError';
}
