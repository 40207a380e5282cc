import { describe, expect, it, vi } from 'vitest';
import { settled } from './fake-environment.ts';
import { LIMITS, onlineWorld, outcomeOf, type World, waited, worldOf } from './virtual-server.ts';

const bob = { user: 'bob', status: 'away', devices: 1, lastSeenMs: 5 };
const cat = { user: 'cat', status: 'online', devices: 2, lastSeenMs: 6 };

/** Loses the session, and begins another one. */
async function reconnect(world: World): Promise<void> {
  await world.server.end();
  await waited(world);
  await world.server.accept();
}

/** What was said in this session, but for `connect`, without ids. */
function heard({ server }: World): object[] {
  return server.heard.slice(1).map(({ id, ...members }) => members);
}

describe('a question', () => {
  it('has an answer', async () => {
    const { client, server } = await onlineWorld();
    const answers = [outcomeOf(client.ping()), outcomeOf(client.presence('bob'))];
    await settled();
    await server.ok('ping', { serverMs: 77 });
    expect((await server.ok('presence', bob)).user).toBe('bob');
    expect(answers).toEqual([{ value: 77 }, { value: bob }]);
  });

  it('has the server’s error', async () => {
    const { client, server } = await onlineWorld();
    const asked = outcomeOf(client.presence('bob'));
    await settled();
    await server.fail('presence', 'forbidden');
    expect(asked.error).toMatchObject({ code: 'forbidden', message: 'forbidden: forbidden it is', wasSent: true });
  });

  it('waits for a session, for a minute at most', async () => {
    const world = worldOf({ retryForMs: 90_000 });
    const early = outcomeOf(world.client.ping());
    await world.environment.pass(59_999);
    expect(early).toStrictEqual({});
    await world.environment.pass(1);
    expect(early.error).toMatchObject({ code: 'timed_out', wasSent: false });
  });

  it('waits as long as it is told to', async () => {
    const { client, environment } = await onlineWorld({ retryForMs: 2_000 });
    const asked = outcomeOf(client.ping());
    await environment.pass(2_000);
    expect(asked.error).toMatchObject({ code: 'timed_out', wasSent: true });
  });

  it('is asked in the next session', async () => {
    const world = await onlineWorld();
    const asked = outcomeOf(world.client.ping());
    await reconnect(world);
    await world.server.ok('ping', { serverMs: 3 });
    expect(asked).toEqual({ value: 3 });
  });

  it('is one of 256 at most that wait, or of as many as is said', async () => {
    const { client } = await onlineWorld();
    const asked = Array.from({ length: 257 }, () => outcomeOf(client.ping()));
    await settled();
    expect(asked.map(({ error }) => error?.code)).toEqual([...Array(256).fill(undefined), 'queue_full']);
    const { client: other } = await onlineWorld({ waitingMax: 1 });
    const few = [other.ping(), other.ping()].map(outcomeOf<number>);
    const published = [1, 2].map((data) => outcomeOf(other.room('tea').publish(data)));
    await settled();
    expect([...few, ...published].map(({ error }) => error?.code)).toEqual([
      undefined,
      'queue_full',
      undefined,
      'queue_full',
    ]);
  });

  it('is refused when the client is closed', async () => {
    const { client, server } = await onlineWorld();
    await server.disconnect(3503, 'kicked', null);
    const room = client.room('tea');
    const asks = [client.ping(), client.watch(['bob']), client.status('away'), room.publish(1), room.join()];
    for (const ask of asks) await expect(ask).rejects.toMatchObject({ code: 'closed', message: 'closed: kicked' });
    expect(room.state).toBe('idle');
  });
});

describe('a value that is no JSON', () => {
  it('fails whoever gave it, and no session', async () => {
    const world = await onlineWorld();
    const { client, environment } = world;
    const offset = 1n as unknown as number;
    const room = client.room('tea');
    const asked = [
      outcomeOf<unknown>(client.presence(1n as unknown as string)),
      outcomeOf<unknown>(room.history({ limit: offset })),
      outcomeOf<unknown>(room.publish(1n)),
      outcomeOf<unknown>(room.signal(1n)),
      outcomeOf<unknown>(room.join({ since: { epoch: 'e', offset } })),
    ];
    const timers = environment.timers.length;
    await settled();
    for (const { error } of asked) expect(error).toBeInstanceOf(TypeError);
    expect(client.rooms.size).toBe(0);
    expect(room.state).toBe('idle');
    expect(environment.timers).toHaveLength(timers);
    await reconnect(world);
    expect(client.state.name).toBe('online');
    expect(heard(world)).toEqual([]);
  });
});

describe('a publish', () => {
  it('has a mid, and resolves with its place', async () => {
    const { client, server } = await onlineWorld();
    const room = client.room('tea');
    const sending = room.publish({ text: 'hi' });
    expect(sending.mid).toMatch(/^id-\d+$/);
    const own = room.publish(null, 'my mid');
    expect(own.mid).toBe('my mid');
    await settled();
    expect(server.take('publish')).toMatchObject({ room: 'tea', mid: sending.mid, data: { text: 'hi' } });
    const place = { room: 'tea', mid: 'my mid', epoch: 'e', offset: 3, duplicate: true };
    await server.ok('publish', place);
    expect(await own).toEqual(place);
  });

  it('is one of as many in flight as the server takes', async () => {
    const { client, server } = await onlineWorld({}, { limits: { ...LIMITS, publishesUnansweredMax: 2 } });
    for (const data of [1, 2, 3]) outcomeOf(client.room('tea').publish(data));
    await settled();
    expect(server.unanswered.map(({ data }) => data)).toEqual([1, 2]);
  });

  it.each([
    ['x', 16_382],
    ['é', 8_191],
  ])('holds as much as the server takes, in bytes of %s', async (letter, count) => {
    const { client, server } = await onlineWorld();
    const sent = outcomeOf(client.room('tea').publish(letter.repeat(count)));
    const tooLong = outcomeOf(client.room('tea').publish(`${letter.repeat(count)}x`));
    await settled();
    expect(sent).toStrictEqual({});
    expect(tooLong.error).toMatchObject({ code: 'bad_request', message: /16384/, wasSent: false });
    expect(server.unanswered).toHaveLength(1);
  });

  it('holds as much as every server takes, before there is one', async () => {
    const { client } = worldOf();
    const room = client.room('tea');
    const sent = outcomeOf(room.publish('x'.repeat(16_382)));
    await settled();
    expect(sent).toStrictEqual({});
    await expect(room.publish('x'.repeat(16_383))).rejects.toMatchObject({ code: 'bad_request' });
  });

  it('holds as much as this server takes', async () => {
    const { client } = await onlineWorld({}, { limits: { ...LIMITS, dataBytesMax: 4 } });
    const room = client.room('tea');
    await expect(room.publish('abc')).rejects.toMatchObject({ code: 'bad_request' });
    const sent = outcomeOf(room.publish('ab'));
    await settled();
    expect(sent).toStrictEqual({});
  });

  it.each([undefined, () => 1, Symbol('s')])('is of a JSON value, not %s', async (data) => {
    const { client, server } = await onlineWorld();
    await expect(client.room('tea').publish(data)).rejects.toMatchObject({ code: 'bad_request' });
    expect(server.unanswered).toEqual([]);
  });

  it('goes out again in the next session', async () => {
    const world = await onlineWorld();
    const { mid } = world.client.room('tea').publish(1);
    await settled();
    await reconnect(world);
    expect(heard(world)).toEqual([{ op: 'publish', room: 'tea', mid, data: 1 }]);
  });
});

describe('a line that is too long for the server', () => {
  it('fails by itself', async () => {
    const { client, server } = await onlineWorld({}, { limits: { ...LIMITS, frameBytesMax: 100 } });
    const asked = outcomeOf(client.presence('u'.repeat(80)));
    const other = outcomeOf(client.ping());
    await settled();
    expect(asked.error).toMatchObject({ code: 'bad_request' });
    await server.ok('ping', { serverMs: 1 });
    expect(other).toEqual({ value: 1 });
  });
});

describe('a watch', () => {
  it('tells how the users are, and then of their changes', async () => {
    const { client, server } = await onlineWorld();
    const told = vi.fn();
    client.on('presence', told);
    const watched = outcomeOf(client.watch(['bob', 'cat']));
    await settled();
    expect((await server.ok('watch', { users: [bob, cat] })).users).toEqual(['bob', 'cat']);
    expect(watched.value).toEqual([bob, cat]);
    const changed = { ...bob, status: 'online' };
    await server.say(
      { push: 'presence', ...changed },
      { push: 'presence', ...bob, user: 'eve' },
      { push: 'news', ...bob },
    );
    expect(told.mock.calls).toEqual([[changed]]);
    const unwatched = outcomeOf(client.unwatch(['bob']));
    await server.say({ push: 'presence', ...bob });
    await server.ok('unwatch');
    expect(unwatched).toStrictEqual({ value: undefined });
    await server.say({ push: 'presence', ...cat });
    expect(told.mock.calls.slice(1)).toEqual([[cat]]);
  });

  it('goes on in the next sessions, and tells how they are then', async () => {
    const world = await onlineWorld();
    const { client, server } = world;
    const told = vi.fn();
    client.on('presence', told);
    outcomeOf(client.watch(['bob', 'cat', 'dee']));
    await settled();
    await server.ok('watch', { users: [] });
    outcomeOf(client.unwatch(['dee']));
    await settled();
    await server.ok('unwatch');
    for (let i = 0; i < 2; i += 1) {
      await reconnect(world);
      expect(heard(world)).toEqual([{ op: 'watch', users: ['bob', 'cat'] }]);
      await server.ok('watch', { users: [bob, cat] });
      expect(told.mock.calls).toEqual([[bob], [cat]]);
      told.mockClear();
    }
  });

  it('that is refused is not asked for again, and leaves others alone', async () => {
    const world = await onlineWorld();
    const { client, server } = world;
    const told = vi.fn();
    client.on('presence', told);
    outcomeOf(client.watch(['bob']));
    await settled();
    await server.ok('watch', { users: [bob] });
    const refused = outcomeOf(client.watch(['bob', 'eve']));
    await settled();
    await server.fail('watch', 'forbidden');
    expect(refused.error).toMatchObject({ code: 'forbidden' });
    await server.say({ push: 'presence', ...bob });
    expect(told).toHaveBeenCalledTimes(1);
    await reconnect(world);
    expect(heard(world)).toEqual([{ op: 'watch', users: ['bob'] }]);
  });

  it('that nobody answered in time goes on', async () => {
    const world = await onlineWorld({ retryForMs: 1_000 });
    const watched = outcomeOf(world.client.watch(['bob']));
    await world.environment.pass(1_000);
    expect(watched.error).toMatchObject({ code: 'timed_out' });
    await reconnect(world);
    expect(heard(world)).toEqual([{ op: 'watch', users: ['bob'] }]);
  });

  it('that waits when the client is closed begins when it connects again', async () => {
    const world = await onlineWorld();
    const watched = outcomeOf(world.client.watch(['bob']));
    await settled();
    void world.client.close();
    await world.server.end(1000);
    expect(watched.error).toMatchObject({ code: 'closed' });
    void world.client.connect();
    await world.server.accept();
    expect(heard(world)).toEqual([{ op: 'watch', users: ['bob'] }]);
  });

  it('that is over before it was asked for is not asked for', async () => {
    const { client, server } = worldOf();
    const watched = outcomeOf(client.watch(['bob']));
    const unwatched = outcomeOf(client.unwatch(['bob']));
    const again = outcomeOf(client.watch(['bob']));
    void client.connect();
    await server.accept();
    const ops = server.unanswered.map(({ op }) => op);
    expect(ops).not.toContain('unwatch');
    for (const op of ops) await server.ok(op, { users: [bob] });
    expect(unwatched).toStrictEqual({ value: undefined });
    expect([watched.value, again.value]).toEqual([[bob], [bob]]);
  });

  it('that is refused in a later session is an error', async () => {
    const world = await onlineWorld();
    const errors = vi.fn();
    world.client.on('error', errors);
    outcomeOf(world.client.watch(['bob']));
    await settled();
    await world.server.ok('watch', { users: [bob] });
    await reconnect(world);
    await world.server.fail('watch', 'forbidden');
    expect(errors.mock.calls).toMatchObject([[{ code: 'forbidden' }]]);
  });
});

describe('a status', () => {
  it('is said now, and in every session that follows', async () => {
    const world = await onlineWorld();
    const said = outcomeOf(world.client.status('dnd', 'in a meeting'));
    await settled();
    expect(heard(world)).toEqual([{ op: 'status', status: 'dnd', text: 'in a meeting' }]);
    await world.server.ok('status', { status: 'dnd' });
    expect(said).toStrictEqual({ value: undefined });
    outcomeOf(world.client.status('away'));
    await settled();
    await world.server.ok('status', { status: 'away' });
    for (let i = 0; i < 2; i += 1) {
      await reconnect(world);
      expect(heard(world)).toEqual([{ op: 'status', status: 'away' }]);
      await world.server.ok('status', { status: 'away' });
    }
  });

  it('that is tried again is the newest one', async () => {
    const { client, server, environment } = await onlineWorld();
    const away = outcomeOf(client.status('away'));
    await settled();
    await server.fail('status', 'overloaded', 1_000);
    outcomeOf(client.status('online'));
    await settled();
    await server.ok('status', { status: 'online' });
    await environment.pass(1_000);
    expect(server.unanswered).toMatchObject([{ status: 'online' }]);
    await server.ok('status', { status: 'online' });
    expect(away).toStrictEqual({ value: undefined });
  });

  it('and a watch are both said in each session, whichever of them the one before did not answer', async () => {
    const world = await onlineWorld();
    outcomeOf(world.client.watch(['bob']));
    outcomeOf(world.client.status('away'));
    await settled();
    await world.server.ok('watch', { users: [bob] });
    await world.server.ok('status', { status: 'away' });
    for (const op of ['watch', 'status', 'watch']) {
      await reconnect(world);
      expect(world.server.unanswered.map(({ op }) => op).sort()).toEqual(['status', 'watch']);
      await world.server.ok(op, { users: [bob] });
    }
  });

  it('is said also where no question more may wait', async () => {
    const world = await onlineWorld({ waitingMax: 1 });
    const said = outcomeOf(world.client.status('away'));
    await world.server.ok('status', { status: 'away' });
    expect(said).toStrictEqual({ value: undefined });
    outcomeOf(world.client.ping());
    await reconnect(world);
    expect(heard(world)).toEqual([{ op: 'status', status: 'away' }, { op: 'ping' }]);
  });

  it('that is being said is no error when the client is closed', async () => {
    const world = await onlineWorld();
    const errors = vi.fn();
    world.client.on('error', errors);
    outcomeOf(world.client.status('away'));
    await world.server.ok('status', { status: 'away' });
    await reconnect(world);
    void world.client.close();
    await world.server.end(1000);
    expect(errors).not.toHaveBeenCalled();
  });

  it('is nothing to say where nobody has said it', async () => {
    const world = await onlineWorld();
    await reconnect(world);
    expect(heard(world)).toEqual([]);
  });
});
