import { describe, expect, it, vi } from 'vitest';
import type { JoinOptions } from '../../../src/client/client.ts';
import { settled } from './fake-environment.ts';
import { joiningWorld, type RoomWorld, resume } from './room-world.ts';
import { onlineWorld, outcomeOf, page } from './virtual-server.ts';

const ann = { user: 'ann', status: 'online', devices: 1 };
const bob = { user: 'bob', status: 'away', devices: 1 };
const cat = { user: 'cat', status: 'online', devices: 2 };

interface PresentWorld extends RoomWorld {
  /** What `presence` told, by names. */
  readonly changes: { readonly joined: string[]; readonly left: string[]; readonly changed: string[] }[];
}

function snapshot(version: number, users: readonly object[], count = users.length): object {
  return { version, count, users, more: false, partial: false };
}

/** One that knows of ann and bob at version 5. */
async function presentWorld(options: JoinOptions = { presence: 'full' }): Promise<PresentWorld> {
  const world = await joiningWorld(options);
  const changes: PresentWorld['changes'] = [];
  world.room.on('presence', ({ joined, left, changed }) => {
    const [a, b, c] = [joined, left, changed].map((users) => users.map(({ user }) => user)) as [
      string[],
      string[],
      string[],
    ];
    changes.push({ joined: a, left: b, changed: c });
  });
  const presence = options.presence === 'count' ? { count: 2, version: 5 } : snapshot(5, [ann, bob]);
  await world.server.ok('join', { ...page([], 0), presence });
  return { ...world, changes };
}

/** Tells a version without names. */
function tell({ server }: RoomWorld, version: number, count: number): Promise<void> {
  return server.say({ push: 'presence', room: 'tea', version, count, partial: false });
}

function namesIn({ room }: RoomWorld): string[] {
  return [...room.users.keys()];
}

describe('the presence of a room', () => {
  it('is known from the join on, and kept up to date', async () => {
    const world = await presentWorld();
    const { room, server, changes } = world;
    expect(changes).toEqual([{ joined: ['ann', 'bob'], left: [], changed: [] }]);
    expect(room.count).toBe(2);
    const push = { push: 'presence', room: 'tea', version: 6, count: 2, partial: false };
    await server.say({ ...push, joined: [cat], left: [ann], changed: [{ ...bob, status: 'dnd' }] });
    await server.say({ ...push, joined: [ann] });
    expect(changes.slice(1)).toEqual([{ joined: ['cat'], left: ['ann'], changed: ['bob'] }]);
    expect(namesIn(world)).toEqual(['bob', 'cat']);
    expect(room.users.get('bob')?.status).toBe('dnd');
  });

  it('is up to date when it is told', async () => {
    const world = await presentWorld();
    const counts = vi.fn();
    world.room.on('presence', () => counts(world.room.count, world.room.users.size));
    const push = { push: 'presence', room: 'tea', version: 6, count: 3, partial: false };
    await world.server.say({ ...push, joined: [cat] });
    expect(counts.mock.calls).toEqual([[3, 3]]);
  });

  it('of a new session counts, whatever its version', async () => {
    const world = await presentWorld();
    await resume(world);
    expect(world.room.count).toBe(2);
    const presence = snapshot(1, [ann, cat]);
    expect(await world.server.ok('join', { ...page([], 0), recovered: true, presence })).toMatchObject({
      presence: 'full',
    });
    expect(world.changes.at(-1)).toEqual({ joined: ['cat'], left: ['bob'], changed: [] });
  });

  it('is none in another visit, until that is joined', async () => {
    const world = await presentWorld();
    outcomeOf(world.room.leave());
    outcomeOf(world.room.join());
    expect(world.room.count).toBe(0);
    expect(world.room.users.size).toBe(0);
  });

  it('is a count where that is asked for', async () => {
    const world = await presentWorld({ presence: 'count' });
    expect(world.room.count).toBe(2);
    await tell(world, 6, 3);
    expect(world.room.count).toBe(3);
    expect(world.changes).toHaveLength(2);
    await world.environment.pass(60_000);
    // Nobody wants the names.
    expect(world.server.unanswered).toEqual([]);
  });

  it('may be left by a listener', async () => {
    const world = await joiningWorld({ presence: 'full' });
    world.room.on('presence', () => outcomeOf(world.room.leave()));
    await world.server.ok('join', { ...page([1]), presence: snapshot(5, [ann]) });
    expect(world.told).toEqual(['joining', 'idle']);
  });

  it('is asked for page by page', async () => {
    const { client, server } = await onlineWorld();
    const asked = outcomeOf(client.room('tea').presence('bob'));
    await settled();
    const answer = snapshot(5, [cat], 3);
    expect(await server.ok('presence', answer)).toMatchObject({ room: 'tea', after: 'bob' });
    expect(asked.value).toEqual(answer);
    outcomeOf(client.room('tea').presence());
    await settled();
    expect(server.take('presence')).toEqual({ id: 2, op: 'presence', room: 'tea' });
  });
});

describe('names that could not be told', () => {
  it.each([
    [2, 0.999, 999],
    [40, 0.5, 500],
    [51, 0.5, 510],
    [10_000, 0.25, 50_000],
  ])('of %i are read after a random time: by %f %i ms', async (count, roll, delayMs) => {
    const world = await presentWorld();
    world.environment.rolls.push(roll);
    await tell(world, 6, count);
    expect(world.room.count).toBe(count);
    expect(world.environment.timers).toContain(delayMs);
  });

  it('are not read before that', async () => {
    const world = await presentWorld();
    world.environment.rolls.push(0.5);
    await tell(world, 6, 3);
    await world.environment.pass(499);
    expect(world.server.unanswered).toEqual([]);
    await world.environment.pass(1);
    expect(world.server.take('presence')).toEqual({ id: 2, op: 'presence', room: 'tea' });
  });

  it('are told when they are read', async () => {
    const world = await presentWorld();
    await tell(world, 6, 3);
    await world.environment.pass(1_000);
    await world.server.ok('presence', snapshot(6, [ann, bob, cat]));
    expect(world.changes.slice(1)).toEqual([
      { joined: [], left: [], changed: [] },
      { joined: ['cat'], left: [], changed: [] },
    ]);
    await world.environment.pass(30_000);
    expect(world.server.unanswered).toEqual([]);
  });

  it('are read once, however often it is told that they are not known', async () => {
    const world = await presentWorld();
    for (let version = 6; version < 10; version += 1) await tell(world, version, 3);
    await world.environment.pass(1_000);
    expect(world.server.unanswered).toHaveLength(1);
    await world.server.ok('presence', snapshot(9, [ann, bob, cat]));
    await world.environment.pass(30_000);
    expect(world.server.unanswered).toEqual([]);
    expect(namesIn(world)).toEqual(['ann', 'bob', 'cat']);
  });

  it('are read again where they have changed once more meanwhile', async () => {
    const world = await presentWorld();
    await tell(world, 6, 3);
    await world.environment.pass(1_000);
    const { id } = world.server.take('presence');
    await tell(world, 7, 4);
    await world.server.say({ id, ok: snapshot(6, [ann, bob, cat]) });
    expect(namesIn(world)).toEqual(['ann', 'bob']);
    await world.environment.pass(1_000);
    await world.server.ok('presence', snapshot(7, [ann, cat]));
    expect(namesIn(world)).toEqual(['ann', 'cat']);
  });

  it('are read again after a refusal for now, and not after one for good', async () => {
    const world = await presentWorld();
    await tell(world, 6, 3);
    await world.environment.pass(1_000);
    await world.server.fail('presence', 'unavailable');
    await world.environment.pass(1_000);
    await world.server.fail('presence', 'forbidden');
    await world.environment.pass(30_000);
    expect(world.server.unanswered).toEqual([]);
    // The next telling is another matter.
    await tell(world, 7, 3);
    await world.environment.pass(1_000);
    expect(world.server.unanswered).toHaveLength(1);
  });

  it('are not read for a session that is over, and for the next one again', async () => {
    const world = await presentWorld();
    world.environment.rolls.push(0.99);
    await tell(world, 6, 3);
    world.environment.rolls.push(0);
    await resume(world);
    await world.environment.pass(1_000);
    expect(world.server.unanswered.map(({ op }) => op)).toEqual(['join']);
    await world.server.ok('join', { ...page([], 0), recovered: true, presence: snapshot(1, [ann]) });
    await tell(world, 2, 3);
    await world.environment.pass(1_000);
    expect(world.server.unanswered.map(({ op }) => op)).toEqual(['presence']);
  });

  it('are asked for without an answer when the session ends, and that is all', async () => {
    const world = await presentWorld();
    await tell(world, 6, 3);
    await world.environment.pass(1_000);
    expect(world.server.unanswered).toHaveLength(1);
    await resume(world);
    expect(world.client.state.name).toBe('resyncing');
    expect(world.server.unanswered.map(({ op }) => op)).toEqual(['join']);
  });

  it('are not taken from the answer to another visit’s question', async () => {
    const world = await presentWorld();
    await tell(world, 6, 3);
    await world.environment.pass(1_000);
    const { id } = world.server.take('presence');
    outcomeOf(world.room.leave());
    await world.server.say({ id, ok: snapshot(7, [cat]) });
    expect(namesIn(world)).toEqual(['ann', 'bob']);
  });
});
