import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { REFUSALS } from '../../src/limits/session-limits.ts';
import { BOUNDS } from '../../src/protocol/bounds.ts';
import { type Client, type Said, TcpClient, WsClient } from './clients.ts';
import { ENGINE, type GatewayProcess, startGateway, temporaryDirectory } from './gateway-process.ts';

let directory: Awaited<ReturnType<typeof temporaryDirectory>>;
let gateway: GatewayProcess;
const clients: Client[] = [];

beforeEach(async () => {
  directory = await temporaryDirectory();
});

afterEach(async () => {
  for (const client of clients.splice(0)) client.close();
  await gateway.stop('SIGKILL');
  await directory.remove();
  expect(gateway.logs.filter(({ level }) => (level as number) >= 50)).toEqual([]);
});

const UNLIMITED = {
  TIDEGATE_LIMIT_COMMANDS: '0',
  TIDEGATE_LIMIT_PUBLISHES: '0',
  TIDEGATE_LIMIT_SIGNALS: '0',
  TIDEGATE_LIMIT_BYTES: '0',
};

/** Starts a gateway with no limits but these. */
async function start(env: Readonly<Record<string, string>> = {}): Promise<void> {
  gateway = await startGateway(directory.path, { env: { ...UNLIMITED, ...env } });
}

async function openTcp(localAddress?: string): Promise<TcpClient> {
  const client = await TcpClient.open(gateway.ports.tcp, '127.0.0.1', localAddress);
  clients.push(client);
  return client;
}

async function openWs(localAddress?: string): Promise<WsClient> {
  const client = await WsClient.open(gateway.ports.http, localAddress === undefined ? {} : { localAddress });
  clients.push(client);
  return client;
}

/** TCP is the same whichever library serves WebSockets: once is enough. */
const TRANSPORTS = (
  [
    ['tcp', openTcp],
    ['websocket', openWs],
  ] as const
).filter(([name]) => ENGINE === 'uws' || name !== 'tcp');

interface Refused {
  readonly code: string;
  readonly message: string;
  readonly retryAfterMs?: number;
}

const errorOf = (said: Said) => said.error as Refused | undefined;

/** Sends commands in one go and resolves with their replies by id, which are their places. */
async function askAll(client: Client, commands: readonly object[]): Promise<Said[]> {
  const before = client.heard.length;
  client.sendRaw(`${commands.map((command, id) => JSON.stringify({ id, ...command })).join('\n')}\n`);
  const replies = () => client.heard.slice(before).filter(({ id }) => id !== undefined);
  await client.until('a reply to each', () => replies().length >= commands.length);
  return replies().sort((a, b) => (a.id as number) - (b.id as number));
}

/** Waits until that time has passed for whoever said so: timers may be early by a little. */
async function passed(ms: number): Promise<void> {
  const endMs = performance.now() + ms;
  while (performance.now() < endMs) await delay(endMs - performance.now());
}

describe('limits in the reply of connect', () => {
  test('are those of the configuration', async () => {
    await start({
      TIDEGATE_LIMIT_COMMANDS: '11:12',
      TIDEGATE_LIMIT_PUBLISHES: '13:14',
      TIDEGATE_LIMIT_SIGNALS: '15:16',
      TIDEGATE_LIMIT_BYTES: '1700:1800',
    });
    const { limits } = await (await openWs()).connect('ann');
    expect(limits).toMatchObject({
      commands: { perSecond: 11, burst: 12 },
      publishes: { perSecond: 13, burst: 14 },
      signals: { perSecond: 15, burst: 16 },
      bytes: { perSecond: 1700, burst: 1800 },
    });
  });

  test('are null where there are none, and none hold then', async () => {
    await start();
    const client = await openTcp();
    const { limits } = await client.connect('ann');
    expect(limits).toMatchObject({ commands: null, publishes: null, signals: null, bytes: null });
    await client.ok({ op: 'join', room: 'r' });
    const commands = [
      ...Array.from({ length: 300 }, (_, i) => ({ op: 'publish', room: 'r', mid: `m${i}`, data: 'x'.repeat(8_000) })),
      ...Array.from({ length: 1_000 }, () => ({ op: 'signal', room: 'r', data: 1 })),
    ];
    expect((await askAll(client, commands)).filter(({ ok }) => ok === undefined)).toEqual([]);
  });
});

describe.each(TRANSPORTS)('over %s', (_, open) => {
  test.each([
    ['commands', 9, (_i: number): object => ({ op: 'ping' })],
    ['publishes', 10, (i: number): object => ({ op: 'publish', room: 'r', mid: `m${i}`, data: i })],
    ['signals', 10, (_i: number): object => ({ op: 'signal', room: 'r', data: 'typing' })],
  ])('a burst of %s passes, then each waits its time and loses nothing', async (what, burst, make) => {
    const perSecond = 2;
    await start({ [`TIDEGATE_LIMIT_${what.toUpperCase()}`]: `${perSecond}:10` });
    const reader = await openTcp();
    await reader.connect('reader');
    await reader.ok({ op: 'join', room: 'r' });
    const client = await open();
    const begunMs = performance.now();
    await client.connect('ann');
    if (what !== 'commands') await client.ok({ op: 'join', room: 'r' });
    const replies = await askAll(
      client,
      Array.from({ length: 14 }, (_, i) => make(i)),
    );
    const refused = replies.filter(({ ok }) => ok === undefined);
    const madeMax = Math.ceil(((performance.now() - begunMs) / 1_000) * perSecond);
    expect(replies.length - refused.length).toBeGreaterThanOrEqual(burst);
    expect(replies.length - refused.length).toBeLessThanOrEqual(burst + madeMax);
    expect(refused.length).toBeGreaterThan(0);
    // The first ones passed, not any.
    expect(replies.slice(0, burst).every(({ ok }) => ok !== undefined)).toBe(true);
    const first = refused[0] as Said;
    for (const said of refused) {
      expect(said.error).toEqual({
        code: 'rate_limited',
        message: expect.stringContaining(what),
        retryAfterMs: expect.any(Number),
      });
      expect(errorOf(said)?.retryAfterMs).toBeLessThanOrEqual(1_000 / perSecond);
      expect(errorOf(said)?.retryAfterMs).toBeGreaterThan(0);
    }
    const last = refused.at(-1) as Said;
    await passed(errorOf(last)?.retryAfterMs ?? 0);
    expect(await client.ok(make(first.id as number))).toBeDefined();
    // Once more: each time just what was said.
    for (let i = 0; i < 2; i += 1) {
      const again = errorOf(await client.ask(make(last.id as number)));
      if (again === undefined) continue;
      await passed(again.retryAfterMs ?? 0);
      expect(await client.ok(make(last.id as number))).toBeDefined();
    }
    if (what === 'publishes') {
      await reader.until('the retried one', () => reader.messages('r').find(({ mid }) => mid === `m${last.id}`));
      const mids = reader.messages('r').map(({ mid }) => mid);
      expect(new Set(mids).size).toBe(mids.length);
    }
    // Others have buckets of their own.
    const other = await open();
    await other.connect('ann');
    await other.ok({ op: 'ping' });
  });

  test('bytes are counted as sent, and one line above the burst is let through, in debt', async () => {
    await start({ TIDEGATE_LIMIT_BYTES: '2000:1000' });
    const client = await open();
    await client.connect('ann');
    // Full again.
    await passed(500);
    const big = { op: 'publish', room: 'r', mid: 'big', data: 'x'.repeat(2_000) };
    const bytes = JSON.stringify({ id: 0, ...big }).length + 1;
    const [sent, refused] = await askAll(client, [big, { op: 'ping' }]);
    expect(sent).toHaveProperty('ok');
    expect(refused?.error).toMatchObject({ code: 'rate_limited', message: expect.stringContaining('bytes') });
    const waitMs = errorOf(refused as Said)?.retryAfterMs ?? 0;
    // The debt is what was sent beyond the burst; a ping of some 20 bytes more must fit.
    expect(waitMs).toBeGreaterThan((bytes - 1_000) / 2 - 300);
    expect(waitMs).toBeLessThan((bytes - 1_000) / 2 + 30);
    await passed(waitMs);
    expect(await askAll(client, [{ op: 'ping' }])).toMatchObject([{ ok: {} }]);
  });

  test('publishes behind one that was limited fail with it, and keep their order through retries', async () => {
    await start({ TIDEGATE_LIMIT_PUBLISHES: '20:3' });
    const client = await open();
    await client.connect('ann');
    const count = 12;
    const line = (i: number, isFirst: boolean) => ({
      op: 'publish',
      room: 'r',
      mid: `m${i}`,
      data: i,
      ...(!isFirst && { after: `m${i - 1}` }),
    });
    let refused = 0;
    for (let next = 0, rounds = 0; next < count; rounds += 1) {
      expect(rounds).toBeLessThan(count);
      const from = next;
      const replies = await askAll(
        client,
        Array.from({ length: count - from }, (_, i) => line(from + i, i === 0)),
      );
      const failed = replies.findIndex(({ ok }) => ok === undefined);
      if (failed === -1) break;
      next = from + failed;
      const codes = replies.slice(failed).map((said) => errorOf(said)?.code ?? 'ok');
      expect(codes[0]).toBe('rate_limited');
      // Not one of them slips in before it.
      for (const code of codes) expect(['rate_limited', 'overloaded']).toContain(code);
      refused += 1;
      await passed(errorOf(replies[failed] as Said)?.retryAfterMs ?? 0);
    }
    expect(refused).toBeGreaterThan(1);
    const { messages } = await client.ok({ op: 'history', room: 'r', limit: 100 });
    expect((messages as { mid: string }[]).map(({ mid }) => mid)).toEqual(
      Array.from({ length: count }, (_, i) => `m${i}`),
    );
  });

  test('a publish behind one that was limited is not appended, though there is room for it again', async () => {
    await start({ TIDEGATE_LIMIT_PUBLISHES: '5:2' });
    const client = await open();
    await client.connect('ann');
    const line = (i: number) => ({ op: 'publish', room: 'r', mid: `m${i}`, data: i, after: `m${i - 1}` });
    const replies = await askAll(client, [line(0), line(1), line(2)]);
    expect(replies.map((said) => errorOf(said)?.code)).toEqual([undefined, undefined, 'rate_limited']);
    await passed(500);
    expect(await client.ask(line(3))).toMatchObject({
      error: { code: 'overloaded', retryAfterMs: expect.any(Number) },
    });
    await passed(500);
    expect(await askAll(client, [line(2), line(3)])).toMatchObject([{ ok: {} }, { ok: {} }]);
    const { messages } = await client.ok({ op: 'history', room: 'r', limit: 100 });
    expect((messages as { mid: string }[]).map(({ mid }) => mid)).toEqual(['m0', 'm1', 'm2', 'm3']);
  });

  test('who floods is read no faster than it may be refused, and is answered everything once, in order', async () => {
    const limit = { perSecond: 10, burst: 20 };
    await start({ TIDEGATE_LIMIT_COMMANDS: `${limit.perSecond}:${limit.burst}` });
    const neighbour = await open();
    await neighbour.connect('neighbour');
    const client = await open();
    await client.connect('flood');
    const before = client.heard.length;
    const count = 600;
    const begunMs = performance.now();
    // Not all in one: so the client's own socket is blocked, not only the gateway's buffers full.
    for (let id = 0; id < count; id += 1) client.send({ op: 'ping', id });
    const answers = () => client.heard.length - before;
    const answeredMax = (ms: number) =>
      REFUSALS.burst + limit.burst + ((REFUSALS.perSecond + limit.perSecond) * ms) / 1_000;
    for (;;) {
      await delay(50);
      const done = answers();
      // What was answered before now was answered by now.
      expect(done).toBeLessThanOrEqual(answeredMax(performance.now() - begunMs));
      if (done >= count) break;
      expect(performance.now() - begunMs).toBeLessThan(15_000);
    }
    expect(performance.now() - begunMs).toBeGreaterThan(
      ((count - REFUSALS.burst - limit.burst) / (REFUSALS.perSecond + limit.perSecond)) * 1_000 - 1,
    );
    const replies = client.heard.slice(before);
    expect(replies.map(({ id }) => id)).toEqual(Array.from({ length: count }, (_, i) => i));
    const refused = replies.filter(({ error }) => error !== undefined);
    expect(refused.length).toBeGreaterThan(count / 2);
    expect(new Set(refused.map((said) => errorOf(said)?.code))).toEqual(new Set(['rate_limited']));
    await neighbour.ok({ op: 'ping' });
    // The flood over, everything is as it was.
    await passed(1_000 / limit.perSecond);
    await client.ok({ op: 'ping' });
  });

  test('a flood that is held back is not charged again each time that it is looked at', async () => {
    const lines = Array.from({ length: 400 }, (_, id) => `{"op":"ping","id":${id}}${' '.repeat(22)}\n`);
    // All of them fit, once.
    const bytes = lines.join('').length + 100;
    await start({ TIDEGATE_LIMIT_COMMANDS: '10:20', TIDEGATE_LIMIT_BYTES: `1:${bytes}` });
    const client = await open();
    await client.connect('flood');
    const before = client.heard.length;
    for (const line of lines) client.sendRaw(line);
    await client.until('every answer', () => client.heard.length - before === lines.length);
    const messages = client.heard.slice(before).map((said) => errorOf(said)?.message);
    expect(messages.filter((message) => message?.includes('bytes')).length).toBe(0);
    expect(new Set(messages)).toEqual(new Set([undefined, 'too many commands']));
  });

  test.each([
    ['empty lines', (count: number) => '\n'.repeat(count)],
    ['pongs', (count: number) => '{"op":"pong"}\n'.repeat(count)],
  ])('a flood of %s is held back like any other', async (_name, make) => {
    await start({ TIDEGATE_LIMIT_COMMANDS: '10:20' });
    const client = await open();
    await client.connect('flood');
    const begunMs = performance.now();
    client.sendRaw(make(500));
    client.send({ op: 'ping', id: 1 });
    const said = await client.until('the answer', () => client.heard.find(({ id }) => id === 1));
    // 500 lines, of which so many cost no time, and the others at most so many a second.
    const leastMs = ((500 - 20 - REFUSALS.burst) / (10 + REFUSALS.perSecond)) * 1_000;
    expect(performance.now() - begunMs).toBeGreaterThan(leastMs);
    expect(said.error ?? said.ok).toBeDefined();
    expect(client.heard.filter(({ id }) => id === null)).toEqual([]);
    expect(client.closed).toBeNull();
  });

  test.each([
    ['within the limit', '0'],
    ['beyond it', '1:2'],
  ])('ten lines of garbage end a session, %s', async (_name, commands) => {
    await start({ TIDEGATE_LIMIT_COMMANDS: commands });
    const client = await open();
    await client.connect('flood');
    client.sendRaw('{nonsense\n'.repeat(1_000));
    expect(await client.disconnected()).toMatchObject({ code: 3501, reason: 'protocol_error', reconnect: null });
    expect(client.heard.filter(({ id }) => id === null)).toHaveLength(10);
  });

  test('a goodbye is never refused', async () => {
    await start({ TIDEGATE_LIMIT_COMMANDS: '1:3', TIDEGATE_GRACE_MS: '60000' });
    const witness = await open();
    await witness.connect('witness');
    await witness.ok({ op: 'join', room: 'r', presence: 'full' });
    const client = await open();
    await client.connect('ann');
    await client.ok({ op: 'join', room: 'r' });
    await witness.push(
      'the join',
      ({ push, joined }) => push === 'presence' && JSON.stringify(joined ?? []).includes('ann'),
    );
    client.sendRaw('{"op":"ping","id":1}\n{"op":"ping","id":2}\n{"op":"quit","id":3}\n');
    await client.untilClosed();
    expect(errorOf(client.heard.find(({ id }) => id === 2) ?? {})?.code).toBe('rate_limited');
    expect(client.heard.find(({ id }) => id === 3)).toBeUndefined();
    await witness.push(
      'the leave',
      ({ push, left }) => push === 'presence' && JSON.stringify(left ?? []).includes('ann'),
    );
  });

  test('a flood before connect is held back as well, and the timeout comes all the same', async () => {
    await start({ TIDEGATE_LIMIT_COMMANDS: '10:20', TIDEGATE_CONNECT_TIMEOUT_MS: '1000' });
    const client = await open();
    const begunMs = performance.now();
    for (let id = 0; id < 2_000; id += 1) client.send({ op: 'ping', id });
    expect(await client.disconnected()).toMatchObject({ code: 3006 });
    const ms = performance.now() - begunMs;
    expect(ms).toBeGreaterThan(900);
    expect(client.heard.length - 1).toBeLessThanOrEqual(220 + (110 * ms) / 1_000);
  });
});

test('a flood of lines in text mode: each is answered in words once, and no faster than that', async () => {
  await start({ TIDEGATE_LIMIT_COMMANDS: '10:20', TIDEGATE_LIMIT_PUBLISHES: '1:1' });
  const person = await openTcp();
  person.sendRaw('/join r\n');
  await person.until('the join', () => person.words.find((line) => line.startsWith('# joined')));
  const before = person.words.length;
  const begunMs = performance.now();
  person.sendRaw('/ping\n'.repeat(400));
  await person.until('every answer', () => person.words.length - before === 400);
  expect(performance.now() - begunMs).toBeGreaterThan(((400 - 220) / 110) * 1_000);
  const words = person.words.slice(before);
  const refused = words.filter((line) => /^! rate_limited: too many commands \(again in \d+ ms\)$/.test(line));
  expect(refused.length + words.filter((line) => line === '# pong').length).toBe(400);
  expect(refused.length).toBeGreaterThan(100);
  await passed(1_000);
  person.sendRaw('hello\nhello again\n');
  await person.until('both answers', () => person.words.length - before === 402);
  expect(person.words.slice(-2).sort()).toEqual([
    expect.stringMatching(/^! rate_limited: too many publishes \(again in \d+ ms\)$/),
    expect.stringMatching(/^\[r\] guest-\w+: hello$/),
  ]);
});

/** Resolves with a client that was let in as soon as there is room. */
async function admitted(open: () => Promise<Client>, connect: object): Promise<Client> {
  const deadline = performance.now() + 5_000;
  for (;;) {
    const client = await open();
    client.send({ op: 'connect', id: 1, ...connect });
    const said = await client.until('an answer', () => client.heard[0] ?? client.closed);
    if ('ok' in said) return client;
    if (performance.now() > deadline) throw new Error(`never let in: ${JSON.stringify(said)}`);
    await client.untilClosed();
    await delay(20);
  }
}

async function expectTooMany(client: Client, connect: object, message: RegExp): Promise<void> {
  const said = await client.ask({ op: 'connect', ...connect });
  expect(said.error).toEqual({ code: 'limit_exceeded', message: expect.stringMatching(message) });
  const end = { push: 'disconnect', code: 3505, reason: 'connection_limit', reconnect: null };
  expect(await client.disconnected()).toEqual(end);
  if (client instanceof WsClient) expect(client.closed).toEqual({ code: 3505, reason: 'connection_limit' });
}

describe.each(TRANSPORTS)('caps over %s', (_, open) => {
  test('sessions of one user; the same device takes its own place, and who leaves makes room', async () => {
    await start({ TIDEGATE_SESSIONS_PER_USER: '2' });
    const [first, second] = [await open(), await open()];
    await first.connect('ann', { device: 'one' });
    await second.connect('ann', { device: 'two' });
    await expectTooMany(await open(), { user: 'ann', device: 'three' }, /^user: 2 /);
    const again = await open();
    await again.connect('ann', { device: 'one' });
    expect(await first.disconnected()).toMatchObject({ code: 3504, reason: 'replaced', reconnect: null });
    await expectTooMany(await open(), { user: 'ann' }, /^user: 2 /);
    await (await open()).connect('bob');
    second.close();
    const third = await admitted(open, { user: 'ann', device: 'three' });
    await third.ok({ op: 'ping' });
    await again.ok({ op: 'ping' });
    await expectTooMany(await open(), { user: 'ann' }, /^user: 2 /);
  });

  test('sessions of one address; others have their own, and who leaves makes room', async () => {
    await start({ TIDEGATE_SESSIONS_PER_ADDRESS: '2' });
    const [here, there] = ['127.0.0.2', '127.0.0.3'];
    const first = await open(here);
    await first.connect('a');
    await (await open(here)).connect('b');
    await expectTooMany(await open(here), { user: 'c' }, /address: 2 /);
    await (await open(there)).connect('c');
    await (await open()).connect('d');
    first.close();
    await admitted(() => open(here), { user: 'e' });
    await expectTooMany(await open(here), { user: 'f' }, /address: 2 /);
  });

  test('who comes back from a full address with the same device takes its own place', async () => {
    await start({ TIDEGATE_SESSIONS_PER_ADDRESS: '2' });
    await (await open('127.0.0.2')).connect('other');
    const first = await open('127.0.0.2');
    await first.connect('ann', { device: 'one' });
    const again = await open('127.0.0.2');
    await again.connect('ann', { device: 'one' });
    expect(await first.disconnected()).toMatchObject({ code: 3504 });
    await again.ok({ op: 'ping' });
    await expectTooMany(await open('127.0.0.2'), { user: 'bob' }, /address: 2 /);
  });

  test('connections that never connect count against their address, up to twice the cap', async () => {
    await start({ TIDEGATE_SESSIONS_PER_ADDRESS: '2', TIDEGATE_CONNECT_TIMEOUT_MS: '60000' });
    const here = '127.0.0.2';
    // Of both ports together.
    const idle: Client[] = [await openTcp(here), await openWs(here), await open(here)];
    const last = await open(here);
    const fifth = await open(here);
    const end = { push: 'disconnect', code: 3505, reason: 'connection_limit', reconnect: null };
    expect(await fifth.disconnected()).toEqual(end);
    await (await open('127.0.0.3')).connect('elsewhere');
    await last.connect('ann');
    idle[0]?.close();
    const next = await admitted(() => open(here), { user: 'bob' });
    await next.ok({ op: 'ping' });
    expect(await (await open(here)).disconnected()).toEqual(end);
  });

  test('members of one room; who leaves, and who is gone, makes room', async () => {
    await start({ TIDEGATE_ROOM_MEMBERS_MAX: '2', TIDEGATE_GRACE_MS: '60000' });
    const [ann, bob, carl] = [await open(), await open(), await open()];
    for (const [i, client] of [ann, bob, carl].entries()) await client.connect(`user-${i}`);
    const join = { op: 'join', room: 'small' };
    await ann.ok(join);
    await bob.ok({ ...join, visible: false });
    for (const more of [{}, { history: 5 }, { presence: 'full' }]) {
      expect(await carl.errorCode({ ...join, ...more })).toBe('limit_exceeded');
    }
    expect(await carl.errorCode({ op: 'leave', room: 'small' })).toBe('not_joined');
    await carl.ok({ op: 'join', room: 'another' });
    await ann.ok({ op: 'leave', room: 'small' });
    await carl.ok(join);
    expect(await ann.errorCode(join)).toBe('limit_exceeded');
    bob.close();
    await expect.poll(async () => (await ann.ask(join)).ok).toBeDefined();
    expect(await ann.ok({ op: 'presence', room: 'small' })).toMatchObject({ count: 2 });
  });

  test('rooms of one session', async () => {
    await start();
    const client = await open();
    await client.connect('ann');
    const joins = Array.from({ length: BOUNDS.roomsMax + 2 }, (_, i) => ({ op: 'join', room: `room-${i}` }));
    const replies = await askAll(client, joins);
    expect(replies.map((said) => errorOf(said)?.code ?? 'ok')).toEqual(
      joins.map((_, i) => (i < BOUNDS.roomsMax ? 'ok' : 'limit_exceeded')),
    );
    await client.ok({ op: 'leave', room: 'room-7' });
    await client.ok({ op: 'join', room: 'one-more', presence: 'full', history: 1 });
    expect(await client.errorCode({ op: 'join', room: 'and-another' })).toBe('limit_exceeded');
  });

  test('watches of one session', async () => {
    await start();
    const client = await open();
    await client.connect('ann');
    const users = Array.from({ length: BOUNDS.watchesMax }, (_, i) => `user-${i}`);
    const watch = (watched: readonly string[]) => ({ op: 'watch', users: watched });
    // Pipelined: a second one must not slip in while the first one is read.
    const half = BOUNDS.watchesMax / 2;
    const replies = await askAll(client, [
      watch(users.slice(0, half)),
      watch(users.slice(half)),
      watch(['user-0', 'one-more']),
    ]);
    expect(replies.map((said) => errorOf(said)?.code ?? 'ok')).toEqual(['ok', 'ok', 'limit_exceeded']);
    await client.ok(watch(['user-0', 'user-0']));
    await client.ok({ op: 'unwatch', users: ['user-0', 'not-watched'] });
    await client.ok(watch(['one-more']));
    expect(await client.errorCode(watch(['user-0']))).toBe('limit_exceeded');
    // The refused one is not heard of.
    const [refused, heard] = [await open(), await open()];
    await refused.connect('user-0');
    await heard.connect('one-more');
    await client.push('the change', ({ push, user }) => push === 'presence' && user === 'one-more');
    expect(client.heard.filter(({ push, user }) => push === 'presence' && user === 'user-0')).toEqual([]);
  });
});
