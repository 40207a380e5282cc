import { createHmac, type KeyObject, sign as signBytes } from 'node:crypto';
import { expect } from 'vitest';
import type { Identity, TokenVerifier } from '../../../src/identity/token-verifier.ts';
import { CommandError } from '../../../src/protocol/errors.ts';

/** Signs a token by hand, so that it may be as wrong as a test wants; text stands as it is. */
export function sign(header: object | string, claims: object | string, signer: (input: string) => Buffer): string {
  const input = [header, claims].map(encode).join('.');
  return `${input}.${signer(input).toString('base64url')}`;
}

function encode(part: object | string): string {
  return Buffer.from(typeof part === 'string' ? part : JSON.stringify(part)).toString('base64url');
}

export function hmac(secret: string | Buffer, hash = 'sha256'): (input: string) => Buffer {
  return (input) => createHmac(hash, secret).update(input).digest();
}

export function asymmetric(alg: 'RS256' | 'ES256' | 'EdDSA' | 'RS512', key: KeyObject): (input: string) => Buffer {
  const hash = { RS256: 'sha256', ES256: 'sha256', EdDSA: null, RS512: 'sha512' }[alg];
  return (input) => signBytes(hash, Buffer.from(input), { key, dsaEncoding: 'ieee-p1363' });
}

export function nowSeconds(): number {
  return Math.floor(Date.now() / 1_000);
}

export function claimsOf(user: string, others: object = {}): object {
  return { sub: user, exp: nowSeconds() + 60, ...others };
}

/** Expects a token to be refused, with a message that holds nothing of it. */
export async function expectRefusal(
  verifier: TokenVerifier,
  token: string,
  reason: string | RegExp,
  code: 'unauthorized' | 'unavailable' = 'unauthorized',
): Promise<void> {
  const error: unknown = await verifier.verify(token).then(
    (identity: Identity) => expect.unreachable(`accepted as ${identity.user}`),
    (refusal: unknown) => refusal,
  );
  expect(error).toBeInstanceOf(CommandError);
  if (!(error instanceof CommandError)) return;
  expect(error.code).toBe(code);
  expect(error.message).toMatch(reason);
  expect(error.message).not.toContain('PRIVATE');
  expect(error.cause).toBeUndefined();
}
