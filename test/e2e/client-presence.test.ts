import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Client, ClientOptions, JoinOptions, Room } from '../../src/client/client.ts';
import { type Environment, globalEnvironment } from '../../src/client/environment.ts';
import { failure, heard, PATIENCE, SdkStage } from './sdk-stage.ts';
import { toldOf, untilTold } from './stage.ts';

/** So long that who is cut off is never gone while a test runs: whoever is seen to leave has said goodbye. */
const GRACE_MS = '3600000';

let stage: SdkStage;

beforeAll(async () => {
  stage = await SdkStage.open({ TIDEGATE_GRACE_MS: GRACE_MS, TIDEGATE_PRESENCE_PUSH_MS: '50' });
});

afterAll(() => stage?.close());

/** Who joins the room, and what it is told of who is there: names by kind, in order. */
async function joined(client: Client, name: string, options: JoinOptions): Promise<{ room: Room; told: string[] }> {
  const room = client.room(name);
  const told: string[] = [];
  room.on('presence', (change) => {
    for (const kind of ['joined', 'left', 'changed'] as const) {
      for (const { user, status, devices } of change[kind]) told.push(`${user} ${kind} ${status} ${devices}`);
    }
  });
  await room.join(options);
  return { room, told };
}

function usersOf({ users }: Room): string[] {
  return [...users.values()].map(({ user, devices }) => `${user} ${devices}`).sort();
}

describe('who is in a room', { timeout: 60_000 }, () => {
  test('is known by name to who wants it, and by number to others', async () => {
    const [name, ann, bob] = [stage.fresh('room'), stage.fresh('ann'), stage.fresh('bob')];
    const watcher = await stage.connected({ user: stage.fresh('watcher') });
    const counter = await stage.connected();
    const full = await joined(watcher, name, { presence: 'full', visible: false });
    const count = await joined(counter, name, { presence: 'count', visible: false });
    const deaf = await joined(await stage.connected(), name, { visible: false });
    expect([full.room.count, usersOf(full.room)]).toEqual([0, []]);
    const devices: Client[] = [];
    const add = async (options: Partial<ClientOptions>) => {
      const client = await stage.connected(options);
      devices.push(client);
      await client.room(name).join();
    };
    await add({ user: ann, device: 'phone' });
    await expect.poll(() => usersOf(full.room), PATIENCE).toEqual([`${ann} 1`]);
    await add({ user: ann, device: 'laptop' });
    await expect.poll(() => usersOf(full.room), PATIENCE).toEqual([`${ann} 2`]);
    await add({ user: bob });
    await expect.poll(() => usersOf(full.room), PATIENCE).toEqual([`${ann} 2`, `${bob} 1`]);
    await expect.poll(() => [full.room.count, count.room.count], PATIENCE).toEqual([2, 2]);
    await devices[0]?.close();
    await expect.poll(() => usersOf(full.room), PATIENCE).toEqual([`${ann} 1`, `${bob} 1`]);
    await devices[1]?.close();
    await expect.poll(() => usersOf(full.room), PATIENCE).toEqual([`${bob} 1`]);
    await expect.poll(() => [full.room.count, count.room.count], PATIENCE).toEqual([1, 1]);
    expect(full.told).toEqual([
      ...[`${ann} joined online 1`, `${ann} changed online 2`, `${bob} joined online 1`],
      ...[`${ann} changed online 1`, `${ann} left offline 0`],
    ]);
    expect([count.told, usersOf(count.room)]).toEqual([[], []]);
    expect([deaf.told, deaf.room.count]).toEqual([[], 0]);
    const page = await deaf.room.presence();
    expect(page).toMatchObject({ count: 1, users: [{ user: bob, status: 'online', devices: 1 }], more: false });
    expect((await deaf.room.presence(bob)).users).toEqual([]);
  });

  test('is in the snapshot of a join, the own user too', async () => {
    const [name, ann] = [stage.fresh('room'), stage.fresh('ann')];
    const client = await stage.connected({ user: ann });
    const { room, told } = await joined(client, name, { presence: 'full' });
    expect([room.count, usersOf(room), told]).toEqual([1, [`${ann} 1`], [`${ann} joined online 1`]]);
  });

  test('is put right after a loss', async () => {
    const own = await SdkStage.forTest({ TIDEGATE_GRACE_MS: '100', TIDEGATE_PRESENCE_PUSH_MS: '50' });
    const watcher = await own.connected({ user: 'watcher' });
    const { room, told } = await joined(watcher, 'r', { presence: 'full', visible: false });
    const [ann, bob] = [await own.stage.client('ann'), await own.stage.client('bob')];
    await ann.ok({ op: 'join', room: 'r' });
    await expect.poll(() => usersOf(room), PATIENCE).toEqual(['ann 1']);
    await own.goAway(watcher);
    ann.close();
    await bob.ok({ op: 'join', room: 'r' });
    await bob.ok({ op: 'join', room: 'r2', presence: 'full' });
    await expect.poll(async () => (await bob.ok({ op: 'presence', room: 'r' })).count, PATIENCE).toBe(1);
    own.comeBack();
    await expect.poll(() => usersOf(room), PATIENCE).toEqual(['bob 1']);
    expect(told.toSorted()).toEqual(['ann joined online 1', 'ann left online 1', 'bob joined online 1']);
  });
});

describe('what a client has said', { timeout: 60_000 }, () => {
  test('of its user and of whom it watches holds in every session, also of another gateway', async () => {
    const own = await SdkStage.forTest({ TIDEGATE_PRESENCE_PUSH_MS: '50' });
    const watcher = await own.connected({ user: 'watcher' });
    const presences = heard(watcher, 'presence');
    const [ann, bob] = [await own.connected({ user: 'ann' }), await own.connected({ user: 'bob' })];
    expect(await watcher.watch(['ann', 'bob'])).toMatchObject([
      { user: 'ann', status: 'online', devices: 1 },
      { user: 'bob', status: 'online', devices: 1 },
    ]);
    await ann.status('away', 'tea');
    await expect.poll(() => presences.at(-1), PATIENCE).toMatchObject({ user: 'ann', status: 'away', text: 'tea' });
    await watcher.unwatch(['bob']);
    await bob.status('dnd');
    await ann.status('dnd', 'work');
    await expect.poll(() => presences.at(-1), PATIENCE).toMatchObject({ user: 'ann', status: 'dnd', text: 'work' });
    expect(presences.map(({ user }) => user)).not.toContain('bob');

    const nodes = [watcher, ann, bob].map((client) => client.session?.node);
    await own.restart();
    const states = () => [watcher, ann, bob].map(({ state }) => state.name);
    await expect.poll(states, PATIENCE).toEqual(['online', 'online', 'online']);
    expect([watcher, ann, bob].map((client) => client.session?.node)).not.toEqual(nodes);
    // How they are was said again, and told again to who watches.
    await expect.poll(() => watcher.presence('bob'), PATIENCE).toMatchObject({ status: 'dnd', devices: 1 });
    await expect.poll(() => presences.at(-1), PATIENCE).toMatchObject({ user: 'ann', status: 'dnd', text: 'work' });
    await bob.status('away');
    await expect.poll(() => watcher.presence('bob'), PATIENCE).toMatchObject({ status: 'away' });
    await ann.status('online');
    await expect.poll(() => presences.at(-1), PATIENCE).toMatchObject({ user: 'ann', status: 'online' });
    expect(presences.at(-1)).not.toHaveProperty('text');
    expect(presences.map(({ user }) => user)).not.toContain('bob');
  });

  test('before it has connected waits for it', async () => {
    const [ann, bob] = [stage.fresh('ann'), stage.fresh('bob')];
    const [client, other] = [stage.client({ user: ann }), await stage.connected({ user: bob })];
    const said = [client.status('away'), client.watch([bob]), client.presence(bob)] as const;
    const presences = heard(client, 'presence');
    await client.connect();
    expect((await Promise.all(said)).slice(1)).toMatchObject([[{ user: bob, status: 'online' }], { user: bob }]);
    expect(await other.presence(ann)).toMatchObject({ user: ann, status: 'away' });
    await other.status('dnd');
    await expect.poll(() => presences.at(-1), PATIENCE).toMatchObject({ user: bob, status: 'dnd' });
  });

  test('of too many is refused, and those before stay watched', async () => {
    const [client, other] = [await stage.connected(), await stage.connected({ user: stage.fresh('bob') })];
    const bob = other.session?.user as string;
    const presences = heard(client, 'presence');
    await client.watch([bob, 'carl']);
    const crowd = Array.from({ length: 199 }, (_, i) => `crowd-${i}`);
    expect(await failure(client.watch([bob, ...crowd]))).toMatchObject({ code: 'limit_exceeded' });
    await other.status('away');
    await expect.poll(() => presences.at(-1), PATIENCE).toMatchObject({ user: bob, status: 'away' });
  });
});

describe('others see', { timeout: 60_000 }, () => {
  /** A user in a room, and somebody who watches both with another kind of client. */
  async function scene(options: Partial<ClientOptions> = {}) {
    const [name, user] = [stage.fresh('room'), stage.fresh('ann')];
    const watcher = await stage.stage.client(stage.fresh('watcher'));
    await watcher.ok({ op: 'join', room: name, presence: 'full', visible: false });
    await watcher.ok({ op: 'watch', users: [user] });
    const client = await stage.connected({ user, ...options });
    await client.room(name).join();
    await untilTold(watcher, name, 'joined', user);
    await watcher.until(`${user} online`, () => toldOf(watcher, user).includes('online 1'));
    return { name, user, watcher, client };
  }

  test('at once that a client was closed', async () => {
    const { name, user, watcher, client } = await scene();
    await client.close();
    // After an hour, had it not said goodbye.
    await untilTold(watcher, name, 'left', user);
    await watcher.until(`${user} offline`, () => toldOf(watcher, user).includes('offline 0'));
  });

  test('at once that a room was left', async () => {
    const { name, user, watcher, client } = await scene();
    await client.room(name).leave();
    await untilTold(watcher, name, 'left', user);
    expect(await client.presence(user)).toMatchObject({ status: 'online', devices: 1 });
  });

  test.each([
    ['cut off', () => stage.proxy.reset()],
    ['ended', () => stage.proxy.end()],
    ['cut in the middle of a frame', () => stage.proxy.cutAfter('down', 1)],
  ])('nothing of a client whose connection is %s, and that comes back', async (_, cut) => {
    const { name, user, watcher, client } = await scene();
    const told = toldOf(watcher, user);
    for (let i = 0; i < 3; i += 1) {
      const { session } = client.session ?? {};
      cut();
      // Something is said, of which a part comes through.
      void client.ping();
      await expect.poll(() => client.session?.session, PATIENCE).not.toBe(session);
      await expect.poll(() => client.state.name, PATIENCE).toBe('online');
    }
    await client.status('away');
    await watcher.until(`${user} away`, () => toldOf(watcher, user).includes('away 1'));
    // What was to be told of the room before this has been told.
    const later = stage.fresh('later');
    await (await stage.stage.client(later)).ok({ op: 'join', room: name });
    await untilTold(watcher, name, 'joined', later);
    expect(toldOf(watcher, user).filter((each) => !each.includes('away'))).toEqual(told);
  });

  test('nothing of a client that the gateway sends away for a while', async () => {
    const { name, user, watcher, client } = await scene();
    const told = toldOf(watcher, user);
    const { session } = client.session ?? {};
    await stage.api.post(`/api/v1/users/${user}/disconnect`, { code: 3005 });
    await expect.poll(() => client.session?.session, PATIENCE).not.toBe(session);
    await expect.poll(() => client.room(name).state, PATIENCE).toBe('live');
    await client.status('away');
    await watcher.until(`${user} away`, () => toldOf(watcher, user).includes('away 1'));
    expect(toldOf(watcher, user).filter((each) => !each.includes('away'))).toEqual(told);
  });

  test('nothing of a client that gives up a gateway for its silence', async () => {
    // Its clock runs so fast that the gateway's next heartbeat is too late.
    const speed = 20;
    const environment: Environment = {
      ...globalEnvironment,
      monotonicMs: () => speed * performance.now(),
      schedule: (callback, ms) => globalEnvironment.schedule(callback, ms / speed),
    };
    const { name, user, watcher, client } = await scene({ environment });
    const told = toldOf(watcher, user);
    const states = heard(client, 'state');
    await expect.poll(() => states.filter((state) => state.name === 'online').length, PATIENCE).toBe(2);
    const reasons = states.map((state) => (state.name === 'waiting' ? state.reason : ''));
    expect(reasons.filter((reason) => reason !== '')).toEqual(['silence', 'silence']);
    const later = stage.fresh('later');
    await (await stage.stage.client(later)).ok({ op: 'join', room: name });
    await untilTold(watcher, name, 'joined', later);
    expect(toldOf(watcher, user)).toEqual(told);
  });
});
