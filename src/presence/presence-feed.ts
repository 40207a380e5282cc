import type { TimerWheel } from '../limits/timer-wheel.ts';
import type { UserPresence } from '../protocol/presence-state.ts';
import type { PresenceReader } from './feed.ts';
import type { PresenceStore, RoomChange } from './presence-store.ts';
import type { PresenceChanges } from './presence-tracker.ts';
import { RoomFeed, RoomWatch } from './room-feed.ts';
import { UserFeed, UserWatch } from './user-feed.ts';

export interface FeedSettings {
  /** Milliseconds between two pushes of one room, or of one watched user. */
  readonly intervalMs: number;
  /** Readers of a room on this replica above which they get its count without names. */
  readonly namesReadersMax: number;
  /** Readers above which a room's pushes come `slowIntervalMs` apart. */
  readonly fastReadersMax: number;
  readonly slowIntervalMs: number;
}

/**
 * Tells sessions how the rooms and users that they watch change: coalesced, and encoded once for all readers. `named`
 * hears how many users each push of a room names, 0 where it gives a count alone.
 */
export class PresenceFeed implements PresenceChanges {
  readonly #store: Pick<PresenceStore, 'setInterest'>;
  readonly #settings: FeedSettings;
  readonly #wheel: TimerWheel;
  /** Called when every push of a turn is queued. */
  readonly #onFlush: () => void;
  readonly #named: { observe(users: number): void };
  readonly #rooms = new Map<string, RoomFeed>();
  readonly #users = new Map<string, UserFeed>();
  #changed: (RoomFeed | UserFeed)[] = [];
  #roomWatches = 0;
  #userWatches = 0;
  #pushes = 0;

  constructor(
    store: Pick<PresenceStore, 'setInterest'>,
    settings: FeedSettings,
    wheel: TimerWheel,
    onFlush: () => void,
    named: { observe(users: number): void },
  ) {
    this.#store = store;
    this.#settings = settings;
    this.#wheel = wheel;
    this.#onFlush = onFlush;
    this.#named = named;
  }

  get roomCount(): number {
    return this.#rooms.size;
  }

  get userCount(): number {
    return this.#users.size;
  }

  get roomWatchCount(): number {
    return this.#roomWatches;
  }

  get userWatchCount(): number {
    return this.#userWatches;
  }

  /** Pushes handed to readers so far. */
  get pushCount(): number {
    return this.#pushes;
  }

  /**
   * Begins to watch a room. Nothing is told before {@link RoomWatch.begin}; nothing that changes after this has
   * resolved is lost. To be given back to {@link unwatchRoom}. @throws CommandError `unavailable`
   */
  async watchRoom(reader: PresenceReader, room: string, mode: 'full' | 'count'): Promise<RoomWatch> {
    let feed = this.#rooms.get(room);
    if (feed === undefined) {
      feed = new RoomFeed(room, (due) => this.#onDue(due));
      this.#rooms.set(room, feed);
    }
    const watch = new RoomWatch(reader, mode);
    feed.watches.add(watch);
    this.#roomWatches += 1;
    await this.#listen(feed, () => this.unwatchRoom(room, watch));
    return watch;
  }

  unwatchRoom(room: string, watch: RoomWatch): void {
    const feed = this.#rooms.get(room);
    if (!feed?.watches.delete(watch)) return;
    this.#roomWatches -= 1;
    if (feed.watches.size === 0) {
      this.#rooms.delete(room);
      this.#forget(feed);
    }
  }

  /** {@link watchRoom} for one user. */
  async watchUser(reader: PresenceReader, user: string): Promise<UserWatch> {
    let feed = this.#users.get(user);
    if (feed === undefined) {
      feed = new UserFeed(user, (due) => this.#onDue(due));
      this.#users.set(user, feed);
    }
    const watch = new UserWatch(reader, feed);
    feed.watches.add(watch);
    this.#userWatches += 1;
    await this.#listen(feed, () => this.unwatchUser(user, watch));
    return watch;
  }

  unwatchUser(user: string, watch: UserWatch): void {
    const feed = this.#users.get(user);
    if (!feed?.watches.delete(watch)) return;
    this.#userWatches -= 1;
    if (feed.watches.size === 0) {
      this.#users.delete(user);
      this.#forget(feed);
    }
  }

  onRoomChange(change: RoomChange): void {
    const feed = this.#rooms.get(change.room);
    if (feed === undefined) return;
    feed.add(change);
    this.#tellSoon(feed);
  }

  onUserChange(user: UserPresence): void {
    const feed = this.#users.get(user.user);
    if (feed === undefined) return;
    feed.latest = user;
    this.#tellSoon(feed);
  }

  /** Resolves when the store tells of the subject. Where it can't, the watch that wanted it is given up. */
  async #listen(feed: RoomFeed | UserFeed, giveUp: () => void): Promise<void> {
    try {
      feed.interest ??= this.#store.setInterest(feed.subject, true);
      await feed.interest;
    } catch (error) {
      feed.interest = null;
      giveUp();
      throw error;
    }
  }

  #tellSoon(feed: RoomFeed | UserFeed): void {
    const isWaiting = feed.isDirty || this.#wheel.has(feed);
    feed.isDirty = true;
    // Whose readers were told within the interval is left to the wheel.
    if (isWaiting) return;
    // What else changes in this turn of the loop goes along.
    if (this.#changed.length === 0) setImmediate(() => this.#tellChanged());
    this.#changed.push(feed);
  }

  #tellChanged(): void {
    const changed = this.#changed;
    this.#changed = [];
    for (const feed of changed) this.#tell(feed);
    this.#onFlush();
  }

  #onDue(feed: RoomFeed | UserFeed): void {
    if (!feed.isDirty) return;
    this.#tell(feed);
    this.#onFlush();
  }

  #tell(feed: RoomFeed | UserFeed): void {
    feed.isDirty = false;
    // Everybody may have gone meanwhile.
    if (feed.watches.size === 0) return;
    const { intervalMs, namesReadersMax, fastReadersMax, slowIntervalMs } = this.#settings;
    this.#wheel.set(feed, feed.watches.size > fastReadersMax ? slowIntervalMs : intervalMs);
    const withNames = feed.watches.size <= namesReadersMax;
    const named = feed instanceof RoomFeed && withNames ? feed.namedCount : 0;
    const pushes = feed.tell(withNames);
    this.#pushes += pushes;
    if (feed instanceof RoomFeed && pushes > 0) this.#named.observe(named);
  }

  #forget(feed: RoomFeed | UserFeed): void {
    this.#wheel.clear(feed);
    // An interest too many costs some messages and no more.
    this.#store.setInterest(feed.subject, false).catch(() => {});
  }
}
