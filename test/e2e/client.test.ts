import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { UNLIMITED } from './gateway-process.ts';
import { dataOf, failure, heard, numbers, PATIENCE, publishAll, SdkStage, statesOf } from './sdk-stage.ts';

let stage: SdkStage;

beforeAll(async () => {
  stage = await SdkStage.open();
});

afterAll(() => stage?.close());

describe('a session', { timeout: 60_000 }, () => {
  test('begins with connect, which tells of it, and ends with close', async () => {
    const client = stage.client({ user: 'ann', device: 'phone', client: 'test/1' });
    expect([client.state, client.session]).toEqual([{ name: 'closed', reason: 'not connected', code: null }, null]);
    const states = statesOf(client);
    const connecting = client.connect();
    expect(client.state).toEqual({ name: 'connecting' });
    const session = await connecting;
    expect(session).toMatchObject({ user: 'ann', device: 'phone', server: expect.stringMatching(/^tidegate\//) });
    expect(session.limits).toMatchObject({ dataBytesMax: 16_384, roomsMax: 256, publishes: { burst: 100 } });
    expect(client.session).toEqual(session);
    expect(await client.connect()).toBe(session);
    const beforeMs = Date.now();
    const serverMs = await client.ping();
    // The same machine's clock.
    expect(serverMs).toBeGreaterThanOrEqual(beforeMs);
    expect(serverMs).toBeLessThanOrEqual(Date.now());
    await client.close();
    expect(client.state).toEqual({ name: 'closed', reason: 'closed', code: null });
    expect(states).toEqual(['connecting', 'online', 'closed']);
  });

  test('comes back as the same guest on the same device', async () => {
    const own = await SdkStage.forTest();
    const client = await own.connected();
    const states = heard(client, 'state');
    const first = client.session;
    expect(first?.user).toMatch(/^guest-/);
    await own.cut(client);
    expect(client.session).toMatchObject({ user: first?.user, device: first?.device });
    expect(client.session?.session).not.toBe(first?.session);
    expect(states.map(({ name }) => name)).toEqual(['waiting', 'connecting', 'online']);
    expect(states[0]).toEqual({ name: 'waiting', reason: expect.any(String), retryAtMs: expect.any(Number) });
    // And also by another gateway, which knows nobody.
    await own.restart();
    await expect.poll(() => client.state.name, PATIENCE).toBe('online');
    expect(client.session).toMatchObject({ user: first?.user, device: first?.device });
  });

  test('that was closed begins anew in its rooms, from its places', async () => {
    const client = await stage.connected();
    const room = client.room(stage.fresh('room'));
    const messages = heard(room, 'message');
    await room.join();
    await room.publish('one');
    await client.close();
    expect(room.state).toBe('joining');
    const other = await stage.connected();
    await other.room(room.name).publish('two');
    await client.connect();
    await expect.poll(() => dataOf(messages), PATIENCE).toEqual(['one', 'two']);
    expect([client.room(room.name) === room, room.state]).toEqual([true, 'live']);
  });

  test('that is replaced is closed, and takes its place back when asked to', async () => {
    const identity = { user: 'twin', device: 'phone' };
    const first = await stage.connected(identity);
    const room = first.room(stage.fresh('room'));
    const messages = heard(room, 'message');
    await room.join();
    const second = await stage.connected(identity);
    await expect.poll(() => first.state, PATIENCE).toEqual({ name: 'closed', reason: 'replaced', code: 3504 });
    await second.room(room.name).publish('meanwhile');
    expect(await failure(first.ping())).toMatchObject({ code: 'closed', wasSent: false });
    await first.connect();
    await expect.poll(() => second.state, PATIENCE).toEqual({ name: 'closed', reason: 'replaced', code: 3504 });
    await expect.poll(() => dataOf(messages), PATIENCE).toEqual(['meanwhile']);
  });

  test('of somebody who is sent away for good is closed, with all that waited', async () => {
    const user = stage.fresh('user');
    const client = await stage.connected({ user });
    const room = client.room(stage.fresh('room'));
    await room.join();
    const reading = failure(room[Symbol.asyncIterator]().next());
    expect((await stage.api.post(`/api/v1/users/${user}/disconnect`, {})).json).toEqual({
      sessions: 1,
      partial: false,
    });
    await expect.poll(() => client.state, PATIENCE).toEqual({ name: 'closed', reason: 'kicked', code: 3503 });
    expect(await reading).toMatchObject({ code: 'closed', message: 'closed: kicked' });
    expect(await failure(room.publish('too late'))).toMatchObject({ code: 'closed' });
    expect(await failure(client.room('other').join())).toMatchObject({ code: 'closed' });
    await client.connect();
    await expect.poll(() => room.state, PATIENCE).toBe('live');
  });

  test('comes back when an operator sends it away for a while', async () => {
    const user = stage.fresh('user');
    const client = await stage.connected({ user });
    const states = heard(client, 'state');
    await stage.api.post(`/api/v1/users/${user}/disconnect`, { code: 3000, reason: 'moved' });
    await expect.poll(() => states.map(({ name }) => name), PATIENCE).toEqual(['waiting', 'connecting', 'online']);
    expect(states[0]).toMatchObject({ reason: 'moved' });
  });

  test('is refused where the user has too many', async () => {
    const own = await SdkStage.forTest({ TIDEGATE_SESSIONS_PER_USER: '1' });
    await own.connected({ user: 'ann' });
    const second = own.client({ user: 'ann' });
    expect(await failure(second.connect())).toMatchObject({ code: 'closed' });
    expect(second.state).toEqual({ name: 'closed', reason: 'connection_limit', code: 3505 });
  });

  test('is refused for a name that is none', async () => {
    const client = stage.client({ user: 'ann b' });
    expect(await failure(client.connect())).toMatchObject({ code: 'closed', message: expect.stringContaining('user') });
    expect(client.state).toMatchObject({ name: 'closed', code: null });
  });
});

describe('over a loss', { timeout: 60_000 }, () => {
  test('what was published while there was none is delivered once, in order', async () => {
    const own = await SdkStage.forTest({ TIDEGATE_GRACE_MS: '1000' });
    const [writer, reader] = [await own.connected(), await own.connected()];
    const rooms = [writer.room('r'), reader.room('r')] as const;
    const messages = heard(rooms[1], 'message');
    await rooms[1].join();
    const before = publishAll(rooms[0], numbers(1, 50));
    own.proxy.reset();
    const after = publishAll(rooms[0], numbers(51, 100));
    await Promise.all([before, after]);
    await expect.poll(() => dataOf(messages), PATIENCE).toEqual(numbers(1, 100));
  });

  test('reads what it missed, and says that it does', async () => {
    const own = await SdkStage.forTest(UNLIMITED);
    const client = await own.connected({ user: 'ann' });
    const room = client.room('r');
    const messages = heard(room, 'message');
    const [states, roomStates] = [heard(client, 'state'), heard(room, 'state')];
    await room.join();
    const writer = await own.stage.client('bob');
    await own.goAway(client);
    for (const data of numbers(1, 700)) writer.send({ op: 'publish', id: data, room: 'r', mid: `m${data}`, data });
    await writer.until('all acks', () => writer.heard.length === 701);
    own.comeBack();
    await expect.poll(() => messages.length, PATIENCE).toBe(700);
    expect(dataOf(messages)).toEqual(numbers(1, 700));
    await expect.poll(() => client.state.name, PATIENCE).toBe('online');
    expect(states.at(-2)?.name).toBe('resyncing');
    expect(roomStates).toEqual(['joining', 'live', 'joining', 'catching_up', 'live']);
  });

  test('a gateway that drains is left for the next one', async () => {
    const own = await SdkStage.forTest();
    const client = await own.connected({ user: 'ann' });
    const states = heard(client, 'state');
    const room = client.room('r');
    await room.join();
    await own.restart();
    await expect.poll(() => client.state.name, PATIENCE).toBe('online');
    expect(states[0]).toMatchObject({ name: 'waiting', reason: 'drain' });
    await expect.poll(() => room.state, PATIENCE).toBe('live');
  });
});

describe('calls', { timeout: 60_000 }, () => {
  test('beyond what may wait are refused at once, and those that wait go out', async () => {
    const client = stage.client({ waitingMax: 2 });
    const room = client.room(stage.fresh('room'));
    const messages = heard(room, 'message');
    const joined = room.join();
    const publishing = ['one', 'two'].map((data) => room.publish(data));
    expect(await failure(room.publish('three'))).toMatchObject({ code: 'queue_full', wasSent: false });
    const pings = [client.ping(), client.ping()];
    expect(await failure(client.ping())).toMatchObject({ code: 'queue_full', wasSent: false });
    await client.connect();
    expect((await Promise.all(publishing)).map(({ duplicate }) => duplicate)).toEqual([false, false]);
    await Promise.all([...pings, joined]);
    await expect.poll(() => dataOf(messages), PATIENCE).toEqual(['one', 'two']);
  });

  test('without an answer fail after their time, and say whether they were sent', async () => {
    const own = await SdkStage.forTest();
    const client = await own.connected({ retryForMs: 500 });
    own.proxy.hold('down');
    const sent = failure(client.room('r').publish('sent'));
    expect(await sent).toMatchObject({ code: 'timed_out', wasSent: true });
    await own.goAway(client);
    expect(await failure(client.room('r').publish('never sent'))).toMatchObject({ code: 'timed_out', wasSent: false });
    expect(await failure(client.ping())).toMatchObject({ code: 'timed_out', wasSent: false });
    own.comeBack();
    await expect.poll(() => client.state.name, PATIENCE).toBe('online');
    const { messages } = await (await own.connected()).room('r').history({ limit: 10 });
    expect(dataOf(messages)).toEqual(['sent']);
  });

  test('that wait are told of the close', async () => {
    const client = stage.client();
    const room = client.room(stage.fresh('room'));
    const connecting = failure(client.connect());
    const waiting = [room.join(), room.publish(1), client.ping(), client.watch(['x']), client.status('away')].map(
      failure,
    );
    const reading = room[Symbol.asyncIterator]().next();
    await client.close();
    for (const error of await Promise.all([connecting, ...waiting])) expect(error).toMatchObject({ code: 'closed' });
    expect(await reading).toEqual({ done: true, value: undefined });
    expect(await failure(room.publish(2))).toMatchObject({ code: 'closed' });
  });

  test('to close resolve also where nothing passes any more', async () => {
    const own = await SdkStage.forTest();
    const client = await own.connected();
    own.proxy.silence();
    const pinging = failure(client.ping());
    await client.close();
    expect(await pinging).toMatchObject({ code: 'closed', wasSent: true });
  });
});
