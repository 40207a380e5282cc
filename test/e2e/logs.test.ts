import { expect, test } from 'vitest';
import { hmac, nowSeconds, sign } from '../unit/identity/signing.ts';
import { ApiClient } from './api-client.ts';
import { Stage } from './stage.ts';

const SECRET = 'PRIVATE-SECRET of more than 32 bytes, for tokens';
const API_KEY = 'PRIVATE-API-KEY';
const CONTENT = 'PRIVATE-CONTENT';

function token(user: string, expiresSeconds = 60): string {
  const tidegate = { join: ['**'], publish: ['**'], presence: ['**'] };
  return sign(
    { alg: 'HS256' },
    { sub: user, exp: nowSeconds() + expiresSeconds, tidegate, note: CONTENT },
    hmac(SECRET),
  );
}

/** Uses all that is secret, in right ways and wrong ones. Returns the tokens. */
async function misbehave(stage: Stage): Promise<string[]> {
  const [good, expired, forged] = [
    token('ann'),
    token('ann', -3_600),
    sign({ alg: 'HS256' }, { sub: 'ann', exp: nowSeconds() + 60 }, hmac('another secret')),
  ];
  for (const transport of ['tcp', 'ws'] as const) {
    for (const wrong of [expired, forged, `${good}x`]) {
      const client = await stage[transport]();
      expect(await client.errorCode({ op: 'connect', token: wrong })).toBe('unauthorized');
      await client.untilClosed();
    }
    const client = await stage.client('ann', { token: good, device: `d-${transport}` }, transport);
    await client.ok({ op: 'join', room: 'r', presence: 'full' });
    await client.ok({ op: 'publish', room: 'r', mid: transport, data: { text: CONTENT } });
    await client.ok({ op: 'signal', room: 'r', data: CONTENT });
    await client.ok({ op: 'status', status: 'away', text: CONTENT });
    expect(await client.errorCode({ op: 'publish', room: 'r', mid: transport, data: `${CONTENT} 2` })).toBe(
      'mid_conflict',
    );
    expect(await client.errorCode({ op: 'publish', room: 'r', mid: 'm', data: CONTENT, odd: CONTENT })).toBe(
      'bad_request',
    );
    expect(await client.errorCode({ op: 'refresh', token: forged })).toBe('unauthorized');
    client.sendRaw(`${CONTENT} {"token":"${good}"\n`);
    await client.until('a refusal', () => client.heard.find(({ id }) => id === null));
  }
  const api = new ApiClient(stage.gateway.ports.internal, { 'content-type': 'application/json' });
  for (const key of [API_KEY, 'PRIVATE-WRONG-KEY']) {
    const caller = api.with({ authorization: `Bearer ${key}`, 'content-type': 'application/json' });
    await caller.post('/api/v1/rooms/r/publish', { from: 'bot', data: CONTENT });
    await caller.post('/api/v1/rooms/r/publish', `{"from":"bot","data":"${CONTENT}"`);
    await caller.get(`/api/v1/nothing/${CONTENT}`);
  }
  return [good, expired, forged];
}

const ENV = { TIDEGATE_AUTH: 'jwt', TIDEGATE_JWT_SECRET: SECRET, TIDEGATE_API_KEYS: API_KEY };

test('no secret and no content is in the log, whatever its level', async () => {
  const stage = await Stage.open({ ...ENV, TIDEGATE_LOG_LEVEL: 'trace' });
  try {
    const tokens = await misbehave(stage);
    expect(await stage.gateway.stop()).toBe(0);
    const text = JSON.stringify(stage.gateway.logs);
    expect(text).not.toContain('PRIVATE');
    for (const part of tokens.flatMap((token) => token.split('.').slice(1))) expect(text).not.toContain(part);
    // There was something to look through.
    const messages = stage.gateway.logs.map(({ msg }) => msg);
    expect(messages).toEqual(expect.arrayContaining(['ready', 'session connected', 'session ended', 'drained']));
    const ended = stage.gateway.logs.filter(({ msg }) => msg === 'session ended');
    expect(ended.map(({ reason, transport }) => `${transport} ${reason}`).sort()).toEqual([
      ...['ndjson drain', 'ndjson invalid_token', 'ndjson invalid_token', 'ndjson invalid_token'],
      ...['websocket drain', 'websocket invalid_token', 'websocket invalid_token', 'websocket invalid_token'],
    ]);
    for (const line of ended) {
      expect(Object.keys(line).sort()).toEqual([
        'level',
        'msg',
        'node',
        'pid',
        'reason',
        'session',
        'time',
        'transport',
      ]);
    }
  } finally {
    await stage.close();
  }
});

test('what clients do wrong is not worth a line', async () => {
  const stage = await Stage.open(ENV);
  try {
    await misbehave(stage);
    const client = await stage.client('ann', { token: token('ann') });
    for (let i = 0; i < 300; i += 1) client.sendRaw(`{"op":"leave","id":${i},"room":"none"}\n`);
    await client.until('300 answers', () => client.heard.length >= 300);
    expect(await stage.gateway.stop()).toBe(0);
    const [engine, ...others] = stage.gateway.logs.map(({ msg }) => msg);
    expect(engine).toMatch(/^WebSockets are served by /);
    expect(others).toEqual(['ready', 'draining', 'drained']);
  } finally {
    await stage.close();
  }
});
