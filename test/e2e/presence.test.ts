import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { Random } from '../faults/random.ts';
import type { Client, Said, TcpClient } from './clients.ts';
import { type RoomPush, roomPushes, Stage, toldOf, type UserState, untilTold, userPushes } from './stage.ts';

const PUSH_MS = 100;
const GRACE_MS = 300;
const PATIENCE = { timeout: 3_000, interval: 20 };

const UNLIMITED = {
  TIDEGATE_LIMIT_COMMANDS: '0',
  TIDEGATE_LIMIT_PUBLISHES: '0',
  TIDEGATE_LIMIT_SIGNALS: '0',
  TIDEGATE_LIMIT_BYTES: '0',
};

let stage: Stage;
let names = 0;

beforeAll(async () => {
  stage = await Stage.open({
    ...UNLIMITED,
    TIDEGATE_PRESENCE_PUSH_MS: String(PUSH_MS),
    TIDEGATE_GRACE_MS: String(GRACE_MS),
    TIDEGATE_CATCH_UP_TIMEOUT_MS: '300',
  });
});

afterAll(async () => {
  await stage?.close();
});

/** A name that no other test uses. */
function fresh(kind: string): string {
  names += 1;
  return `${kind}-${names}`;
}

function online(user: string, devices = 1): UserState {
  return { user, status: 'online', devices };
}

function offline(user: string): UserState {
  return { user, status: 'offline', devices: 0 };
}

const version = expect.any(Number);
const lastSeenMs = expect.any(Number);

describe.concurrent.each(['tcp', 'ws'] as const)('over %s', (transport) => {
  test('in full mode one sees who is here, oneself too, and then who comes, changes and goes', async () => {
    const [room, ann, bob] = [fresh('room'), fresh('ann'), fresh('bob')];
    const a = await stage.client(ann, {}, transport);
    const joined = await a.ok({ op: 'join', room, presence: 'full' });
    expect(joined).toEqual({
      room,
      position: { epoch: expect.any(String), offset: expect.any(Number) },
      recovered: false,
      messages: [],
      more: false,
      presence: { count: 1, version, users: [online(ann)], more: false, partial: false },
    });
    const b = await stage.client(bob, {}, transport);
    const second = await b.ok({ op: 'join', room, presence: 'full' });
    const both = [online(ann), online(bob)];
    expect(second.presence).toEqual({ count: 2, version, users: both, more: false, partial: false });
    expect(await a.ok({ op: 'presence', room })).toEqual(second.presence);
    const head = { push: 'presence', room, version, partial: false };
    expect(await untilTold(a, room, 'joined', bob)).toEqual({ ...head, count: 2, joined: [online(bob)] });
    expect(await b.ok({ op: 'status', status: 'away', text: 'tea' })).toEqual({ status: 'away' });
    const away = { user: bob, status: 'away', text: 'tea', devices: 1 };
    expect(await untilTold(a, room, 'changed', bob)).toEqual({ ...head, count: 2, changed: [away] });
    await b.ok({ op: 'leave', room });
    expect(await untilTold(a, room, 'left', bob)).toEqual({ ...head, count: 1, left: [away] });
    expect(roomPushes(a, room)).toHaveLength(3);
    // What one does oneself is told to others at once, and bob heard of himself what he had no snapshot of.
    expect(toldOf(b, bob)).toEqual([`changed ${room}: away 1`]);
    await b.ok({ op: 'join', room });
    await a.until('the second coming', () => roomPushes(a, room).length === 4);
    b.send({ op: 'quit', id: 1 });
    await b.untilClosed();
    const gone = await a.until('the end', () => roomPushes(a, room)[4]);
    expect(gone).toEqual({ ...head, count: 1, left: [offline(bob)] });
    const versions = [(joined.presence as { version: number }).version, ...roomPushes(a, room).map((p) => p.version)];
    expect(versions).toEqual([...versions].sort((x, y) => x - y));
    expect(new Set(versions).size).toBe(versions.length);
  });

  test('in count mode one hears numbers alone, and only when they change; without a mode nothing', async () => {
    const [room, ann, bob, off] = [fresh('room'), fresh('ann'), fresh('bob'), fresh('off')];
    const a = await stage.client(ann, {}, transport);
    expect((await a.ok({ op: 'join', room, presence: 'count' })).presence).toEqual({ count: 1, version });
    const deaf = await stage.client(off, {}, transport);
    expect(await deaf.ok({ op: 'join', room })).not.toHaveProperty('presence');
    const b = await stage.client(bob, {}, transport);
    expect(await b.ok({ op: 'join', room, presence: 'off' })).not.toHaveProperty('presence');
    const count = (n: number) => a.until(`count ${n}`, () => roomPushes(a, room).find((push) => push.count === n));
    expect(await count(3)).toEqual({ push: 'presence', room, version, count: 3, partial: false });
    const before = roomPushes(a, room).length;
    await b.ok({ op: 'status', status: 'dnd' });
    await b.ok({ op: 'presence', room });
    await b.ok({ op: 'leave', room });
    await a.until(
      'count 2 again',
      () => roomPushes(a, room).at(-1)?.count === 2 && roomPushes(a, room).length > before,
    );
    expect(roomPushes(a, room)).toHaveLength(before + 1);
    await deaf.ok({ op: 'ping' });
    expect(deaf.heard.filter(({ push }) => push !== undefined)).toEqual([]);
  });

  test('who is not visible hears and is not seen, neither by name nor in the count', async () => {
    const [room, ann, spy] = [fresh('room'), fresh('ann'), fresh('spy')];
    const hidden = await stage.client(spy, {}, transport);
    const reply = await hidden.ok({ op: 'join', room, presence: 'full', visible: false });
    expect(reply.presence).toEqual({ count: 0, version, users: [], more: false, partial: false });
    const counter = await stage.client(fresh('counter'), {}, transport);
    const counted = await counter.ok({ op: 'join', room, presence: 'count', visible: false });
    expect(counted.presence).toEqual({ count: 0, version });
    const a = await stage.client(ann, {}, transport);
    const joined = await a.ok({ op: 'join', room, presence: 'full' });
    expect(joined.presence).toMatchObject({ count: 1, users: [online(ann)] });
    const head = { push: 'presence', room, version, count: 1, partial: false };
    expect(await untilTold(hidden, room, 'joined', ann)).toEqual({ ...head, joined: [online(ann)] });
    await counter.until('the count', () => roomPushes(counter, room).at(-1)?.count === 1);
    // Nor when it changes or goes.
    await hidden.ok({ op: 'status', status: 'away' });
    await hidden.ok({ op: 'leave', room });
    await a.ok({ op: 'status', status: 'dnd' });
    await untilTold(a, room, 'changed', ann);
    expect(toldOf(a, spy)).toEqual([]);
    // Visible it can be another time.
    await hidden.ok({ op: 'join', room });
    await untilTold(a, room, 'joined', spy);
  });

  test('signals reach every live member as they were written, the sender too, and persons not', async () => {
    const [room, ann, bob] = [fresh('room'), fresh('ann'), fresh('bob')];
    const a = await stage.client(ann, {}, transport);
    const others = [await stage.client(bob, {}, 'tcp'), await stage.client(bob, {}, 'ws')];
    const person = await stage.tcp();
    person.sendRaw(`/connect ${fresh('person')}\n/join ${room}\n`);
    await person.until('the join', () => person.words.find((line) => line.startsWith('# joined')));
    expect(await a.errorCode({ op: 'signal', room, data: 1 })).toBe('not_joined');
    for (const client of [a, ...others]) await client.ok({ op: 'join', room });
    const raw: string[] = [];
    const listen = (chunk: Buffer) => raw.push(chunk.toString());
    (others[0] as TcpClient).socket.on('data', listen);
    const data = '{"typing": true,"n":1.00,\t"e":1E400,"s":"\\u00e9"}';
    a.sendRaw(`{"op":"signal","id":5,"room":"${room}","data":  ${data}  }\n`);
    for (const client of [a, ...others]) {
      const said = await client.push('the signal', ({ push }) => push === 'signal');
      expect(Object.keys(said).sort()).toEqual(['data', 'from', 'push', 'room']);
      expect(said).toMatchObject({ room, from: ann });
    }
    expect(await a.until('the reply', () => a.heard.find(({ id }) => id === 5))).toEqual({ id: 5, ok: { room } });
    expect(raw.join('')).toContain(`"data":${data}`);
    // 1,024 bytes with the quotes.
    await a.ok({ op: 'signal', room, data: 'x'.repeat(1_022) });
    expect(await a.errorCode({ op: 'signal', room, data: 'x'.repeat(1_023) })).toBe('bad_request');
    await others[0]?.ok({ op: 'leave', room });
    await a.ok({ op: 'signal', room, data: 'last' });
    await others[1]?.push('the last', (said) => said.data === 'last');
    await others[0]?.ok({ op: 'ping' });
    expect(others[0]?.heard.some((said) => said.data === 'last')).toBe(false);
    // A person hears what is published, and nothing before it.
    const heard = person.words.length;
    await a.ok({ op: 'publish', room, mid: fresh('mid'), data: { text: 'end' } });
    await person.until('the message', () => person.words.some((line) => line.endsWith('end')));
    expect(person.words.slice(heard).filter((line) => !line.startsWith('* '))).toEqual([`[${room}] ${ann}: end`]);
    expect(person.heard).toEqual([]);
  });
});

describe.concurrent('a user', () => {
  test('with two devices is one, with the strongest status and its text', async () => {
    const [room, ann, eve] = [fresh('room'), fresh('ann'), fresh('eve')];
    const watcher = await stage.client(eve);
    await watcher.ok({ op: 'join', room, presence: 'full' });
    const phone = await stage.client(ann, { device: 'phone' });
    await phone.ok({ op: 'join', room });
    await untilTold(watcher, room, 'joined', ann);
    const desk = await stage.client(ann, { device: 'desk' }, 'ws');
    await desk.ok({ op: 'join', room });
    const state = async () => {
      const { users, count } = await watcher.ok({ op: 'presence', room });
      expect(count).toBe(2);
      return (users as UserState[]).find(({ user }) => user === ann);
    };
    expect(await state()).toEqual(online(ann, 2));
    await phone.ok({ op: 'status', status: 'away', text: 'train' });
    // The desk is online, and has said nothing.
    expect(await state()).toEqual(online(ann, 2));
    await desk.ok({ op: 'status', status: 'dnd', text: 'busy' });
    expect(await state()).toEqual({ user: ann, status: 'dnd', text: 'busy', devices: 2 });
    await phone.ok({ op: 'status', status: 'dnd', text: 'asleep' });
    expect(await state()).toEqual({ user: ann, status: 'dnd', text: 'asleep', devices: 2 });
    await phone.ok({ op: 'status', status: 'dnd' });
    expect(await state()).toEqual({ user: ann, status: 'dnd', devices: 2 });
    await phone.ok({ op: 'status', status: 'online', text: 'hi' });
    expect(await state()).toEqual({ user: ann, status: 'dnd', text: 'busy', devices: 2 });
    await desk.ok({ op: 'status', status: 'away', text: 'out' });
    expect(await state()).toEqual({ user: ann, status: 'online', text: 'hi', devices: 2 });
    await phone.ok({ op: 'status', status: 'away', text: 'zzz' });
    expect(await state()).toEqual({ user: ann, status: 'away', text: 'zzz', devices: 2 });
    // One of the two goes: the user is still in the room, with what the other one says.
    phone.send({ op: 'quit', id: 1 });
    await phone.untilClosed();
    expect(await state()).toEqual({ user: ann, status: 'away', text: 'out', devices: 1 });
    await desk.ok({ op: 'leave', room });
    await untilTold(watcher, room, 'left', ann);
    expect(toldOf(watcher, ann).filter((told) => told.startsWith('left'))).toHaveLength(1);
  });

  test('is in a room as long as one of their devices is', async () => {
    const [room, ann] = [fresh('room'), fresh('ann')];
    const watcher = await stage.client(fresh('eve'));
    await watcher.ok({ op: 'join', room, presence: 'full' });
    const [phone, desk] = [await stage.client(ann, { device: 'p' }), await stage.client(ann, { device: 'd' })];
    await phone.ok({ op: 'join', room });
    await desk.ok({ op: 'join', room });
    await phone.ok({ op: 'leave', room });
    expect((await watcher.ok({ op: 'presence', room })).count).toBe(2);
    await untilTold(watcher, room, 'joined', ann);
    await desk.ok({ op: 'leave', room });
    expect((await watcher.ok({ op: 'presence', room })).count).toBe(1);
    await untilTold(watcher, room, 'left', ann);
    expect(toldOf(watcher, ann)).toEqual([`joined ${room}: online 2`, `left ${room}: online 2`]);
  });

  test('who leaves a room has left that one alone, and who quits all of them', async () => {
    const [one, two, ann] = [fresh('room'), fresh('room'), fresh('ann')];
    const watcher = await stage.client(fresh('w'));
    const a = await stage.client(ann);
    for (const room of [one, two]) {
      await a.ok({ op: 'join', room });
      const reply = await watcher.ok({ op: 'join', room, presence: 'full', visible: false });
      expect(reply.presence).toMatchObject({ users: [online(ann)] });
    }
    await watcher.ok({ op: 'watch', users: [ann] });
    await a.ok({ op: 'leave', room: one });
    expect((await untilTold(watcher, one, 'left', ann)).left).toEqual([online(ann)]);
    a.send({ op: 'quit', id: 1 });
    expect((await untilTold(watcher, two, 'left', ann)).left).toEqual([offline(ann)]);
    await watcher.until('offline', () => userPushes(watcher, ann).length === 1);
    expect(toldOf(watcher, ann).sort()).toEqual(
      [`left ${one}: online 1`, `left ${two}: offline 0`, 'offline 0'].sort(),
    );
  });

  test('has one status in all rooms, and an absent text clears it', async () => {
    const [one, two, ann] = [fresh('room'), fresh('room'), fresh('ann')];
    const a = await stage.client(ann);
    const [first, second] = [await stage.client(fresh('w')), await stage.client(fresh('w'))];
    for (const room of [one, two]) await a.ok({ op: 'join', room });
    await first.ok({ op: 'join', room: one, presence: 'full' });
    await second.ok({ op: 'join', room: two, presence: 'full' });
    const latest = async (client: Client, room: string, state: UserState) => {
      await client.until(JSON.stringify(state), () =>
        roomPushes(client, room).some(({ changed }) => JSON.stringify(changed) === JSON.stringify([state])),
      );
    };
    await a.ok({ op: 'status', status: 'dnd', text: 'not now' });
    const busy = { user: ann, status: 'dnd', text: 'not now', devices: 1 };
    await latest(first, one, busy);
    await latest(second, two, busy);
    await a.ok({ op: 'status', status: 'dnd' });
    const silent = { user: ann, status: 'dnd', devices: 1 };
    await latest(first, one, silent);
    await latest(second, two, silent);
    expect(await first.ok({ op: 'presence', user: ann })).toEqual({ ...silent, lastSeenMs, partial: false });
    await a.ok({ op: 'status', status: 'away', text: '' });
    await latest(first, one, { user: ann, status: 'away', devices: 1 });
    expect(await a.errorCode({ op: 'status', status: 'away', text: 'é'.repeat(71) })).toBe('bad_request');
    expect(await a.errorCode({ op: 'status', status: 'offline' })).toBe('bad_request');
    await a.ok({ op: 'status', status: 'away', text: 'é'.repeat(70) });
  });
});

describe.concurrent('watch', () => {
  test('tells how users are, then how they change, until unwatch', async () => {
    const [room, ann, bob, nobody] = [fresh('room'), fresh('ann'), fresh('bob'), fresh('nobody')];
    const w = await stage.client(fresh('w'));
    const a = await stage.client(ann);
    const beforeMs = Date.now();
    const reply = await w.ok({ op: 'watch', users: [bob, ann, nobody] });
    expect(reply).toEqual({
      users: [
        { ...offline(bob), lastSeenMs: 0, partial: false },
        { ...online(ann), lastSeenMs, partial: false },
        { ...offline(nobody), lastSeenMs: 0, partial: false },
      ],
    });
    const { lastSeenMs: seenMs } = (reply.users as { lastSeenMs: number }[])[1] ?? { lastSeenMs: 0 };
    expect(seenMs).toBeGreaterThanOrEqual(beforeMs);
    expect(seenMs).toBeLessThanOrEqual(Date.now());
    // Being in a room or not is none of a user's presence.
    await a.ok({ op: 'join', room });
    await a.ok({ op: 'leave', room });
    await a.ok({ op: 'status', status: 'away', text: 'x' });
    const away = await w.until('away', () => userPushes(w, ann)[0]);
    expect(away).toEqual({ push: 'presence', user: ann, status: 'away', text: 'x', devices: 1, lastSeenMs });
    const b = await stage.client(bob);
    const came = await w.until('bob', () => userPushes(w, bob)[0]);
    expect(came).toEqual({ push: 'presence', ...online(bob), lastSeenMs });
    const leftMs = Date.now();
    b.send({ op: 'quit', id: 1 });
    const gone = await w.until('the end of bob', () => userPushes(w, bob)[1]);
    expect(gone).toEqual({ push: 'presence', ...offline(bob), lastSeenMs });
    expect(gone.lastSeenMs).toBeGreaterThanOrEqual(leftMs);
    expect(gone.lastSeenMs).toBeLessThanOrEqual(Date.now());
    const again = await w.ok({ op: 'presence', user: bob });
    expect(again).toEqual({ ...offline(bob), lastSeenMs: gone.lastSeenMs, partial: false });
    expect(await w.ok({ op: 'unwatch', users: [bob, nobody, fresh('never')] })).toEqual({});
    // Ann changes after bob, so that bob's push would have come.
    const second = await stage.client(bob);
    await second.ok({ op: 'ping' });
    await delay(2 * PUSH_MS);
    await a.ok({ op: 'status', status: 'dnd' });
    await w.until('ann', () => userPushes(w, ann)[1]);
    expect(userPushes(w, bob)).toHaveLength(2);
    // Watched anew, one is told how it is now.
    expect((await w.ok({ op: 'watch', users: [bob] })).users).toEqual([{ ...online(bob), lastSeenMs, partial: false }]);
    second.send({ op: 'quit', id: 1 });
    await w.until('bob again', () => userPushes(w, bob)[2]);
  });

  test('is bounded, whatever the commands, and the same user counts once', async () => {
    const w = await stage.client(fresh('w'));
    const users = Array.from({ length: 201 }, (_, i) => `many-${i}`);
    expect(await w.errorCode({ op: 'watch', users })).toMatch(/^(limit_exceeded|bad_request)$/);
    const first = await w.ok({ op: 'watch', users: users.slice(0, 150) });
    expect(first.users).toHaveLength(150);
    const twice = await w.ok({ op: 'watch', users: [...users.slice(0, 50), ...users.slice(0, 50)] });
    expect((twice.users as UserState[]).map(({ user }) => user)).toEqual(users.slice(0, 50));
    expect(await w.errorCode({ op: 'watch', users: users.slice(150) })).toBe('limit_exceeded');
    await w.ok({ op: 'watch', users: users.slice(150, 200) });
    expect(await w.errorCode({ op: 'watch', users: users.slice(200) })).toBe('limit_exceeded');
    // Who was refused with others is not watched.
    const one = await stage.client('many-200');
    await w.ok({ op: 'unwatch', users: users.slice(0, 1) });
    expect((await w.ok({ op: 'watch', users: users.slice(200) })).users).toMatchObject([online('many-200')]);
    one.send({ op: 'quit', id: 1 });
    await w.until('the end', () => userPushes(w, 'many-200')[0]);
    expect(userPushes(w, 'many-200')).toHaveLength(1);
    for (const bad of [[], ['a b'], 'ann', [1], undefined]) {
      const code = await w.errorCode({ op: 'watch', users: bad });
      expect(code, JSON.stringify(bad)).toBe('bad_request');
    }
  });

  test('of oneself tells of the own other devices', async () => {
    const ann = fresh('ann');
    const a = await stage.client(ann);
    expect((await a.ok({ op: 'watch', users: [ann] })).users).toMatchObject([online(ann)]);
    const b = await stage.client(ann);
    expect(await a.until('the second', () => userPushes(a, ann)[0])).toMatchObject({ devices: 2 });
    b.send({ op: 'quit', id: 1 });
    expect(await a.until('one again', () => userPushes(a, ann)[1])).toMatchObject({ devices: 1 });
  });
});

test('a room of more than a page is read in pages, ordered by bytes', { timeout: 60_000 }, async () => {
  const room = fresh('room');
  const count = 520;
  const users = Array.from({ length: count }, (_, i) => `${i % 3 === 0 ? 'Z' : 'a'}-${(i * 7919) % 10_000}`);
  const expected = [...users].sort();
  const clients: Client[] = [];
  for (let i = 0; i < count; i += 40) {
    const batch = users.slice(i, i + 40).map(async (user) => {
      const client = await stage.client(user);
      await client.ok({ op: 'join', room });
      return client;
    });
    clients.push(...(await Promise.all(batch)));
  }
  const reader = await stage.client(fresh('reader'), {}, 'ws');
  const reply = await reader.ok({ op: 'join', room, visible: false, presence: 'full' });
  const snapshot = reply.presence as { users: UserState[]; version: number };
  expect(snapshot).toMatchObject({ count, more: true, partial: false });
  expect(snapshot.users.map(({ user }) => user)).toEqual(expected.slice(0, 500));
  const last = snapshot.users.at(-1)?.user;
  const rest = await reader.ok({ op: 'presence', room, after: last });
  expect(rest).toEqual({
    count,
    version: snapshot.version,
    users: expected.slice(500).map((user) => online(user)),
    more: false,
    partial: false,
  });
  // `after` need not be there.
  const from = await reader.ok({ op: 'presence', room, after: 'a' });
  expect((from.users as UserState[])[0]?.user).toBe(expected.find((user) => user > 'a'));
  const end = await reader.ok({ op: 'presence', room, after: 'zzz' });
  expect(end).toMatchObject({ count, users: [], more: false });
  // More than 500 at once are not told by name.
  for (const client of clients) client.send({ op: 'quit', id: 1 });
  await reader.until('the empty room', () => roomPushes(reader, room).at(-1)?.count === 0);
  for (const push of roomPushes(reader, room)) {
    expect((push.left ?? []).length).toBeLessThanOrEqual(500);
  }
  expect(await reader.ok({ op: 'presence', room })).toEqual({
    count: 0,
    version: expect.any(Number),
    users: [],
    more: false,
    partial: false,
  });
});

test('fifty who come and go are told in few pushes, an interval apart, with what came of it', async () => {
  const room = fresh('room');
  const intervalMs = 500;
  const slow = await Stage.open({ ...UNLIMITED, TIDEGATE_PRESENCE_PUSH_MS: String(intervalMs) });
  try {
    const watcher = await slow.client('watcher');
    const atMs: number[] = [];
    (watcher as TcpClient).socket.on('data', () => {
      while (atMs.length < roomPushes(watcher, room).length) atMs.push(performance.now());
    });
    await watcher.ok({ op: 'join', room, presence: 'full', visible: false });
    const counter = await slow.client('counter', {}, 'ws');
    await counter.ok({ op: 'join', room, presence: 'count', visible: false });
    const clients = await Promise.all(Array.from({ length: 50 }, (_, i) => slow.client(`u-${i}`)));
    const begun = performance.now();
    let rounds = 0;
    while (performance.now() - begun < 4 * intervalMs) {
      rounds += 1;
      await Promise.all(clients.map((client) => client.ok({ op: 'join', room })));
      await Promise.all(clients.map((client) => client.ok({ op: 'leave', room })));
    }
    await Promise.all(clients.slice(0, 7).map((client) => client.ok({ op: 'join', room })));
    const tookMs = performance.now() - begun;
    expect(rounds).toBeGreaterThan(3);
    await watcher.until('the end', () => roomPushes(watcher, room).at(-1)?.count === 7);
    await counter.until('the end', () => roomPushes(counter, room).at(-1)?.count === 7);
    const pushes = roomPushes(watcher, room);
    expect(pushes.length).toBeGreaterThan(1);
    expect(pushes.length).toBeLessThanOrEqual(Math.ceil(tookMs / intervalMs) + 2);
    expect(roomPushes(counter, room).length).toBeLessThanOrEqual(Math.ceil(tookMs / intervalMs) + 2);
    for (const [i, at] of atMs.entries()) {
      if (i > 0) expect(at - (atMs[i - 1] ?? 0)).toBeGreaterThan(intervalMs * 0.8);
    }
    // Net: applied one by one they never contradict each other.
    const here = new Set<string>();
    for (const { joined = [], left = [], count } of pushes) {
      for (const { user } of joined) {
        expect(here.has(user)).toBe(false);
        here.add(user);
      }
      for (const { user } of left) expect(here.delete(user)).toBe(true);
      expect(here.size).toBe(count);
    }
    expect([...here].sort()).toEqual(clients.slice(0, 7).map((_, i) => `u-${i}`));
  } finally {
    await slow.close();
  }
});

test('versions rise, also through an empty room and through a restart', async () => {
  const own = await Stage.open({ ...UNLIMITED, TIDEGATE_PRESENCE_PUSH_MS: '50', TIDEGATE_GRACE_MS: '0' });
  try {
    const versions: number[] = [];
    const room = 'room';
    for (let round = 0; round < 3; round += 1) {
      const reader = await own.client('reader');
      const { presence } = await reader.ok({ op: 'join', room, visible: false, presence: 'full' });
      versions.push((presence as { version: number }).version);
      for (let i = 0; i < 3; i += 1) {
        const ann = await own.client('ann');
        await ann.ok({ op: 'join', room });
        await reader.until('ann', () => roomPushes(reader, room).length === 2 * i + 1);
        ann.send({ op: 'quit', id: 1 });
        await reader.until('her end', () => roomPushes(reader, room).length === 2 * i + 2);
        // Others make room in what is remembered.
        const other = await own.client('other');
        await other.ok({ op: 'join', room: `other-${round}-${i}` });
        other.send({ op: 'quit', id: 1 });
        await other.untilClosed();
      }
      const pushed = roomPushes(reader, room).map((push) => push.version);
      const now = (await reader.ok({ op: 'presence', room })).version as number;
      const behind = pushed.at(-1) ?? 0;
      expect(now).toBeGreaterThanOrEqual(behind);
      versions.push(...pushed);
      reader.send({ op: 'quit', id: 1 });
      await reader.untilClosed();
      if (round < 2) await own.restart();
      versions.push(now);
    }
    for (let i = 1; i < versions.length; i += 1) {
      expect(versions[i], versions.join(' ')).toBeGreaterThanOrEqual(versions[i - 1] ?? 0);
    }
    expect(new Set(versions).size).toBeGreaterThan(18);
  } finally {
    await own.close();
  }
});

/** What a client knows of a room that goes by the join's reply and the pushes behind it. */
class RoomReader {
  readonly client: Client;
  readonly room: string;
  readonly mode: 'full' | 'count';
  readonly users = new Map<string, UserState>();
  count = 0;
  version = 0;
  #read = 0;

  constructor(client: Client, room: string, mode: 'full' | 'count') {
    this.client = client;
    this.room = room;
    this.mode = mode;
  }

  static async join(client: Client, room: string, mode: 'full' | 'count', more: object): Promise<RoomReader> {
    const reader = new RoomReader(client, room, mode);
    // Pushes of an earlier time in this room end with the reply to its leave.
    reader.#read = client.heard.length;
    const reply = await client.ok({ op: 'join', room, presence: mode, ...more });
    const presence = reply.presence as { count: number; version: number; users?: UserState[] };
    reader.count = presence.count;
    reader.version = presence.version;
    for (const state of presence.users ?? []) reader.users.set(state.user, state);
    if (mode === 'full') expect(reader.users.size).toBe(reader.count);
    return reader;
  }

  /** Whether it ever heard something that contradicts what it knew is for the caller to look at. */
  catchUp(): void {
    const { heard } = this.client;
    for (; this.#read < heard.length; this.#read += 1) {
      const said = heard[this.#read] as Said;
      if (said.push === 'presence' && said.room === this.room) this.#apply(said as unknown as RoomPush);
    }
  }

  state(): unknown {
    this.catchUp();
    if (this.mode === 'count') return this.count;
    return [...this.users.values()].sort((a, b) => (a.user < b.user ? -1 : 1));
  }

  #apply({ version: now, count, joined = [], left = [], changed = [] }: RoomPush): void {
    expect(now, 'versions rise').toBeGreaterThan(this.version);
    this.version = now;
    this.count = count;
    if (this.mode === 'count') {
      expect(joined.length + left.length + changed.length).toBe(0);
      return;
    }
    expect(joined.length + left.length + changed.length).toBeGreaterThan(0);
    for (const state of [...joined, ...changed]) this.users.set(state.user, state);
    for (const { user } of left) this.users.delete(user);
    expect(this.users.size, `${this.room}: the names and the count of a push agree`).toBe(count);
  }
}

test.each([1, 2, 3])(
  'whoever applies pushes to a snapshot knows the room, seed %i',
  { timeout: 60_000 },
  async (seed) => {
    const random = new Random(seed);
    const rooms = [fresh('room'), fresh('room')];
    // So that joins with history take a while.
    const filler = await stage.client(fresh('filler'));
    for (const room of rooms) {
      for (let i = 0; i < 40; i += 1) {
        await filler.ok({ op: 'publish', room, mid: fresh('mid'), data: 'x'.repeat(4_000) });
      }
    }
    const writers = new Map<string, { client: Client; user: string; device: string; rooms: Set<string> }>();
    const users = Array.from({ length: 8 }, () => fresh('user'));
    const act = async () => {
      const [user, device] = [random.pick(users), random.pick(['phone', 'desk'])];
      const key = `${user} ${device}`;
      const writer = writers.get(key);
      if (writer === undefined) {
        const client = await stage.client(user, { device }, random.pick(['tcp', 'ws'] as const));
        const joined = rooms.filter(() => random.next() < 0.6);
        writers.set(key, { client, user, device, rooms: new Set(joined) });
        await Promise.all(joined.map((room) => client.ok({ op: 'join', room })));
        return;
      }
      const { client } = writer;
      const room = random.pick(rooms);
      const dice = random.next();
      if (dice < 0.15) {
        writers.delete(key);
        client.send({ op: 'quit', id: 1 });
      } else if (dice < 0.35) {
        // Cut off: some come back in time, some later, some not at all.
        writers.delete(key);
        if (client.closed === null) client.close();
      } else if (dice < 0.65) {
        const isIn = writer.rooms.has(room);
        await client.ok({ op: isIn ? 'leave' : 'join', room });
        if (isIn) writer.rooms.delete(room);
        else writer.rooms.add(room);
      } else {
        const text = random.pick([undefined, 'a', 'b']);
        await client.ok({ op: 'status', status: random.pick(['online', 'away', 'dnd']), ...(text && { text }) });
      }
    };
    const readers: RoomReader[] = [];
    const beginReading = async () => {
      const client = await stage.client(fresh('reader'), {}, random.pick(['tcp', 'ws'] as const));
      const more = { visible: false, ...(random.next() < 0.7 && { history: random.int(1, 40) }) };
      readers.push(await RoomReader.join(client, random.pick(rooms), random.pick(['full', 'count'] as const), more));
    };
    const asker = await stage.client(fresh('asker'));
    const truth = async (room: string) => (await asker.ok({ op: 'presence', room })).users as UserState[];
    for (let round = 0; round < 4; round += 1) {
      const done: Promise<void>[] = [];
      for (let i = 0; i < 60; i += 1) {
        await act();
        if (random.next() < 0.2) done.push(beginReading());
        if (random.next() < 0.3) await delay(random.int(1, 40));
      }
      await Promise.all(done);
      // Whoever was cut off and has not come back is gone after the grace.
      await delay(GRACE_MS + 200);
      for (const reader of readers) {
        const { room, mode } = reader;
        const wanted = await truth(room);
        const expected = mode === 'full' ? wanted : wanted.length;
        await vi.waitFor(
          () => expect(reader.state(), `round ${round}, ${mode} in ${room}`).toEqual(expected),
          PATIENCE,
        );
      }
    }
    expect(readers.length).toBeGreaterThan(20);
    for (const { client } of readers) client.close();
    for (const { client } of writers.values()) client.close();
  },
);

describe.concurrent('a reader', () => {
  test.each(['full', 'count'] as const)(
    'that asks between two pushes is not left with what it read, %s',
    async (mode) => {
      const own = await Stage.open({ TIDEGATE_PRESENCE_PUSH_MS: '1000' });
      try {
        const room = fresh('room');
        const reader = await own.client(fresh('reader'));
        await reader.ok({ op: 'join', room, presence: mode, visible: false });
        const [ann, bob] = [await own.client(fresh('ann')), await own.client(fresh('bob'))];
        // The interval begins with a push.
        await ann.ok({ op: 'join', room });
        await reader.until('the first push', () => roomPushes(reader, room).length === 1);
        await bob.ok({ op: 'join', room });
        const read = (await reader.ok({ op: 'presence', room })) as { version: number; count: number };
        expect(read.count).toBe(2);
        await bob.ok({ op: 'leave', room });
        // What a client knows that goes by the reply and then by what is newer.
        const known = () => roomPushes(reader, room).findLast(({ version }) => version > read.version) ?? read;
        const told = 'the pushes behind the reply tell of the leave';
        await vi.waitFor(() => expect(known().count, told).toBe(1), PATIENCE);
      } finally {
        await own.close();
      }
    },
  );

  test('that joins slowly while others come hears the count when they go', { timeout: 20_000 }, async () => {
    const room = fresh('room');
    const filler = await stage.client(fresh('filler'));
    for (let i = 0; i < 60; i += 1) {
      await filler.ok({ op: 'publish', room, mid: fresh('mid'), data: 'x'.repeat(4_000) });
    }
    const visitor = await stage.client(fresh('visitor'));
    for (let round = 0; round < 5; round += 1) {
      const clients = await Promise.all(Array.from({ length: 30 }, () => stage.client(fresh('reader'))));
      // So that the visitor's coming is told at once.
      await delay(2 * PUSH_MS);
      const readers = clients.map((client) => RoomReader.join(client, room, 'count', { visible: false, history: 60 }));
      await delay(2 + round * 6);
      await visitor.ok({ op: 'join', room });
      const joined = await Promise.all(readers);
      await Promise.all(joined.map((reader) => reader.client.until('the visitor', () => reader.state() === 1)));
      await visitor.ok({ op: 'leave', room });
      const wrong = () => joined.filter((reader) => reader.state() !== 0).length;
      await vi.waitFor(() => expect(wrong(), 'readers who take the visitor to be here').toBe(0), PATIENCE);
      for (const { client } of joined) client.close();
    }
  });
});

describe('a room with many readers', () => {
  const NAMES_MAX = 3;
  const FAST_MAX = 5;
  const SLOW_MS = 1_500;
  let many: Stage;

  beforeAll(async () => {
    many = await Stage.open({
      ...UNLIMITED,
      TIDEGATE_PRESENCE_PUSH_MS: '50',
      TIDEGATE_PRESENCE_NAMES_MAX: String(NAMES_MAX),
      TIDEGATE_PRESENCE_FAST_MAX: String(FAST_MAX),
      TIDEGATE_PRESENCE_SLOW_PUSH_MS: String(SLOW_MS),
      TIDEGATE_GRACE_MS: '0',
    });
  });

  afterAll(async () => {
    await many?.close();
  });

  async function readers(room: string, count: number): Promise<Client[]> {
    const clients: Client[] = [];
    for (let i = 0; i < count; i += 1) {
      const client = await many.client(fresh('reader'), {}, i % 2 === 0 ? 'tcp' : 'ws');
      await client.ok({ op: 'join', room, presence: 'full', visible: false });
      clients.push(client);
    }
    return clients;
  }

  test('gets names up to the bound and counts above it, and names again below', async () => {
    const room = fresh('room');
    const clients = await readers(room, NAMES_MAX);
    const [first] = clients as [Client];
    const ann = await many.client(fresh('ann'));
    await ann.ok({ op: 'join', room });
    for (const client of clients) {
      const [push] = await client.until('ann', () => roomPushes(client, room).length === 1 && roomPushes(client, room));
      expect(push).toEqual({
        push: 'presence',
        room,
        version,
        count: 1,
        partial: false,
        joined: [online(String(push?.joined?.[0]?.user))],
      });
    }
    const extra = await many.client(fresh('extra'));
    const joined = await extra.ok({ op: 'join', room, presence: 'full', visible: false });
    expect(joined.presence).toMatchObject({ count: 1, users: [{ devices: 1 }] });
    // A change that leaves the count alone is told as well: the version jumps.
    await ann.ok({ op: 'status', status: 'away' });
    for (const client of [...clients, extra]) {
      const push = await client.until('the change', () => roomPushes(client, room).find((said) => !said.joined));
      expect(push).toEqual({ push: 'presence', room, version, count: 1, partial: false });
      const { version: read } = await client.ok({ op: 'presence', room });
      expect(read).toBe(push.version);
    }
    await extra.ok({ op: 'leave', room });
    await ann.ok({ op: 'leave', room });
    const last = await first.until('the leave', () => roomPushes(first, room).find((said) => said.left));
    expect(last).toMatchObject({ count: 0, left: [{ status: 'away' }] });
  });

  test('is told slowly where there are very many', async () => {
    const room = fresh('room');
    const [reader] = (await readers(room, FAST_MAX + 1)) as [TcpClient];
    const atMs: number[] = [];
    reader.socket.on('data', () => {
      while (atMs.length < roomPushes(reader, room).length) atMs.push(performance.now());
    });
    const ann = await many.client(fresh('ann'));
    await ann.ok({ op: 'join', room });
    await reader.until('the first, at once', () => atMs.length === 1);
    for (let i = 0; i < 10; i += 1) await ann.ok({ op: 'status', status: i % 2 ? 'away' : 'dnd' });
    await ann.ok({ op: 'leave', room });
    await reader.until('the second', () => atMs.length === 2);
    expect((atMs[1] ?? 0) - (atMs[0] ?? 0)).toBeGreaterThan(SLOW_MS * 0.9);
    expect((atMs[1] ?? 0) - (atMs[0] ?? 0)).toBeLessThan(SLOW_MS + 1_000);
    expect(roomPushes(reader, room).map(({ count }) => count)).toEqual([1, 0]);
  });
});

test('who is suspended, or catches up, goes on hearing of presence, and joins again with another mode', async () => {
  const room = fresh('room');
  const [ann, bob] = [fresh('ann'), fresh('bob')];
  const a = await stage.client(ann);
  const { position } = await a.ok({ op: 'join', room });
  for (let i = 0; i < 310; i += 1) a.send({ op: 'publish', id: i, room, mid: fresh('mid'), data: i });
  await a.until('all messages', () => a.messages(room).length === 310);
  const b = await stage.client(bob);
  const page = await b.ok({ op: 'join', room, since: position, presence: 'full' });
  expect(page).toMatchObject({ more: true, presence: { count: 2, users: [online(ann), online(bob)] } });
  await a.ok({ op: 'status', status: 'away' });
  await untilTold(b, room, 'changed', ann);
  expect(await b.errorCode({ op: 'join', room, presence: 'full' })).toBe('already_joined');
  const resync = await b.push('a resync', ({ push }) => push === 'resync');
  expect(resync).toMatchObject({ room });
  const told = roomPushes(b, room).length;
  await a.ok({ op: 'status', status: 'dnd' });
  await b.until('the change while suspended', () => roomPushes(b, room).length > told);
  // Signals are messages of the room, and it has none.
  await a.ok({ op: 'signal', room, data: 'lost' });
  expect((await a.ok({ op: 'presence', room })).count).toBe(2);
  const again = await b.ok({ op: 'join', room, since: resync.position, presence: 'count', visible: false });
  expect(again.presence).toEqual({ count: 1, version });
  expect(b.heard.filter(({ push }) => push === 'signal')).toEqual([]);
  const before = roomPushes(b, room).length;
  const c = await stage.client(fresh('carl'));
  await c.ok({ op: 'join', room });
  const push = await b.until('the count', () => roomPushes(b, room)[before]);
  expect(push).toEqual({ push: 'presence', room, version, count: 2, partial: false });
});

test('who has left a room hears no more of it', async () => {
  const room = fresh('room');
  const [a, b] = [await stage.client(fresh('ann')), await stage.client(fresh('bob'))];
  const watcher = await stage.client(fresh('w'));
  await watcher.ok({ op: 'join', room, presence: 'full' });
  await a.ok({ op: 'join', room, presence: 'full' });
  // Pushes are due while it goes.
  b.send({ op: 'join', id: 1, room });
  await a.ok({ op: 'leave', room });
  const left = a.heard.length;
  await b.ok({ op: 'status', status: 'dnd' });
  await watcher.until('both', () =>
    roomPushes(watcher, room).some(({ changed, joined }) =>
      (changed ?? joined)?.some(({ status }) => status === 'dnd'),
    ),
  );
  await a.ok({ op: 'ping' });
  expect(a.heard.slice(left).filter(({ push }) => push === 'presence')).toEqual([]);
});

describe.concurrent('in text mode', () => {
  async function person(name: string, room: string): Promise<TcpClient> {
    const client = await stage.tcp();
    client.sendRaw(`/connect ${name}\n/join ${room}\n`);
    await client.until('the join', () => client.words.find((line) => line.startsWith('# joined')));
    return client;
  }

  function line(client: TcpClient, expected: string | RegExp): Promise<string> {
    return client.until(`the line ${expected}`, () =>
      client.words.find((word) => (typeof expected === 'string' ? word === expected : expected.test(word))),
    );
  }

  test('one sees who comes, changes and goes', async () => {
    const [room, ann, bob] = [fresh('room'), fresh('ann'), fresh('bob')];
    const a = await person(ann, room);
    const b = await person(bob, room);
    await line(a, `* ${bob} is online`);
    b.sendRaw('/status away gone for tea\n');
    await line(b, '# you are away now');
    await line(a, `* ${bob} is away: gone for tea`);
    a.sendRaw('/who\n');
    await line(a, `# [${room}] 2 here: ${ann}, ${bob} (away: gone for tea)`);
    a.sendRaw(`/who ${bob}\n`);
    await line(a, `# ${bob} is away: gone for tea`);
    b.sendRaw('/leave\n');
    await line(a, `* ${bob} left [${room}]`);
    b.sendRaw(`/join ${room}\n`);
    await a.until(
      'bob is back',
      () => a.words.filter((word) => word === `* ${bob} is away: gone for tea`).length === 2,
    );
    b.sendRaw('/quit\n');
    await line(a, `* ${bob} is offline`);
    a.sendRaw(`/who ${bob}\n`);
    await line(a, new RegExp(`^# ${bob} is offline, last seen 20\\d\\d-.*Z$`));
    a.sendRaw(`/who ${fresh('nobody')}\n`);
    await line(a, /^# nobody-\d+ is offline$/);
    // Nothing of one's own coming and going.
    expect(a.words.filter((word) => word.startsWith(`* ${ann}`))).toEqual([]);
  });

  test('/who knows rooms that one is not in, and devices', async () => {
    const [room, ann, bob] = [fresh('room'), fresh('ann'), fresh('bob')];
    const a = await person(ann, fresh('elsewhere'));
    for (const device of ['x', 'y']) {
      const b = await stage.client(bob, { device });
      await b.ok({ op: 'join', room });
    }
    a.sendRaw(`/who ${room}\n`);
    await line(a, `# [${room}] 1 here: ${bob}`);
    a.sendRaw(`/who ${bob}\n`);
    await line(a, `# ${bob} is online, on 2 devices`);
    a.sendRaw('/status nonsense\n');
    await line(a, '! bad_request: usage: /status online|away|dnd [TEXT]');
    a.sendRaw('/status dnd   no calls  please \n');
    await line(a, '# you are dnd now');
    a.sendRaw(`/who ${ann}\n`);
    await line(a, `# ${ann} is dnd: no calls  please`);
    a.sendRaw('/status online\n');
    await line(a, '# you are online now');
  });

  test("nobody's status drives another one's terminal", async () => {
    const room = fresh('room');
    const a = await person(fresh('ann'), room);
    const evil = [
      '\u001b[2J',
      '\u009b2J',
      'a\rb',
      'a\n* x',
      '\u202edlrow',
      '\u2066x',
      'a\u2028b',
      '\u0007',
      'a\u0000b',
    ];
    // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
    const harmful = /[\u0000-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]/;
    for (const text of evil) {
      const bob = fresh('bob');
      const b = await stage.client(bob, {}, 'ws');
      await b.ok({ op: 'status', status: 'away', text });
      await b.ok({ op: 'join', room });
      const shown = await line(a, new RegExp(`^\\* ${bob} is away: `));
      a.sendRaw(`/who ${bob}\n`);
      const asked = await line(a, new RegExp(`^# ${bob} is away: `));
      const all = a.words.length;
      a.sendRaw('/who\n');
      const list = await a.until('the list', () => a.words.slice(all).find((word) => word.startsWith(`# [${room}]`)));
      for (const said of [shown, asked, list]) {
        expect(said).toContain('\ufffd');
        expect(said).not.toMatch(harmful);
      }
      b.send({ op: 'quit', id: 1 });
      await line(a, `* ${bob} is offline`);
      // A JSON client gets what was said.
    }
    const json = await stage.client(fresh('json'));
    const carl = fresh('carl');
    const c = await stage.client(carl);
    await c.ok({ op: 'status', status: 'away', text: evil[0] });
    expect(await json.ok({ op: 'presence', user: carl })).toMatchObject({ text: evil[0] });
  });
});
