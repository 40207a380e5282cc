import { generateKeyPairSync } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { mintToken } from '../../../src/identity/development-token.ts';
import { isWeakSecret, SharedSecret } from '../../../src/identity/shared-secret.ts';
import { JwtVerifier, type JwtVerifierSettings } from '../../../src/identity/token-verifier.ts';
import { CommandError } from '../../../src/protocol/errors.ts';
import { asymmetric, claimsOf, expectRefusal, hmac, nowSeconds, sign } from './signing.ts';

const SECRET = 'PRIVATE-secret-of-at-least-32-bytes!';
const HS256 = { alg: 'HS256', typ: 'JWT' };
const key = new SharedSecret(SECRET);

function verifier(settings: Partial<JwtVerifierSettings> = {}): JwtVerifier {
  return new JwtVerifier({ key, issuer: null, audience: null, ...settings });
}

function signed(claims: object | string, header: object | string = HS256): string {
  return sign(header, claims, hmac(SECRET));
}

/** Claims that are good but for what is given; undefined leaves one out. */
function token(changes: object = {}): string {
  return signed(claimsOf('ann', changes));
}

describe('a token', () => {
  test('says who somebody is, what they may do and until when', async () => {
    const exp = nowSeconds() + 60;
    const claims = { sub: 'org/ann.b', exp, tidegate: { join: ['of/{user}/*'], presence: ['**'] } };
    const { user, grants, expiresAtMs } = await verifier().verify(signed(claims));
    expect([user, expiresAtMs]).toEqual(['org/ann.b', exp * 1_000]);
    expect([grants.allowsJoin('of/org/ann.b/x'), grants.allowsJoin('of/x'), grants.allowsPublish('x')]).toEqual([
      true,
      false,
      false,
    ]);
    expect(grants.allowsPresence('x')).toBe(true);
  });

  test('grants nothing without the claim', async () => {
    const { grants } = await verifier().verify(token());
    expect([grants.allowsJoin('a'), grants.allowsPublish('a'), grants.allowsPresence('a')]).toEqual([
      false,
      false,
      false,
    ]);
  });

  test.each([[null], [[]], ['**'], [{ join: '**' }], [{ publish: [1] }], [{ join: Array(101).fill('a') }]])(
    'with a malformed claim is refused: %j',
    async (tidegate) => {
      await expectRefusal(verifier(), token({ tidegate }), /^token: claim tidegate: /);
    },
  );
});

describe('times', () => {
  test('expired', async () => {
    await expectRefusal(verifier(), token({ exp: nowSeconds() - 60 }), 'token: expired');
    await expectRefusal(verifier(), token({ exp: nowSeconds() - 31 }), 'token: expired');
    await expectRefusal(verifier(), token({ exp: 0 }), 'token: expired');
    await expectRefusal(verifier(), token({ exp: -1e300 }), 'token: expired');
  });

  test('within the leeway, a token lasts until that ends', async () => {
    const exp = nowSeconds() - 20;
    expect((await verifier().verify(token({ exp }))).expiresAtMs).toBe((exp + 30) * 1_000);
    await expectRefusal(verifier({ leewayMs: 10_000 }), token({ exp }), 'token: expired');
  });

  test('the end of an accepted token is always ahead', async () => {
    // Fractions of a second (RFC 7519 section 2) fall between jose's whole ones.
    const leewayMs = 500;
    for (let i = 0; i < 40; i++) {
      const nowMs = Date.now();
      const exp = (nowMs - leewayMs - 200 + i * 10) / 1_000;
      const identity = await verifier({ leewayMs })
        .verify(token({ exp }))
        .catch((error: unknown) => error);
      if (identity instanceof CommandError) {
        expect(identity.message).toBe('token: expired');
        expect(exp * 1_000 + leewayMs).toBeLessThanOrEqual(Date.now() + 1_000);
      } else {
        expect(identity).toHaveProperty(
          'expiresAtMs',
          expect.toSatisfy((ms: number) => ms > nowMs),
        );
      }
    }
  });

  test('not yet valid', async () => {
    await expectRefusal(verifier(), token({ nbf: nowSeconds() + 60 }), 'token: not valid yet');
    expect((await verifier().verify(token({ nbf: nowSeconds() + 20 }))).user).toBe('ann');
    await expectRefusal(verifier(), token({ nbf: 'soon' }), 'token: nbf is malformed');
  });

  test('without an end, or with one that is no time', async () => {
    await expectRefusal(verifier(), token({ exp: undefined }), 'token: exp is missing');
    for (const exp of [null, '9999999999', [9999999999], true]) {
      await expectRefusal(verifier(), token({ exp }), 'token: exp is malformed');
    }
    await expectRefusal(verifier(), signed('{"sub":"ann","exp":1e999}'), 'token: exp is out of range');
    await expectRefusal(verifier(), token({ exp: 1e300 }), 'token: exp is out of range');
  });
});

describe('issuer and audience', () => {
  const strict = verifier({ issuer: 'https://id.example', audience: 'chat' });

  test('both as configured', async () => {
    const good = { iss: 'https://id.example', aud: 'chat' };
    expect((await strict.verify(token(good))).user).toBe('ann');
    expect((await strict.verify(token({ ...good, aud: ['mail', 'chat'] }))).user).toBe('ann');
    expect((await verifier().verify(token({ iss: 'anyone', aud: 'anything' }))).user).toBe('ann');
  });

  test.each([
    [{ aud: 'chat' }, 'token: iss is missing'],
    [{ aud: 'chat', iss: 'https://id.example/' }, 'token: wrong issuer'],
    [{ aud: 'chat', iss: ['https://id.example'] }, 'token: wrong issuer'],
    [{ iss: 'https://id.example' }, 'token: aud is missing'],
    [{ iss: 'https://id.example', aud: 'PRIVATE' }, 'token: wrong audience'],
    [{ iss: 'https://id.example', aud: [] }, 'token: wrong audience'],
    [{ iss: 'https://id.example', aud: ['chat '] }, 'token: wrong audience'],
    [{ iss: 'https://id.example', aud: { chat: true } }, 'token: wrong audience'],
  ])('refused: %j', async (changes, reason) => {
    await expectRefusal(strict, token(changes), reason);
  });
});

describe('sub', () => {
  test('is needed', async () => {
    await expectRefusal(verifier(), token({ sub: undefined }), 'token: sub is missing');
  });

  test.each([null, 7, ['ann'], {}, '', 'ann b', 'PRIVATE*', '{user}', 'ann\n', '\u00e9', 'u'.repeat(121)])(
    'is a user name, not %j',
    async (sub) => {
      await expectRefusal(verifier(), token({ sub }), 'token: sub is not a user name');
    },
  );
});

describe('algorithm', () => {
  const rsa = generateKeyPairSync('rsa', { modulusLength: 2_048 });
  const none = (alg: string) => sign({ alg }, claimsOf('ann'), () => Buffer.alloc(0));

  test.each(['none', 'None', 'NONE'])('%s is refused', async (alg) => {
    await expectRefusal(verifier(), none(alg), 'token: algorithm not allowed');
    await expectRefusal(verifier(), `${none(alg)}AAAA`, 'token: algorithm not allowed');
  });

  test('HS512 and HS384 by the right secret are refused', async () => {
    for (const bits of [384, 512]) {
      const other = sign({ alg: `HS${bits}` }, claimsOf('ann'), hmac(SECRET, `sha${bits}`));
      await expectRefusal(verifier(), other, 'token: algorithm not allowed');
    }
  });

  test('RS256 is refused where a secret is configured', async () => {
    const other = sign({ alg: 'RS256' }, claimsOf('ann'), asymmetric('RS256', rsa.privateKey));
    await expectRefusal(verifier(), other, 'token: algorithm not allowed');
  });

  test.each([{}, { alg: '' }, { alg: 256 }, { alg: ['HS256'] }, { alg: null }])('%j is malformed', async (header) => {
    await expectRefusal(verifier(), signed(claimsOf('ann'), header), 'token: malformed');
  });

  test('a key that the token brings along is not used', async () => {
    const own = 'PRIVATE key of the attacker, as long as any';
    const jwk = { kty: 'oct', k: Buffer.from(own).toString('base64url') };
    await expectRefusal(verifier(), sign({ ...HS256, jwk }, claimsOf('ann'), hmac(own)), 'token: wrong signature');
  });
});

describe('text', () => {
  const good = token();
  const [header = '', claims = '', signature = ''] = good.split('.');

  test.each([
    ['empty', ''],
    ['a dot', '.'],
    ['dots', '..'],
    ['no signature segment', `${header}.${claims}`],
    ['four segments', `${good}.${signature}`],
    ['five segments, as of a JWE', `${header}.${claims}.${signature}.${claims}.${signature}`],
    ['twice', `${good}${good}`],
    ['twice, apart', `${good} ${good}`],
    ['no header', `.${claims}.${signature}`],
    ['no claims', `${header}..${signature}`],
    ['a space before', ` ${good}`],
    ['a line break behind', `${good}\n`],
    ['a space in the signature', `${header}.${claims}.${signature.slice(0, 5)} ${signature.slice(5)}`],
    ['padding', `${good}=`],
    ['not ASCII', `${good}\u00e9`],
    ['a scheme', `Bearer ${good}`],
    ['plain text', 'PRIVATE'],
    ['JSON', JSON.stringify({ protected: header, payload: claims, signature })],
    ['a header that is no JSON', `${Buffer.from('PRIVATE').toString('base64url')}.${claims}.${signature}`],
    ['a header that is no object', signed(claimsOf('ann'), '["HS256"]')],
    ['a header that is not UTF-8', `_____w.${claims}.${signature}`],
    ['claims that are no JSON', signed('PRIVATE')],
    ['claims that are a list', signed('[]')],
    ['claims that are null', signed('null')],
    ['the unencoded payload option', signed(claimsOf('ann'), { ...HS256, b64: false, crit: ['b64'] })],
    ['too long', 'a'.repeat(8_193)],
  ])('is refused: %s', async (_, text) => {
    await expectRefusal(verifier(), text, 'token: malformed');
  });

  test('may have 8,192 bytes and no more', async () => {
    // No segment has a length of 4n + 1, so that both the header and the claims are filled.
    const filled = (kid: number, pad: number) =>
      signed(claimsOf('ann', { pad: 'x'.repeat(pad) }), { ...HS256, kid: 'k'.repeat(kid) });
    const ofLength = (bytes: number) => {
      const about = Math.floor(((bytes - filled(0, 0).length) * 3) / 4) - 8;
      const tokens = Array.from({ length: 64 }, (_, i) => filled(i % 4, about + (i >> 2)));
      return tokens.find(({ length }) => length === bytes) ?? expect.unreachable();
    };
    expect((await verifier().verify(ofLength(8_192))).user).toBe('ann');
    await expectRefusal(verifier(), ofLength(8_193), 'token: malformed');
  });

  test('with a wrong or cut signature is refused', async () => {
    const other = sign(HS256, claimsOf('ann'), hmac(`${SECRET}2`));
    await expectRefusal(verifier(), other, 'token: wrong signature');
    await expectRefusal(verifier(), `${header}.${claims}.`, 'token: wrong signature');
    await expectRefusal(verifier(), good.slice(0, -4), 'token: wrong signature');
    const changed = Buffer.from(JSON.stringify(claimsOf('bob'))).toString('base64url');
    await expectRefusal(verifier(), `${header}.${changed}.${signature}`, 'token: wrong signature');
  });

  test('with a critical header that nobody knows is refused', async () => {
    const header = { ...HS256, crit: ['PRIVATE'], PRIVATE: true };
    await expectRefusal(verifier(), signed(claimsOf('ann'), header), 'token: a critical header is not supported');
    for (const crit of [[], 'exp', [1], null, {}]) {
      await expectRefusal(verifier(), signed(claimsOf('ann'), { ...HS256, crit }), 'token: malformed');
    }
  });

  test('says nothing of its own in any refusal', async () => {
    const mutations = fc.record({ at: fc.nat(good.length), cut: fc.nat(3), put: fc.string({ maxLength: 4 }) });
    const property = fc.asyncProperty(mutations, async ({ at, cut, put }) => {
      const changed = good.slice(0, at) + put + good.slice(at + cut);
      if (changed === good) return;
      const outcome = await verifier()
        .verify(changed)
        .catch((error: unknown) => error);
      if (outcome instanceof CommandError) {
        expect(outcome.code).toBe('unauthorized');
        expect(outcome.message).toMatch(
          /^token: (malformed|wrong signature|algorithm not allowed|a critical header is not supported)$/,
        );
      } else {
        // The last letter of a signature holds bits that no byte has.
        expect(changed.startsWith(`${header}.${claims}.`)).toBe(true);
        const [bytes, goodBytes] = [changed, good].map((each) => Buffer.from(each.split('.')[2] ?? '', 'base64url'));
        expect(bytes).toEqual(goodBytes);
      }
    });
    await fc.assert(property, { numRuns: 500 });
  });
});

describe('a shared secret', () => {
  test('is weak below 32 bytes of UTF-8', () => {
    expect(isWeakSecret('x'.repeat(31))).toBe(true);
    expect(isWeakSecret('x'.repeat(32))).toBe(false);
    expect(isWeakSecret('\u00e9'.repeat(16))).toBe(false);
  });

  test('works all the same when it is short, as on a laptop', async () => {
    const wanted = { user: 'ann', ttlMs: 60_000, issuer: null, audience: null, join: [], publish: [], presence: [] };
    const token = await mintToken({ ...wanted, secret: 'short' });
    const verifier = new JwtVerifier({ key: new SharedSecret('short'), issuer: null, audience: null });
    await expect(verifier.verify(token)).resolves.toMatchObject({ user: 'ann' });
  });
});
