import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { LogLines } from '../../../src/fanout/log-lines.ts';
import { RemoteKeySet, type RemoteKeySetSettings } from '../../../src/identity/remote-key-set.ts';
import { JwtVerifier } from '../../../src/identity/token-verifier.ts';
import { KeyServer, serve, serveForever } from './key-server.ts';
import { asymmetric, claimsOf, expectRefusal, hmac, sign } from './signing.ts';

const rsa = generateKeyPairSync('rsa', { modulusLength: 2_048 });
const p256 = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const ed25519 = generateKeyPairSync('ed25519');
const other = generateKeyPairSync('ed25519');

function jwk(kid: string, key: KeyObject, others: object = {}): object {
  return { kid, ...key.export({ format: 'jwk' }), ...others };
}

const KEYS = [jwk('r', rsa.publicKey), jwk('p', p256.publicKey), jwk('e', ed25519.publicKey)];

function token(kid: string | undefined = 'e', { privateKey } = ed25519, header: object = {}): string {
  return sign({ alg: 'EdDSA', kid, ...header }, claimsOf('ann'), asymmetric('EdDSA', privateKey));
}

let server: KeyServer;
let lines: { level: string; fields: object; message: string }[];
let open: RemoteKeySet[];

const logger: LogLines = {
  info: (fields, message) => lines.push({ level: 'info', fields, message }),
  warn: (fields, message) => lines.push({ level: 'warn', fields, message }),
  error: (fields, message) => lines.push({ level: 'error', fields, message }),
};

beforeEach(async () => {
  lines = [];
  open = [];
  server = await KeyServer.open(serve({ keys: KEYS }));
});

afterEach(async () => {
  for (const keys of open) keys.close();
  await server.close();
});

function keySet(settings: Partial<RemoteKeySetSettings> = {}): { keys: RemoteKeySet; verifier: JwtVerifier } {
  const keys = new RemoteKeySet({ ...settings, url: settings.url ?? server.url, logger });
  open.push(keys);
  return { keys, verifier: new JwtVerifier({ key: keys, issuer: null, audience: null }) };
}

describe('algorithms', () => {
  test.each([
    ['RS256', 'r', rsa],
    ['ES256', 'p', p256],
    ['EdDSA', 'e', ed25519],
  ] as const)('%s is accepted, with and without kid', async (alg, kid, { privateKey }) => {
    const { verifier, keys } = keySet();
    expect((await verifier.verify(sign({ alg, kid }, claimsOf('ann'), asymmetric(alg, privateKey)))).user).toBe('ann');
    expect((await verifier.verify(sign({ alg }, claimsOf('bob'), asymmetric(alg, privateKey)))).user).toBe('bob');
    expect(keys.fetches).toBe(1);
  });

  test('others are refused, by the right keys too, and without a fetch', async () => {
    const { verifier, keys } = keySet();
    const rs512 = sign({ alg: 'RS512', kid: 'r' }, claimsOf('ann'), asymmetric('RS512', rsa.privateKey));
    const none = sign({ alg: 'none', kid: 'r' }, claimsOf('ann'), () => Buffer.alloc(0));
    for (const text of [rs512, none]) await expectRefusal(verifier, text, 'token: algorithm not allowed');
    expect(keys.fetches).toBe(0);
  });

  test('a public key is no secret for HS256', async () => {
    const { verifier } = keySet();
    await verifier.verify(token());
    const secrets = [
      rsa.publicKey.export({ type: 'spki', format: 'pem' }),
      rsa.publicKey.export({ type: 'pkcs1', format: 'pem' }),
      rsa.publicKey.export({ type: 'spki', format: 'der' }),
      JSON.stringify(KEYS[0]),
      JSON.stringify({ keys: KEYS }),
      Buffer.from(rsa.publicKey.export({ format: 'jwk' }).n ?? '', 'base64url'),
    ];
    for (const secret of secrets) {
      for (const kid of ['r', undefined]) {
        const confused = sign({ alg: 'HS256', kid }, claimsOf('ann'), hmac(secret));
        await expectRefusal(verifier, confused, 'token: algorithm not allowed');
      }
    }
  });

  test('a secret in the key set is not used', async () => {
    const secret = Buffer.alloc(32, 's');
    const oct = { kty: 'oct', kid: 's', k: secret.toString('base64url') };
    server.answer = serve({ keys: [...KEYS, oct, { ...oct, kid: 'x', alg: 'EdDSA', crv: 'Ed25519' }] });
    const { verifier } = keySet();
    await expectRefusal(verifier, sign({ alg: 'HS256', kid: 's' }, claimsOf('ann'), hmac(secret)), 'algorithm');
    await expectRefusal(verifier, token('x'), 'token: unknown key');
  });

  test('a key of another kind than the algorithm is not used', async () => {
    const { verifier } = keySet();
    await expectRefusal(verifier, token('r'), 'token: unknown key');
    const es256 = sign({ alg: 'ES256', kid: 'e' }, claimsOf('ann'), asymmetric('ES256', p256.privateKey));
    await expectRefusal(verifier, es256, 'token: unknown key');
  });

  test('an RSA key of fewer than 2,048 bits is refused', async () => {
    const short = generateKeyPairSync('rsa', { modulusLength: 1_024 });
    server.answer = serve({ keys: [jwk('s', short.publicKey)] });
    const { verifier } = keySet();
    const text = sign({ alg: 'RS256', kid: 's' }, claimsOf('ann'), asymmetric('RS256', short.privateKey));
    await expectRefusal(verifier, text, 'token: its key cannot be used');
  });

  test.each([
    ['for encryption', { use: 'enc' }, 'token: unknown key'],
    ['for another algorithm', { alg: 'ES256' }, 'token: unknown key'],
    ['that is private', ed25519.privateKey.export({ format: 'jwk' }), 'token: its key cannot be used'],
    ['that is broken', { x: 'AAAA' }, 'token: its key cannot be used'],
  ])('a key %s is not used', async (_, others, reason) => {
    server.answer = serve({ keys: [jwk('e', ed25519.publicKey, others)] });
    await expectRefusal(keySet().verifier, token(), reason);
  });

  test('keys that a token brings or points at are not used', async () => {
    const { verifier } = keySet();
    const foreign = await KeyServer.open(serve({ keys: [jwk('o', other.publicKey)] }));
    try {
      const headers = [
        { jwk: jwk('o', other.publicKey) },
        { jku: foreign.url },
        { x5u: foreign.url },
        { x5c: [Buffer.from('certificate').toString('base64')] },
      ];
      for (const header of headers) {
        await expectRefusal(verifier, token('o', other, header), 'token: unknown key');
        await expectRefusal(verifier, token('e', other, header), 'token: wrong signature');
      }
      expect(foreign.requests).toBe(0);
    } finally {
      await foreign.close();
    }
  });

  test('a token without kid is refused where several keys fit', async () => {
    server.answer = serve({ keys: [...KEYS, jwk('o', other.publicKey)] });
    const { verifier, keys } = keySet({ cooldownMs: 0 });
    await expectRefusal(verifier, token(''), 'token: unknown key');
    const before = keys.fetches;
    const without = sign({ alg: 'EdDSA' }, claimsOf('ann'), asymmetric('EdDSA', ed25519.privateKey));
    await expectRefusal(verifier, without, 'token: several keys fit');
    expect(keys.fetches).toBe(before);
  });
});

describe('an unknown kid', () => {
  const flood = (name: string, length = 1_000) => Array.from({ length }, (_, i) => token(`${name}-${i}`));

  test('costs one fetch, however many come at a time or one after the other', async () => {
    const { verifier, keys } = keySet();
    await Promise.all(flood('a').map((text) => expectRefusal(verifier, text, 'token: unknown key')));
    for (const text of flood('b')) await expectRefusal(verifier, text, 'token: unknown key');
    expect([server.requests, keys.fetches, keys.failures]).toEqual([1, 1, 0]);
  });

  test('is asked for again once the cooldown is over, once', async () => {
    const { verifier, keys } = keySet({ cooldownMs: 150 });
    await expectRefusal(verifier, token('a'), 'token: unknown key');
    await sleep(160);
    await Promise.all(flood('b', 50).map((text) => expectRefusal(verifier, text, 'token: unknown key')));
    expect(keys.fetches).toBe(2);
  });

  const failures: [string, () => void][] = [
    ['answers 500', () => (server.answer = serve('down', 500))],
    ['answers what is no key set', () => (server.answer = serve('<html>'))],
    ['answers 10 MB', () => (server.answer = serve('x'.repeat(10_000_000)))],
    ['hangs', () => (server.answer = () => {})],
    ['hangs up', () => (server.answer = (request) => request.socket.destroy())],
  ];

  test.each(failures)('costs one fetch while the endpoint %s', async (_, fail) => {
    fail();
    const { verifier, keys } = keySet({ timeoutMs: 300, failureCooldownMs: 60_000 });
    const refuse = (text: string) => expectRefusal(verifier, text, 'cannot be fetched', 'unavailable');
    await Promise.all(flood('a').map(refuse));
    for (const text of flood('b')) await refuse(text);
    expect([server.requests, keys.fetches, keys.failures]).toEqual([1, 1, 1]);
    expect(lines).toHaveLength(1);
  });

  test.each(failures)('costs one fetch, and known keys nothing, once the endpoint %s', async (_, fail) => {
    const { verifier, keys } = keySet({ timeoutMs: 300, cooldownMs: 0, failureCooldownMs: 60_000 });
    await verifier.verify(token());
    fail();
    const refuse = (text: string) => expectRefusal(verifier, text, 'cannot be fetched', 'unavailable');
    await Promise.all(flood('a').map(refuse));
    for (const text of flood('b')) await refuse(text);
    expect((await verifier.verify(token())).user).toBe('ann');
    expect([server.requests, keys.fetches, keys.failures]).toEqual([2, 2, 1]);
  });

  test('is waited for by nobody whose key is here', async () => {
    const { verifier, keys } = keySet({ timeoutMs: 60_000, cooldownMs: 0 });
    await verifier.verify(token());
    server.answer = () => {};
    const refusal = expectRefusal(verifier, token('a'), 'cannot be fetched', 'unavailable');
    await vi.waitFor(() => expect(server.requests).toBe(2));
    expect((await verifier.verify(token())).user).toBe('ann');
    keys.close();
    await refusal;
  });

  test('is asked for at most once a failure cooldown while the endpoint is down', async () => {
    server.answer = serve('down', 503);
    const { verifier, keys } = keySet({ failureCooldownMs: 100 });
    const startMs = performance.now();
    while (performance.now() - startMs < 450) {
      await expectRefusal(verifier, token('a'), 'cannot be fetched', 'unavailable');
    }
    const windows = Math.ceil((performance.now() - startMs) / 100);
    expect(keys.fetches).toBeGreaterThan(1);
    expect(keys.fetches).toBeLessThanOrEqual(windows);
    expect([keys.failures, lines.length]).toEqual([keys.fetches, 1]);
  });
});

describe('rotation', () => {
  const NEW = { keys: [...KEYS, jwk('new', other.publicKey)] };

  test('a new key works after one fetch', async () => {
    const { verifier, keys } = keySet({ cooldownMs: 50 });
    await verifier.verify(token());
    server.answer = serve(NEW);
    await sleep(60);
    const verified = await Promise.all(Array.from({ length: 20 }, () => verifier.verify(token('new', other))));
    expect(verified).toHaveLength(20);
    expect(keys.fetches).toBe(2);
  });

  test('a new key within the cooldown works after it', async () => {
    const { verifier, keys } = keySet({ cooldownMs: 500 });
    await verifier.verify(token());
    server.answer = serve(NEW);
    await expectRefusal(verifier, token('new', other), 'token: unknown key');
    await sleep(510);
    expect((await verifier.verify(token('new', other))).user).toBe('ann');
    expect(keys.fetches).toBe(2);
  });

  test('a removed key stops working with the refresh, and a new one is there', async () => {
    const { verifier, keys } = keySet({ refreshMs: 50 });
    await verifier.verify(token());
    server.answer = serve({ keys: [jwk('new', other.publicKey)] });
    const before = keys.fetches;
    // The second one from here has started after the change.
    await vi.waitFor(() => expect(keys.fetches).toBeGreaterThanOrEqual(before + 2));
    await expectRefusal(verifier, token(), 'token: unknown key');
    expect((await verifier.verify(token('new', other))).user).toBe('ann');
  });

  test('keys stay in use while the refresh fails, and a line says so once', async () => {
    const { verifier, keys } = keySet({ refreshMs: 30 });
    await verifier.verify(token());
    server.answer = serve('down', 500);
    await vi.waitFor(() => expect(keys.failures).toBeGreaterThan(3));
    expect((await verifier.verify(token())).user).toBe('ann');
    server.answer = serve(NEW);
    await vi.waitFor(() => expect(lines).toHaveLength(2));
    expect(lines.map(({ level, message }) => `${level}: ${message}`)).toEqual([
      'warn: the key set cannot be fetched; the keys fetched before stay in use',
      'info: the key set can be fetched again',
    ]);
    expect((await verifier.verify(token('new', other))).user).toBe('ann');
  });
});

describe('an endpoint that is down', () => {
  test('at first, leaves tokens undecided until it is up', async () => {
    const { port } = server;
    await server.close();
    const { verifier } = keySet({ url: `http://127.0.0.1:${port}/keys?key=PRIVATE`, failureCooldownMs: 20 });
    await expectRefusal(verifier, token(), 'token: the keys to check it with cannot be fetched now', 'unavailable');
    await server.listen(port);
    await sleep(25);
    expect((await verifier.verify(token())).user).toBe('ann');
    expect(lines.map(({ message }) => message)).toEqual([
      'the key set cannot be fetched; no token can be checked',
      'the key set can be fetched again',
    ]);
    expect(lines[0]?.fields).toMatchObject({ url: `http://127.0.0.1:${port}/keys` });
  });

  test('later, changes nothing for the keys that are here', async () => {
    const { verifier, keys } = keySet({ cooldownMs: 0, failureCooldownMs: 0 });
    await verifier.verify(token());
    const { port } = server;
    await server.close();
    expect((await verifier.verify(token())).user).toBe('ann');
    await expectRefusal(verifier, token('new', other), 'cannot be fetched', 'unavailable');
    expect((await verifier.verify(token())).user).toBe('ann');
    expect([keys.fetches, keys.failures]).toEqual([2, 1]);
    await server.listen(port);
    await expectRefusal(verifier, token('new', other), 'token: unknown key');
  });
});

describe('the answer', () => {
  async function failure(settings: Partial<RemoteKeySetSettings> = {}): Promise<string> {
    const { verifier } = keySet(settings);
    await expectRefusal(verifier, token(), 'cannot be fetched', 'unavailable');
    const { err } = { err: undefined, ...lines[0]?.fields };
    return String(err);
  }

  test('has at most 256 KiB, counted while they come', async () => {
    let written = 0;
    server.answer = serveForever((bytes) => {
      written += bytes;
    });
    expect(await failure()).toContain('more than 262144 bytes');
    // The connection is cut: the endpoint is stuck at what the kernel holds.
    const after = written;
    await sleep(50);
    expect(written).toBe(after);
  });

  test('is counted decompressed', async () => {
    const bomb = gzipSync(Buffer.alloc(10_000_000, ' '));
    expect(bomb.length).toBeLessThan(20_000);
    server.answer = (_, response) => response.writeHead(200, { 'content-encoding': 'gzip' }).end(bomb);
    expect(await failure()).toContain('more than 262144 bytes');
  });

  test('may have 256 KiB to the byte', async () => {
    const body = JSON.stringify({ keys: KEYS });
    server.answer = serve(body + ' '.repeat(262_144 - body.length));
    expect((await keySet().verifier.verify(token())).user).toBe('ann');
    server.answer = serve(body + ' '.repeat(262_145 - body.length));
    expect(await failure()).toContain('more than 262144 bytes');
  });

  test('has at most 100 keys', async () => {
    const many = (length: number) => ({ keys: Array.from({ length }, (_, i) => jwk(`${i}`, ed25519.publicKey)) });
    server.answer = serve(many(100));
    expect((await keySet().verifier.verify(token('99'))).user).toBe('ann');
    server.answer = serve(many(101));
    expect(await failure()).toContain('more than 100 keys');
  });

  test('comes within the timeout, to its last byte', async () => {
    server.answer = (_, response) => {
      const drip = setInterval(() => response.write(' '), 20);
      response.on('close', () => clearInterval(drip));
    };
    expect(await failure({ timeoutMs: 200 })).toMatch(/time/i);
  });

  test.each([301, 302, 303, 307, 308])('is no redirect (%d)', async (status) => {
    let followed = false;
    server.answer = (request, response) => {
      if (request.url !== '/keys') followed = true;
      response.writeHead(status, { location: '/elsewhere' }).end(JSON.stringify({ keys: KEYS }));
    };
    expect(await failure()).toContain(`answered ${status}`);
    expect(followed).toBe(false);
  });

  test.each(['', 'PRIVATE', 'null', '[]', '{}', '{"keys":{}}', '{"keys":["PRIVATE"]}', '{"keys":[[]]}'])(
    'is a key set, not %j',
    async (body) => {
      server.answer = serve(body);
      expect(await failure()).not.toContain('PRIVATE');
    },
  );
});

describe('settings and end', () => {
  test.each(['', 'keys.json', '/keys', 'file:///etc/keys', 'data:application/json,{}', 'ftp://id.example/keys'])(
    'an address is one of http or https, not %j',
    (url) => {
      expect(() => keySet({ url })).toThrow('the key set needs an http or https URL');
    },
  );

  test('an address holds no user and password', () => {
    expect(() => keySet({ url: 'https://u:PRIVATE@id.example/keys' })).toThrow('without user and password');
  });

  test('close ends the refresh and a fetch under way', async () => {
    const { keys, verifier } = keySet({ refreshMs: 20, cooldownMs: 0, failureCooldownMs: 0 });
    await verifier.verify(token());
    server.answer = () => {};
    const waiting = expectRefusal(verifier, token('a'), 'cannot be fetched', 'unavailable');
    await vi.waitFor(() => expect(server.requests).toBeGreaterThan(1));
    keys.close();
    keys.close();
    await waiting;
    const { fetches } = keys;
    await sleep(60);
    expect(keys.fetches).toBe(fetches);
    expect((await verifier.verify(token())).user).toBe('ann');
    await expectRefusal(verifier, token('a'), 'cannot be fetched', 'unavailable');
    expect(keys.fetches).toBe(fetches);
    expect(lines).toEqual([]);
  });
});
