import { expect, test } from 'vitest';
import type { RoomCounts } from '../../../src/fanout/hub.ts';
import { TopRooms } from '../../../src/observability/top-rooms.ts';

/** Rooms with their members. */
class FakeHub {
  readonly members: Map<string, number>;
  roomCounts: RoomCounts | null = null;
  looked = 0;

  constructor(members: readonly (readonly [string, number])[]) {
    this.members = new Map(members);
  }

  *rooms() {
    for (const [name, subscriptions] of this.members) {
      this.looked += 1;
      yield { name, subscriptions };
    }
  }

  subscriptionCount(room: string): number {
    return this.members.get(room) ?? 0;
  }
}

const many = (count: number, membersOf: (i: number) => number) =>
  Array.from({ length: count }, (_, i) => [`r${i}`, membersOf(i)] as const);

test('rooms with the most members and those with the most publications are told, each with both', () => {
  const hub = new FakeHub([...many(30, (i) => i + 1), ['@probe/1', 1_000]]);
  const top = new TopRooms(hub);
  expect(top.read(0).map(({ room }) => room)).toEqual(many(12, () => 0).map((_, i) => `r${29 - i}`));
  for (let i = 0; i < 5; i += 1) hub.roomCounts?.count('r0', 2);
  hub.roomCounts?.count('r29', 1);
  hub.roomCounts?.count('gone', 4);
  hub.roomCounts?.count('@probe/1', 99);
  const read = top.read(2_000);
  expect(read).toHaveLength(14);
  expect(read).toContainEqual({ room: 'r0', members: 1, perSecond: 5 });
  expect(read).toContainEqual({ room: 'r29', members: 30, perSecond: 0.5 });
  expect(read).toContainEqual({ room: 'gone', members: 0, perSecond: 2 });
  // Each reading counts from the last one.
  expect(top.read(3_000).every(({ perSecond }) => perSecond === 0)).toBe(true);
});

test('nothing is counted unless somebody reads', () => {
  const hub = new FakeHub([['tea', 1]]);
  const top = new TopRooms(hub);
  expect(hub.roomCounts).toBeNull();
  top.read(0);
  expect(hub.roomCounts).toBe(top);
  hub.roomCounts?.count('tea', 5);
  top.stop();
  expect(hub.roomCounts).toBeNull();
  expect(top.read(10_000)).toEqual([{ room: 'tea', members: 1, perSecond: 0 }]);
});

test('a reading looks at so many rooms at most, and several make a pass', () => {
  const hub = new FakeHub(many(50_000, (i) => (i === 45_000 ? 9 : 1)));
  const top = new TopRooms(hub);
  const hasLargest = () => top.read(0).some(({ room }) => room === 'r45000');
  expect(hasLargest()).toBe(false);
  expect(hub.looked).toBe(20_000);
  expect(hasLargest()).toBe(false);
  expect(hasLargest()).toBe(true);
  expect(hub.looked).toBe(50_000);
  // What has left meanwhile is not told.
  for (let i = 0; i < 50_000; i += 1) hub.members.set(`r${i}`, 0);
  expect(top.read(0)).toEqual([]);
});

test('no more rooms are counted between two readings than there is place for', () => {
  const hub = new FakeHub([]);
  const top = new TopRooms(hub);
  top.read(0);
  for (let i = 0; i < 10_000; i += 1) hub.roomCounts?.count(`r${i}`, 1);
  hub.roomCounts?.count('late', 1_000);
  hub.roomCounts?.count('r1', 6);
  const read = top.read(1_000);
  expect(read.some(({ room }) => room === 'late')).toBe(false);
  expect(read).toContainEqual({ room: 'r1', members: 0, perSecond: 7 });
});
