import { errors, type JWTPayload, jwtVerify } from 'jose';
import { BOUNDS } from '../protocol/bounds.ts';
import { CommandError } from '../protocol/errors.ts';
import { isPrintable, isUser } from '../protocol/names.ts';
import { Grants, GrantsError } from './grants.ts';
import { type KeySource, KeysUnavailableError } from './key-source.ts';

/** Who a session is, as a token says. */
export interface Identity {
  readonly user: string;
  readonly grants: Grants;
  /** When the session ends unless its token is refreshed, in ms since 1970; always ahead of our clock. */
  readonly expiresAtMs: number;
}

export interface TokenVerifier {
  /**
   * @throws CommandError `unauthorized` with a message that says what is wrong and holds nothing of the token, or
   *   `unavailable` if it cannot be told now whether the token is good. Never anything else.
   */
  verify(token: string): Promise<Identity>;
}

export interface JwtVerifierSettings {
  /** Where the keys come from. Its owner closes it. */
  readonly key: KeySource;
  /** `iss` that a token must have; null: any or none. */
  readonly issuer: string | null;
  /** A value that a token's `aud` must have or hold; null: any or none. */
  readonly audience: string | null;
  /** How far the issuer's clock may be from ours, for `exp` and `nbf`. */
  readonly leewayMs?: number;
}

const LEEWAY_MS = 30_000;
/** The last moment that a `Date` can hold, so that what is computed with it stays exact. */
const TIME_MS_MAX = 8_640_000_000_000_000;

// Base64url without padding or white space (RFC 7515 section 2): jose's decoder allows both on Node 22. An absent
// signature passes, so that `alg: none` is refused for what it is.
const COMPACT = /^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*$/;

/** Signed JWTs (RFC 7519) in the compact form, of 1 to 8,192 bytes. */
export class JwtVerifier implements TokenVerifier {
  readonly #key: KeySource;
  readonly #leewayMs: number;
  readonly #options: Parameters<typeof jwtVerify>[2];

  constructor({ key, issuer, audience, leewayMs = LEEWAY_MS }: JwtVerifierSettings) {
    this.#key = key;
    this.#leewayMs = leewayMs;
    this.#options = {
      algorithms: [...key.algorithms],
      clockTolerance: leewayMs / 1_000,
      requiredClaims: ['exp', 'sub'],
      ...(issuer !== null && { issuer }),
      ...(audience !== null && { audience }),
    };
  }

  async verify(token: string): Promise<Identity> {
    if (!isPrintable(token, BOUNDS.tokenBytesMax) || !COMPACT.test(token)) throw unauthorized('malformed');
    const payload = await this.#payload(token);
    const expiresAtMs = this.#expiry(payload.exp ?? 0);
    if (!isUser(payload.sub)) throw unauthorized('sub is not a user name');
    return { user: payload.sub, grants: readGrants(payload, payload.sub), expiresAtMs };
  }

  async #payload(token: string): Promise<JWTPayload> {
    try {
      return (await jwtVerify(token, this.#key.keyFor, this.#options)).payload;
    } catch (error) {
      if (error instanceof KeysUnavailableError) {
        throw new CommandError('unavailable', 'token: the keys to check it with cannot be fetched now');
      }
      // Not as a cause: jose's errors hold the claims.
      throw unauthorized(reasonOf(error));
    }
  }

  /** A token that is accepted within the leeway alone lasts until that ends, or its session would end at once. */
  #expiry(expSeconds: number): number {
    const nowMs = Date.now();
    const expMs = Math.floor(expSeconds * 1_000);
    // JSON has numbers, such as 1e999, that no clock shows.
    if (expMs > TIME_MS_MAX) throw unauthorized('exp is out of range');
    if (expMs > nowMs) return expMs;
    // jose counts in whole seconds, and its look at the clock was before ours.
    if (expMs + this.#leewayMs <= nowMs) throw unauthorized('expired');
    return expMs + this.#leewayMs;
  }
}

function readGrants(payload: JWTPayload, user: string): Grants {
  try {
    return Grants.fromClaim(payload.tidegate, user);
  } catch (error) {
    throw unauthorized(error instanceof GrantsError ? `claim tidegate: ${error.message}` : 'claim tidegate');
  }
}

function unauthorized(reason: string): CommandError {
  return new CommandError('unauthorized', `token: ${reason}`);
}

/** What jose found, in our words: its own may quote the token. */
function reasonOf(error: unknown): string {
  if (error instanceof errors.JWTExpired) return 'expired';
  if (error instanceof errors.JWTClaimValidationFailed) return claimReason(error);
  if (error instanceof errors.JWSSignatureVerificationFailed) return 'wrong signature';
  if (error instanceof errors.JOSEAlgNotAllowed) return 'algorithm not allowed';
  if (error instanceof errors.JWKSNoMatchingKey) return 'unknown key';
  if (error instanceof errors.JWKSMultipleMatchingKeys) return 'several keys fit: kid is needed, and must be unique';
  if (error instanceof errors.JOSENotSupported) return 'a critical header is not supported';
  if (error instanceof errors.JWSInvalid || error instanceof errors.JWTInvalid) return 'malformed';
  // A short RSA key, or one that is no key: nothing that a fetch would change.
  return 'its key cannot be used';
}

function claimReason({ claim, reason }: errors.JWTClaimValidationFailed): string {
  if (reason === 'missing') return `${claim} is missing`;
  if (claim === 'iss') return 'wrong issuer';
  if (claim === 'aud') return 'wrong audience';
  if (claim === 'nbf' && reason === 'check_failed') return 'not valid yet';
  return `${claim} is malformed`;
}
