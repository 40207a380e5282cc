import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { DISCONNECTS, type DisconnectReason } from '../../src/protocol/disconnects.ts';
import { type Answer, ApiClient } from './api-client.ts';
import { type Client, TcpClient, WsClient } from './clients.ts';
import { type GatewayProcess, startGateway, temporaryDirectory } from './gateway-process.ts';
import { testOfOneProcess } from './test-of-one-process.ts';

let gateway: GatewayProcess;
let directory: Awaited<ReturnType<typeof temporaryDirectory>>;
let api: ApiClient;
const clients: Client[] = [];

beforeAll(async () => {
  directory = await temporaryDirectory();
  gateway = await startGateway(directory.path);
  api = new ApiClient(gateway.ports.internal);
});

afterEach(() => {
  for (const client of clients.splice(0)) client.close();
});

afterAll(async () => {
  await gateway.stop();
  await directory.remove();
});

const transports = {
  tcp: () => TcpClient.open(gateway.ports.tcp),
  websocket: () => WsClient.open(gateway.ports.http),
} as const;

async function connected<T extends keyof typeof transports>(transport: T, user: string, more: object = {}) {
  const client = (await transports[transport]()) as Awaited<ReturnType<(typeof transports)[T]>>;
  clients.push(client);
  await client.connect(user, more);
  return client;
}

/** A room or user of this test's own. */
let names = 0;
function fresh(start: string): string {
  names += 1;
  return `${start}${names}`;
}

const publish = (room: string, body: object | string, headers: Record<string, string> = {}) =>
  api.post(`/api/v1/rooms/${encodeURIComponent(room)}/publish`, body, headers);

const history = (room: string, query: string) => api.get(`/api/v1/rooms/${encodeURIComponent(room)}/history?${query}`);

function ok({ status, json, text }: Answer): Record<string, unknown> {
  if (status !== 200) throw new Error(`answered ${status} ${text}`);
  return json;
}

/** Of a call that ends sessions or takes them out of a room. */
const removed = (sessions: number) => ({ sessions, partial: false });

/** The pieces of a page that are messages, as text. */
function messagesText(page: string): string {
  return /"messages":(\[.*\])/s.exec(page)?.[1] ?? '';
}

test.each(['tcp', 'websocket'] as const)('what is published reaches a session over %s', async (transport) => {
  const room = fresh('news');
  const ann = await connected(transport, 'ann');
  await ann.ok({ op: 'join', room });
  const sent = await publish(room, { from: 'backend', data: { text: 'hello' }, mid: 'm1' });
  expect(sent.status).toBe(200);
  expect(sent.json).toEqual({
    room,
    mid: 'm1',
    epoch: expect.any(String),
    offset: expect.any(Number),
    duplicate: false,
  });
  const heard = await ann.until('the message', () => ann.messages(room)[0]);
  expect(heard).toMatchObject({ room, from: 'backend', mid: 'm1', data: { text: 'hello' } });
  expect({ epoch: heard.epoch, offset: heard.offset }).toEqual({ epoch: sent.json.epoch, offset: sent.json.offset });
});

test('a mid is used once, by whichever road it comes', async () => {
  const room = fresh('r');
  const [ann, from, mid] = [await connected('tcp', fresh('ann')), fresh('backend'), fresh('mid')];
  await ann.ok({ op: 'join', room });
  const first = ok(await publish(room, { from, data: 1, mid }));
  expect(ok(await publish(room, { from, data: 1, mid }))).toEqual({ ...first, duplicate: true });
  expect(await api.failure(publish(room, { from, data: 2, mid }))).toMatch(/^409 mid_conflict /);
  expect(await api.failure(publish(room, `{"from":"${from}","data":1.0,"mid":"${mid}"}`))).toMatch(/^409 /);
  const backend = await connected('tcp', from);
  expect(await backend.ok({ op: 'publish', room, mid, data: 1 })).toEqual({ ...first, duplicate: true });
  expect(ann.messages(room)).toHaveLength(1);
});

test('without a mid each message gets one of its own', async () => {
  const room = fresh('r');
  const [one, two] = [await publish(room, { from: 'a', data: 1 }), await publish(room, { from: 'a', data: 1 })];
  expect([ok(one).duplicate, ok(two).duplicate]).toEqual([false, false]);
  expect(one.json.mid).toMatch(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
  expect(one.json.mid).not.toBe(two.json.mid);
});

test('data comes out byte for byte, but for line breaks between its tokens', async () => {
  const room = fresh('r');
  const texts = [
    '1.0',
    '123456789012345678901234567890',
    '-0',
    '1E400',
    '{"b":1,  "a":\t2,"b":3,"\\u0061":4}',
    '"\\u00e9é\\/ \\ud83d\\ude00😀\u2028"',
    '[ 1 , [ ] ]',
    'null',
  ];
  for (const text of texts) ok(await publish(room, `{ "data" : ${text} , "from":"a" }`));
  ok(await publish(room, '\r\n{"data": \n{\r\n  "x":\n1 }\n,\n"from":"a"\n}\n'));
  const page = (await history(room, 'limit=300')).text;
  for (const text of [...texts, '{  "x":1 }']) expect(page).toContain(`"data":${text}}`);
});

test('history has the same bytes as the one that a session gets', async () => {
  const room = fresh('team/');
  for (let i = 0; i < 5; i += 1) ok(await publish(room, `{"from":"a","mid":"\\"m${i}","data": {"n" : ${i}.0}}`));
  const ann = await TcpClient.open(gateway.ports.tcp);
  clients.push(ann);
  let raw = '';
  ann.socket.on('data', (chunk: Buffer) => {
    raw += chunk.toString();
  });
  await ann.connect('ann');
  const whole = await ann.ok({ op: 'history', room, limit: 300 });
  const [, middle] = (whole.messages as { epoch: string; offset: number }[]).slice(1);
  const at = { epoch: middle?.epoch ?? '', offset: middle?.offset ?? 0 };
  const at0 = encodeURIComponent(`${at.epoch}:${at.offset}`);
  for (const [command, query, count] of [
    [{ limit: 300 }, 'limit=300', 5],
    [{ limit: 2 }, 'limit=2', 2],
    [{ limit: 300, before: at }, `limit=300&before=${at0}`, 2],
    [{ limit: 1, before: at }, `before=${at0}&limit=1`, 1],
    [{ limit: 300, after: at }, `limit=300&after=${at0}`, 2],
    [{ limit: 1, after: at }, `limit=1&after=${at0}`, 1],
    [{ limit: 3, after: { epoch: 'a:b c', offset: -1 } }, 'limit=3&after=a:b+c:-1', 3],
  ] as const) {
    raw = '';
    const reply = await ann.ok({ op: 'history', room, ...command });
    const page = await history(room, query);
    expect(page.json).toEqual(reply);
    expect(page.json.messages).toHaveLength(count);
    expect(raw).toContain(`"ok":${page.text}}\n`);
    expect(messagesText(page.text)).not.toBe('');
  }
});

testOfOneProcess('presence of a room and of a user is as sessions hear it', async () => {
  const [room, user] = [fresh('lobby'), fresh('ann')];
  const ann = await connected('tcp', user, { device: 'd' });
  await ann.ok({ op: 'join', room });
  await ann.ok({ op: 'status', status: 'dnd', text: 'è' });
  const state = { user, status: 'dnd', text: 'è', devices: 1 };
  expect(ok(await api.get(`/api/v1/rooms/${room}/presence`))).toEqual(await ann.ok({ op: 'presence', room }));
  expect(ok(await api.get(`/api/v1/rooms/${room}/presence`))).toMatchObject({ count: 1, users: [state], more: false });
  expect(ok(await api.get(`/api/v1/rooms/${room}/presence?after=${user}`))).toMatchObject({ count: 1, users: [] });
  expect(ok(await api.get(`/api/v1/users/${user}/presence`))).toMatchObject({ ...state, partial: false });
  const own = `@user/${user}`;
  await ann.ok({ op: 'join', room: own });
  expect(ok(await api.get(`/api/v1/rooms/${encodeURIComponent(own)}/presence`))).toMatchObject({ count: 1 });
  expect(ok(await api.get(`/api/v1/users/${fresh('nobody')}/presence`))).toMatchObject({ status: 'offline' });
});

test('rooms of users are open to backends, other reserved ones are not', async () => {
  const user = fresh('ann');
  const ann = await connected('tcp', user);
  await ann.ok({ op: 'join', room: `@user/${user}` });
  ok(await publish(`@user/${user}`, { from: 'backend', data: 'direct' }));
  await ann.until('the direct message', () => ann.messages(`@user/${user}`)[0]);
  expect(ok(await history(`@user/${user}`, 'limit=1')).messages).toHaveLength(1);
  for (const room of ['@system', '@user/', '@user', '@']) {
    const path = `/api/v1/rooms/${encodeURIComponent(room)}`;
    const calls = [
      publish(room, { from: 'a', data: 1 }),
      history(room, 'limit=1'),
      api.get(`${path}/presence`),
      api.post(`${path}/kick`, { user }),
    ];
    for (const call of calls) expect(await api.failure(call)).toBe(`403 forbidden room: ${room} is reserved`);
  }
});

test('a user who is kicked out of a room hears it, and may come back', async () => {
  const [room, user] = [fresh('r'), fresh('ann')];
  const [tcp, ws] = [await connected('tcp', user), await connected('websocket', user)];
  const elsewhere = await connected('tcp', user);
  const bobsName = fresh('bob');
  const bob = await connected('tcp', bobsName);
  for (const client of [tcp, ws, bob]) await client.ok({ op: 'join', room });
  await elsewhere.ok({ op: 'join', room: fresh('other') });
  expect(ok(await api.post(`/api/v1/rooms/${room}/kick`, { user }))).toEqual(removed(2));
  for (const client of [tcp, ws]) {
    expect(await client.push('left', ({ push }) => push === 'left')).toEqual({ push: 'left', room, code: 'kicked' });
    expect(await client.errorCode({ op: 'leave', room })).toBe('not_joined');
  }
  const presence = async () => ok(await api.get(`/api/v1/rooms/${room}/presence`));
  await expect.poll(presence).toMatchObject({ count: 1, users: [{ user: bobsName }] });
  ok(await publish(room, { from: 'a', data: 1 }));
  await bob.until('the message', () => bob.messages(room)[0]);
  expect(tcp.messages(room)).toEqual([]);
  expect(elsewhere.heard.filter(({ push }) => push === 'left')).toEqual([]);
  expect(ok(await api.post(`/api/v1/rooms/${room}/kick`, { user }))).toEqual(removed(0));
  await tcp.ok({ op: 'join', room });
});

test('a user is disconnected with every code of the table', async () => {
  for (const [reason, { code }] of Object.entries(DISCONNECTS)) {
    const user = fresh('ann');
    const [tcp, ws] = [await connected('tcp', user), await connected('websocket', user)];
    const bob = await connected('tcp', fresh('bob'));
    expect(ok(await api.post(`/api/v1/users/${user}/disconnect`, { code }))).toEqual(removed(2));
    const reconnect = code < 3500 ? { afterMs: expect.any(Number) } : null;
    for (const client of [tcp, ws]) {
      expect(await client.disconnected()).toEqual({ push: 'disconnect', code, reason, reconnect });
    }
    expect(ws.closed).toEqual({ code, reason });
    expect(bob.closed).toBeNull();
    bob.close();
  }
});

test('a disconnect is a kick by default, and may have words of its own', async () => {
  const kicked: DisconnectReason = 'kicked';
  for (const body of [undefined, '', '{}']) {
    const user = fresh('ann');
    const ann = await connected('tcp', user);
    expect(ok(await api.post(`/api/v1/users/${user}/disconnect`, body))).toEqual(removed(1));
    expect(await ann.disconnected()).toMatchObject({ code: DISCONNECTS[kicked].code, reason: kicked, reconnect: null });
    expect(ok(await api.post(`/api/v1/users/${user}/disconnect`, body))).toEqual(removed(0));
  }
  const user = fresh('ann');
  const reason = `"go" \\ away${'.'.repeat(111)}`;
  const ws = await connected('websocket', user);
  const person = await TcpClient.open(gateway.ports.tcp);
  clients.push(person);
  person.sendRaw(`/connect ${user}\n`);
  await person.until('the person is in', () => person.words.some((line) => line.includes(user)));
  expect(ok(await api.post(`/api/v1/users/${user}/disconnect`, { reason }))).toEqual(removed(2));
  expect(await ws.disconnected()).toMatchObject({ code: 3503, reason });
  expect(ws.closed).toEqual({ code: 3503, reason });
  await person.until('the words', () => person.words.some((line) => line.includes(`(3503 ${reason})`)));
});

testOfOneProcess('names in paths are percent-encoded', async () => {
  const [room, user] = [fresh('a/b:c@d.e_f-'), fresh('x/y@z')];
  const ann = await connected('tcp', user);
  await ann.ok({ op: 'join', room });
  for (const path of [encodeURIComponent(room), room.replaceAll('/', '%2f'), room.replaceAll('/', '%2F')]) {
    expect(ok(await api.get(`/api/v1/rooms/${path}/presence`))).toMatchObject({ count: 1 });
  }
  expect(ok(await api.get(`/api/v1/users/${encodeURIComponent(user)}/presence`))).toMatchObject({ user, devices: 1 });
  expect(await api.failure(api.get(`/api/v1/rooms/${room}/presence`))).toBe('404 bad_request no such call');
  for (const [encoded, complaint] of [
    ['%', 'room: not percent-encoded UTF-8'],
    ['%4', 'room: not percent-encoded UTF-8'],
    ['%zz', 'room: not percent-encoded UTF-8'],
    ['%ff', 'room: not percent-encoded UTF-8'],
    ['%c0%af', 'room: not percent-encoded UTF-8'],
    ['', 'room: must be'],
    ['a%20b', 'room: must be'],
    ['a+b', 'room: must be'],
    ['%00', 'room: must be'],
    ['%C3%A9', 'room: must be'],
    ['a'.repeat(129), 'room: must be'],
  ]) {
    expect(await api.failure(api.get(`/api/v1/rooms/${encoded}/presence`))).toContain(`400 bad_request ${complaint}`);
  }
  expect(await api.failure(api.get(`/api/v1/users/${'a'.repeat(121)}/presence`))).toContain(
    '400 bad_request user: must',
  );
});
