import { describe, expect, it, vi } from 'vitest';
import { settled } from './fake-environment.ts';
import { joiningWorld, liveWorld, opsOf, resume } from './room-world.ts';
import { message, namesOf, onlineWorld, outcomeOf, page, worldOf } from './virtual-server.ts';

const at = (offset: number, epoch = 'e') => ({ epoch, offset });

describe('joining', () => {
  it('hands on what the reply has, is live, and done', async () => {
    const { room, joined, told, server, client } = await joiningWorld({ history: 2 });
    expect(room.state).toBe('joining');
    expect(client.rooms.get('tea')).toBe(room);
    expect(await server.ok('join', page([4, 5], 7))).toEqual({ id: 1, op: 'join', room: 'tea', history: 2 });
    expect(joined).toStrictEqual({ value: undefined });
    expect(told).toEqual(['joining', 4, 5, 'live']);
    expect(room.position).toEqual(at(7));
    // What was not joined before is not behind.
    expect(client.state.name).toBe('online');
  });

  it('says what is asked for', async () => {
    const { server } = await joiningWorld({ presence: 'count', visible: false });
    expect(server.take('join')).toEqual({ id: 1, op: 'join', room: 'tea', presence: 'count', visible: false });
  });

  it('goes on from a position of one’s own', async () => {
    const { server, client, states, room } = await joiningWorld({ since: at(3), history: 9 });
    expect(room.position).toEqual(at(3));
    expect(server.take('join')).toEqual({ id: 1, op: 'join', room: 'tea', since: at(3) });
    expect(client.state.name).toBe('resyncing');
    expect(namesOf(states)).toEqual(['connecting', 'online', 'resyncing']);
  });

  it('waits for a session', async () => {
    const { client, server } = worldOf();
    const room = client.room('tea');
    const joined = outcomeOf(room.join());
    void client.connect();
    await server.accept();
    await server.ok('join', page([]));
    expect(joined).toStrictEqual({ value: undefined });
    expect(room.state).toBe('live');
  });

  it('twice is joining once', async () => {
    const { room, server } = await joiningWorld();
    const again = outcomeOf(room.join({ history: 5 }));
    await server.ok('join', page([], 1));
    expect(again).toStrictEqual({ value: undefined });
    expect(await room.join()).toBeUndefined();
    expect(opsOf({ server } as never)).toEqual(['join']);
  });

  it('goes through several sessions, as long as it has no answer', async () => {
    const world = await joiningWorld({ history: 3 });
    await resume(world);
    expect(world.joined).toStrictEqual({});
    expect(world.server.take('join')).toMatchObject({ room: 'tea', history: 3 });
  });

  it('that the server refuses for now is tried again, after the time that it names', async () => {
    const { server, environment, joined, room } = await joiningWorld();
    await server.fail('join', 'unavailable', 800);
    await environment.pass(799);
    expect(server.unanswered).toEqual([]);
    await environment.pass(1);
    await server.ok('join', page([]));
    expect(room.state).toBe('live');
    expect(joined).toStrictEqual({ value: undefined });
  });

  it('that the server refuses is over', async () => {
    const { server, client, joined, told, room } = await joiningWorld();
    await server.fail('join', 'forbidden');
    expect(joined.error).toMatchObject({ code: 'forbidden' });
    expect(told).toEqual(['joining', 'idle', 'left forbidden']);
    expect(room.state).toBe('idle');
    expect(client.rooms.size).toBe(0);
    expect(client.state.name).toBe('online');
  });

  it('is once a name', async () => {
    const { client, room, server } = await liveWorld();
    void room.leave();
    await server.ok('leave');
    const other = client.room('tea');
    expect(other).not.toBe(room);
    outcomeOf(other.join());
    await expect(room.join()).rejects.toMatchObject({ code: 'already_joined' });
  });

  it('does not take a reply from before for its own', async () => {
    const world = await joiningWorld({ history: 1 });
    const { room, server, told } = world;
    const early = server.take('join');
    outcomeOf(room.leave());
    const joined = outcomeOf(room.join());
    await settled();
    await server.say({ id: early.id, ok: page([1]) });
    expect(room.state).toBe('joining');
    await server.ok('leave');
    await server.ok('join', page([], 5));
    expect(joined).toStrictEqual({ value: undefined });
    expect(told).not.toContain(1);
    expect(room.position).toEqual(at(5));
  });
});

describe('a room', () => {
  it('is always the same one, until it is left', async () => {
    const { client, room, server } = await liveWorld();
    expect(client.room('tea')).toBe(room);
    expect(client.room('coffee')).not.toBe(room);
    expect(client.room('coffee')).toBe(client.room('coffee'));
    void room.leave();
    expect(client.room('tea')).toBe(room);
    await server.ok('leave');
    expect(client.room('tea')).not.toBe(room);
  });

  it('is the same one where it is joined again before the server knows that it was left', async () => {
    const { client, room } = await liveWorld();
    void room.leave();
    outcomeOf(room.join());
    expect(client.room('tea')).toBe(room);
    expect(client.rooms.get('tea')).toBe(room);
  });

  it('that the server ended is another one then', async () => {
    const { client, room, server } = await liveWorld();
    await server.say({ push: 'left', room: 'tea', code: 'kicked' });
    expect(client.room('tea')).not.toBe(room);
  });

  it('that is not joined stays so when the session is lost, or the client closed', async () => {
    const world = await onlineWorld();
    const room = world.client.room('tea');
    await world.server.end();
    expect(room.state).toBe('idle');
    await world.client.close();
    expect(room.state).toBe('idle');
    expect(world.client.rooms.size).toBe(0);
  });

  it('that was only published to is forgotten when it is left', async () => {
    const { client } = await onlineWorld();
    const room = client.room('tea');
    outcomeOf(room.publish(1));
    await room.leave();
    expect(client.room('tea')).not.toBe(room);
  });
});

describe('messages', () => {
  it('are handed on once, in order, whole', async () => {
    const { room, server, told } = await liveWorld(3);
    const messages = vi.fn();
    room.on('message', messages);
    await server.say({ push: 'message', ...message(4) }, { push: 'message', ...message(4) });
    await server.say({ push: 'message', ...message(3) }, { push: 'message', ...message(9, { data: { a: 1 } }) });
    expect(told).toEqual([4, 9]);
    expect(messages.mock.calls[1]).toEqual([message(9, { data: { a: 1 } })]);
    expect(room.position).toEqual(at(9));
  });

  it('of another epoch end the connection', async () => {
    const { client, server, told } = await liveWorld(3);
    await server.say({ push: 'message', ...message(4, { epoch: 'f' }) });
    expect(told).toEqual(['joining']);
    expect(client.state).toMatchObject({ name: 'waiting', reason: 'not understood: a message of another epoch' });
  });

  it('of rooms that are not joined are nobody’s', async () => {
    const { client, server, told } = await liveWorld(3);
    await server.say({ push: 'message', ...message(4, { room: 'coffee' }) }, { push: 'news', room: 'tea' });
    expect(told).toEqual([]);
    expect(client.state.name).toBe('online');
  });
});

describe('signals', () => {
  it('come and go', async () => {
    const { room, server } = await liveWorld();
    const heard = vi.fn();
    room.on('signal', heard);
    await server.say({ push: 'signal', room: 'tea', from: 'bob', data: { typing: true } });
    expect(heard.mock.calls).toEqual([[{ from: 'bob', data: { typing: true } }]]);
    const sent = outcomeOf(room.signal([1]));
    await settled();
    expect(await server.ok('signal')).toMatchObject({ room: 'tea', data: [1] });
    expect(sent).toStrictEqual({ value: undefined });
  });

  it('fail with the server’s error', async () => {
    const { room, server } = await liveWorld();
    const sent = outcomeOf(room.signal(1));
    await settled();
    await server.fail('signal', 'rate_limited', 50);
    expect(sent.error).toMatchObject({ code: 'rate_limited', retryAfterMs: 50 });
  });

  it('are bounded while the server answers none', async () => {
    const { room, server } = await liveWorld();
    const sent = Array.from({ length: 33 }, (_, i) => outcomeOf(room.signal(i)));
    await settled();
    expect(sent.map(({ error }) => error).filter((error) => error !== undefined)).toMatchObject([
      { code: 'queue_full', wasSent: false },
    ]);
    await server.ok('signal');
    const next = outcomeOf(room.signal('next'));
    await settled();
    expect(next).toStrictEqual({});
  });

  it('are not sent late', async () => {
    const world = await liveWorld();
    const lost = outcomeOf(world.room.signal(1));
    await settled();
    await world.server.end();
    expect(lost.error).toMatchObject({ code: 'offline', wasSent: true });
    const early = outcomeOf(world.room.signal(2));
    await settled();
    expect(early.error).toMatchObject({ code: 'offline', wasSent: false });
  });
});

describe('a room that the server ended', () => {
  it('is told of, and not joined again', async () => {
    const world = await liveWorld();
    const { room, client, server, told } = world;
    const words = vi.fn();
    room.on('left', words);
    await server.say({ push: 'left', room: 'tea', code: 'kicked' });
    expect(told).toEqual(['idle', 'left kicked']);
    expect(words.mock.calls).toEqual([[{ code: 'kicked', message: 'left: kicked' }]]);
    expect(client.rooms.size).toBe(0);
    await resume(world);
    expect(opsOf(world)).toEqual([]);
  });

  it('may be joined again', async () => {
    const { room, client, server } = await liveWorld();
    await server.say({ push: 'left', room: 'tea', code: 'kicked' });
    const joined = outcomeOf(room.join());
    await settled();
    await server.ok('join', page([], 2));
    expect(joined).toStrictEqual({ value: undefined });
    expect(client.room('tea')).toBe(room);
  });

  it('refuses it also while it is joined', async () => {
    const { server, joined, told } = await joiningWorld();
    await server.say({ push: 'left', room: 'tea', code: 'forbidden' });
    expect(joined.error).toMatchObject({ code: 'left', message: 'left: forbidden' });
    expect(told).toEqual(['joining', 'idle', 'left forbidden']);
  });
});

describe('all rooms', () => {
  it('are joined in one message by a client that comes back, each from its place', async () => {
    const world = await onlineWorld();
    const { client, server } = world;
    for (const name of ['a', 'b', 'c']) outcomeOf(client.room(name).join({ history: 1 }));
    await settled();
    await server.ok('join', { ...page([], 3), room: 'a' });
    await server.ok('join', { ...page([], 4), room: 'b' });
    await resume(world as never);
    const [, joins] = server.frames;
    expect(server.frames).toHaveLength(2);
    expect(joins?.map(({ op, room, since, history }) => ({ op, room, since, history }))).toEqual([
      { op: 'join', room: 'a', since: at(3), history: undefined },
      { op: 'join', room: 'b', since: at(4), history: undefined },
      { op: 'join', room: 'c', since: undefined, history: 1 },
    ]);
    expect(client.state.name).toBe('resyncing');
    await server.ok('join', { ...page([], 3), room: 'a', recovered: true });
    expect(client.state.name).toBe('resyncing');
    await server.ok('join', { ...page([], 4), room: 'b', recovered: true });
    expect(client.state.name).toBe('online');
  });
});
