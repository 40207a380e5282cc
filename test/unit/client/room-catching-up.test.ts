import { describe, expect, it } from 'vitest';
import { settled } from './fake-environment.ts';
import { joiningWorld, liveWorld, opsOf, type RoomWorld, resume } from './room-world.ts';
import { message, namesOf, outcomeOf, page } from './virtual-server.ts';

const at = (offset: number, epoch = 'e') => ({ epoch, offset });

function push(offset: number, more: object = {}): object {
  return { push: 'message', ...message(offset, more) };
}

describe('a room after a lost session', () => {
  it('is joined from its place, and hands on what was missed and then what is new', async () => {
    const world = await liveWorld(3);
    const { room, server, client, told, states } = world;
    await server.say(push(5));
    await resume(world);
    expect(client.state.name).toBe('resyncing');
    expect(server.take('join')).toEqual({ id: 1, op: 'join', room: 'tea', since: at(5) });
    await server.say({ id: 1, ok: { ...page([6, 7]), recovered: true } });
    await server.say(push(8));
    expect(told).toEqual([5, 'joining', 6, 7, 'live', 8]);
    expect(room.state).toBe('live');
    expect(namesOf(states)).toEqual(['connecting', 'online', 'waiting', 'connecting', 'resyncing', 'online']);
  });

  it('hands nothing on twice', async () => {
    const world = await liveWorld(3);
    await resume(world);
    await world.server.ok('join', { ...page([2, 3, 4]), recovered: true });
    expect(world.told).toEqual(['joining', 4, 'live']);
  });

  it('reads page by page what is more', async () => {
    const world = await liveWorld(3);
    const { server, told, client, room } = world;
    await resume(world);
    await server.ok('join', { ...page([4, 5], 5, true), recovered: true });
    expect(room.state).toBe('catching_up');
    expect(client.state.name).toBe('resyncing');
    expect(await server.ok('history', page([6], 9, true))).toMatchObject({ after: at(5), limit: 300, room: 'tea' });
    // What is pushed meanwhile belongs to another visit.
    await server.say(push(12));
    expect(await server.ok('history', page([10], 11))).toMatchObject({ after: at(9) });
    expect(told).toEqual(['joining', 4, 5, 'catching_up', 6, 10, 'live']);
    expect(client.state.name).toBe('online');
    expect(room.position).toEqual(at(11));
  });

  it('tries a page again that the server refuses for now', async () => {
    const world = await liveWorld(3);
    const { server, environment } = world;
    await resume(world);
    await server.ok('join', { ...page([4], 4, true), recovered: true });
    await server.fail('history', 'overloaded', 600);
    await environment.pass(599);
    expect(server.unanswered).toEqual([]);
    await environment.pass(1);
    await server.ok('history', page([5]));
    expect(world.told).toEqual(['joining', 4, 'catching_up', 5, 'live']);
  });

  it('is over where a page is refused for good', async () => {
    const world = await liveWorld(3);
    await resume(world);
    await world.server.ok('join', { ...page([4], 4, true), recovered: true });
    await world.server.fail('history', 'forbidden');
    expect(world.told).toEqual(['joining', 4, 'catching_up', 'idle', 'left forbidden']);
    expect(world.client.state.name).toBe('online');
  });

  it('begins anew from where it came to, when the session is lost in the middle', async () => {
    const world = await liveWorld(3);
    const { server, told, environment } = world;
    await resume(world);
    await server.ok('join', { ...page([4], 4, true), recovered: true });
    await server.fail('history', 'overloaded', 20_000);
    await resume(world);
    expect(server.take('join')).toMatchObject({ since: at(4) });
    await environment.pass(30_000);
    // The page of the session before is not asked for.
    expect(opsOf(world)).toEqual(['join']);
    expect(told).toEqual(['joining', 4, 'catching_up', 'joining']);
  });

  it('whose join is refused for now is tried again in the same session only', async () => {
    const world = await liveWorld(3);
    await resume(world);
    await world.server.fail('join', 'unavailable', 20_000);
    await resume(world);
    await world.environment.pass(30_000);
    expect(opsOf(world)).toEqual(['join']);
  });

  it('does not take the answer of a page from before its end', async () => {
    const world = await liveWorld(3);
    const { server, told, room } = world;
    await resume(world);
    await server.ok('join', { ...page([4], 4, true), recovered: true });
    await settled();
    const { id } = server.take('history');
    outcomeOf(room.leave());
    await server.say({ id, ok: page([5]) });
    expect(told).toEqual(['joining', 4, 'catching_up', 'idle']);
  });
});

describe('what cannot be had', () => {
  it('is a gap', async () => {
    const world = await liveWorld(3);
    await resume(world);
    const gap = { from: at(3), to: at(6) };
    await world.server.ok('join', { ...page([7]), recovered: false, gap });
    expect(world.told).toEqual(['joining', '3..6', 7, 'live']);
  });

  it('in another epoch is a gap without a beginning, and what was handed on is not doubled', async () => {
    const world = await liveWorld(0);
    await world.server.say(push(1), push(2));
    await resume(world);
    const restored = [message(0, { epoch: 'f', mid: 'm2' }), message(1, { epoch: 'f', mid: 'new' })];
    const gap = { from: null, to: at(-1, 'f') };
    await world.server.ok('join', { messages: restored, position: at(1, 'f'), more: false, recovered: false, gap });
    expect(world.told).toEqual([1, 2, 'joining', '..-1', 1, 'live']);
    await world.server.say(push(2, { epoch: 'f', mid: 'm1' }), push(3, { epoch: 'f' }));
    expect(world.told.slice(6)).toEqual([3]);
  });

  it('because the log was cut leaves the place at the log’s', async () => {
    const world = await liveWorld(900);
    await resume(world);
    await world.server.ok('join', { ...page([], 4), recovered: false });
    expect(world.room.position).toEqual(at(4));
    await world.server.say(push(5));
    expect(world.told).toEqual(['joining', 'live', 5]);
  });

  it('does not move the place back where the server could take up', async () => {
    const world = await liveWorld(900);
    await resume(world);
    await world.server.ok('join', { ...page([], 4), recovered: true });
    expect(world.room.position).toEqual(at(900));
  });

  it('is nothing at the first join', async () => {
    const world = await joiningWorld();
    await world.server.ok('join', { ...page([], 4), recovered: false });
    await world.server.say(push(4));
    expect(world.told).toEqual(['joining', 'live']);
  });

  it('may be told in a page', async () => {
    const world = await liveWorld(3);
    await resume(world);
    await world.server.ok('join', { ...page([4], 4, true), recovered: true });
    await world.server.ok('history', { ...page([9]), gap: { from: at(4), to: at(8) } });
    expect(world.told).toEqual(['joining', 4, 'catching_up', '4..8', 9, 'live']);
  });
});

describe('a resync', () => {
  it('suspends the room, which is joined from its place', async () => {
    const world = await liveWorld(3);
    const { server, client, told } = world;
    await server.say({ push: 'resync', room: 'tea', position: at(3) }, push(9));
    expect(client.state.name).toBe('resyncing');
    expect(await server.ok('join', { ...page([4]), recovered: true })).toMatchObject({ since: at(3) });
    expect(told).toEqual(['joining', 4, 'live']);
    expect(client.state.name).toBe('online');
  });

  it('with a gap moves the place behind it', async () => {
    const world = await liveWorld(3);
    const gap = { from: at(3), to: at(8) };
    await world.server.say({ push: 'resync', room: 'tea', position: at(8), gap });
    expect(world.told).toEqual(['3..8', 'joining']);
    expect(world.server.take('join')).toMatchObject({ since: at(8) });
  });

  it('with a gap of another epoch moves the place there', async () => {
    const world = await liveWorld(3);
    const gap = { from: null, to: at(1, 'f') };
    await world.server.say({ push: 'resync', room: 'tea', position: at(1, 'f'), gap });
    expect(world.told).toEqual(['..1', 'joining']);
    expect(world.server.take('join')).toMatchObject({ since: at(1, 'f') });
  });

  it.each([at(4), at(3, 'f')])('with a gap that begins elsewhere, at %j, leaves it to the join', async (from) => {
    const world = await liveWorld(3);
    await world.server.say({ push: 'resync', room: 'tea', position: at(8), gap: { from, to: at(8) } });
    expect(world.told).toEqual(['joining']);
    expect(world.server.take('join')).toMatchObject({ since: at(3) });
  });

  it('in the middle of catching up steps over what cannot be had', async () => {
    const world = await liveWorld(3);
    await resume(world);
    await world.server.ok('join', { ...page([4], 4, true), recovered: true });
    const gap = { from: at(4), to: at(8) };
    await world.server.say({ push: 'resync', room: 'tea', position: at(8), gap });
    expect(world.told).toEqual(['joining', 4, 'catching_up', '4..8', 'joining']);
  });

  it('while the room is joined says nothing of gaps', async () => {
    const world = await liveWorld(3);
    await resume(world);
    const gap = { from: at(3), to: at(8) };
    await world.server.say({ push: 'resync', room: 'tea', position: at(8), gap });
    expect(world.told).toEqual(['joining']);
    expect(opsOf(world)).toEqual(['join', 'join']);
    expect(world.server.unanswered).toMatchObject([{ since: at(3) }, { since: at(3) }]);
  });

  it('with a gap that is known tells of none', async () => {
    const world = await liveWorld(9);
    const gap = { from: at(3), to: at(8) };
    await world.server.say({ push: 'resync', room: 'tea', position: at(8), gap });
    expect(world.told).toEqual(['joining']);
    expect(world.server.take('join')).toMatchObject({ since: at(9) });
  });

  it('makes what was asked before of no use', async () => {
    const world = await liveWorld(3);
    const { server, environment, told } = world;
    await resume(world);
    await server.ok('join', { ...page([4], 4, true), recovered: true });
    await server.fail('history', 'overloaded', 500);
    await server.say({ push: 'resync', room: 'tea', position: at(4) });
    await environment.pass(1_000);
    expect(opsOf(world)).toEqual(['join', 'history', 'join']);
    expect(told).toEqual(['joining', 4, 'catching_up', 'joining']);
  });

  it('of a room that a listener leaves is over', async () => {
    const world = await liveWorld(3);
    world.room.on('gap', () => outcomeOf(world.room.leave()));
    const gap = { from: at(3), to: at(8) };
    await world.server.say({ push: 'resync', room: 'tea', position: at(8), gap });
    expect(opsOf(world)).toEqual(['join', 'leave']);
    expect(world.room.state).toBe('idle');
  });
});

describe('a listener', () => {
  async function caughtUpWith(onMessage: (world: RoomWorld) => void): Promise<RoomWorld> {
    const world = await liveWorld(3);
    world.room.on('message', () => onMessage(world));
    await resume(world);
    await world.server.ok('join', { ...page([4, 5], 5, true), recovered: true });
    return world;
  }

  it('that leaves the room hears no more of it', async () => {
    const world = await caughtUpWith(({ room }) => outcomeOf(room.leave()));
    expect(world.told).toEqual(['joining', 4, 'idle']);
    expect(world.room.position).toEqual(at(4));
    expect(opsOf(world)).toEqual(['join', 'leave']);
  });

  it('that closes the client hears no more, and goes on from there when it connects again', async () => {
    let isClosed = false;
    const world = await caughtUpWith(({ client }) => {
      if (!isClosed) void client.close();
      isClosed = true;
    });
    expect(world.told).toEqual(['joining', 4, 'joining'].slice(0, 2));
    await world.server.end(1000);
    void world.client.connect();
    await world.server.accept();
    expect(world.server.take('join')).toMatchObject({ since: at(4) });
  });

  it('of the state `catching_up` that leaves the room asks for no page', async () => {
    const world = await liveWorld(3);
    world.room.on('state', (state) => {
      if (state === 'catching_up') outcomeOf(world.room.leave());
    });
    await resume(world);
    await world.server.ok('join', { ...page([4], 4, true), recovered: true });
    expect(opsOf(world)).toEqual(['join', 'leave']);
  });

  it('of the state `live` that leaves the room has not joined it', async () => {
    const world = await joiningWorld();
    world.room.on('state', (state) => {
      if (state === 'live') outcomeOf(world.room.leave());
    });
    await world.server.ok('join', page([], 1));
    expect(world.joined.error).toMatchObject({ code: 'left' });
  });
});
