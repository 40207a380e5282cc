import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { BOUNDS } from '../../src/protocol/bounds.ts';
import { type Client, TcpClient, WsClient } from './clients.ts';
import { type GatewayProcess, startGateway, temporaryDirectory, UNLIMITED } from './gateway-process.ts';

let gateway: GatewayProcess;
let directory: Awaited<ReturnType<typeof temporaryDirectory>>;
const clients: Client[] = [];
let rooms = 0;

beforeAll(async () => {
  directory = await temporaryDirectory();
  gateway = await startGateway(directory.path, { env: { ...UNLIMITED, TIDEGATE_CATCH_UP_TIMEOUT_MS: '500' } });
});

afterEach(() => {
  for (const client of clients.splice(0)) client.close();
});

afterAll(async () => {
  await gateway.stop();
  await directory.remove();
});

/** A room that no other test uses. */
function freshRoom(): string {
  rooms += 1;
  return `room-${rooms}`;
}

let mids = 0;
function freshMid(): string {
  mids += 1;
  return `mid-${mids}`;
}

const transports = {
  tcp: () => TcpClient.open(gateway.ports.tcp),
  websocket: () => WsClient.open(gateway.ports.http),
} as const;

describe.each(Object.keys(transports) as (keyof typeof transports)[])('over %s', (transport) => {
  async function open(): Promise<Client> {
    const client = await transports[transport]();
    clients.push(client);
    return client;
  }

  async function connected(user: string): Promise<Client> {
    const client = await open();
    await client.connect(user);
    return client;
  }

  async function publish(client: Client, room: string, data: unknown, more: object = {}) {
    return client.ok({ op: 'publish', room, mid: freshMid(), data, ...more });
  }

  test('connect tells who one is and what the limits are', async () => {
    const client = await open();
    const reply = await client.connect('ann', { device: 'phone', client: 'test/1', somethingNewer: true });
    expect(reply).toMatchObject({
      protocol: 1,
      features: [],
      user: 'ann',
      device: 'phone',
      heartbeatMs: 25_000,
      retryWindowMs: 1_000,
      limits: {
        frameBytesMax: BOUNDS.frameBytesMax,
        serverFrameBytesMax: BOUNDS.serverFrameBytesMax,
        dataBytesMax: BOUNDS.dataBytesMax,
        signalBytesMax: BOUNDS.signalBytesMax,
        roomsMax: BOUNDS.roomsMax,
        watchesMax: BOUNDS.watchesMax,
        historyMax: BOUNDS.historyMax,
        publishesUnansweredMax: BOUNDS.publishesUnansweredMax,
        commands: null,
        publishes: null,
        signals: null,
        bytes: null,
      },
    });
    expect(reply.server).toMatch(/^tidegate\/\d/);
    expect(reply.session).toEqual(expect.any(String));
    expect(reply.node).toEqual(expect.any(String));
  });

  test('without a name one is a guest with a device of its own', async () => {
    const [a, b] = [await open(), await open()];
    const first = await a.ok({ op: 'connect' });
    const second = await b.ok({ op: 'connect' });
    expect(first.user).toMatch(/^guest-/);
    expect(second.user).toMatch(/^guest-/);
    expect(first.user).not.toBe(second.user);
    expect(first.device).not.toBe(second.device);
  });

  test('the first command must be connect, and there is one', async () => {
    const client = await open();
    expect(await client.errorCode({ op: 'ping' })).toBe('bad_request');
    await client.connect('ann');
    expect(await client.errorCode({ op: 'connect', user: 'ann' })).toBe('bad_request');
    expect(await client.ok({ op: 'ping' })).toEqual({ serverMs: expect.any(Number) });
  });

  test('a message reaches every member once, as it was written, and the publisher too', async () => {
    const room = freshRoom();
    const [ann, bob] = [await connected('ann'), await connected('bob')];
    await ann.ok({ op: 'join', room });
    await bob.ok({ op: 'join', room });
    ann.sendRaw(`{"op":"publish","id":7,"room":"${room}","mid":"m 1","data":{"n": 1.0,"s":"\\u00e9",\t"x":[1e400]}}\n`);
    const ack = await ann.until('the ack', () => ann.heard.find(({ id }) => id === 7));
    await bob.until('the message', () => bob.messages(room)[0]);
    await ann.until('the own message', () => ann.messages(room)[0]);
    const { epoch, offset } = ack.ok as { epoch: string; offset: number };
    expect(ack.ok).toEqual({ room, mid: 'm 1', epoch, offset, duplicate: false });
    expect(bob.messages(room)).toHaveLength(1);
    expect(bob.messages(room)[0]).toMatchObject({ room, epoch, offset, from: 'ann', mid: 'm 1' });
    expect(bob.messages(room)).toEqual(ann.messages(room));
  });

  test('a retry adds nothing, and the same mid with other data is a conflict', async () => {
    const room = freshRoom();
    const ann = await connected('ann');
    await ann.ok({ op: 'join', room });
    const command = { op: 'publish', room, mid: freshMid(), data: 1 };
    const first = await ann.ok(command);
    expect(await ann.ok(command)).toEqual({ ...first, duplicate: true });
    expect(await ann.errorCode({ ...command, data: 2 })).toBe('mid_conflict');
    // The same mid is free for another user and in another room.
    const bob = await connected('bob');
    expect(await bob.ok(command)).toMatchObject({ duplicate: false });
    expect(await ann.ok({ ...command, room: freshRoom() })).toMatchObject({ duplicate: false });
    await ann.until('both messages', () => ann.messages(room).length === 2);
  });

  test('a retry on another connection while the first is under way adds nothing', async () => {
    const room = freshRoom();
    const reader = await connected('reader');
    await reader.ok({ op: 'join', room });
    const sessions = await Promise.all(Array.from({ length: 8 }, () => connected('ann')));
    const mid = freshMid();
    const replies = await Promise.all(sessions.map((ann) => ann.ok({ op: 'publish', room, mid, data: 'once' })));
    expect(new Set(replies.map(({ offset }) => offset)).size).toBe(1);
    expect(replies.filter(({ duplicate }) => duplicate === false)).toHaveLength(1);
    await publish(reader, room, 'end');
    await reader.until('the end', () => reader.messages(room).at(-1)?.data === 'end');
    expect(reader.messages(room).map(({ data }) => data)).toEqual(['once', 'end']);
  });

  test('pipelined publishes keep their order', async () => {
    const room = freshRoom();
    const [ann, bob] = [await connected('ann'), await connected('bob')];
    await bob.ok({ op: 'join', room });
    const count = 500;
    const mid = (i: number) => `${room}-${i}`;
    for (let i = 0; i < count; i += 1) {
      ann.send({ op: 'publish', id: i, room, mid: mid(i), data: i, ...(i > 0 && { after: mid(i - 1) }) });
    }
    await bob.until('all messages', () => bob.messages(room).length === count);
    expect(bob.messages(room).map(({ data }) => data)).toEqual(Array.from({ length: count }, (_, i) => i));
    const offsets = bob.messages(room).map(({ offset }) => offset);
    expect(offsets).toEqual([...offsets].sort((a, b) => a - b));
    expect(new Set(offsets).size).toBe(count);
    await ann.until('all acks', () => ann.heard.filter(({ ok }) => (ok as { mid?: string })?.mid).length === count);
  });

  test('what comes after a failed publish fails too, and a resend in order mends it', async () => {
    const room = freshRoom();
    const ann = await connected('ann');
    const [a, b, c] = [freshMid(), freshMid(), freshMid()];
    await ann.ok({ op: 'publish', room, mid: a, data: 'other' });
    expect(await ann.errorCode({ op: 'publish', room, mid: a, data: 'conflict' })).toBe('mid_conflict');
    const second = { op: 'publish', room, mid: b, data: 2, after: a };
    const third = { op: 'publish', room, mid: c, data: 3, after: b };
    const failed = await ann.ask(second);
    expect(failed.error).toMatchObject({ code: 'overloaded', retryAfterMs: expect.any(Number) });
    expect(await ann.errorCode(third)).toBe('overloaded');
    await ann.ok({ op: 'publish', room, mid: b, data: 2 });
    await ann.ok(third);
    const { messages } = await ann.ok({ op: 'history', room, limit: 10 });
    expect((messages as { data: unknown }[]).map(({ data }) => data)).toEqual(['other', 2, 3]);
  });

  test('join and leave are once each, and nothing follows a leave', async () => {
    const room = freshRoom();
    const [ann, bob] = [await connected('ann'), await connected('bob')];
    expect(await ann.errorCode({ op: 'leave', room })).toBe('not_joined');
    await ann.ok({ op: 'join', room });
    expect(await ann.errorCode({ op: 'join', room })).toBe('already_joined');
    await publish(bob, room, 1);
    await ann.until('the message', () => ann.messages(room).length === 1);
    expect(await ann.ok({ op: 'leave', room })).toEqual({ room });
    await publish(bob, room, 2);
    await ann.ok({ op: 'ping' });
    expect(ann.messages(room)).toHaveLength(1);
  });

  test('a session may join so many rooms and not one more', async () => {
    const ann = await connected('ann');
    const prefix = freshRoom();
    await Promise.all(
      Array.from({ length: BOUNDS.roomsMax }, (_, i) => ann.ok({ op: 'join', room: `${prefix}.${i}` })),
    );
    expect(await ann.errorCode({ op: 'join', room: `${prefix}.more` })).toBe('limit_exceeded');
    await ann.ok({ op: 'leave', room: `${prefix}.0` });
    await ann.ok({ op: 'join', room: `${prefix}.more` });
  });

  test("only oneself hears one's own room, and others may write to it", async () => {
    const [ann, bob] = [await connected('ann'), await connected('bob')];
    await ann.ok({ op: 'join', room: '@user/ann' });
    expect(await bob.errorCode({ op: 'join', room: '@user/ann' })).toBe('forbidden');
    expect(await bob.errorCode({ op: 'history', room: '@user/ann', limit: 1 })).toBe('forbidden');
    expect(await bob.errorCode({ op: 'join', room: '@ops' })).toBe('forbidden');
    expect(await bob.errorCode({ op: 'publish', room: '@ops', mid: freshMid(), data: 1 })).toBe('forbidden');
    await publish(bob, '@user/ann', `direct-${transport}`);
    await ann.until('the direct message', () => ann.messages('@user/ann').at(-1)?.data === `direct-${transport}`);
  });

  test('history pages in both directions say where they stand', async () => {
    const room = freshRoom();
    const ann = await connected('ann');
    const positions: { epoch: string; offset: number }[] = [];
    for (let i = 0; i < 10; i += 1) {
      const { epoch, offset } = (await publish(ann, room, i)) as { epoch: string; offset: number };
      positions.push({ epoch, offset });
    }
    const data = (reply: Record<string, unknown>) => (reply.messages as { data: number }[]).map((m) => m.data);
    const newest = await ann.ok({ op: 'history', room, limit: 4 });
    expect(data(newest)).toEqual([6, 7, 8, 9]);
    expect(newest.more).toBe(true);
    const older = await ann.ok({ op: 'history', room, before: positions[6], limit: 6 });
    expect(data(older)).toEqual([0, 1, 2, 3, 4, 5]);
    const first = await ann.ok({ op: 'history', room, before: positions[3], limit: 300 });
    expect(data(first)).toEqual([0, 1, 2]);
    expect(first.more).toBe(false);
    const newer = await ann.ok({ op: 'history', room, after: positions[1], limit: 3 });
    expect(data(newer)).toEqual([2, 3, 4]);
    expect(newer).toMatchObject({ more: true, position: positions[4] });
    const rest = await ann.ok({ op: 'history', room, after: newer.position, limit: 300 });
    expect(data(rest)).toEqual([5, 6, 7, 8, 9]);
    expect(rest).toMatchObject({ more: false });
    expect(rest.gap).toBeUndefined();
    expect(await ann.errorCode({ op: 'history', room, limit: 1, before: positions[1], after: positions[0] })).toBe(
      'bad_request',
    );
  });

  test('join with history gives the last ones, then what follows', async () => {
    const room = freshRoom();
    const [ann, bob] = [await connected('ann'), await connected('bob')];
    for (let i = 0; i < 5; i += 1) await publish(ann, room, i);
    const reply = await bob.ok({ op: 'join', room, history: 3 });
    expect(reply).toMatchObject({ more: false, recovered: false });
    expect((reply.messages as { data: number }[]).map(({ data }) => data)).toEqual([2, 3, 4]);
    await publish(ann, room, 5);
    await bob.until('what follows', () => bob.messages(room).length === 1);
    expect(bob.messages(room)[0]?.data).toBe(5);
  });

  test('a session that comes back gets what it missed, once and in order', async () => {
    const room = freshRoom();
    const [ann, bob] = [await connected('ann'), await connected('bob')];
    const { position } = await bob.ok({ op: 'join', room });
    bob.close();
    for (let i = 0; i < 5; i += 1) await publish(ann, room, i);
    const again = await connected('bob');
    const reply = await again.ok({ op: 'join', room, since: position });
    expect(reply).toMatchObject({ recovered: true, more: false });
    expect(reply.gap).toBeUndefined();
    expect((reply.messages as { data: number }[]).map(({ data }) => data)).toEqual([0, 1, 2, 3, 4]);
    // Nothing missed: nothing read, and still recovered.
    const third = await connected('bob');
    expect(await third.ok({ op: 'join', room, since: reply.position })).toMatchObject({
      recovered: true,
      messages: [],
      position: reply.position,
    });
  });

  test('a position of another epoch, or beyond the end, is answered with a gap', async () => {
    const room = freshRoom();
    const ann = await connected('ann');
    const { epoch, offset } = (await publish(ann, room, 1)) as { epoch: string; offset: number };
    for (const since of [
      { epoch: 'another', offset: 0 },
      { epoch, offset: offset + 1_000_000 },
    ]) {
      const session = await connected(`reader-${since.offset}`);
      const reply = await session.ok({ op: 'join', room, since });
      expect(reply).toMatchObject({ recovered: false, more: false, gap: { from: null, to: { epoch } } });
      expect((reply.messages as { data: number }[]).map(({ data }) => data)).toEqual([1]);
      expect((reply.gap as { to: { offset: number } }).to.offset).toBeLessThan(offset);
    }
  });

  test('a long absence comes in pages while the room goes on, and the last page makes it live', async () => {
    const room = freshRoom();
    const [ann, bob] = [await connected('ann'), await connected('bob')];
    const { position } = await bob.ok({ op: 'join', room });
    bob.close();
    const count = 1_000;
    const mids = Array.from({ length: count }, () => freshMid());
    for (const [i, mid] of mids.entries()) ann.send({ op: 'publish', id: i, room, mid, data: i });
    await ann.until('half of the acks', () => ann.heard.length > count / 2);

    const again = await connected('bob');
    let page = await again.ok({ op: 'join', room, since: position });
    const got = (page.messages as { data: number }[]).map(({ data }) => data);
    expect(page.more).toBe(true);
    while (page.more) {
      expect(again.messages(room)).toHaveLength(0);
      page = await again.ok({ op: 'history', room, after: page.position, limit: 300 });
      got.push(...(page.messages as { data: number }[]).map(({ data }) => data));
    }
    await again.until('the rest', () => got.length + again.messages(room).length === count);
    got.push(...again.messages(room).map(({ data }) => data as number));
    expect(got).toEqual(Array.from({ length: count }, (_, i) => i));
  });

  test('who stops asking while catching up is suspended by a resync, and joins again', async () => {
    const room = freshRoom();
    const ann = await connected('ann');
    const { position } = await ann.ok({ op: 'join', room });
    for (let i = 0; i < 310; i += 1) ann.send({ op: 'publish', id: i, room, mid: freshMid(), data: i });
    await ann.until('all messages', () => ann.messages(room).length === 310);
    const bob = await connected('bob');
    const page = await bob.ok({ op: 'join', room, since: position });
    expect(page.more).toBe(true);
    const resync = await bob.push('a resync', ({ push }) => push === 'resync');
    expect(resync).toEqual({ push: 'resync', room, position: page.position });
    await publish(ann, room, 'not for bob');
    await bob.ok({ op: 'ping' });
    expect(bob.messages(room)).toHaveLength(0);
    const again = await bob.ok({ op: 'join', room, since: resync.position });
    expect(again).toMatchObject({ recovered: true, more: false });
    expect((again.messages as unknown[]).length).toBe(11);
    await publish(ann, room, 'for bob');
    await bob.until('the message', () => bob.messages(room).length === 1);
  });

  test('joins race publishes: every session sees each message once, in order, from its position on', async () => {
    const room = freshRoom();
    const ann = await connected('ann');
    const { position: start } = await ann.ok({ op: 'join', room });
    const count = 600;
    for (let i = 0; i < count; i += 1) ann.send({ op: 'publish', id: i, room, mid: freshMid(), data: i });
    const joiners = await Promise.all(
      Array.from({ length: 12 }, async (_, i) => {
        const session = await connected(`joiner-${i}`);
        let reply = await session.ok(
          i % 2 === 0 ? { op: 'join', room, since: start } : { op: 'join', room, history: 300 },
        );
        const before = [...(reply.messages as { data: number; offset: number }[])];
        while (reply.more) {
          reply = await session.ok({ op: 'history', room, after: reply.position, limit: 100 });
          before.push(...(reply.messages as { data: number; offset: number }[]));
        }
        return { session, before };
      }),
    );
    await ann.until('all messages', () => ann.messages(room).length === count);
    for (const { session, before } of joiners) {
      const seen = () =>
        [...before, ...(session.messages(room) as { data: unknown }[])].map(({ data }) => data as number);
      await session.until('the last message', () => seen().at(-1) === count - 1);
      const first = seen()[0] ?? 0;
      expect(seen()).toEqual(Array.from({ length: count - first }, (_, i) => first + i));
    }
  });

  test('quit ends the session without a word', async () => {
    const client = await connected('ann');
    const before = client.heard.length;
    client.send({ op: 'quit', id: 1 });
    const { code } = await client.untilClosed();
    expect(client.heard).toHaveLength(before);
    if (transport === 'websocket') expect(code).toBe(1000);
  });

  test('pong has no reply', async () => {
    const client = await connected('ann');
    client.send({ op: 'pong' });
    await client.ok({ op: 'ping' });
    expect(client.heard.map((said) => Object.keys(said)[0])).toEqual(['id', 'id']);
  });

  test('the same user and device again replaces the older session', async () => {
    const older = await open();
    await older.connect('ann', { device: `laptop-${transport}` });
    const newer = await open();
    await newer.connect('ann', { device: `laptop-${transport}` });
    expect(await older.disconnected()).toEqual({ push: 'disconnect', code: 3504, reason: 'replaced', reconnect: null });
    if (transport === 'websocket') expect(older.closed).toEqual({ code: 3504, reason: 'replaced' });
    await newer.ok({ op: 'ping' });
  });
});

test('netcat and a browser share a room', async () => {
  const room = freshRoom();
  const [tcp, ws] = [await transports.tcp(), await transports.websocket()];
  clients.push(tcp, ws);
  await tcp.connect('nc');
  await ws.connect('page');
  await tcp.ok({ op: 'join', room });
  await ws.ok({ op: 'join', room });
  await tcp.ok({ op: 'publish', room, mid: freshMid(), data: 'from tcp' });
  await ws.ok({ op: 'publish', room, mid: freshMid(), data: 'from the page' });
  for (const client of [tcp, ws]) {
    await client.until('both', () => client.messages(room).length === 2);
    expect(client.messages(room).map(({ data }) => data)).toEqual(['from tcp', 'from the page']);
  }
});

test('joins, publishes and more behind connect, all in one frame, are answered in order', async () => {
  const room = freshRoom();
  const ws = await transports.websocket();
  clients.push(ws);
  ws.sendRaw(
    [
      { op: 'connect', id: 1, user: 'all-at-once' },
      { op: 'join', id: 2, room },
      { op: 'ping', id: 3 },
      { op: 'publish', id: 4, room, mid: freshMid(), data: 1 },
      { op: 'leave', id: 5, room },
    ]
      .map((command) => JSON.stringify(command))
      .join('\n'),
  );
  await ws.until('five replies', () => ws.heard.filter(({ id }) => id !== undefined).length === 5);
  expect(ws.heard.filter(({ id }) => id !== 4).map(({ id }) => id)).toEqual([1, 2, 3, 5]);
  expect(ws.heard.every((said) => said.error === undefined)).toBe(true);
});
