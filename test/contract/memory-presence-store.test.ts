import { describe, expect, test, vi } from 'vitest';
import { MemoryPresence } from '../../src/presence/memory-presence-store.ts';
import { describePresenceStore } from './presence-store.contract.ts';
import {
  device,
  gone,
  joins,
  leaves,
  type PresenceStoreUnderTest,
  ReplicaUnderTest,
} from './presence-store-fixture.ts';

const SETTINGS = { leaseMs: 1_000, graceMs: 1_500, lastSeenMax: 1_000, partial: false };

describePresenceStore('presence in memory', async () => openMemory(), { modelRuns: 400 });

function openMemory(settings: Partial<typeof SETTINGS> = {}): PresenceStoreUnderTest & { presence: MemoryPresence } {
  vi.useFakeTimers();
  const { leaseMs, graceMs, ...others } = { ...SETTINGS, ...settings };
  const presence = new MemoryPresence({ leaseMs, graceMs, ...others });
  const asleep = new Set<ReplicaUnderTest>();
  return {
    presence,
    leaseMs,
    graceMs,
    async replica() {
      const replica = new ReplicaUnderTest(presence.replica());
      const begin = setInterval;
      const begun = vi.spyOn(globalThis, 'setInterval');
      // Its own timer goes on, but while it sleeps nothing comes of that.
      begun.mockImplementation((renew, everyMs) => begin(() => asleep.has(replica) || renew(), everyMs));
      await replica.store.open(replica);
      begun.mockRestore();
      return replica;
    },
    async crash(replica) {
      asleep.add(replica);
    },
    async pause(replica) {
      asleep.add(replica);
    },
    async resume(replica) {
      asleep.delete(replica);
    },
    async advance(ms) {
      await vi.advanceTimersByTimeAsync(ms);
    },
    async settle() {},
    async dispose() {
      vi.useRealTimers();
    },
  };
}

describe('presence in memory', () => {
  test('counts sessions, devices, users and rooms', async () => {
    const subject = openMemory();
    const { presence } = subject;
    const counts = () => [presence.sessionCount, presence.deviceCount, presence.userCount, presence.roomCount];
    const a = await subject.replica();
    expect(counts()).toEqual([0, 0, 0, 0]);
    await a.write(device('ann', 'online'), device('ann', 'away', { device: 'desk' }), device('bob', 'online'));
    await a.write(joins('ann', 'r'), joins('bob', 'r'), joins('bob', 's'), device('bob', 'away', { session: 'new' }));
    expect(counts()).toEqual([4, 3, 2, 2]);
    await a.write(device('ann', 'dnd'), gone('bob'), leaves('ann', 'r'), leaves('bob', 'r'));
    expect(counts()).toEqual([3, 3, 2, 1]);
    await a.write(gone('bob', { session: 'new' }), gone('ann', { device: 'desk' }), leaves('bob', 's'));
    expect(counts()).toEqual([1, 1, 1, 0]);
    await a.write(gone('ann'));
    expect(counts()).toEqual([0, 0, 0, 0]);
    await subject.dispose();
  });

  test('says that it is not all there is, where told so', async () => {
    const subject = openMemory({ partial: true });
    const a = await subject.replica();
    await a.watchRooms('r');
    expect(await a.store.readRoom('r', undefined, 1)).toMatchObject({ partial: true, count: 0 });
    await a.write(device('ann', 'online'), joins('ann', 'r'));
    expect(a.told()).toMatchObject([{ partial: true, count: 1 }]);
    expect(await a.store.readRoom('r', undefined, 1)).toMatchObject({ partial: true, count: 1 });
    expect(await a.store.readUsers(['ann', 'bob'], [])).toMatchObject([{ partial: true }, { partial: true }]);
    await subject.dispose();
  });

  test('remembers when so many users were last seen, and forgets the oldest first', async () => {
    const subject = openMemory({ lastSeenMax: 3 });
    const a = await subject.replica();
    const users = ['u1', 'u2', 'u3', 'u4', 'u5'];
    const lastSeen = async () => (await a.store.readUsers(users, [])).map(({ lastSeenMs }) => lastSeenMs);
    for (const user of users) await a.write(device(user, 'online'));
    for (const [i, user] of ['u2', 'u1', 'u3'].entries()) await a.write(gone(user, { atMs: 10 + i }));
    const versions = (await a.store.readUsers(users, [])).map(({ version }) => version);
    // Users online don't count.
    expect(await lastSeen()).toEqual([11, 10, 12, Date.now(), Date.now()]);
    await a.write(gone('u4', { atMs: 13 }));
    expect(await lastSeen()).toEqual([11, 0, 12, 13, Date.now()]);
    // Who was there again is not the oldest any more.
    await a.write(device('u1', 'online'));
    await a.write(gone('u1', { atMs: 14 }));
    await a.write(gone('u5', { atMs: 15 }));
    expect(await lastSeen()).toEqual([14, 0, 0, 13, 15]);
    for (const [i, { version }] of (await a.store.readUsers(users, [])).entries()) {
      expect(version).toBeGreaterThanOrEqual(versions[i] ?? Number.NaN);
    }
    await subject.dispose();
  });

  test('goes on with higher versions after a restart', async () => {
    const first = openMemory();
    const a = await first.replica();
    for (let i = 0; i < 500; i += 1) await a.write(device('ann', i % 2 === 0 ? 'dnd' : 'online'), joins('ann', 'r'));
    const { version } = await a.store.readRoom('r', undefined, 1);
    const [ann] = await a.store.readUsers(['ann'], []);
    await first.advance(1);
    const second = openMemory();
    const b = await second.replica();
    expect((await b.store.readRoom('r', undefined, 1)).version).toBeGreaterThan(version);
    const [annThen] = await b.store.readUsers(['ann'], []);
    expect(annThen?.version).toBeGreaterThan(ann?.version ?? Number.NaN);
    await second.dispose();
  });

  test('sees nothing in a batch that goes there and back', async () => {
    const subject = openMemory();
    const a = await subject.replica();
    await a.watchRooms('r');
    await a.write(joins('ann', 'r'), leaves('ann', 'r'), device('bob', 'online'), gone('bob'));
    expect(a.told()).toEqual([]);
    expect([subject.presence.deviceCount, subject.presence.roomCount]).toEqual([0, 0]);
    await subject.dispose();
  });

  test('keeps no process from its end', async () => {
    vi.useRealTimers();
    const begun = vi.spyOn(globalThis, 'setInterval');
    const replica = new ReplicaUnderTest(new MemoryPresence(SETTINGS).replica());
    await replica.store.open(replica);
    const [renewal] = begun.mock.results.map(({ value }) => value as NodeJS.Timeout);
    expect(renewal?.hasRef()).toBe(false);
    await replica.store.close();
    begun.mockRestore();
  });
});
