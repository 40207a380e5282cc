import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { RoomPresence } from '../../src/presence/presence-store.ts';
import { loadPresenceScripts } from '../../src/redis/presence-scripts.ts';
import { device, everybodyIn, gone, joins, leaves, namesIn, namesOf } from '../contract/presence-store-fixture.ts';
import { codeOf } from '../contract/room-log-fixture.ts';
import { REDIS_URL } from '../services/test-services.ts';
import { PresenceStage, QUICK, type StagedReplica, untilIt } from './presence-stage.ts';

describe.skipIf(REDIS_URL === undefined && !process.env.CI)('presence in Redis', () => {
  let stage: PresenceStage;
  let a: StagedReplica;
  let b: StagedReplica;

  beforeEach(async () => {
    stage = await PresenceStage.open();
    a = await stage.replica();
    b = await stage.replica();
  });
  afterEach(() => stage.close());

  const roomAt = (at: StagedReplica, room = 'r'): Promise<RoomPresence> =>
    at.store
      .readRoom(room, undefined, 500)
      .catch(() => ({ count: -1, version: 0, users: [], more: false, partial: true }));
  const untilRoom = (at: StagedReplica, what: string, isSo: (room: RoomPresence) => boolean) =>
    untilIt(what, () => roomAt(at), isSo);
  const versionsTold = ({ replica }: StagedReplica) => replica.roomChanges.map(({ version }) => version);

  async function populate(): Promise<void> {
    await a.replica.write(device('ann', 'online'), joins('ann', 'r'));
    await b.replica.write(device('bob', 'dnd'), joins('bob', 'r'));
    await a.replica.watchRooms('r');
    await a.replica.watchUsers('ann', 'bob');
    expect((await roomAt(a)).count).toBe(2);
  }

  /** Nothing that was told or read has a lower version than what came before, and nobody seemed to leave. */
  function expectCalm(): void {
    const versions = versionsTold(a);
    expect(versions).toEqual([...new Set(versions)].sort((x, y) => x - y));
    const left = a.replica.roomChanges.flatMap(({ names }) => names?.left ?? []);
    expect(left).toEqual([]);
    expect(a.replica.userChanges.map(({ status }) => status)).not.toContain('offline');
  }

  describe('while Redis is gone', () => {
    beforeEach(async () => {
      await populate();
      await stage.killRedis();
    });

    test('is what the replica knows by itself, says so, and is all again afterwards', async () => {
      const alone = await untilRoom(a, 'a partial answer', ({ partial, count }) => partial && count === 1);
      expect(namesOf(alone.users)).toEqual(['ann']);
      expect(a.replica.told().at(-1)).toMatchObject({ room: 'r', count: 1, names: null, partial: true });
      expect(await a.store.readUsers(['ann', 'bob'], ['r'])).toMatchObject([
        {
          user: 'ann',
          status: 'online',
          isTogether: true,
          deviceStates: [{ device: 'phone', isConnected: true }],
          partial: true,
        },
        { user: 'bob', status: 'offline', partial: true },
      ]);
      // Sessions come and go as before.
      await a.replica.write(device('cat', 'away'), joins('cat', 'r'), device('ann', 'dnd'));
      const [change] = a.replica.told();
      expect(change).toMatchObject({ count: 2, partial: true });
      expect(change && namesIn(change)).toEqual({ joined: ['cat'], left: [], changed: ['ann'] });
      expect(a.replica.userChanges.at(-1)).toMatchObject({ user: 'ann', status: 'dnd' });
      await a.replica.watchRooms('s');
      await untilRoom(b, 'a partial answer', ({ partial, count }) => partial && count === 1);
      await b.replica.write(leaves('bob', 'r'), gone('bob'), device('dan', 'online'), joins('dan', 'r'));
      await stage.startRedis();
      const whole = await untilRoom(a, 'everybody', ({ partial, count }) => !partial && count === 3);
      expect(namesOf(whole.users)).toEqual(['ann', 'cat', 'dan']);
      await untilIt(
        'the watchers to know',
        () => a.replica.roomChanges.findLast(({ room }) => room === 'r'),
        (told) => told?.count === 3 && !told.partial,
      );
      await untilIt(
        'bob to be gone',
        () => a.replica.userChanges.at(-1),
        (told) => told?.user === 'bob' && told.status === 'offline',
      );
      // And goes on by name.
      const before = a.replica.roomChanges.length;
      await b.replica.write(device('eve', 'online'), joins('eve', 's'), joins('eve', 'r'));
      await untilIt(
        'eve',
        () => a.replica.roomChanges.slice(before),
        (told) => told.some(({ room, names }) => room === 's' && names?.joined[0]?.user === 'eve'),
      );
      const versions = a.replica.roomChanges.filter(({ room }) => room === 'r').map(({ version }) => version);
      expect(versions).toEqual([...new Set(versions)].sort((x, y) => x - y));
    });

    test('a replica begins all the same, and takes part once Redis is there', async () => {
      const c = await stage.replica();
      await c.replica.write(device('cat', 'online'), joins('cat', 'r'));
      expect(await roomAt(c)).toMatchObject({ count: 1, partial: true });
      await stage.startRedis();
      const whole = await untilRoom(c, 'everybody', ({ count, partial }) => count === 3 && !partial);
      expect(namesOf(whole.users)).toEqual(['ann', 'bob', 'cat']);
    });
  });

  test('that hangs for longer than leases last and grace is, is no reason to reap the living', async () => {
    await populate();
    process.kill(stage.pid, 'SIGSTOP');
    try {
      await untilRoom(a, 'a partial answer', ({ partial, count }) => partial && count === 1);
      expect(await codeOf(a.store.readRoom('r', undefined, 1))).toBe('no error');
      await delay(QUICK.leaseMs + QUICK.graceMs + 500);
    } finally {
      process.kill(stage.pid, 'SIGCONT');
    }
    await untilRoom(a, 'both', ({ count, partial }) => count === 2 && !partial);
    expectCalm();
    expect(a.store.figures.reapedUsers + b.store.figures.reapedUsers).toBe(0);
  });

  test('whose clock jumps is no reason to reap the living', async () => {
    await populate();
    const leases = (await stage.ask('ZRANGE', stage.key('leases'), 0, -1)) as string[];
    const longAgoMs = Date.now() - 3_600_000;
    for (const lease of leases) {
      await stage.ask('ZADD', stage.key('leases'), longAgoMs, lease);
      await stage.ask('HSET', stage.key('l', lease), 'd', longAgoMs);
    }
    await untilIt(
      'other leases',
      () => [a, b].map(({ store }) => store.figures.leasesTaken),
      (taken) => taken.every((count) => count === 2),
    );
    expect((await roomAt(a)).count).toBe(2);
    expectCalm();
  });

  test('that is emptied is filled again, partial until then, and nobody seems to leave', async () => {
    await populate();
    const before = await roomAt(a);
    await stage.ask('FLUSHALL');
    // The first one to look finds out.
    const first = await untilRoom(a, 'an answer', ({ count }) => count > 0);
    expect(first.partial).toBe(true);
    const whole = await untilRoom(a, 'both', ({ count, partial }) => count === 2 && !partial);
    expect(whole.version).toBeGreaterThan(before.version);
    const told = await untilIt(
      'the watchers to know',
      () => a.replica.roomChanges.at(-1),
      (change) => change?.count === 2 && !change.partial,
    );
    expect(told?.version).toBeGreaterThan(before.version);
    expectCalm();
    expect([a.replica.asked, b.replica.asked]).toEqual([1, 1]);
  });

  test('is heard again after a connection was lost, with what was missed', async () => {
    await populate();
    a.proxy.target = 1;
    await stage.ask('CLIENT', 'KILL', 'TYPE', 'pubsub');
    await untilIt(
      'the loss',
      () => a.link.isHearing,
      (isHearing) => !isHearing,
    );
    await b.replica.write(device('cat', 'online'), joins('cat', 'r'), device('bob', 'away'));
    a.proxy.target = stage.port;
    await untilIt(
      'cat',
      () => a.replica.roomChanges,
      (told) => told.at(-1)?.count === 3,
    );
    await untilIt(
      'bob',
      () => a.replica.userChanges.at(-1)?.status,
      (status) => status === 'away',
    );
    expect(a.replica.roomChanges.every(({ names }) => names === null)).toBe(true);
    a.replica.told();
    await b.replica.write(joins('dan', 'r'));
    const change = await untilIt(
      'dan',
      () => a.replica.told()[0],
      (told) => told !== undefined,
    );
    expect(change && namesIn(change).joined).toEqual(['dan']);
  });

  test('is compared, as what is published may be lost', async () => {
    const scripts = loadPresenceScripts();
    const lua = scripts.write.lua.replaceAll("redis.call('PUBLISH', channel,", 'tostring(');
    expect(lua).not.toBe(scripts.write.lua);
    const mute = await stage.replica({ scripts: { ...scripts, write: { name: 'muteWrite', lua } } });
    const listener = await stage.replica({ settings: { compareMs: 200 } });
    await listener.replica.watchRooms('r');
    await listener.replica.watchUsers('ann');
    await mute.replica.write(device('ann', 'online'), joins('ann', 'r'));
    await untilIt(
      'the room',
      () => listener.replica.roomChanges,
      (told) => told.length > 0,
    );
    await untilIt(
      'the user',
      () => listener.replica.userChanges,
      (told) => told.length > 0,
    );
    expect(listener.replica.told()).toMatchObject([{ room: 'r', count: 1, names: null, partial: false }]);
    // What is told by name next follows what was missed before.
    await mute.replica.write(joins('bob', 'r'));
    await a.replica.write(joins('cat', 'r'));
    const told = await untilIt(
      'cat',
      () => listener.replica.roomChanges,
      (all) => all.at(-1)?.count === 3,
    );
    expect(told.at(-1)?.names).toBeNull();
  });

  test('takes more than a step may hold in parts, and everything anew as well', async () => {
    const small = await stage.replica({ settings: { chunkChanges: 20, reapChunk: 7 } });
    const users = Array.from({ length: 75 }, (_, i) => `user-${i}`);
    await small.replica.write(...users.flatMap((user) => [device(user, 'away'), joins(user, 'r'), joins(user, 's')]));
    expect(namesOf(await everybodyIn(a.store, 'r', 10))).toEqual([...users].sort());
    await a.replica.watchRooms('r', 's');
    const { version } = await roomAt(a);
    const lease = await leaseOf(users[0] ?? '');
    // As if it had been away for long, while some went.
    small.replica.happen(...users.slice(50).flatMap((user) => [gone(user), leaves(user, 'r'), leaves(user, 's')]));
    await stage.ask('ZADD', stage.key('leases'), Date.now() - 1, lease);
    await stage.ask('HSET', stage.key('l', lease), 'd', Date.now() - 1);
    await untilRoom(a, 'those who are left', ({ count }) => count === 50);
    expect((await roomAt(a)).version).toBeGreaterThan(version);
    const left = a.replica.roomChanges.filter(({ room }) => room === 'r').flatMap(({ names }) => names?.left ?? []);
    expect(namesOf(left)).toEqual(users.slice(50).sort());
    expect(a.replica.roomChanges.flatMap(({ names }) => names?.joined ?? [])).toEqual([]);
    expect(await stage.ask('EXISTS', stage.key('x', lease), stage.key('l', lease))).toBe(0);
  });

  test('gives those of a crowd the time that they need to come back, and then drops them in few batches', async () => {
    const crowd = await stage.replica({ settings: { returnsPerSecond: 100 } });
    const users = Array.from({ length: 250 }, (_, i) => `user-${i}`);
    const reaper = await stage.replica({ settings: { returnsPerSecond: 100 } });
    await Promise.all([a, b].map(({ store }) => store.close()));
    await crowd.replica.write(...users.flatMap((user) => [device(user, 'online'), joins(user, 'r')]));
    await reaper.replica.watchRooms('r');
    const crashedMs = performance.now();
    crowd.link.close();
    await untilIt(
      'all to be gone',
      () => roomAt(reaper),
      ({ count }) => count === 0,
    );
    // 250 at 100 a second.
    expect(performance.now() - crashedMs).toBeGreaterThan(2_500);
    await untilIt(
      'the watchers to know',
      () => reaper.replica.roomChanges,
      (told) => told.at(-1)?.count === 0,
    );
    expect(reaper.replica.roomChanges.map(({ names }) => names?.left.length)).toEqual([100, 100, 50]);
    expect(reaper.store.figures.reapedUsers).toBe(250);
  });

  test('lets every key expire that nobody says anything of, and says its own again in time', async () => {
    await populate();
    await a.replica.write(gone('zoe'), device('zoe', 'online'));
    await a.replica.write(gone('zoe'));
    for (const key of await stage.keys()) {
      expect(await stage.ask('PTTL', key), key).toBeGreaterThan(0);
    }
    const diligent = await stage.replica({ settings: { refreshMs: 300, chunkChanges: 2 } });
    await diligent.replica.write(...['u', 'v', 'w'].flatMap((user) => [device(user, 'online'), joins(user, 'r')]));
    const { version } = await roomAt(a);
    await stage.ask('DEL', stage.key('u', 'u'), stage.key('u', 'v'), stage.key('r', 'r'));
    const back = await untilRoom(a, 'who was lost', ({ users }) => namesOf(users).join() === 'u,v,w');
    expect(back.version).toBeGreaterThan(version);
  });

  test('finds what no lease holds any more and no index leads to', async () => {
    const sweeper = await stage.replica({ settings: { sweepEveryMs: 300, reapChunk: 2 } });
    await populate();
    const [ghost, eternal] = ['u', 'r'].map((kind) => stage.key(kind, `ghost-of-${kind}`));
    await stage.ask('HSET', ghost ?? '', 's:x', `nobody|o|${Date.now()}||phone|`, 'm:nobody:r', '');
    await stage.ask('ZADD', stage.key('r', 'r'), 0, 'ghost-of-u', 0, 'nobody-at-all');
    await stage.ask('ZADD', eternal ?? '', 0, 'ann', 0, 'x1', 0, 'x2', 0, 'x3', 0, 'x4');
    await untilRoom(a, 'the truth', ({ users }) => namesOf(users).join() === 'ann,bob');
    await untilIt(
      'nobody',
      () => roomAt(a, 'ghost-of-r'),
      ({ count }) => count === 0,
    );
    expect(await sweeper.store.readUsers(['ghost-of-u'], [])).toMatchObject([{ status: 'offline', devices: 0 }]);
  });

  test('refuses what a connection that was given up brings late', async () => {
    await populate();
    a.proxy.hold('up');
    expect(await codeOf(a.replica.write(device('ann', 'away')))).toBe('unavailable');
    await untilIt(
      'other connections',
      async () => {
        await a.link.call('PING').catch(() => {});
        return a.proxy.linkCount;
      },
      (count) => count > 2,
    );
    const write = () => codeOf(a.replica.write(device('ann', 'dnd')));
    await untilIt('a write', write, (code) => code === 'no error');
    await untilRoom(a, 'both', ({ count, partial }) => count === 2 && !partial);
    a.proxy.release('up');
    // What was held arrives, or else this would not be about it.
    const calls = async () =>
      Number(/cmdstat_evalsha:calls=(\d+)/.exec(String(await stage.ask('INFO', 'commandstats')))?.[1]);
    const before = await calls();
    await untilIt('what was held', calls, (count) => count > before + 2);
    expect(await b.store.readUsers(['ann'], [])).toMatchObject([{ status: 'dnd' }]);
  });

  async function leaseOf(user: string): Promise<string> {
    const fields = (await stage.ask('HGETALL', stage.key('u', user))) as string[];
    const session = fields[fields.findIndex((field) => field.startsWith('s:')) + 1] ?? '';
    return session.split('|')[0] ?? '';
  }
});
