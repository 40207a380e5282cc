import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import {
  device,
  everybodyIn,
  gone,
  joins,
  leaves,
  namesIn,
  namesOf,
  type PresenceStoreUnderTest,
  type ReplicaUnderTest,
  tickMs,
} from './presence-store-fixture.ts';
import { describeLeases } from './presence-store-leases.ts';
import { describeModel } from './presence-store-model.ts';

export interface PresenceContractOptions {
  /** Random histories to try. */
  readonly modelRuns: number;
}

/** Every promise of the port, held against one adapter. */
export function describePresenceStore(
  name: string,
  open: () => Promise<PresenceStoreUnderTest>,
  { modelRuns }: PresenceContractOptions,
): void {
  describe(`${name} as a PresenceStore`, () => {
    let subject: PresenceStoreUnderTest;
    let a: ReplicaUnderTest;
    let b: ReplicaUnderTest;

    beforeEach(async () => {
      subject = await open();
      a = await subject.replica();
      b = await subject.replica();
    });
    afterEach(() => subject.dispose());

    const readUser = async (user: string, ...rooms: string[]) => (await b.store.readUsers([user], rooms))[0];
    const readRoom = (room: string) => b.store.readRoom(room, undefined, 500);
    const versionOf = async (room: string) => (await readRoom(room)).version;

    describe('a user', () => {
      test('is as the strongest of the devices says, with its text', async () => {
        await a.write(device('ann', 'away', { text: 'out' }));
        expect(await readUser('ann')).toMatchObject({ status: 'away', text: 'out', devices: 1 });
        await b.write(device('ann', 'online', { device: 'desk' }));
        const online = await readUser('ann');
        expect(online).toMatchObject({ status: 'online', devices: 2 });
        expect(online).not.toHaveProperty('text');
        await a.write(device('ann', 'dnd', { text: 'busy' }));
        expect(await readUser('ann')).toMatchObject({ status: 'dnd', text: 'busy', devices: 2 });
        await a.write(gone('ann'));
        expect(await readUser('ann')).toMatchObject({ status: 'online', devices: 1 });
        await b.write(gone('ann', { device: 'desk' }));
        expect(await readUser('ann')).toMatchObject({ status: 'offline', devices: 0 });
      });

      test('has the text that was set last of those with the same status', async () => {
        const [early, late] = [tickMs(), tickMs()];
        await a.write(device('ann', 'online', { text: 'late', atMs: late }));
        await b.write(device('ann', 'online', { text: 'early', atMs: early, device: 'desk' }));
        expect(await readUser('ann')).toMatchObject({ text: 'late', devices: 2 });
      });

      test('gets a higher version with every change that others see, and none with another', async () => {
        await b.watchUsers('ann');
        await a.write(device('ann', 'online'), joins('ann', 'r'));
        await a.write(device('ann', 'away', { device: 'desk' }));
        await b.watchRooms('r');
        const { version } = await readRoom('r');
        const before = await readUser('ann');
        await a.write(device('ann', 'away', { device: 'desk', text: 'lunch' }));
        await a.write(device('ann', 'online'));
        await a.write(joins('ann', 'r'));
        await a.write(gone('bob'), leaves('bob', 'r'), leaves('ann', 'elsewhere'));
        await subject.settle();
        expect((await readUser('ann'))?.version).toBe(before?.version);
        expect(await versionOf('r')).toBe(version);
        expect(b.told()).toEqual([]);
        await a.write(device('ann', 'online', { text: 'here' }));
        await a.write(gone('ann'));
        await subject.settle();
        expect(b.userChanges.map(({ status, text, devices }) => [status, text, devices])).toEqual([
          ['online', undefined, 1],
          ['online', undefined, 2],
          ['online', 'here', 2],
          ['away', 'lunch', 1],
        ]);
        const versions = b.userChanges.map((change) => change.version);
        expect(versions).toEqual([...new Set(versions)].sort((x, y) => x - y));
        expect((await readUser('ann'))?.version).toBe(versions.at(-1));
        expect(await versionOf('r')).toBeGreaterThan(version);
      });

      test('has a device as long as one of its sessions is there, whichever replica says so', async () => {
        const [s1, s2, s3] = ['s1', 's2', 's3'].map((session) => ({ session, text: 'here' }));
        await b.watchUsers('ann');
        await b.write(device('ann', 'online', s3));
        await a.write(device('ann', 'online', s1), device('ann', 'online', s2));
        expect(await readUser('ann')).toMatchObject({ devices: 1 });
        // The one that was told last ends first, and what is told again takes nothing away.
        await a.write(gone('ann', s2));
        await b.write(device('ann', 'online', s3));
        await a.write(gone('ann', s1));
        await a.write(gone('ann', s2));
        expect(await readUser('ann')).toMatchObject({ status: 'online', devices: 1 });
        await subject.settle();
        expect(b.userChanges).toHaveLength(1);
        await b.write(gone('ann', s3));
        expect(await readUser('ann')).toMatchObject({ status: 'offline', devices: 0 });
      });

      test('is on each device as the session says whose status was set last', async () => {
        const [early, late] = [tickMs(), tickMs()];
        await a.write(device('ann', 'away', { session: 's2', text: 'late', atMs: late }));
        await b.write(device('ann', 'dnd', { session: 's1', text: 'early', atMs: early }));
        expect(await readUser('ann')).toMatchObject({ status: 'away', text: 'late', devices: 1 });
        // By name among those set at once.
        await b.write(device('ann', 'dnd', { session: 's1', text: 'same', atMs: late }));
        expect(await readUser('ann')).toMatchObject({ status: 'dnd', text: 'same', devices: 1 });
        await a.write(device('ann', 'online', { session: 's0', atMs: late }));
        expect(await readUser('ann')).toMatchObject({ status: 'online', devices: 1 });
        await a.write(device('ann', 'away', { device: 'desk', atMs: tickMs() }));
        expect(await readUser('ann')).toMatchObject({ status: 'online', devices: 2 });
        await a.write(gone('ann', { session: 's0' }), gone('ann', { session: 's2' }));
        expect(await readUser('ann')).toMatchObject({ status: 'dnd', devices: 2 });
      });

      test('goes by the times that are told, and not by who is heard first', async () => {
        const now = tickMs();
        await a.write(device('ann', 'dnd', { session: 's1', atMs: now + 5_000 }));
        await b.write(device('ann', 'away', { session: 's2', atMs: now }));
        expect(await readUser('ann')).toMatchObject({ status: 'dnd' });
        // Of one session the later word counts, whatever its clock did.
        await a.write(device('ann', 'online', { session: 's1', text: 'back', atMs: now - 5_000 }));
        expect(await readUser('ann')).toMatchObject({ status: 'away' });
        await b.write(gone('ann', { session: 's2' }));
        expect(await readUser('ann')).toMatchObject({ status: 'online', text: 'back', devices: 1 });
      });

      test('keeps a device that has come back under another session, here or elsewhere', async () => {
        await a.write(device('ann', 'online', { session: 's1' }), joins('ann', 'r'));
        await b.watchUsers('ann');
        const before = await readUser('ann');
        await a.write(device('ann', 'online', { session: 's2' }));
        await a.write(gone('ann', { session: 's1' }));
        await b.write(device('ann', 'online', { session: 's3' }), joins('ann', 'r'));
        await a.write(gone('ann', { session: 's2' }), leaves('ann', 'r'));
        await subject.settle();
        expect(b.userChanges).toEqual([]);
        expect(await readUser('ann')).toMatchObject({ status: 'online', devices: 1, version: before?.version });
        await b.write(gone('ann', { session: 's3' }));
        expect(await readUser('ann')).toMatchObject({ status: 'offline', devices: 0 });
      });

      test('was last seen now, or when the last device was heard, or at no known time', async () => {
        const since = Date.now();
        expect(await readUser('ann')).toEqual({
          user: 'ann',
          status: 'offline',
          devices: 0,
          lastSeenMs: 0,
          version: expect.any(Number),
          deviceStates: [],
          isTogether: false,
          partial: false,
        });
        await b.watchUsers('ann');
        await a.write(device('ann', 'online', { atMs: since - 60_000 }));
        await a.write(device('ann', 'online', { device: 'desk', atMs: since - 50_000 }));
        expect((await readUser('ann'))?.lastSeenMs).toBeGreaterThan(since - 5_000);
        await a.write(gone('ann', { atMs: since - 10_000 }));
        expect((await readUser('ann'))?.lastSeenMs).toBeGreaterThan(since - 5_000);
        await a.write(gone('ann', { device: 'desk', atMs: since - 20_000 }));
        expect((await readUser('ann'))?.lastSeenMs).toBe(since - 10_000);
        await subject.settle();
        expect(b.userChanges.at(-1)).toMatchObject({ status: 'offline', lastSeenMs: since - 10_000 });
        // A member of a room without a device is offline all the same.
        await a.write(joins('ann', 'r'));
        expect(await readUser('ann', 'r')).toMatchObject({
          status: 'offline',
          lastSeenMs: since - 10_000,
          isTogether: true,
        });
      });

      test('has the devices connected that have a session which is not cut off', async () => {
        const states = async () => (await readUser('ann'))?.deviceStates ?? [];
        const connected = async () =>
          (await states()).flatMap(({ device: name, isConnected }) => (isConnected ? [name] : [])).sort();
        await a.write(device('ann', 'online'), device('ann', 'away', { device: 'desk' }));
        await b.write(device('ann', 'online', { device: 'desk', session: 's2' }));
        expect(await connected()).toEqual(['desk', 'phone']);
        await b.watchUsers('ann');
        await a.write(device('ann', 'online', { isCutOff: true }));
        await a.write(device('ann', 'away', { device: 'desk', isCutOff: true }));
        expect(await connected()).toEqual(['desk']);
        await b.write(gone('ann', { device: 'desk', session: 's2' }));
        expect(await connected()).toEqual([]);
        await subject.settle();
        // It is seen all the same.
        expect(await readUser('ann')).toMatchObject({ status: 'online', devices: 2 });
        expect(b.userChanges).toEqual([]);
      });

      test('has devices each of which is as the session whose status was set last', async () => {
        const atMs = tickMs();
        await a.write(device('ann', 'away', { session: 's1', text: 'out', atMs }));
        await b.write(
          device('ann', 'dnd', { session: 's2', atMs: atMs - 1 }),
          device('ann', 'online', { device: 'desk', atMs }),
        );
        const states = async () =>
          [...((await readUser('ann'))?.deviceStates ?? [])].sort((x, y) => (x.device < y.device ? -1 : 1));
        const desk = { device: 'desk', status: 'online', atMs, isConnected: true };
        expect(await states()).toEqual([
          desk,
          { device: 'phone', status: 'away', text: 'out', atMs, isConnected: true },
        ]);
        await a.write(gone('ann', { session: 's1' }));
        await b.write(device('ann', 'dnd', { session: 's2', atMs: atMs - 1, isCutOff: true }));
        expect(await states()).toEqual([desk, { device: 'phone', status: 'dnd', atMs: atMs - 1, isConnected: false }]);
      });

      test('that connects takes the place of its device elsewhere, once, and of nothing else', async () => {
        await a.write(
          device('ann', 'online', { session: 's1', isNew: true }),
          device('ann', 'away', { device: 'desk' }),
        );
        await a.write(device('bob', 'online', { session: 's1' }));
        const connects = device('ann', 'online', { session: 's2', isNew: true });
        await b.write(connects);
        await b.write(connects, device('ann', 'dnd', { device: 'desk', session: 's3' }));
        await subject.settle();
        expect([a.replaced, b.replaced]).toEqual([['ann s1'], []]);
        // Until it is said to be gone it is there.
        await b.write(gone('ann', { session: 's2' }));
        expect(await readUser('ann')).toMatchObject({ devices: 2 });
        // What is said a second time is not new.
        await b.write(device('ann', 'online', { session: 's4', isNew: true }));
        await a.write(device('ann', 'online', { session: 's1', isNew: true }));
        await subject.settle();
        expect([a.replaced, b.replaced]).toEqual([['ann s1', 'ann s1'], []]);
        // Nor is what was cut off before it was told.
        await a.write(device('ann', 'online', { session: 's5', isNew: true, isCutOff: true }));
        await subject.settle();
        expect(b.replaced).toEqual([]);
      });

      test('is read in the order asked for, and is together where one of the rooms has them', async () => {
        await a.write(device('ann', 'online'), joins('ann', 'r'), device('bob', 'away'), joins('bob', 's'));
        const read = await b.store.readUsers(['zoe', 'bob', 'ann', 'bob'], new Set(['q', 'r']));
        expect(read.map(({ user, status, isTogether }) => [user, status, isTogether])).toEqual([
          ['zoe', 'offline', false],
          ['bob', 'away', false],
          ['ann', 'online', true],
          ['bob', 'away', false],
        ]);
        expect(await readUser('bob', 'r', 's')).toMatchObject({ isTogether: true });
        expect(await readUser('bob')).toMatchObject({ isTogether: false });
        expect(await b.store.readUsers([], ['r'])).toEqual([]);
      });
    });

    describe('a room', () => {
      test('has nobody at first', async () => {
        const empty = { count: 0, version: expect.any(Number), users: [], more: false, partial: false };
        expect(await readRoom('r')).toEqual(empty);
        expect(await b.store.readRoom('r', 'ann', 10)).toEqual(empty);
      });

      test('counts a user of several devices and replicas once, until the last one leaves', async () => {
        await b.watchRooms('r');
        await a.write(device('ann', 'online'), joins('ann', 'r'));
        const joined = await versionOf('r');
        await b.write(joins('ann', 'r'));
        expect(await readRoom('r')).toMatchObject({ count: 1, version: joined });
        await a.write(leaves('ann', 'r'));
        await a.write(leaves('ann', 'r'));
        expect(await readRoom('r')).toMatchObject({ count: 1, version: joined });
        await b.write(leaves('ann', 'r'));
        expect(await readRoom('r')).toMatchObject({ count: 0, users: [] });
        await subject.settle();
        expect(b.told().map(namesIn)).toEqual([
          { joined: ['ann'], left: [], changed: [] },
          { joined: [], left: ['ann'], changed: [] },
        ]);
      });

      test('has versions that never fall, empty or not', async () => {
        const versions: number[] = [];
        const read = async () => versions.push(await versionOf('r'));
        await b.watchRooms('r');
        await read();
        for (let round = 0; round < 3; round += 1) {
          await a.write(device('ann', 'online'), joins('ann', 'r'));
          await read();
          await a.write(device('ann', 'dnd'), device('bob', 'online'), joins('bob', 'elsewhere'));
          await read();
          await a.write(leaves('ann', 'r'), gone('ann'));
          await read();
          await a.write(gone('bob'), leaves('bob', 'elsewhere'));
        }
        expect(versions).toEqual([...new Set(versions)].sort((x, y) => x - y));
        await read();
        expect(versions.at(-1)).toBeGreaterThanOrEqual(versions.at(-2) ?? Number.NaN);
        await subject.settle();
        const told = b.told().map(({ version }) => version);
        expect(told).toEqual(versions.slice(1, -1));
      });

      test('and a user who was away have versions that never fall', async () => {
        await a.write(device('ann', 'online'));
        await a.write(gone('ann'));
        const away = await readUser('ann');
        await a.write(device('bob', 'online'));
        await a.write(gone('bob'), joins('ann', 'r'));
        expect((await readUser('ann'))?.version).toBeGreaterThanOrEqual(away?.version ?? Number.NaN);
        await a.write(leaves('ann', 'r'));
        expect((await readUser('ann'))?.version).toBeGreaterThanOrEqual(away?.version ?? Number.NaN);
        await a.write(device('ann', 'online'));
        expect((await readUser('ann'))?.version).toBeGreaterThan(away?.version ?? Number.NaN);
      });

      test('is read in pages ordered by bytes', async () => {
        const users = ['b', 'a', 'B', '_x', '9', 'ab', '-', '@', 'A.b', 'a/b', 'a-b', ':z'];
        await a.write(...users.map((user) => joins(user, 'r')), joins('c', 'elsewhere'));
        const sorted = users.sort((x, y) => Buffer.compare(Buffer.from(x), Buffer.from(y)));
        for (const limit of [1, 5, 11, 12, 13]) {
          expect((await everybodyIn(b.store, 'r', limit)).map(({ user }) => user)).toEqual(sorted);
        }
        expect(await b.store.readRoom('r', undefined, 12)).toMatchObject({ count: 12, more: false });
        expect(await b.store.readRoom('r', undefined, 11)).toMatchObject({ count: 12, more: true });
        const page = await b.store.readRoom('r', 'Azz', 2);
        expect(page).toMatchObject({ count: 12, more: true, partial: false });
        expect(page.users.map(({ user }) => user)).toEqual(['B', '_x']);
        expect(await b.store.readRoom('r', 'b', 5)).toMatchObject({ count: 12, users: [], more: false });
      });

      test('holds many', async () => {
        const users = Array.from({ length: 1_200 }, (_, i) => `user-${(i * 7) % 1_200}`);
        await a.write(...users.flatMap((user) => [device(user, 'away'), joins(user, 'r')]));
        const read = await everybodyIn(b.store, 'r');
        expect(read.map(({ user }) => user)).toEqual([...users].sort());
        expect(read.every(({ status, devices }) => status === 'away' && devices === 1)).toBe(true);
        await a.write(...users.slice(100).map((user) => leaves(user, 'r')));
        expect(namesOf(await everybodyIn(b.store, 'r', 30))).toEqual(users.slice(0, 100).sort());
        expect((await readRoom('r')).count).toBe(100);
      });
    });

    describe('a batch', () => {
      test('is seen together: who joins has its status, who leaves is in `left` alone', async () => {
        await a.write(device('ann', 'online'), joins('ann', 'r'), device('bob', 'online'), joins('bob', 'r'));
        await a.write(device('eve', 'online'), joins('eve', 'r'));
        await b.watchRooms('r');
        await a.write(
          leaves('bob', 'r'),
          joins('cat', 'r'),
          device('ann', 'away', { text: 'out' }),
          device('bob', 'dnd'),
          device('cat', 'dnd', { text: 'busy' }),
        );
        await subject.settle();
        const [change, ...others] = b.told();
        expect(others).toEqual([]);
        expect(change).toEqual({
          room: 'r',
          version: await versionOf('r'),
          count: 3,
          names: {
            joined: [{ user: 'cat', status: 'dnd', text: 'busy', devices: 1 }],
            left: [{ user: 'bob', status: 'dnd', devices: 1 }],
            changed: [{ user: 'ann', status: 'away', text: 'out', devices: 1 }],
          },
          partial: false,
        });
      });

      test('may take a user offline and out of the room at once', async () => {
        await a.write(device('ann', 'online'), joins('ann', 'r'));
        await b.watchRooms('r');
        await a.write(gone('ann'), leaves('ann', 'r'));
        await subject.settle();
        expect(b.told().map(({ names }) => names)).toEqual([
          { joined: [], left: [{ user: 'ann', status: 'offline', devices: 0 }], changed: [] },
        ]);
      });

      test('changes every room of a user, whichever replica holds it, for watchers on any', async () => {
        await a.write(device('ann', 'online'), joins('ann', 'r'));
        await b.write(device('ann', 'away', { device: 'desk' }), joins('ann', 's'), joins('bob', 's'));
        await a.watchRooms('r', 's', 't');
        await b.watchRooms('r', 's', 't');
        const versions = [await versionOf('r'), await versionOf('s')];
        await a.write(device('ann', 'dnd'));
        await subject.settle();
        const state = { user: 'ann', status: 'dnd', devices: 2 };
        for (const replica of [a, b]) {
          const told = [...replica.told()].sort((x, y) => (x.room < y.room ? -1 : 1));
          const names = { joined: [], left: [], changed: [state] };
          expect(told).toEqual([
            { room: 'r', version: await versionOf('r'), count: 1, names, partial: false },
            { room: 's', version: await versionOf('s'), count: 2, names, partial: false },
          ]);
          expect(told[0]?.version).toBeGreaterThan(versions[0] ?? Number.NaN);
          expect(told[1]?.version).toBeGreaterThan(versions[1] ?? Number.NaN);
        }
        expect(namesOf((await readRoom('s')).users)).toEqual(['ann', 'bob']);
      });

      test('takes effect in the order of the calls', async () => {
        await b.watchRooms('r');
        const writes = Array.from({ length: 50 }, (_, i) =>
          a.write(device('ann', 'online', { text: `${i}` }), i % 2 === 0 ? joins('ann', 'r') : leaves('ann', 'r')),
        );
        await Promise.all(writes);
        await subject.settle();
        const told = b.told();
        expect(told.map(({ names }) => [...(names?.joined ?? []), ...(names?.left ?? [])][0]?.text)).toEqual(
          writes.map((_, i) => `${i}`),
        );
        expect(told.map(({ count }) => count)).toEqual(writes.map((_, i) => 1 - (i % 2)));
        const versions = told.map(({ version }) => version);
        expect(versions).toEqual([...new Set(versions)].sort((x, y) => x - y));
      });

      test('may be written again, and a newer one before it that is about something else', async () => {
        await a.write(device('dan', 'online'), joins('dan', 'r'));
        await b.watchRooms('r');
        const first = [device('ann', 'dnd'), joins('ann', 'r'), gone('dan'), leaves('dan', 'r')];
        await a.write(...first);
        const version = await versionOf('r');
        await a.write(...first);
        expect(await versionOf('r')).toBe(version);
        await a.write(device('bob', 'online'), joins('bob', 'r'));
        const after = await versionOf('r');
        await a.write(...first);
        await subject.settle();
        expect(await versionOf('r')).toBe(after);
        expect(b.told().map(namesIn)).toEqual([
          { joined: ['ann'], left: ['dan'], changed: [] },
          { joined: ['bob'], left: [], changed: [] },
        ]);
      });

      test('without anything in it is nothing', async () => {
        await b.watchRooms('r');
        const version = await versionOf('r');
        await a.write();
        expect(await versionOf('r')).toBe(version);
      });
    });

    describe('interest', () => {
      test('is in one subject, of one replica, until it ends', async () => {
        await a.watchRooms('r');
        await b.watchRooms('s', 's');
        await b.watchUsers('ann', 'ann', 'cat');
        await a.write(device('ann', 'online'), joins('ann', 'r'), joins('bob', 's'), device('bob', 'online'));
        await subject.settle();
        expect(a.told().map(({ room }) => room)).toEqual(['r']);
        expect(b.told().map(({ room }) => room)).toEqual(['s']);
        expect(a.userChanges).toEqual([]);
        expect(b.userChanges.splice(0)).toMatchObject([{ user: 'ann', status: 'online' }]);
        await b.store.setInterest({ room: 's' }, false);
        await b.store.setInterest({ user: 'ann' }, false);
        await b.store.setInterest({ user: 'ann' }, false);
        await a.write(device('ann', 'dnd'), leaves('bob', 's'), device('cat', 'online'));
        await subject.settle();
        expect(b.told()).toEqual([]);
        expect(b.userChanges).toMatchObject([{ user: 'cat' }]);
        expect(a.told()).toHaveLength(1);
      });

      test('in a room and in a user of one name are two', async () => {
        await a.watchRooms('x');
        await b.watchUsers('x');
        await a.write(device('x', 'online'));
        await a.write(joins('ann', 'x'));
        await subject.settle();
        expect([a.roomChanges.length, a.userChanges.length]).toEqual([1, 0]);
        expect([b.roomChanges.length, b.userChanges.length]).toEqual([0, 1]);
      });

      test('leaves no gap between what is read and what is told', async () => {
        await a.write(device('ann', 'online'), joins('ann', 'r'));
        const underWay = ['bob', 'cat', 'dan'].map((user) => a.write(device(user, 'online'), joins(user, 'r')));
        await b.watchRooms('r');
        const read = await readRoom('r');
        await Promise.all(underWay);
        await a.write(device('eve', 'online'), joins('eve', 'r'));
        await subject.settle();
        const later = b.told().filter(({ version }) => version > read.version);
        const users = [...read.users, ...later.flatMap(({ names }) => names?.joined ?? [])];
        expect(namesOf(users)).toEqual(['ann', 'bob', 'cat', 'dan', 'eve']);
        expect(later.at(-1)?.version).toBe(await versionOf('r'));
        // And what is read after it is what it told.
        expect(later.at(-1)?.count).toBe((await readRoom('r')).count);
      });

      test('may begin and end while something is told', async () => {
        await a.watchRooms('r', 's', 't');
        await b.watchRooms('r');
        let turns = 0;
        const underWay: Promise<void>[] = [];
        a.onTold = () => {
          turns += 1;
          // Off and on again, and another room off, and, the first time, another batch.
          underWay.push(a.store.setInterest({ room: 'r' }, false), a.store.setInterest({ room: 'r' }, true));
          underWay.push(a.store.setInterest({ room: 't' }, false));
          if (turns === 1) underWay.push(a.write(joins('bob', 'r')));
        };
        await b.write(joins('ann', 'r'), joins('ann', 's'));
        await subject.settle();
        await Promise.all(underWay);
        await subject.settle();
        await b.write(joins('ann', 't'));
        await subject.settle();
        expect(turns).toBeLessThan(10);
        const versions = (replica: ReplicaUnderTest) => replica.roomChanges.map(({ version }) => version);
        expect(versions(a)).toEqual([...versions(a)].sort((x, y) => x - y));
        expect(a.roomChanges.filter(({ room }) => room === 't')).toEqual([]);
        expect(b.roomChanges.map(namesIn).map(({ joined }) => joined)).toEqual([['ann'], ['bob']]);
        expect(versions(b)[1]).toBeGreaterThan(versions(b)[0] ?? Number.NaN);
        const { version } = await readRoom('r');
        expect(versions(b).at(-1)).toBe(version);
      });
    });

    describeLeases(() => subject);
    describeModel(open, modelRuns);
  });
}
