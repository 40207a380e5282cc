import type { Subscription } from '../fanout/hub.ts';
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
