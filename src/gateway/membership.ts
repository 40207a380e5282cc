import type { Subscription } from '../fanout/subscription.ts';
import type { Timeout } from '../limits/timer-wheel.ts';
import type { RoomWatch } from '../presence/room-feed.ts';

/** One session in one room. */
export class Membership {
  readonly subscription: Subscription;
  /** Seen by others as present. */
  isVisible = false;
  /** What the session hears of the room's presence; null: nothing. */
  watch: RoomWatch | null = null;
  /** Runs while the session catches up; made when it first does. */
  catchUp: Timeout | null = null;

  constructor(subscription: Subscription) {
    this.subscription = subscription;
  }

  get room(): string {
    return this.subscription.room.name;
  }
}

/** A session's memberships. Most sessions are in one room; a map by room is made for the second one. */
export type Memberships = Membership | Map<string, Membership> | null;

export function membershipIn(memberships: Memberships, room: string): Membership | undefined {
  if (memberships instanceof Map) return memberships.get(room);
  return memberships?.room === room ? memberships : undefined;
}

export function countOf(memberships: Memberships): number {
  if (memberships instanceof Map) return memberships.size;
  return memberships === null ? 0 : 1;
}

/** All of them now, also if they change while they are gone through. */
export function membershipsOf(memberships: Memberships): readonly Membership[] {
  if (memberships instanceof Map) return [...memberships.values()];
  return memberships === null ? [] : [memberships];
}

/** The memberships with one more, in a room that is not among them; those given are not to be used any more. */
export function withMembership(memberships: Memberships, added: Membership): Memberships {
  if (memberships === null) return added;
  if (memberships instanceof Map) return memberships.set(added.room, added);
  return new Map([
    [memberships.room, memberships],
    [added.room, added],
  ]);
}

/** The memberships without one; those given are not to be used any more. */
export function withoutMembership(memberships: Memberships, removed: Membership): Memberships {
  if (!(memberships instanceof Map)) return memberships === removed ? null : memberships;
  if (memberships.get(removed.room) === removed) memberships.delete(removed.room);
  return memberships.size === 0 ? null : memberships;
}
