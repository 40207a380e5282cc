import { SignJWT } from 'jose';
import { BOUNDS } from '../protocol/bounds.ts';
import { isUser } from '../protocol/names.ts';
import { type GrantPatterns, Grants } from './grants.ts';

export interface DevelopmentToken extends GrantPatterns {
  /** Should have 32 bytes or more. */
  readonly secret: string;
  readonly user: string;
  /** From now; the token's time is in whole seconds, rounded up. */
  readonly ttlMs: number;
  /** `iss` and `aud`; null leaves them out. */
  readonly issuer: string | null;
  readonly audience: string | null;
}

/**
 * Signs a token (HS256) as an issuer would, for trying things out. The patterns go into it as they are: `{user}`
 * is filled in by who reads it.
 *
 * @throws Error that says which value makes no token that a {@link JwtVerifier} with this secret would accept
 */
export async function mintToken(wanted: DevelopmentToken): Promise<string> {
  const { secret, user, ttlMs, issuer, audience, join, publish, presence } = wanted;
  const key = new TextEncoder().encode(secret);
  if (!isUser(user)) throw new Error('user: expected 1 to 120 bytes of letters, digits and _.:@/-');
  if (!(Number.isSafeInteger(ttlMs) && ttlMs > 0)) throw new Error('ttlMs: expected a positive whole number');
  Grants.of({ join, publish, presence }, user);
  const nowMs = Date.now();
  const token = new SignJWT({ tidegate: { join, publish, presence } })
    .setProtectedHeader({ alg: 'HS256', typ: 'JWT' })
    .setSubject(user)
    .setIssuedAt(Math.floor(nowMs / 1_000))
    .setExpirationTime(Math.ceil((nowMs + ttlMs) / 1_000));
  if (issuer !== null) token.setIssuer(issuer);
  if (audience !== null) token.setAudience(audience);
  const signed = await token.sign(key);
  if (signed.length > BOUNDS.tokenBytesMax) throw new Error(`the token has more than ${BOUNDS.tokenBytesMax} bytes`);
  return signed;
}
