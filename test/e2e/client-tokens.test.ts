import { describe, expect, test } from 'vitest';
import type { Client, ClientOptions } from '../../src/client/client.ts';
import { mintToken } from '../../src/identity/development-token.ts';
import { runTidegate } from './gateway-process.ts';
import { dataOf, failure, hasty, heard, PATIENCE, SdkStage, statesOf } from './sdk-stage.ts';

const SECRET = 'a shared secret of 32 bytes or more';
/** A test has the time to see such a token expire. */
const SHORT_MS = 6_000;
const LONG_MS = 3_600_000;
/** So far the clock of clients is ahead: they refresh such a token long before the gateway finds it expired. */
const AHEAD_MS = 4_000;

/** A gateway that asks for tokens, and an issuer of them. */
class TokenStage {
  readonly stage: SdkStage;
  /** What the issuer grants, and for how long, from now on; an error: it is down. */
  policy: { join: readonly string[]; ttlMs: number } | Error = { join: ['**'], ttlMs: LONG_MS };
  /** Tokens issued so far, and when they expire, in milliseconds since 1970. */
  readonly issued: { readonly token: string; readonly expiresAtMs: number }[] = [];
  /** How often somebody asked for one. */
  askedCount = 0;

  private constructor(stage: SdkStage) {
    this.stage = stage;
  }

  static async forTest(): Promise<TokenStage> {
    const env = { TIDEGATE_AUTH: 'jwt', TIDEGATE_JWT_SECRET: SECRET, TIDEGATE_JWT_LEEWAY_MS: '0' };
    return new TokenStage(await SdkStage.forTest(env));
  }

  readonly issue = async (): Promise<string> => {
    this.askedCount += 1;
    if (this.policy instanceof Error) throw this.policy;
    const { join, ttlMs } = this.policy;
    const grants = { join, publish: ['**'], presence: ['**'] };
    const token = await mintToken({ secret: SECRET, user: 'ann', ttlMs, issuer: null, audience: null, ...grants });
    const { exp } = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString()) as { exp: number };
    this.issued.push({ token, expiresAtMs: exp * 1_000 });
    return token;
  };

  client(options: Partial<ClientOptions> = {}): Client {
    const environment = { ...hasty, wallMs: () => Date.now() + AHEAD_MS };
    return this.stage.client({ token: this.issue, environment, ...options });
  }
}

/** Resolves when that moment has passed by the clock of this machine. */
async function passed(ms: number | undefined): Promise<void> {
  await expect.poll(() => Date.now(), PATIENCE).toBeGreaterThan(ms ?? Number.POSITIVE_INFINITY);
}

describe('a token', { timeout: 60_000 }, () => {
  test('is asked for before each connect, and says who the user is', async () => {
    const tokens = await TokenStage.forTest();
    const client = tokens.client();
    expect(await client.connect()).toMatchObject({ user: 'ann' });
    expect(tokens.askedCount).toBe(1);
    await tokens.stage.cut(client);
    expect(tokens.askedCount).toBe(2);
    expect(client.session).toMatchObject({ user: 'ann' });
  });

  test('may be a text, as the command line makes it', async () => {
    const tokens = await TokenStage.forTest();
    const minted = await runTidegate(['token', '--user', 'bob'], { TIDEGATE_JWT_SECRET: SECRET });
    const client = tokens.client({ token: minted.stdout.trim() });
    expect(await client.connect()).toMatchObject({ user: 'bob' });
    await tokens.stage.cut(client);
    expect(client.session).toMatchObject({ user: 'bob' });
  });

  test('is refreshed before it expires, and nobody sees anything of it', async () => {
    const tokens = await TokenStage.forTest();
    tokens.policy = { join: ['**'], ttlMs: SHORT_MS };
    const client = tokens.client();
    const [states, errors] = [statesOf(client), heard(client, 'error')];
    const { session } = await client.connect();
    const room = client.room('r');
    const messages = heard(room, 'message');
    await room.join();
    await passed(tokens.issued[0]?.expiresAtMs);
    expect(tokens.issued.length).toBeGreaterThan(2);
    await room.publish('still here');
    await expect.poll(() => dataOf(messages), PATIENCE).toEqual(['still here']);
    expect([client.session?.session, states, errors]).toEqual([session, ['connecting', 'online'], []]);
  });

  test('that expired while the network was away is replaced by a fresh one', async () => {
    const tokens = await TokenStage.forTest();
    tokens.policy = { join: ['**'], ttlMs: SHORT_MS };
    const client = tokens.client();
    await client.connect();
    await client.room('r').join();
    await tokens.stage.goAway(client);
    await passed(tokens.issued[0]?.expiresAtMs);
    tokens.policy = { join: ['**'], ttlMs: LONG_MS };
    tokens.stage.comeBack();
    await expect.poll(() => client.state.name, PATIENCE).toBe('online');
    await expect.poll(() => client.room('r').state, PATIENCE).toBe('live');
  });

  test('that is a text and expires ends in closed: there is no other', async () => {
    const tokens = await TokenStage.forTest();
    tokens.policy = { join: ['**'], ttlMs: SHORT_MS };
    const client = tokens.client({ token: await tokens.issue() });
    const states = heard(client, 'state');
    await client.connect();
    await expect.poll(() => client.state, PATIENCE).toEqual({ name: 'closed', reason: 'invalid_token', code: 3500 });
    // First the session's end, of which the gateway says that it may be tried again.
    expect(states.find(({ name }) => name === 'waiting')).toMatchObject({ reason: 'token_expired' });
  });

  test.each([
    ['none', undefined],
    ['no token at all', 'no token at all'],
    ['one that another issuer signed', 'foreign'],
  ])('that is refused closes the client: %s', async (_, given) => {
    const tokens = await TokenStage.forTest();
    const grants = { join: ['**'], publish: ['**'], presence: ['**'], issuer: null, audience: null };
    const token =
      given === 'foreign'
        ? await mintToken({ secret: 'another secret of 32 bytes or more', user: 'ann', ttlMs: LONG_MS, ...grants })
        : given;
    const client = tokens.stage.client(token === undefined ? {} : { token: () => token });
    expect(await failure(client.connect())).toMatchObject({ code: 'closed' });
    expect(client.state).toEqual({ name: 'closed', reason: 'invalid_token', code: 3500 });
    expect(await failure(client.room('r').publish(1))).toMatchObject({ code: 'closed' });
  });

  test('that cannot be had is waited for, and an error tells why', async () => {
    const tokens = await TokenStage.forTest();
    tokens.policy = new Error('the issuer is down');
    const client = tokens.client();
    const errors = heard(client, 'error');
    const connecting = client.connect();
    await expect.poll(() => client.state.name, PATIENCE).toBe('waiting');
    expect(client.state).toMatchObject({ reason: expect.stringContaining('the issuer is down') });
    await expect.poll(() => errors.length, PATIENCE).toBeGreaterThanOrEqual(2);
    expect(errors[0]).toMatchObject({ code: 'token_failed', message: 'token_failed: the issuer is down' });
    tokens.policy = { join: ['**'], ttlMs: LONG_MS };
    expect(await connecting).toMatchObject({ user: 'ann' });
  });

  test('that cannot be had in the midst of a session is asked for again, in time', async () => {
    const tokens = await TokenStage.forTest();
    tokens.policy = { join: ['**'], ttlMs: SHORT_MS };
    const client = tokens.client();
    const [states, errors] = [statesOf(client), heard(client, 'error')];
    await client.connect();
    tokens.policy = new Error('the issuer is down');
    await expect.poll(() => errors.length, PATIENCE).toBe(1);
    tokens.policy = { join: ['**'], ttlMs: LONG_MS };
    // Sooner or later: also after a loss, which would be seen.
    await expect.poll(() => tokens.issued.length, PATIENCE).toBe(2);
    await client.ping();
    expect([states, errors.map(({ code }) => code)]).toEqual([['connecting', 'online'], ['token_failed']]);
  });

  test('that grants less takes the client out of a room', async () => {
    const tokens = await TokenStage.forTest();
    tokens.policy = { join: ['**'], ttlMs: SHORT_MS };
    const client = tokens.client();
    const states = statesOf(client);
    await client.connect();
    const [kept, lost] = [client.room('kept'), client.room('lost')];
    const lefts = [kept, lost].map((room) => heard(room, 'left'));
    const messages = heard(kept, 'message');
    await Promise.all([kept.join(), lost.join()]);
    const reading = failure(lost[Symbol.asyncIterator]().next());
    tokens.policy = { join: ['kept'], ttlMs: LONG_MS };
    await expect.poll(() => lefts[1], PATIENCE).toEqual([{ code: 'forbidden', message: expect.any(String) }]);
    expect(await reading).toMatchObject({ code: 'left' });
    expect([lost.state, [...client.rooms.keys()]]).toEqual(['idle', ['kept']]);
    await kept.publish('still here');
    await expect.poll(() => dataOf(messages), PATIENCE).toEqual(['still here']);
    expect([lefts[0], states]).toEqual([[], ['connecting', 'online']]);
    expect(await failure(client.room('lost').join())).toMatchObject({ code: 'forbidden' });
    // And the next session has no room that it may not join.
    await tokens.stage.cut(client);
    expect([...client.rooms.keys()]).toEqual(['kept']);
  });
});
