import { decodeJwt } from 'jose';
import { describe, expect, test } from 'vitest';
import { type DevelopmentToken, mintToken } from '../../../src/identity/development-token.ts';
import { SharedSecret } from '../../../src/identity/shared-secret.ts';
import { JwtVerifier } from '../../../src/identity/token-verifier.ts';

const WANTED: DevelopmentToken = {
  secret: 'a secret of at least 32 bytes, for a test',
  user: 'ann',
  ttlMs: 90_500,
  issuer: 'https://id.example',
  audience: 'chat',
  join: ['of/{user}/**'],
  publish: ['of/{user}/out'],
  presence: [],
};

describe('a development token', () => {
  test('is one that the verifier accepts', async () => {
    const key = new SharedSecret(WANTED.secret);
    const verifier = new JwtVerifier({ key, issuer: WANTED.issuer, audience: WANTED.audience });
    const beforeMs = Date.now();
    const { user, grants, expiresAtMs } = await verifier.verify(await mintToken(WANTED));
    expect(user).toBe('ann');
    expect(expiresAtMs).toBeGreaterThanOrEqual(beforeMs + WANTED.ttlMs);
    expect(expiresAtMs).toBeLessThan(Date.now() + WANTED.ttlMs + 1_000);
    expect([grants.allowsJoin('of/ann/x'), grants.allowsJoin('of/bob/x')]).toEqual([true, false]);
    expect([grants.allowsPublish('of/ann/out'), grants.allowsPresence('of/ann/out')]).toEqual([true, false]);
  });

  test('leaves out issuer and audience where there are none', async () => {
    const claims = decodeJwt(await mintToken({ ...WANTED, issuer: null, audience: null }));
    expect(Object.keys(claims).sort()).toEqual(['exp', 'iat', 'sub', 'tidegate']);
    expect(claims.tidegate).toEqual({ join: WANTED.join, publish: WANTED.publish, presence: WANTED.presence });
  });

  test.each<[string, Partial<DevelopmentToken>]>([
    ['user: ', { user: 'ann b' }],
    ['ttlMs: ', { ttlMs: 0 }],
    ['ttlMs: ', { ttlMs: Number.NaN }],
    ['"join" holds', { join: [''] }],
    ['more than 100', { publish: Array.from({ length: 101 }, () => 'a') }],
    ['more than 8192 bytes', { presence: Array.from({ length: 100 }, (_, i) => `${i}/${'x'.repeat(200)}`) }],
  ])('is not made of what no verifier would take: %s', async (message, changes) => {
    await expect(mintToken({ ...WANTED, ...changes })).rejects.toThrow(message);
  });
});
