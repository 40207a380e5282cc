import { beforeEach, describe, expect, test } from 'vitest';
import {
  batchOf,
  device,
  gone,
  joins,
  leaves,
  namesIn,
  namesOf,
  type PresenceStoreUnderTest,
  type ReplicaUnderTest,
  tickMs,
} from './presence-store-fixture.ts';
import { codeOf } from './room-log-fixture.ts';

/** The part of the contract that is about what a lease holds. */
export function describeLeases(subjectNow: () => PresenceStoreUnderTest): void {
  describe('a lease', () => {
    let subject: PresenceStoreUnderTest;
    let a: ReplicaUnderTest;
    let watcher: ReplicaUnderTest;

    beforeEach(async () => {
      subject = subjectNow();
      a = await subject.replica();
      watcher = await subject.replica();
      await watcher.watchRooms('r', 's');
      await watcher.watchUsers('ann', 'bob');
    });

    const namesInRoom = async (room: string) => namesOf((await watcher.store.readRoom(room, undefined, 500)).users);
    const readUser = async (user: string) => (await watcher.store.readUsers([user], []))[0];
    /** What leaves is there so long after it was last renewed, and half a lease for whoever reaps it. */
    const goneMs = () => subject.leaseMs * 1.5 + subject.graceMs;
    /** Longer than a lease lasts, and shorter than until it is reaped. */
    const lapsedMs = () => subject.leaseMs * 1.2;
    /** By then a renewal has been due. */
    const renewedMs = () => subject.leaseMs / 2;

    test('is renewed for as long as the replica lives, and nothing is asked for', async () => {
      await a.write(device('ann', 'online'), joins('ann', 'r'));
      await subject.settle();
      watcher.told();
      for (let i = 0; i < 3; i += 1) await subject.advance(goneMs());
      await a.write(joins('ann', 's'));
      await subject.settle();
      expect(await namesInRoom('r')).toEqual(['ann']);
      expect(watcher.told().map(namesIn)).toEqual([{ joined: ['ann'], left: [], changed: [] }]);
      expect([a.asked, watcher.asked]).toEqual([0, 0]);
    });

    test('of a replica that crashed is gone after lease and grace, and not before', async () => {
      const since = Date.now();
      await a.write(device('ann', 'online'), joins('ann', 'r'), joins('ann', 's'), device('bob', 'dnd'));
      await watcher.write(device('bob', 'online', { device: 'desk' }), joins('bob', 'r'), joins('ann', 's'));
      await subject.settle();
      watcher.told();
      watcher.userChanges.splice(0);
      await subject.crash(a);
      await subject.advance(subject.graceMs + subject.leaseMs / 2);
      expect(await namesInRoom('r')).toEqual(['ann', 'bob']);
      expect(await readUser('bob')).toMatchObject({ status: 'dnd', devices: 2 });
      expect(watcher.told()).toEqual([]);
      await subject.advance(subject.leaseMs);
      await subject.settle();
      expect(await namesInRoom('r')).toEqual(['bob']);
      expect(await namesInRoom('s')).toEqual(['ann']);
      expect(await readUser('bob')).toMatchObject({ status: 'online', devices: 1 });
      const ann = await readUser('ann');
      expect(ann).toMatchObject({ status: 'offline', devices: 0 });
      // When the replica was heard last.
      expect(ann?.lastSeenMs).toBeGreaterThanOrEqual(since - 1_000);
      expect(ann?.lastSeenMs).toBeLessThan(since + subject.graceMs);
      const told = watcher.told();
      expect(told.filter(({ room }) => room === 'r').map(namesIn)).toEqual([
        { joined: [], left: ['ann'], changed: ['bob'] },
      ]);
      expect(told.filter(({ room }) => room === 's').map(namesIn)).toEqual([
        { joined: [], left: [], changed: ['ann'] },
      ]);
      expect(namesOf(watcher.userChanges)).toEqual(['ann', 'bob']);
      expect(watcher.asked).toBe(0);
    });

    test('that is given back is gone after the grace, and not before', async () => {
      await a.write(device('ann', 'online'), joins('ann', 'r'));
      await a.store.close();
      await a.store.close();
      await subject.advance(subject.graceMs - subject.leaseMs / 2);
      expect(await namesInRoom('r')).toEqual(['ann']);
      await subject.advance(subject.leaseMs);
      expect(await namesInRoom('r')).toEqual([]);
      expect(await readUser('ann')).toMatchObject({ status: 'offline' });
      expect(a.asked).toBe(0);
    });

    test('that is given back holds nothing more of a device that leaves for good elsewhere', async () => {
      const [before, after] = [{ session: 'before' }, { session: 'after' }];
      await a.write(device('ann', 'online', before), joins('ann', 'r'), joins('ann', 's'));
      await a.write(device('bob', 'online', before), device('bob', 'away', { device: 'desk' }), joins('bob', 'r'));
      await a.store.close();
      await watcher.write(device('ann', 'online', after), joins('ann', 'r'), device('bob', 'dnd', after));
      await subject.settle();
      watcher.told();
      // That a connection is lost says nothing of where the device was before.
      await watcher.write(gone('bob', after));
      expect(await readUser('bob')).toMatchObject({ status: 'online', devices: 2 });
      await watcher.write({ ...gone('ann', after), isLeaving: true }, leaves('ann', 'r'));
      await subject.settle();
      expect(watcher.told().map(({ room, ...change }) => [room, namesIn({ room, ...change }).left])).toEqual(
        expect.arrayContaining([
          ['r', ['ann']],
          ['s', ['ann']],
        ]),
      );
      expect(await readUser('ann')).toMatchObject({ status: 'offline', devices: 0 });
      // Where another device of the user was as well, rooms are that one's.
      await watcher.write({ ...gone('bob', { session: 'last' }), isLeaving: true });
      expect(await readUser('bob')).toMatchObject({ status: 'away', devices: 1 });
      expect([await namesInRoom('r'), await namesInRoom('s')]).toEqual([['bob'], []]);
      await subject.advance(subject.graceMs + subject.leaseMs / 2);
      expect(await namesInRoom('r')).toEqual([]);
    });

    test('that lives keeps what it holds of a device that leaves elsewhere', async () => {
      await a.write(device('ann', 'online', { session: 'one' }), joins('ann', 'r'));
      await watcher.write(device('ann', 'online', { session: 'two' }));
      await watcher.write({ ...gone('ann', { session: 'two' }), isLeaving: true });
      expect(await namesInRoom('r')).toEqual(['ann']);
      expect(await readUser('ann')).toMatchObject({ status: 'online', devices: 1 });
    });

    test('that is given back is used no more, and its replica told no more', async () => {
      await a.watchRooms('r');
      await a.store.close();
      expect(await codeOf(a.store.write(batchOf([joins('bob', 'r')])))).toBe('unavailable');
      expect(await codeOf(a.store.readRoom('r', undefined, 1))).toBe('unavailable');
      expect(await codeOf(a.store.readUsers(['ann'], []))).toBe('unavailable');
      await a.store.setInterest({ room: 'r' }, false);
      await watcher.write(joins('ann', 'r'));
      await subject.settle();
      expect(a.told()).toEqual([]);
      expect(await namesInRoom('r')).toEqual(['ann']);
    });

    test('gone by a reconnect elsewhere within the grace is never noticed', async () => {
      const b = await subject.replica();
      await a.write(device('ann', 'online', { session: 's1' }), joins('ann', 'r'));
      await subject.crash(a);
      await subject.settle();
      watcher.told();
      await b.write(device('ann', 'online', { session: 's2' }), joins('ann', 'r'));
      await subject.advance(goneMs());
      await subject.settle();
      expect(watcher.told()).toEqual([]);
      expect(await namesInRoom('r')).toEqual(['ann']);
      expect(await readUser('ann')).toMatchObject({ status: 'online', devices: 1 });
      await b.write(leaves('ann', 'r'));
      expect(await namesInRoom('r')).toEqual([]);
    });

    describe('that lapsed without the replica', () => {
      beforeEach(async () => {
        await a.write(device('ann', 'online', { text: 'here' }), joins('ann', 'r'), device('bob', 'dnd'));
        await a.write(device('dan', 'online'), joins('dan', 'r'));
        await subject.settle();
      });

      async function sleep(ms = lapsedMs()): Promise<void> {
        watcher.told();
        watcher.userChanges.splice(0);
        await subject.pause(a);
        await subject.advance(ms);
      }

      test('is replaced at the next renewal, and nobody seems to leave', async () => {
        const { version } = await watcher.store.readRoom('r', undefined, 1);
        await sleep();
        await subject.resume(a);
        await subject.advance(renewedMs());
        expect(a.asked).toBe(1);
        await subject.advance(goneMs() * 2);
        await subject.settle();
        expect([watcher.told(), watcher.userChanges]).toEqual([[], []]);
        expect(await watcher.store.readRoom('r', undefined, 1)).toMatchObject({ count: 2, version });
        expect(await readUser('ann')).toMatchObject({ status: 'online', text: 'here', devices: 1 });
        expect(a.asked).toBe(1);
      });

      test('is replaced by the next write, and both are seen as one', async () => {
        await sleep();
        await subject.resume(a);
        await a.write(device('bob', 'away'), joins('bob', 'r'), leaves('dan', 'r'), gone('dan'));
        await subject.settle();
        expect(a.asked).toBe(1);
        const told = watcher.told();
        expect(told.map(namesIn)).toEqual([{ joined: ['bob'], left: ['dan'], changed: [] }]);
        expect(told[0]?.names?.joined).toEqual([{ user: 'bob', status: 'away', devices: 1 }]);
        await subject.advance(goneMs());
        expect(await namesInRoom('r')).toEqual(['ann', 'bob']);
        expect(a.asked).toBe(1);
      });

      test('leaves nothing behind for ever', async () => {
        await sleep();
        await subject.resume(a);
        await subject.advance(renewedMs());
        await a.write(gone('ann'), leaves('ann', 'r'));
        expect(await namesInRoom('r')).toEqual(['dan']);
        expect(await readUser('ann')).toMatchObject({ status: 'offline', devices: 0 });
        await subject.crash(a);
        await subject.advance(goneMs());
        expect(await namesInRoom('r')).toEqual([]);
        for (const user of ['ann', 'bob', 'dan']) expect(await readUser(user)).toMatchObject({ devices: 0 });
      });

      test('is replaced by what is so now, not by what was when the batch was made', async () => {
        await sleep();
        await subject.resume(a);
        // The batch was made when eve came; she has gone since, and bob has come.
        const batch = batchOf([device('eve', 'online'), joins('eve', 'r'), device('dan', 'away')]);
        a.happen(device('bob', 'online'), joins('bob', 'r'));
        await a.store.write(batch);
        await subject.settle();
        expect(watcher.told().map(namesIn)).toEqual([{ joined: ['bob'], left: [], changed: [] }]);
        expect(await readUser('eve')).toMatchObject({ devices: 0 });
        expect(await readUser('dan')).toMatchObject({ status: 'online' });
      });

      test('loses no word of when a session ended', async () => {
        await sleep();
        await subject.resume(a);
        const atMs = tickMs() + 5;
        await a.write(gone('ann', { atMs }), leaves('ann', 'r'));
        expect(await readUser('ann')).toMatchObject({ status: 'offline', lastSeenMs: atMs });
      });

      test('gives up who is not there any more at the next renewal', async () => {
        await sleep();
        await subject.resume(a);
        a.happen(gone('ann'), leaves('ann', 'r'));
        await subject.advance(renewedMs());
        await subject.settle();
        expect(watcher.told().map(namesIn)).toEqual([{ joined: [], left: ['ann'], changed: [] }]);
        expect(await readUser('ann')).toMatchObject({ status: 'offline' });
      });

      test('takes nothing from a session of the device elsewhere, and ends without it', async () => {
        const b = await subject.replica();
        await sleep();
        await b.write(device('ann', 'away', { session: 'new' }), joins('ann', 'r'));
        await subject.settle();
        watcher.told();
        await subject.resume(a);
        await subject.advance(renewedMs());
        expect(await readUser('ann')).toMatchObject({ status: 'away', devices: 1 });
        await a.write(gone('ann'), leaves('ann', 'r'));
        await subject.settle();
        expect(watcher.told()).toEqual([]);
        expect(await readUser('ann')).toMatchObject({ status: 'away', devices: 1 });
        expect(await namesInRoom('r')).toEqual(['ann', 'dan']);
      });

      test('is replaced with the times of before, so that a status set elsewhere meanwhile stays', async () => {
        const b = await subject.replica();
        await sleep();
        await b.write(device('bob', 'away', { session: 'new', text: 'out' }));
        await subject.settle();
        watcher.userChanges.splice(0);
        await subject.resume(a);
        await subject.advance(renewedMs());
        await subject.settle();
        expect(a.asked).toBe(1);
        expect(watcher.userChanges).toEqual([]);
        expect(await readUser('bob')).toMatchObject({ status: 'away', text: 'out', devices: 1 });
        await b.write(gone('bob', { session: 'new' }));
        expect(await readUser('bob')).toMatchObject({ status: 'dnd', devices: 1 });
      });

      test('is replaced by what is so now, also for a batch that says the opposite', async () => {
        await sleep();
        await subject.resume(a);
        // Made when both had gone; both have come back since.
        const batch = batchOf([gone('ann'), leaves('ann', 'r'), leaves('dan', 'r')]);
        a.happen(device('ann', 'online', { session: 'back' }));
        await a.store.write(batch);
        await subject.settle();
        expect(watcher.told().flatMap(({ names }) => names?.left ?? [])).toEqual([]);
        expect(await namesInRoom('r')).toEqual(['ann', 'dan']);
        await subject.advance(goneMs());
        expect(await namesInRoom('r')).toEqual(['ann', 'dan']);
      });

      test('takes the place of no session that has come elsewhere meanwhile, and loses none to it', async () => {
        const b = await subject.replica();
        await sleep(goneMs());
        await b.write(device('ann', 'online', { session: 'new', isNew: true }));
        await subject.resume(a);
        await subject.advance(renewedMs());
        await subject.settle();
        expect([a.replaced, b.replaced]).toEqual([[], []]);
        expect(await readUser('ann')).toMatchObject({ devices: 1 });
      });

      test('and was reaped is taken anew, and everybody comes back', async () => {
        await sleep(goneMs());
        await subject.settle();
        expect(watcher.told().map(namesIn)).toEqual([{ joined: [], left: ['ann', 'dan'], changed: [] }]);
        await subject.resume(a);
        await subject.advance(renewedMs());
        await subject.settle();
        expect(watcher.told().map(namesIn)).toEqual([{ joined: ['ann', 'dan'], left: [], changed: [] }]);
        expect(await readUser('ann')).toMatchObject({ status: 'online', text: 'here', devices: 1 });
        expect(a.asked).toBe(1);
        await subject.advance(goneMs());
        expect(await namesInRoom('r')).toEqual(['ann', 'dan']);
        expect(a.asked).toBe(1);
      });

      test('and was reaped leaves nothing of a batch that came too late', async () => {
        await sleep(goneMs());
        await subject.resume(a);
        await a.store.write(batchOf([device('eve', 'online'), joins('eve', 'r')]));
        expect(await namesInRoom('r')).toEqual(['ann', 'dan']);
        expect(await readUser('eve')).toMatchObject({ devices: 0 });
      });

      test('and was reaped is taken anew by a write', async () => {
        await sleep(goneMs());
        await subject.resume(a);
        await a.write(leaves('dan', 'r'), gone('dan'));
        expect(await namesInRoom('r')).toEqual(['ann']);
        expect(a.asked).toBe(1);
      });

      test('goes on hearing of what interests it', async () => {
        await a.watchRooms('r');
        await sleep();
        await subject.resume(a);
        await subject.advance(renewedMs());
        a.told();
        await watcher.write(joins('bob', 'r'));
        await subject.settle();
        expect(a.told().map(namesIn)).toEqual([{ joined: ['bob'], left: [], changed: [] }]);
      });
    });
  });
}
