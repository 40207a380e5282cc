import { describe, expect, it } from 'vitest';
import type { Message } from '../../../src/client/client.ts';
import { settled } from './fake-environment.ts';
import { liveWorld, opsOf, type RoomWorld, resume } from './room-world.ts';
import { message, outcomeOf, page } from './virtual-server.ts';

const at = (offset: number) => ({ epoch: 'e', offset });
/** The least that may wait for a reader. */
const WAITING_MAX = 1_000;

function offsets(from: number, through: number): number[] {
  return Array.from({ length: through - from + 1 }, (_, i) => from + i);
}

function pushes({ server }: RoomWorld, ...numbers: readonly number[]): Promise<void> {
  return server.say(...numbers.map((offset) => ({ push: 'message', ...message(offset) })));
}

/** The next so many offsets. */
async function read(reader: AsyncIterator<Message>, count: number): Promise<number[]> {
  const numbers: number[] = [];
  for (let i = 0; i < count; i += 1) {
    const result = await reader.next();
    if (result.done !== true) numbers.push(result.value.offset);
  }
  return numbers;
}

/** One whose room catches up, with a page of these offsets handed on and the next one due. */
async function catchingUp(through: number): Promise<RoomWorld> {
  const world = await liveWorld(0, {}, { iteratorMessagesMax: 1 });
  await resume(world);
  await world.server.ok('join', { ...page([], 0, true), recovered: true });
  await world.server.ok('history', page(offsets(1, through), through, true));
  return world;
}

describe('an iterator', () => {
  it('gives messages from now on, to each reader', async () => {
    const world = await liveWorld();
    await pushes(world, 1);
    const [first, second] = [world.room[Symbol.asyncIterator](), world.room[Symbol.asyncIterator]()];
    await pushes(world, 2, 3);
    expect(await read(first, 2)).toEqual([2, 3]);
    expect(await read(second, 1)).toEqual([2]);
  });

  it('goes on over sessions, without a hole', async () => {
    const world = await liveWorld();
    const reader = world.room[Symbol.asyncIterator]();
    await pushes(world, 1);
    await resume(world);
    await world.server.ok('join', { ...page([2, 3]), recovered: true });
    expect(await read(reader, 3)).toEqual([1, 2, 3]);
  });

  it('ends when the room is left', async () => {
    const world = await liveWorld();
    const reader = world.room[Symbol.asyncIterator]();
    await pushes(world, 1);
    outcomeOf(world.room.leave());
    expect(await read(reader, 1)).toEqual([1]);
    expect(await reader.next()).toEqual({ value: undefined, done: true });
  });

  it('throws where the server ended the room', async () => {
    const world = await liveWorld();
    const reader = world.room[Symbol.asyncIterator]();
    await world.server.say({ push: 'left', room: 'tea', code: 'kicked' });
    await expect(reader.next()).rejects.toMatchObject({ code: 'left', message: 'left: kicked' });
  });

  it('ends when the client is closed', async () => {
    const world = await liveWorld();
    const reader = world.room[Symbol.asyncIterator]();
    void world.client.close();
    expect(await reader.next()).toEqual({ value: undefined, done: true });
  });

  it('throws where the server sent the client away', async () => {
    const world = await liveWorld();
    const reader = world.room[Symbol.asyncIterator]();
    await world.server.disconnect(3503, 'kicked', null);
    await expect(reader.next()).rejects.toMatchObject({ code: 'closed', message: 'closed: kicked' });
  });

  it('that is too slow for what is said overflows', async () => {
    const world = await liveWorld(0, {}, { iteratorMessagesMax: 1 });
    const reader = world.room[Symbol.asyncIterator]();
    await pushes(world, ...offsets(1, WAITING_MAX + 1));
    expect(await read(reader, WAITING_MAX)).toEqual(offsets(1, WAITING_MAX));
    await expect(reader.next()).rejects.toMatchObject({ code: 'overflow', message: /1000/ });
  });

  it('may be 4,096 messages behind, or as many as is said', async () => {
    for (const [iteratorMessagesMax, count] of [
      [undefined, 4_096],
      [2_000, 2_000],
    ] as const) {
      const world = await liveWorld(0, {}, iteratorMessagesMax === undefined ? {} : { iteratorMessagesMax });
      const reader = world.room[Symbol.asyncIterator]();
      await pushes(world, ...offsets(1, count + 1));
      expect((await read(reader, count)).at(-1)).toBe(count);
      await expect(reader.next()).rejects.toMatchObject({ code: 'overflow' });
    }
  });
});

describe('a reader that is slow at catching up', () => {
  it('is waited for', async () => {
    const world = await catchingUp(1);
    const reader = world.room[Symbol.asyncIterator]();
    await world.server.ok('history', page(offsets(2, 502), 502, true));
    expect(opsOf(world)).toEqual(['join', 'history', 'history']);
    expect(await read(reader, 1)).toEqual([2]);
    await world.server.ok('history', page(offsets(503, 600), 600));
    expect(world.room.state).toBe('live');
    expect(await read(reader, 598)).toEqual(offsets(3, 600));
  });

  it('is waited for with every other one', async () => {
    const world = await catchingUp(1);
    const [slow, quick] = [world.room[Symbol.asyncIterator](), world.room[Symbol.asyncIterator]()];
    await world.server.ok('history', page(offsets(2, 502), 502, true));
    await read(quick, 501);
    await settled();
    expect(world.server.unanswered).toEqual([]);
    await read(slow, 1);
    await settled();
    expect(world.server.unanswered).toMatchObject([{ op: 'history', after: at(502) }]);
  });

  it('is not waited for once it goes', async () => {
    const world = await catchingUp(1);
    const reader = world.room[Symbol.asyncIterator]();
    await world.server.ok('history', page(offsets(2, 502), 502, true));
    await reader.return?.();
    await settled();
    expect(world.server.unanswered).toMatchObject([{ op: 'history', after: at(502) }]);
  });

  it('is waited for also when the server gives up waiting', async () => {
    const world = await catchingUp(1);
    const reader = world.room[Symbol.asyncIterator]();
    await world.server.ok('history', page(offsets(2, 502), 502, true));
    await world.server.say({ push: 'resync', room: 'tea', position: at(502) });
    expect(world.room.state).toBe('joining');
    expect(opsOf(world)).toEqual(['join', 'history', 'history']);
    await read(reader, 1);
    await world.server.ok('join', { ...page([503]), recovered: true });
    expect(world.room.state).toBe('live');
  });

  it('does not hold up a new session', async () => {
    const world = await catchingUp(1);
    const reader = world.room[Symbol.asyncIterator]();
    await world.server.ok('history', page(offsets(2, 502), 502, true));
    await resume(world);
    expect(world.server.take('join')).toMatchObject({ since: at(502) });
    // What was due in the session before is not asked for in this one.
    await read(reader, 501);
    await settled();
    expect(opsOf(world)).toEqual(['join']);
  });

  it('asks for nothing when the room was left', async () => {
    const world = await catchingUp(1);
    const reader = world.room[Symbol.asyncIterator]();
    await world.server.ok('history', page(offsets(2, 502), 502, true));
    outcomeOf(world.room.leave());
    await read(reader, 501);
    await settled();
    expect(opsOf(world)).toEqual(['join', 'history', 'history', 'leave']);
  });
});

describe('history', () => {
  it('is asked for without joining', async () => {
    const { client, server } = await liveWorld();
    const asked = outcomeOf(client.room('coffee').history({ before: at(9), limit: 5 }));
    await settled();
    const answer = page([3, 4], 4, true);
    expect(await server.ok('history', answer)).toMatchObject({ room: 'coffee', before: at(9), limit: 5 });
    expect(asked.value).toEqual(answer);
  });
});
