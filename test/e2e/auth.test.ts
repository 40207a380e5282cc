import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { mintToken } from '../../src/identity/development-token.ts';
import { KeyServer, serve } from '../unit/identity/key-server.ts';
import { asymmetric, claimsOf, hmac, nowSeconds, sign } from '../unit/identity/signing.ts';
import { type Client, TcpClient, WsClient } from './clients.ts';
import { type GatewayProcess, runTidegate, startGateway, temporaryDirectory } from './gateway-process.ts';

const SECRET = 'PRIVATE shared secret of 32 bytes or more';
const ISSUER = 'https://issuer.test';
const AUDIENCE = 'tidegate';
const JWT_ENV = {
  TIDEGATE_AUTH: 'jwt',
  TIDEGATE_JWT_SECRET: SECRET,
  TIDEGATE_JWT_ISSUER: ISSUER,
  TIDEGATE_JWT_AUDIENCE: AUDIENCE,
  TIDEGATE_RETRY_WINDOW_MS: '100',
};

type Granted = Partial<Record<'join' | 'publish' | 'presence', readonly string[]>>;

const clients: Client[] = [];
const closers: (() => Promise<unknown>)[] = [];

afterEach(async () => {
  for (const client of clients.splice(0)) client.close();
  for (const close of closers.splice(0).reverse()) await close();
});

/** Starts a gateway for one test. */
async function start(env: Readonly<Record<string, string>>): Promise<GatewayProcess> {
  const { gateway, close } = await startOne(env);
  closers.push(close);
  return gateway;
}

async function startOne(env: Readonly<Record<string, string>>) {
  const directory = await temporaryDirectory();
  const gateway = await startGateway(directory.path, { env });
  const close = async () => {
    await gateway.stop('SIGKILL');
    await directory.remove();
    // Nothing was our fault, and nothing that nobody may know was written down.
    expect(gateway.logs.filter(({ level }) => (level as number) >= 50)).toEqual([]);
    expect(JSON.stringify(gateway.logs)).not.toContain('PRIVATE');
  };
  return { gateway, close };
}

async function openTcp({ ports }: GatewayProcess): Promise<TcpClient> {
  const client = await TcpClient.open(ports.tcp);
  clients.push(client);
  return client;
}

async function openWs({ ports }: GatewayProcess): Promise<WsClient> {
  const client = await WsClient.open(ports.http);
  clients.push(client);
  return client;
}

const TRANSPORTS = [
  ['tcp', openTcp],
  ['websocket', openWs],
] as const;

function token(user: string, granted: Granted = {}, ttlMs = 600_000): Promise<string> {
  return mintToken({
    secret: SECRET,
    user,
    ttlMs,
    issuer: ISSUER,
    audience: AUDIENCE,
    join: granted.join ?? [],
    publish: granted.publish ?? [],
    presence: granted.presence ?? [],
  });
}

const EVERYTHING = { join: ['**'], publish: ['**'], presence: ['**'] };

/** A connected client of a user whose token grants just this. */
async function as(
  gateway: GatewayProcess,
  user: string,
  granted: Granted = {},
  open: (gateway: GatewayProcess) => Promise<Client> = openTcp,
): Promise<Client> {
  const client = await open(gateway);
  await client.ok({ op: 'connect', token: await token(user, granted) });
  return client;
}

let names = 0;
/** A name that nobody else has in this file. */
function unique(name: string): string {
  names += 1;
  return `${name}-${names}`;
}

function publish(room: string, data: unknown = 'hello') {
  return { op: 'publish', room, mid: unique('mid'), data };
}

const HEADER = { alg: 'HS256', typ: 'JWT' };
const hs256 = (claims: object, secret = SECRET) => sign(HEADER, claims, hmac(secret));
const good = (user: string, others: object = {}) =>
  claimsOf(user, { iss: ISSUER, aud: AUDIENCE, tidegate: EVERYTHING, ...others });

describe('with a shared secret', () => {
  let gateway: GatewayProcess;
  let close: () => Promise<void>;

  beforeAll(async () => {
    ({ gateway, close } = await startOne(JWT_ENV));
  });

  afterAll(() => close());

  /** Tokens that are refused, with what is said of them. */
  const refused: readonly (readonly [string, () => string | undefined, RegExp])[] = [
    ['no token', () => undefined, /missing/],
    ['one that has expired', () => hs256(good('ann', { exp: nowSeconds() - 60 })), /expired/],
    ['one without an end', () => hs256(good('ann', { exp: undefined })), /exp/],
    ['one that is not valid yet', () => hs256(good('ann', { nbf: nowSeconds() + 300 })), /not valid yet/],
    ['a wrong signature', () => hs256(good('ann'), 'another secret of 32 bytes or more'), /signature/],
    ['a wrong issuer', () => hs256(good('ann', { iss: 'https://else.test' })), /issuer/],
    ['no issuer', () => hs256(good('ann', { iss: undefined })), /iss/],
    ['a wrong audience', () => hs256(good('ann', { aud: ['others'] })), /audience/],
    ['alg none', () => sign({ alg: 'none' }, good('ann'), () => Buffer.alloc(0)), /algorithm/],
    ['another hash', () => sign({ alg: 'HS512' }, good('ann'), hmac(SECRET, 'sha512')), /algorithm/],
    ['a sub that is no name', () => hs256(good('ann b')), /sub/],
    ['grants that are none', () => hs256(good('ann', { tidegate: { join: 'all' } })), /tidegate/],
    ['no token at all', () => 'PRIVATE', /malformed/],
  ];

  describe.each(TRANSPORTS)('over %s', (name, open) => {
    test.each(refused)('%s is refused, and nothing behind it is executed', async (_, make, reason) => {
      const room = unique('refused');
      const witness = await as(gateway, unique('witness'), EVERYTHING);
      await witness.ok({ op: 'join', room, presence: 'full' });
      const client = await open(gateway);
      const bad = make();
      const commands = [
        { op: 'connect', id: 1, ...(bad !== undefined && { token: bad }) },
        { op: 'join', id: 2, room },
        { ...publish(room, 'never'), id: 3 },
        { op: 'connect', id: 4, token: await token('ann', EVERYTHING) },
        { ...publish(room, 'never'), id: 5 },
        { op: 'ping', id: 6 },
      ];
      client.sendRaw(`${commands.map((command) => JSON.stringify(command)).join('\n')}\n`);
      expect(await client.disconnected()).toEqual({
        push: 'disconnect',
        code: 3500,
        reason: 'invalid_token',
        reconnect: null,
      });
      const [error, ...others] = client.heard;
      expect(error).toEqual({ id: 1, error: { code: 'unauthorized', message: expect.stringMatching(reason) } });
      expect(JSON.stringify(error)).not.toContain('PRIVATE');
      expect(others).toHaveLength(1);
      if (client instanceof WsClient) expect(client.closed).toEqual({ code: 3500, reason: 'invalid_token' });
      expect((await witness.ok({ op: 'history', room, limit: 10 })).messages).toEqual([]);
      expect(await witness.ok({ op: 'presence', room })).toMatchObject({ count: 1 });
      expect(witness.heard.filter(({ push }) => push !== undefined)).toEqual([]);
    });

    test('user must be absent or the sub', async () => {
      const client = await open(gateway);
      expect(await client.errorCode({ op: 'connect', user: 'bob', token: await token('ann') })).toBe('unauthorized');
      expect(await client.disconnected()).toMatchObject({ code: 3500, reconnect: null });
      const named = await open(gateway);
      const reply = await named.ok({ op: 'connect', user: 'ann', token: await token('ann') });
      expect(reply).toMatchObject({ user: 'ann', expiresAtMs: expect.any(Number) });
      const unnamed = await open(gateway);
      expect(await unnamed.ok({ op: 'connect', token: await token('ann') })).toMatchObject({ user: 'ann' });
    });

    test('expiresAtMs is when the token ends; within the leeway it ends with that', async () => {
      const client = await open(gateway);
      const exp = nowSeconds() + 100;
      expect(await client.ok({ op: 'connect', token: hs256(good('ann', { exp })) })).toMatchObject({
        expiresAtMs: exp * 1_000,
      });
      const late = await open(gateway);
      const past = nowSeconds() - 5;
      expect(await late.ok({ op: 'connect', token: hs256(good('ann', { exp: past })) })).toMatchObject({
        expiresAtMs: past * 1_000 + 30_000,
      });
    });

    test('a session ends when its token does, unless that is refreshed', async () => {
      const [lost, kept, cut] = [await open(gateway), await open(gateway), await open(gateway)];
      const short = await token('ann', EVERYTHING, 1_500);
      const { expiresAtMs } = (await lost.ok({ op: 'connect', token: short })) as { expiresAtMs: number };
      await kept.ok({ op: 'connect', token: short });
      const longer = await token('ann', EVERYTHING, 3_000);
      const refreshed = (await kept.ok({ op: 'refresh', token: longer })) as { expiresAtMs: number };
      expect(refreshed.expiresAtMs).toBeGreaterThanOrEqual(expiresAtMs + 1_000);
      await cut.ok({ op: 'connect', token: await token('ann', EVERYTHING) });
      expect(await cut.ok({ op: 'refresh', token: short })).toEqual({ expiresAtMs });
      const end = { push: 'disconnect', code: 3004, reason: 'token_expired' };
      for (const client of [lost, cut]) {
        expect(await client.disconnected()).toEqual({ ...end, reconnect: { afterMs: expect.any(Number) } });
      }
      expect(Date.now()).toBeGreaterThanOrEqual(expiresAtMs);
      expect(Date.now()).toBeLessThan(expiresAtMs + 900);
      await kept.ok({ op: 'ping' });
      expect(await kept.disconnected()).toMatchObject(end);
      expect(Date.now()).toBeGreaterThanOrEqual(refreshed.expiresAtMs);
    });

    test('what is pipelined behind a connect runs after it, in order', async () => {
      const client = await open(gateway);
      const commands = [
        { op: 'connect', id: 0, token: await token('pipe', EVERYTHING) },
        { op: 'join', id: 1, room: `pipe-${name}` },
        ...Array.from({ length: 20 }, (_, i) => ({ ...publish(`pipe-${name}`, i), id: 2 + i })),
        { op: 'ping', id: 22 },
      ];
      client.sendRaw(`${commands.map((command) => JSON.stringify(command)).join('\n')}\n`);
      await client.until('all replies', () => client.heard.filter(({ ok }) => ok !== undefined).length === 23);
      await client.until('all messages', () => client.messages().length === 20);
      expect(client.heard.slice(0, 2).map(({ id }) => id)).toEqual([0, 1]);
      expect(client.messages().map(({ data }) => data)).toEqual(Array.from({ length: 20 }, (_, i) => i));
    });
  });

  describe('in text mode', () => {
    test('/connect NAME TOKEN connects', async () => {
      const person = await openTcp(gateway);
      person.sendRaw(`/connect ann ${await token('ann', EVERYTHING)}\n/join tea\nhello\n`);
      await person.until('the message', () => person.words.includes('[tea] ann: hello'));
      expect(person.words[0]).toContain('# you are ann');
    });

    test('rooms without the right to presence or publishing are for reading', async () => {
      const person = await openTcp(gateway);
      const signed = await token('ann', { join: ['coffee'] });
      person.sendRaw(`/connect ann ${signed}\n/join coffee\nhello\n/join milk\n`);
      await person.until('an answer to each line', () => person.words.length === 4);
      // Not in order: the join waits for the past that it shows.
      expect(person.words.slice(1).sort()).toEqual([
        '! forbidden: room: coffee is not yours to publish to',
        '! forbidden: room: milk is not yours to join',
        expect.stringContaining('# joined [coffee]'),
      ]);
    });

    test.each([
      ['no token', async () => '/connect ann'],
      ['a bad one', async () => `/connect ann ${hs256(good('ann'), 'another secret of 32 bytes or more')}`],
      ["another one's", async () => `/connect bob ${await token('ann')}`],
      ['a guest', async () => '/join tea'],
    ])('%s is refused', async (_, line) => {
      const person = await openTcp(gateway);
      person.sendRaw(`${await line()}\n/join tea\nnever said\n`);
      await person.untilClosed();
      expect(person.words).toEqual([
        expect.stringMatching(/^! unauthorized: /),
        expect.stringMatching(/^! disconnected: .*\(3500 invalid_token\)$/),
      ]);
      const auditor = await as(gateway, 'auditor', EVERYTHING);
      const { messages } = await auditor.ok({ op: 'history', room: 'tea', limit: 300 });
      expect(JSON.stringify(messages)).not.toContain('never said');
    });
  });

  describe('grants', () => {
    test('patterns: * ends at a slash, ** does not, {user} is the sub', async () => {
      const join = ['team/*', 'deep/**', 'own/{user}/*'];
      const client = await as(gateway, 'ann', { join });
      for (const room of ['team/a', 'deep/a/b/c', 'own/ann/x']) await client.ok({ op: 'join', room });
      for (const room of ['team/a/b', 'team', 'other', 'own/bob/x', 'own/ann/x/y']) {
        expect([room, await client.errorCode({ op: 'join', room })]).toEqual([room, 'forbidden']);
      }
    });

    test('join, publish and presence are granted apart', async () => {
      const client = await as(gateway, 'ann', { join: ['j'], publish: ['p'], presence: ['s'] });
      await client.ok({ op: 'join', room: 'j' });
      await client.ok({ op: 'history', room: 'j', limit: 1 });
      await client.ok(publish('p'));
      await client.ok({ op: 'presence', room: 's' });
      for (const command of [
        publish('j'),
        { op: 'presence', room: 'j' },
        { op: 'join', room: 'p' },
        { op: 'history', room: 'p', limit: 1 },
        { op: 'presence', room: 'p' },
        { op: 'join', room: 's' },
        { op: 'history', room: 's', limit: 1 },
        publish('s'),
      ]) {
        expect([command, await client.errorCode(command)]).toEqual([command, 'forbidden']);
      }
    });

    test('a join that asks for presence without the right to it fails as a whole', async () => {
      const client = await as(gateway, 'ann', { join: ['quiet'], presence: [] });
      for (const presence of ['full', 'count']) {
        expect(await client.errorCode({ op: 'join', room: 'quiet', presence })).toBe('forbidden');
      }
      expect(await client.errorCode({ op: 'leave', room: 'quiet' })).toBe('not_joined');
      await client.ok({ op: 'join', room: 'quiet' });
    });

    test('a signal needs the room joined and the right to publish', async () => {
      const reader = await as(gateway, 'bob', EVERYTHING, openWs);
      const client = await as(gateway, 'ann', { join: ['**'], publish: ['loud'] });
      for (const room of ['loud', 'hushed']) await reader.ok({ op: 'join', room });
      expect(await client.errorCode({ op: 'signal', room: 'loud', data: 1 })).toBe('not_joined');
      for (const room of ['loud', 'hushed']) await client.ok({ op: 'join', room });
      expect(await client.errorCode({ op: 'signal', room: 'hushed', data: 1 })).toBe('forbidden');
      await client.ok({ op: 'signal', room: 'loud', data: { typing: true } });
      const said = await reader.push('the signal', ({ push }) => push === 'signal');
      expect(said).toEqual({ push: 'signal', room: 'loud', from: 'ann', data: { typing: true } });
    });

    test('a token without grants grants nothing but the own room', async () => {
      const client = await openTcp(gateway);
      await client.ok({ op: 'connect', token: hs256(good('ann', { tidegate: undefined })) });
      expect(await client.errorCode({ op: 'join', room: 'r' })).toBe('forbidden');
      expect(await client.errorCode(publish('r'))).toBe('forbidden');
      await client.ok({ op: 'join', room: '@user/ann', presence: 'full' });
      await client.ok({ op: 'history', room: '@user/ann', limit: 1 });
      expect(await client.errorCode(publish('@user/ann'))).toBe('forbidden');
    });

    test("reserved rooms are nobody's, others' own rooms neither, whatever is granted", async () => {
      const client = await as(gateway, 'ann', { ...EVERYTHING, join: ['**', '@user/**', '@other'] });
      for (const room of ['@user/bob', '@other', '@other/ann', '@user/', '@user/ann/x', '@USER/ann']) {
        for (const command of [
          { op: 'join', room },
          { op: 'history', room, limit: 1 },
          { op: 'presence', room },
        ]) {
          expect([command, await client.errorCode(command)]).toEqual([command, 'forbidden']);
        }
      }
      for (const room of ['@other', '@other/ann', '@user/', '@USER/ann']) {
        expect([room, await client.errorCode(publish(room))]).toEqual([room, 'forbidden']);
      }
    });

    test('direct messages reach who is meant, and nobody else may read them', async () => {
      const bob = await as(gateway, 'bob', {}, openWs);
      await bob.ok({ op: 'join', room: '@user/bob' });
      const ann = await as(gateway, 'ann', { publish: ['@user/*'] });
      await ann.ok(publish('@user/bob', 'psst'));
      const said = await bob.until('the message', () => bob.messages('@user/bob')[0]);
      expect(said).toMatchObject({ from: 'ann', data: 'psst' });
      const carl = await as(gateway, 'carl', { publish: ['team/*'] });
      expect(await carl.errorCode(publish('@user/bob'))).toBe('forbidden');
    });

    test('presence of a user: by a grant, by a room in common, or of oneself', async () => {
      const bob = await as(gateway, 'bob', EVERYTHING);
      await bob.ok({ op: 'status', status: 'dnd', text: 'not now' });
      const granted = await as(gateway, 'granted', { presence: ['@user/*'] });
      const dnd = { user: 'bob', status: 'dnd', text: 'not now', devices: 1, partial: false };
      expect(await granted.ok({ op: 'presence', user: 'bob' })).toMatchObject(dnd);
      const ann = await as(gateway, 'ann', { join: ['common'] });
      expect(await ann.ok({ op: 'presence', user: 'ann' })).toMatchObject({ user: 'ann', status: 'online' });
      expect(await ann.errorCode({ op: 'presence', user: 'bob' })).toBe('forbidden');
      await ann.ok({ op: 'join', room: 'common' });
      expect(await ann.errorCode({ op: 'presence', user: 'bob' })).toBe('forbidden');
      await bob.ok({ op: 'join', room: 'common' });
      // A command sees what another one that was answered before has changed.
      expect(await ann.ok({ op: 'presence', user: 'bob' })).toMatchObject(dnd);
      await ann.ok({ op: 'leave', room: 'common' });
      expect(await ann.errorCode({ op: 'presence', user: 'bob' })).toBe('forbidden');
    });

    test('watching users: as presence, all or none', async () => {
      const bob = await as(gateway, 'watched-bob', EVERYTHING);
      const ann = await as(gateway, 'ann', { join: ['garden'], presence: ['@user/nobody'] }, openWs);
      expect(await ann.errorCode({ op: 'watch', users: ['nobody', 'watched-bob'] })).toBe('forbidden');
      await ann.ok({ op: 'join', room: 'garden' });
      await bob.ok({ op: 'join', room: 'garden' });
      const { users } = (await ann.ok({ op: 'watch', users: ['nobody', 'watched-bob'] })) as {
        users: { user: string; status: string }[];
      };
      expect(users.map(({ user, status }) => [user, status])).toEqual([
        ['nobody', 'offline'],
        ['watched-bob', 'online'],
      ]);
      await bob.ok({ op: 'status', status: 'away' });
      const said = await ann.push('the change', ({ push, user }) => push === 'presence' && user === 'watched-bob');
      expect(said).toMatchObject({ status: 'away' });
    });
  });

  describe('refresh', () => {
    test('brings new grants at once, and takes rooms away that are no longer granted', async () => {
      const watcher = await as(gateway, 'watcher', EVERYTHING);
      const ann = await as(gateway, 'ann', { join: ['old', 'both'], publish: ['old'] }, openWs);
      for (const room of ['old', 'both', '@user/ann']) await ann.ok({ op: 'join', room });
      await watcher.ok({ op: 'join', room: 'old', presence: 'full' });
      expect(await watcher.ok({ op: 'presence', room: 'old' })).toMatchObject({ count: 2 });
      expect(await ann.errorCode({ op: 'join', room: 'new' })).toBe('forbidden');
      const newer = await token('ann', { join: ['new', 'both'], publish: ['new'] });
      const reply = await ann.ok({ op: 'refresh', token: newer });
      expect(Object.keys(reply)).toEqual(['expiresAtMs']);
      const left = await ann.push('left', ({ push }) => push === 'left');
      expect(left).toEqual({ push: 'left', room: 'old', code: 'forbidden' });
      await watcher.push('the leave', ({ push, left }) => push === 'presence' && JSON.stringify(left).includes('ann'));
      expect(await watcher.ok({ op: 'presence', room: 'old' })).toMatchObject({ count: 1 });
      await watcher.ok(publish('old', 'not for ann'));
      await watcher.ok(publish('both', 'for both'));
      await ann.until('what it still hears', () => ann.messages('both')[0]);
      expect(ann.messages('old')).toEqual([]);
      expect(ann.heard.filter(({ push }) => push === 'left')).toHaveLength(1);
      expect(await ann.errorCode({ op: 'leave', room: 'old' })).toBe('not_joined');
      expect(await ann.errorCode({ op: 'join', room: 'old' })).toBe('forbidden');
      expect(await ann.errorCode(publish('old'))).toBe('forbidden');
      await ann.ok({ op: 'join', room: 'new' });
      await ann.ok(publish('new'));
    });

    test('ends what is heard of presence where the right to it is gone', async () => {
      const bob = await as(gateway, 'heard-bob', EVERYTHING);
      const rights = { join: ['lounge'], presence: ['lounge', '@user/heard-bob'] };
      const ann = await as(gateway, 'ann', rights);
      await ann.ok({ op: 'join', room: 'lounge', presence: 'full' });
      await ann.ok({ op: 'watch', users: ['heard-bob'] });
      await ann.ok({ op: 'refresh', token: await token('ann', { join: ['lounge'] }) });
      const before = ann.heard.length;
      const other = await as(gateway, 'other', EVERYTHING);
      await other.ok({ op: 'join', room: 'lounge', presence: 'full' });
      await bob.ok({ op: 'status', status: 'away' });
      await other.ok(publish('lounge', 'later'));
      await ann.until('the message', () => ann.messages('lounge').find(({ data }) => data === 'later'));
      // Others with the right hear the next change, which comes behind those that must not be heard.
      const third = await as(gateway, 'third', EVERYTHING);
      await third.ok({ op: 'join', room: 'lounge' });
      await other.push('the join', ({ push, joined }) => push === 'presence' && JSON.stringify(joined).includes('thi'));
      await ann.ok({ op: 'ping' });
      expect(ann.heard.slice(before).filter(({ push }) => push === 'presence')).toEqual([]);
    });

    test('with a token that is none, or of somebody else, changes nothing', async () => {
      const client = await as(gateway, 'ann', { join: ['kept'] });
      await client.ok({ op: 'join', room: 'kept' });
      expect(await client.errorCode({ op: 'refresh', token: await token('bob', EVERYTHING) })).toBe('unauthorized');
      expect(await client.errorCode({ op: 'refresh', token: hs256(good('ann'), 'x'.repeat(32)) })).toBe('unauthorized');
      expect(await client.errorCode({ op: 'refresh' })).toBe('bad_request');
      expect(await client.errorCode({ op: 'join', room: 'other' })).toBe('forbidden');
      await client.ok({ op: 'leave', room: 'kept' });
      expect(client.heard.filter(({ push }) => push !== undefined)).toEqual([]);
    });

    test('before connect is no first command', async () => {
      const client = await openTcp(gateway);
      expect(await client.errorCode({ op: 'refresh', token: await token('ann') })).toBe('bad_request');
      await client.ok({ op: 'connect', token: await token('ann') });
    });
  });
});

describe('a join that a refresh overtakes', () => {
  // A change of presence waits so long for others, and with it the join that wants to see it.
  const SLOW_PRESENCE = { ...JWT_ENV, TIDEGATE_PRESENCE_BATCH_MS: '1000' };

  test('hears nothing of a presence that is no longer its to hear', async () => {
    const gateway = await start(SLOW_PRESENCE);
    const ann = await as(gateway, 'ann', { join: ['r'], presence: ['r'] });
    const less = await token('ann', { join: ['r'] });
    ann.send({ op: 'join', id: 1, room: 'r', presence: 'full' });
    ann.send({ op: 'refresh', id: 2, token: less });
    await ann.until('both replies', () => [1, 2].every((id) => ann.heard.some((said) => said.id === id)));
    expect(ann.heard.find(({ id }) => id === 2)).toHaveProperty('ok');
    const bob = await as(gateway, 'bob', EVERYTHING);
    await bob.ok({ op: 'join', room: 'r', presence: 'full' });
    const carl = await as(gateway, 'carl', EVERYTHING);
    await carl.ok({ op: 'join', room: 'r' });
    await bob.push('the join', ({ push, joined }) => push === 'presence' && JSON.stringify(joined).includes('carl'));
    await ann.ok({ op: 'ping' });
    expect(ann.heard.filter(({ push }) => push === 'presence')).toEqual([]);
  });

  test('is not told of its end before its beginning', async () => {
    const gateway = await start(SLOW_PRESENCE);
    const ann = await as(gateway, 'ann', { join: ['r'], presence: ['r'] });
    const less = await token('ann', {});
    ann.send({ op: 'join', id: 1, room: 'r', presence: 'full' });
    ann.send({ op: 'refresh', id: 2, token: less });
    await ann.until('both replies', () => [1, 2].every((id) => ann.heard.some((said) => said.id === id)));
    await ann.ok({ op: 'ping' });
    expect(await ann.errorCode({ op: 'leave', room: 'r' })).toBe('not_joined');
    const joined = ann.heard.findIndex(({ id }) => id === 1);
    const left = ann.heard.findIndex(({ push }) => push === 'left');
    // Either the join came to be, and then it ended, or it never came to be.
    if (ann.heard[joined]?.ok === undefined) expect(left).toBe(-1);
    else expect(left).toBeGreaterThan(joined);
  });
});

describe('with a key set', () => {
  const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const ed = generateKeyPairSync('ed25519');
  const jwk = (key: KeyObject, kid: string, alg: string) => ({
    ...key.export({ format: 'jwk' }),
    kid,
    alg,
    use: 'sig',
  });
  const KEYS = {
    keys: [jwk(ec.publicKey, 'ec', 'ES256'), jwk(rsa.publicKey, 'rsa', 'RS256'), jwk(ed.publicKey, 'ed', 'EdDSA')],
  };
  const es256 = (claims: object, kid = 'ec', more: object = {}) =>
    sign({ alg: 'ES256', kid, ...more }, claims, asymmetric('ES256', ec.privateKey));

  async function keyServer(): Promise<KeyServer> {
    const server = await KeyServer.open(serve(KEYS));
    closers.push(() => server.close());
    return server;
  }

  const env = (url: string, more: Readonly<Record<string, string>> = {}) => ({
    TIDEGATE_AUTH: 'jwt',
    TIDEGATE_JWKS_URL: url,
    ...more,
  });

  test('each kind of key is accepted, and each confusion of them refused', async () => {
    const gateway = await start(env((await keyServer()).url));
    const signed = {
      ec: es256(claimsOf('ann')),
      rsa: sign({ alg: 'RS256', kid: 'rsa' }, claimsOf('ann'), asymmetric('RS256', rsa.privateKey)),
      ed: sign({ alg: 'EdDSA', kid: 'ed' }, claimsOf('ann'), asymmetric('EdDSA', ed.privateKey)),
    };
    for (const [kind, token] of Object.entries(signed)) {
      for (const open of [openTcp, openWs]) {
        const client = await open(gateway);
        expect([kind, await client.ok({ op: 'connect', token })]).toMatchObject([kind, { user: 'ann' }]);
      }
    }
    const pem = rsa.publicKey.export({ format: 'pem', type: 'spki' }) as string;
    const own = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const brought = { jwk: own.publicKey.export({ format: 'jwk' }), jku: 'http://127.0.0.1:1/PRIVATE' };
    const confused = {
      'the public key as a secret': sign({ alg: 'HS256', kid: 'rsa' }, claimsOf('ann'), hmac(pem)),
      none: sign({ alg: 'none', kid: 'ec' }, claimsOf('ann'), () => Buffer.alloc(0)),
      "another kind's key": es256(claimsOf('ann'), 'rsa'),
      'a key that the token brings': sign(
        { alg: 'ES256', ...brought },
        claimsOf('ann'),
        asymmetric('ES256', own.privateKey),
      ),
      'an unknown key': es256(claimsOf('ann'), 'unknown'),
      'another hash': sign({ alg: 'RS512', kid: 'rsa' }, claimsOf('ann'), asymmetric('RS512', rsa.privateKey)),
    };
    for (const [kind, token] of Object.entries(confused)) {
      const client = await openWs(gateway);
      expect([kind, await client.errorCode({ op: 'connect', token })]).toEqual([kind, 'unauthorized']);
      expect(await client.disconnected()).toMatchObject({ code: 3500, reconnect: null });
    }
  });

  test.each(TRANSPORTS)(
    'over %s, what comes behind a connect waits while it is verified, and runs in order',
    async (_, open) => {
      const server = await keyServer();
      const held: (() => void)[] = [];
      server.answer = (request, response) => void held.push(() => serve(KEYS)(request, response));
      const gateway = await start(env(server.url));
      const client = await open(gateway);
      const connect = { op: 'connect', id: 0, token: es256(claimsOf('ann', { tidegate: EVERYTHING })) };
      client.send(connect);
      client.send({ op: 'join', id: 1, room: 'r' });
      for (let i = 0; i < 5; i += 1) client.send({ ...publish('r', i), id: 2 + i });
      client.send({ op: 'ping', id: 7 });
      // Somebody else goes away meanwhile, and somebody is told at once what needs no key.
      const impatient = await open(gateway);
      impatient.send(connect);
      impatient.close();
      await expect.poll(() => held.length).toBe(1);
      const unsigned = await open(gateway);
      expect(await unsigned.errorCode({ op: 'connect', token: 'no.token.-' })).toBe('unauthorized');
      expect(client.heard).toEqual([]);
      for (const answer of held) answer();
      await client.until('all replies', () => client.heard.filter(({ ok }) => ok !== undefined).length === 8);
      await client.until('all messages', () => client.messages('r').length === 5);
      expect(client.heard.slice(0, 2).map(({ id }) => id)).toEqual([0, 1]);
      expect(client.messages('r').map(({ data }) => data)).toEqual([0, 1, 2, 3, 4]);
    },
  );

  test.each(TRANSPORTS)(
    'over %s, while it cannot be fetched a connect is unavailable, and works later',
    async (_, open) => {
      const server = await keyServer();
      const { port, url } = server;
      closers.pop();
      await server.close();
      const gateway = await start(env(url));
      const client = await open(gateway);
      const connect = { op: 'connect', token: es256(claimsOf('ann', { tidegate: EVERYTHING })) };
      expect(await client.errorCode(connect)).toBe('unavailable');
      expect(await client.errorCode({ op: 'join', room: 'r' })).toBe('bad_request');
      await server.listen(port);
      closers.push(() => server.close());
      await expect.poll(async () => (await client.ask(connect)).ok, { timeout: 8_000, interval: 200 }).toBeDefined();
      await client.ok({ op: 'join', room: 'r' });
      // Keys that are here stay in use, for refreshes too.
      server.answer = serve('broken', 500);
      await client.ok({ op: 'refresh', token: connect.token });
      // Of one that is not here nothing can be said, but that it was not there a moment ago.
      expect(await client.errorCode({ op: 'refresh', token: es256(claimsOf('ann'), 'new') })).toBe('unauthorized');
      await client.ok({ op: 'ping' });
    },
  );

  test('a flood of unknown keys makes few fetches, and costs those with good ones nothing', async () => {
    const server = await keyServer();
    const gateway = await start(env(server.url, { TIDEGATE_JWKS_COOLDOWN_MS: '500' }));
    const begunMs = performance.now();
    const flood = Array.from({ length: 150 }, async (_, i) => {
      const client = await (i % 2 === 0 ? openTcp : openWs)(gateway);
      client.send({ op: 'connect', id: 1, token: es256(claimsOf('eve'), `kid-${i}`) });
      const said = await client.until('an answer', () => client.heard.find(({ id }) => id === 1));
      expect(said.error).toMatchObject({ code: 'unauthorized' });
    });
    const good = Array.from({ length: 20 }, async (_, i) => {
      const client = await openTcp(gateway);
      await client.ok({ op: 'connect', token: es256(claimsOf(`good-${i}`)) });
    });
    await Promise.all([...flood, ...good]);
    const fetchesMax = 2 + (performance.now() - begunMs) / 500;
    expect(server.requests).toBeGreaterThan(0);
    expect(server.requests).toBeLessThanOrEqual(fetchesMax);
    // One session that refreshes with ever new kids, while fetches fail: once a second.
    server.answer = serve('broken', 500);
    const client = await openTcp(gateway);
    await client.ok({ op: 'connect', token: es256(claimsOf('eve')) });
    const [requests, sinceMs] = [server.requests, performance.now()];
    for (let i = 0; i < 100; i += 1) {
      const code = await client.errorCode({ op: 'refresh', token: es256(claimsOf('eve'), `more-${i}`) });
      expect(['unauthorized', 'unavailable']).toContain(code);
    }
    expect(server.requests - requests).toBeLessThanOrEqual(2 + (performance.now() - sinceMs) / 1_000);
    await client.ok({ op: 'ping' });
  });
});

describe('anonymous access', () => {
  test('grants what the configuration says', async () => {
    const gateway = await start({
      TIDEGATE_ANONYMOUS_JOIN: 'public/*, own/{user}',
      TIDEGATE_ANONYMOUS_PUBLISH: 'public/chat',
      TIDEGATE_ANONYMOUS_PRESENCE: 'none',
    });
    for (const open of [openTcp, openWs]) {
      const client = await open(gateway);
      await client.connect('ann');
      for (const room of ['public/chat', 'own/ann', '@user/ann']) await client.ok({ op: 'join', room });
      for (const room of ['public/a/b', 'own/bob', 'private', '@user/bob']) {
        expect([room, await client.errorCode({ op: 'join', room })]).toEqual([room, 'forbidden']);
        expect([room, await client.errorCode({ op: 'history', room, limit: 1 })]).toEqual([room, 'forbidden']);
      }
      await client.ok(publish('public/chat'));
      for (const room of ['public/other', '@user/ann', '@user/bob']) {
        expect([room, await client.errorCode(publish(room))]).toEqual([room, 'forbidden']);
      }
      expect(await client.errorCode({ op: 'presence', room: 'public/chat' })).toBe('forbidden');
      expect(await client.errorCode({ op: 'presence', user: 'bob' })).toBe('forbidden');
      expect(await client.errorCode({ op: 'watch', users: ['bob'] })).toBe('forbidden');
      await client.ok({ op: 'presence', user: 'ann' });
      client.close();
    }
  });

  test("ignores tokens, makes guests, and keeps others' own rooms closed", async () => {
    const gateway = await start({});
    const client = await openWs(gateway);
    const reply = await client.ok({ op: 'connect', token: 'not.a.token' });
    expect(reply.user).toMatch(/^guest-/);
    expect(reply).not.toHaveProperty('expiresAtMs');
    const other = await openTcp(gateway);
    expect(await other.ok({ op: 'connect', user: 'bob', token: hs256(good('ann')) })).toMatchObject({ user: 'bob' });
    expect(await other.errorCode({ op: 'join', room: '@user/ann' })).toBe('forbidden');
    await other.ok(publish('@user/ann'));
    expect(await other.errorCode({ op: 'refresh', token: hs256(good('bob')) })).toBe('bad_request');
    await other.ok({ op: 'ping' });
  });
});

test('a key that nobody asks for is warned of', async () => {
  const gateway = await start({ TIDEGATE_JWT_SECRET: SECRET, TIDEGATE_JWKS_URL: 'https://id.test/PRIVATE' });
  const warned = gateway.logs.filter(({ msg }) => String(msg).includes('without effect')).map(({ name }) => name);
  expect(warned).toEqual(expect.arrayContaining(['TIDEGATE_JWT_SECRET', 'TIDEGATE_JWKS_URL']));
});

describe('a start is refused in words', () => {
  const PUBLIC = { TIDEGATE_HOST: '0.0.0.0' };

  test.each<[string, Record<string, string>, RegExp]>([
    ['jwt without a key', { TIDEGATE_AUTH: 'jwt' }, /TIDEGATE_JWT_SECRET or TIDEGATE_JWKS_URL/],
    ['both keys', { ...JWT_ENV, TIDEGATE_JWKS_URL: 'https://id.test/PRIVATE' }, /either TIDEGATE_JWT_SECRET or/],
    ['a key set that is no URL', { TIDEGATE_AUTH: 'jwt', TIDEGATE_JWKS_URL: 'PRIVATE' }, /http or https URL/],
    ['a password in its URL', { TIDEGATE_AUTH: 'jwt', TIDEGATE_JWKS_URL: 'https://u:PRIVATE@id.test' }, /password/],
    [
      'a short secret in public',
      { ...PUBLIC, TIDEGATE_AUTH: 'jwt', TIDEGATE_JWT_SECRET: 'PRIVATE' },
      /TIDEGATE_JWT_SECRET.*at least 32 bytes/,
    ],
    ['anonymous access in public', PUBLIC, /TIDEGATE_PUBLIC_ANONYMOUS=true/],
    ['anonymous access in public, IPv6', { TIDEGATE_HOST: '::' }, /TIDEGATE_PUBLIC_ANONYMOUS=true/],
    ['a name that only looks like loopback', { TIDEGATE_HOST: '127.example.test' }, /TIDEGATE_PUBLIC_ANONYMOUS=true/],
    ['another kind of access', { TIDEGATE_AUTH: 'token' }, /expected anonymous, jwt/],
    ['a pattern that is none', { TIDEGATE_ANONYMOUS_JOIN: 'a,,b' }, /TIDEGATE_ANONYMOUS_JOIN.*patterns/],
  ])('%s', async (_, env, message) => {
    const directory = await temporaryDirectory();
    closers.push(() => directory.remove());
    const ports = { TIDEGATE_HTTP_PORT: '0', TIDEGATE_TCP_PORT: '0', TIDEGATE_INTERNAL_PORT: '0' };
    const { code, stdout, stderr } = await runTidegate([], { ...ports, TIDEGATE_DATA_DIR: directory.path, ...env });
    expect(code).toBe(1);
    expect(stderr).toMatch(message);
    expect(stderr).not.toMatch(/\n\s+at /);
    expect(stdout + stderr).not.toContain('PRIVATE');
  });
});
