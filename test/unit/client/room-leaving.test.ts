import { describe, expect, it, vi } from 'vitest';
import { settled } from './fake-environment.ts';
import { joiningWorld, liveWorld, opsOf, resume } from './room-world.ts';
import { message, onlineWorld, outcomeOf, page, waited } from './virtual-server.ts';

const at = (offset: number, epoch = 'e') => ({ epoch, offset });

describe('leaving', () => {
  it('is at once here, and done when the server knows', async () => {
    const { room, server, client, told } = await liveWorld();
    const left = outcomeOf(room.leave());
    expect(room.state).toBe('idle');
    expect(client.rooms.size).toBe(0);
    expect(room.leave()).toBe(room.leave());
    await server.say({ push: 'message', ...message(1) });
    expect(told).toEqual(['idle']);
    expect(left).toStrictEqual({});
    await server.ok('leave');
    expect(left).toStrictEqual({ value: undefined });
    expect(opsOf({ server } as never)).toEqual(['join', 'leave']);
  });

  it('keeps the place', async () => {
    const { room, server } = await liveWorld(7);
    void room.leave();
    await server.ok('leave');
    expect(room.position).toEqual(at(7));
  });

  it('is tried again where the server refuses it for now', async () => {
    const { room, server, environment } = await liveWorld();
    const left = outcomeOf(room.leave());
    await settled();
    await server.fail('leave', 'rate_limited', 300);
    await environment.pass(299);
    expect(server.unanswered).toEqual([]);
    await environment.pass(1);
    await server.ok('leave');
    expect(left).toStrictEqual({ value: undefined });
  });

  it('is done also where the server knows it by itself', async () => {
    const { room, server } = await liveWorld();
    const left = outcomeOf(room.leave());
    await settled();
    await server.fail('leave', 'not_joined');
    expect(left).toStrictEqual({ value: undefined });
  });

  it.each(['the session ends', 'there is none'])('is done when %s', async (when) => {
    const { room, server } = await liveWorld();
    if (when === 'there is none') await server.end();
    const left = outcomeOf(room.leave());
    await settled();
    if (when === 'the session ends') await server.end();
    expect(left).toStrictEqual({ value: undefined });
  });

  it('does nothing to a room that is not joined', async () => {
    const { client, server } = await onlineWorld();
    await client.room('tea').leave();
    expect(server.heard.map(({ op }) => op)).toEqual(['connect']);
  });

  it('ends the join that waits', async () => {
    const { room, joined } = await joiningWorld();
    void room.leave();
    await settled();
    expect(joined.error).toMatchObject({ code: 'left' });
  });

  it('and joining again is heard in that order', async () => {
    const world = await liveWorld(4);
    const { room, server, told } = world;
    room.on('state', (state) => {
      if (state === 'idle') outcomeOf(room.join({ history: 1 }));
    });
    void room.leave();
    await settled();
    expect(opsOf(world)).toEqual(['join', 'leave', 'join']);
    await server.ok('leave');
    // It is another visit: the place of the one before is not its own.
    expect(server.take('join')).toMatchObject({ history: 1 });
    expect(told).toEqual(['idle', 'joining']);
  });

  it('is not over, for what is heard, before the server has answered', async () => {
    const { room, server, told, client } = await liveWorld(4);
    const heard = vi.fn();
    room.on('signal', heard);
    room.on('presence', heard);
    void room.leave();
    const joined = outcomeOf(room.join({ history: 1 }));
    await settled();
    const gap = { from: at(4), to: at(8) };
    await server.say(
      { push: 'message', ...message(5) },
      { push: 'signal', room: 'tea', from: 'bob', data: 1 },
      { push: 'presence', room: 'tea', version: 9, count: 9, partial: false },
      { push: 'resync', room: 'tea', position: at(8), gap },
      { push: 'left', room: 'tea', code: 'kicked' },
    );
    expect(heard).not.toHaveBeenCalled();
    expect(told).toEqual(['idle', 'joining']);
    expect(room.position).toBeNull();
    await server.ok('leave');
    await server.ok('join', page([9]));
    await server.say({ push: 'signal', room: 'tea', from: 'bob', data: 2 });
    expect(heard.mock.calls).toEqual([[{ from: 'bob', data: 2 }]]);
    expect(told).toEqual(['idle', 'joining', 9, 'live']);
    expect(joined).toStrictEqual({ value: undefined });
    expect(client.state.name).toBe('online');
  });

  it('is over once the join behind it is answered', async () => {
    const { room, server, told } = await liveWorld(4);
    void room.leave();
    outcomeOf(room.join());
    await server.ok('join', page([], 9));
    await server.say({ push: 'message', ...message(10) });
    expect(told).toEqual(['idle', 'joining', 'live', 10]);
  });

  it('that nobody answered is no reason to hear nothing in the next session', async () => {
    const world = await liveWorld(4);
    void world.room.leave();
    outcomeOf(world.room.join());
    await settled();
    await resume(world);
    await world.server.ok('join', page([], 9));
    await world.server.say({ push: 'message', ...message(10) });
    expect(world.told).toEqual(['idle', 'joining', 'live', 10]);
  });

  it('that did not come through is made up for before the next join', async () => {
    const world = await liveWorld();
    const { room, server, environment } = world;
    void room.leave();
    outcomeOf(room.join());
    await settled();
    environment.rolls.push(0.5);
    await server.fail('leave', 'overloaded', 50);
    await server.fail('join', 'already_joined');
    await environment.pass(999);
    expect(opsOf(world)).toEqual(['join', 'leave', 'join']);
    await environment.pass(1);
    expect(opsOf(world)).toEqual(['join', 'leave', 'join', 'leave', 'join']);
    await server.ok('leave');
    await server.ok('join', page([], 9));
    expect(room.state).toBe('live');
  });

  it('that is to be tried again is not, once the room is joined again', async () => {
    const world = await liveWorld();
    const { room, server, environment } = world;
    const left = outcomeOf(room.leave());
    await server.fail('leave', 'overloaded', 300);
    outcomeOf(room.join());
    await environment.pass(400);
    expect(left).toStrictEqual({ value: undefined });
    expect(opsOf(world)).toEqual(['join', 'leave', 'join']);
  });

  it('that is to be tried again is done when the session ends', async () => {
    const { room, server } = await liveWorld();
    const left = outcomeOf(room.leave());
    await server.fail('leave', 'overloaded', 9_000);
    expect(left).toStrictEqual({});
    await server.end();
    expect(left).toStrictEqual({ value: undefined });
  });

  it('twice is done when the server knows of the second time', async () => {
    const { room, server } = await liveWorld();
    void room.leave();
    outcomeOf(room.join());
    const left = outcomeOf(room.leave());
    await server.ok('leave');
    expect(left).toStrictEqual({});
    await server.ok('join', page([], 1));
    await server.ok('leave');
    expect(left).toStrictEqual({ value: undefined });
  });

  it('is not over before the server has answered, in any visit', async () => {
    const { room, server, told } = await liveWorld();
    for (let i = 0; i < 2; i += 1) {
      void room.leave();
      outcomeOf(room.join());
      await settled();
      told.length = 0;
      await server.say({ push: 'left', room: 'tea', code: 'kicked' });
      expect(told).toEqual([]);
      await server.ok('leave');
      await server.ok('join', page([], 9));
      expect(told).toEqual(['live']);
    }
  });

  it('that did not come through is made up for in that session only', async () => {
    const world = await liveWorld();
    const { room, server, environment } = world;
    void room.leave();
    outcomeOf(room.join());
    environment.rolls.push(0.999);
    await server.fail('leave', 'overloaded', 50);
    await server.fail('join', 'already_joined');
    environment.rolls.push(0);
    await resume(world);
    await environment.pass(5_000);
    expect(opsOf(world)).toEqual(['join']);
  });

  it('as soon as it is being joined is heeded', async () => {
    const world = await onlineWorld();
    const room = world.client.room('tea');
    room.on('state', (state) => {
      if (state === 'joining') outcomeOf(room.leave());
    });
    const joined = outcomeOf(room.join());
    await settled();
    expect(joined.error).toMatchObject({ code: 'left' });
    expect(room.state).toBe('idle');
    expect(opsOf(world)).not.toContain('join');
  });

  it('without a session has no answer to wait for', async () => {
    const world = await liveWorld();
    await world.server.end();
    void world.room.leave();
    outcomeOf(world.room.join());
    await waited(world);
    await world.server.accept();
    await world.server.say({ push: 'left', room: 'tea', code: 'kicked' });
    expect(world.room.state).toBe('idle');
  });
});
