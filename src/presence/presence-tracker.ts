import type { TimerWheel } from '../limits/timer-wheel.ts';
import { CommandError } from '../protocol/errors.ts';
import { STATUSES, type Status, type UserPresence } from '../protocol/presence-state.ts';
import { excluding, includes, including, members } from './few.ts';
import type {
  DeviceState,
  MemberChange,
  PresenceBatch,
  PresenceReplica,
  PresenceStore,
  RoomChange,
  SessionChange,
} from './presence-store.ts';
import { changeOf, firstEnded, isSeen, lingeringOf, TrackedSession, type TrackedUser } from './tracked-session.ts';

export interface TrackerSettings {
  /** Milliseconds for which a session that was cut off is still seen as present. */
  readonly graceMs: number;
  /** Milliseconds over which changes are gathered when there are many; one alone is written at once. */
  readonly batchMs: number;
  /** Sessions in their grace: of one user, and of this replica. The one beyond that ended first leaves early. */
  readonly lingeringPerUserMax: number;
  readonly lingeringMax: number;
}

/** Hears what changed in rooms and users of interest. */
export type PresenceChanges = Pick<PresenceReplica, 'onRoomChange' | 'onUserChange'>;

/** Hears of devices that move between replicas. Must not throw. */
export interface DeviceMoves {
  /** A living session has lost its place to one of its device on another replica: it is to be ended, as cut off. */
  onReplaced(tracked: TrackedSession): void;
  /**
   * A device that has come from another replica, where it may be in its grace still, has left a room, or for good: what
   * lingers of it there is to be forgotten, as {@link PresenceTracker.forget} does.
   */
  onLeft(user: string, device: string, room: string | undefined): void;
}

/** Milliseconds after which what could not be written is tried again. */
const REWRITE_MS = 1_000;

/**
 * What of presence is this replica's own: its sessions, also those in their grace, and what the store must know of
 * them. Each session is told by itself; of a user's sessions in a room only the first one and the last one. Changes
 * are written in batches, one after the other; where several concern the same, the latest counts. What could not be
 * written is written again until it is, together with what has changed since.
 */
export class PresenceTracker implements PresenceReplica {
  readonly #store: PresenceStore;
  readonly #changes: PresenceChanges;
  readonly #moves: DeviceMoves;
  readonly #settings: TrackerSettings;
  readonly #wheel: TimerWheel;
  readonly #users = new Map<string, TrackedUser>();
  /** Connected sessions by status. */
  readonly #statuses = Object.fromEntries(STATUSES.map((status) => [status, 0])) as Record<Status, number>;
  #devices = 0;
  /** By room: users seen in it. */
  readonly #seen = new Map<string, number>();
  /** In the order in which they ended. */
  readonly #lingering = new Set<TrackedSession>();
  /** Gathered: those whose state is to be told. */
  #sessions = new Set<TrackedSession>();
  /** Gathered, by room and user. */
  #members = new Map<string, MemberChange>();
  /** Resolved when the changes gathered now are written; null when there are none. */
  #gathered: PromiseWithResolvers<void> | null = null;
  #writing: Promise<void> | null = null;
  /** Calls off the next write; null when none is due. */
  #callOff: (() => void) | null = null;
  #wroteMs = Number.NEGATIVE_INFINITY;
  #closed = false;
  /** One for all sessions. */
  readonly #graceOver = (tracked: TrackedSession) => this.#remove(tracked);

  constructor(
    store: PresenceStore,
    changes: PresenceChanges,
    moves: DeviceMoves,
    settings: TrackerSettings,
    wheel: TimerWheel,
  ) {
    this.#store = store;
    this.#changes = changes;
    this.#moves = moves;
    this.#settings = settings;
    this.#wheel = wheel;
  }

  /** Of this replica, those that linger included: users, and the devices of each; and rooms in which somebody is seen. */
  get userCount(): number {
    return this.#users.size;
  }

  get deviceCount(): number {
    return this.#devices;
  }

  get roomCount(): number {
    return this.#seen.size;
  }

  /** Sessions by what their people say of themselves; without those that linger. */
  get statusCounts(): Readonly<Record<Status, number>> {
    return this.#statuses;
  }

  get lingeringCount(): number {
    return this.#lingering.size;
  }

  open(): Promise<void> {
    return this.#store.open(this);
  }

  /**
   * A session has its user and device. It goes on with the status of the device's last one that lingers, if any, or with
   * what the device has on another replica, whichever was set later.
   */
  connected(name: string, device: string, session: string, elsewhere?: DeviceState): TrackedSession {
    let user = this.#users.get(name);
    if (user === undefined) {
      user = { name, sessions: undefined };
      this.#users.set(name, user);
    }
    if (!hasDevice(user, device)) this.#devices += 1;
    const before = lingeringOf(user, device).at(-1);
    const tracked = new TrackedSession(user, device, session, this.#graceOver);
    if (elsewhere !== undefined) {
      tracked.goOnWith(elsewhere.status, elsewhere.text, elsewhere.atMs);
      tracked.movedMs = Date.now();
    }
    if (before !== undefined && before.statusMs >= (elsewhere?.atMs ?? 0)) {
      tracked.goOnWith(before.status, before.text, before.statusMs);
    }
    user.sessions = including(user.sessions, tracked);
    this.#statuses[tracked.status] += 1;
    this.#tellSession(tracked);
    return tracked;
  }

  /** The session is seen in a room from now on; not if it has ended. */
  join(tracked: TrackedSession, room: string): void {
    if (tracked.endedMs > 0) return;
    const isFirst = !isSeen(tracked.user, room);
    tracked.rooms = including(tracked.rooms, room);
    if (isFirst) this.#tellMember(room, tracked.user.name, true);
  }

  /** The session is not seen in a room any more; nor is what lingers of its device. */
  leave(tracked: TrackedSession, room: string): void {
    if (!includes(tracked.rooms, room)) return;
    tracked.rooms = excluding(tracked.rooms, room);
    // Where an earlier session of the device lingers in the room, it has come back only to leave.
    for (const other of lingeringOf(tracked.user, tracked.device)) other.rooms = excluding(other.rooms, room);
    if (!isSeen(tracked.user, room)) this.#tellMember(room, tracked.user.name, false);
    void this.#tellLeft(tracked, room);
  }

  /** What lingers of a device is not waited for any more, or not in a room: it has come back elsewhere, only to leave. */
  forget(name: string, device: string, room: string | undefined): void {
    const user = this.#users.get(name);
    if (user === undefined) return;
    for (const other of lingeringOf(user, device)) {
      if (room === undefined) this.#remove(other);
      else if (includes(other.rooms, room)) {
        other.rooms = excluding(other.rooms, room);
        if (!isSeen(user, room)) this.#tellMember(room, name, false);
      }
    }
  }

  /** Has no effect on a session that has ended. */
  setStatus(tracked: TrackedSession, status: Status, text: string | undefined): void {
    if (tracked.endedMs > 0) return;
    this.#statuses[tracked.status] -= 1;
    this.#statuses[status] += 1;
    tracked.status = status;
    tracked.text = text;
    // Later than the one that it replaces, or took over from the device's last session, whatever the clock says.
    tracked.statusMs = Math.max(Date.now(), tracked.statusMs + 1);
    this.#tellSession(tracked);
  }

  /**
   * The session has ended: for good, or perhaps only cut off, and then it is seen until its grace has passed. What
   * ends once this is closed is left to the store, where a replica that stops is seen for the grace. Idempotent.
   */
  ended(tracked: TrackedSession, isLeaving: boolean): void {
    if (tracked.endedMs > 0) return;
    tracked.endedMs = Date.now();
    this.#statuses[tracked.status] -= 1;
    const { graceMs, lingeringPerUserMax, lingeringMax } = this.#settings;
    if (isLeaving) {
      tracked.hasLeft = true;
      // Who leaves also leaves where an earlier connection of the same device still lingers.
      this.forget(tracked.user.name, tracked.device, undefined);
      void this.#leave(tracked);
      return;
    }
    if (graceMs === 0) {
      this.#remove(tracked);
      return;
    }
    if (this.#closed) return;
    tracked.phase = 'lingering';
    this.#lingering.add(tracked);
    this.#wheel.set(tracked, graceMs);
    this.#tellSession(tracked);
    const ofUser = members(tracked.user.sessions).filter((session) => session.phase === 'lingering');
    if (ofUser.length > lingeringPerUserMax) {
      // A device that comes and goes all the time must not cost another one its grace.
      const ofDevice = ofUser.filter(({ device }) => device === tracked.device);
      this.#remove(firstEnded(ofDevice.length > 1 ? ofDevice : ofUser));
    }
    if (this.#lingering.size > lingeringMax) this.#remove(this.#lingering.values().next().value);
  }

  /** Resolves when others can see what was changed before. @throws CommandError `unavailable`; it is tried again */
  written(): Promise<void> {
    return this.#gathered?.promise ?? this.#writing ?? Promise.resolve();
  }

  everything(): PresenceBatch {
    const sessions: SessionChange[] = [];
    const present: MemberChange[] = [];
    for (const user of this.#users.values()) {
      const rooms = new Set<string>();
      for (const session of members(user.sessions)) {
        sessions.push(changeOf(session));
        for (const room of members(session.rooms)) rooms.add(room);
      }
      for (const room of rooms) present.push({ room, user: user.name, present: true });
    }
    return { sessions, members: present };
  }

  onRoomChange(change: RoomChange): void {
    this.#changes.onRoomChange(change);
  }

  onUserChange(user: UserPresence): void {
    this.#changes.onUserChange(user);
  }

  /** A living session is to be ended. What lingers is seen on, so that its device can join its rooms where it is now. */
  onReplaced(user: string, session: string): void {
    const tracked = members(this.#users.get(user)?.sessions).find((each) => each.session === session);
    if (tracked?.endedMs === 0) this.#moves.onReplaced(tracked);
  }

  /**
   * Writes what is gathered, if the store takes it at once, then gives the lease back. Whose grace has not passed is
   * left to the store. What changes later is not written, and whoever waits for it is told so.
   */
  async close(): Promise<void> {
    this.#closed = true;
    for (const tracked of this.#lingering) this.#wheel.clear(tracked);
    this.#stopTimer();
    await this.#writing?.catch(() => {});
    let isWritten = true;
    while (this.#gathered !== null && isWritten) isWritten = await this.#write();
    this.#gathered ??= withResolvers();
    this.#gathered.reject(new CommandError('unavailable', 'presence is closed'));
    await this.#store.close();
  }

  /** The session has left for good. */
  async #leave(tracked: TrackedSession): Promise<void> {
    // It must have come before it goes, or the one whose place it takes would stay.
    if (tracked.isNew && tracked.movedMs > 0) await this.written().catch(() => {});
    this.#remove(tracked);
    await this.#tellLeft(tracked, undefined);
  }

  /** Behind all that was changed before: where nothing can be told, the grace has to pass. */
  async #tellLeft({ user, device, movedMs }: TrackedSession, room: string | undefined): Promise<void> {
    if (movedMs === 0 || Date.now() - movedMs > this.#settings.graceMs) return;
    await this.written().catch(() => {});
    this.#moves.onLeft(user.name, device, room);
  }

  #remove(tracked: TrackedSession | undefined): void {
    if (tracked === undefined) return;
    this.#wheel.clear(tracked);
    this.#lingering.delete(tracked);
    tracked.phase = 'gone';
    const { user } = tracked;
    user.sessions = excluding(user.sessions, tracked);
    if (!hasDevice(user, tracked.device)) this.#devices -= 1;
    for (const room of members(tracked.rooms)) if (!isSeen(user, room)) this.#tellMember(room, user.name, false);
    if (user.sessions === undefined) this.#users.delete(user.name);
    this.#tellSession(tracked);
  }

  #tellSession(tracked: TrackedSession): void {
    this.#sessions.add(tracked);
    this.#schedule();
  }

  /** Of the first and the last of a user's sessions in the room alone. */
  #tellMember(room: string, user: string, present: boolean): void {
    const seen = (this.#seen.get(room) ?? 0) + (present ? 1 : -1);
    if (seen > 0) this.#seen.set(room, seen);
    else this.#seen.delete(room);
    this.#members.set(`${room} ${user}`, { room, user, present });
    this.#schedule();
  }

  #schedule(delayMs = 0): void {
    this.#gathered ??= withResolvers();
    if (this.#callOff !== null || this.#writing !== null || this.#closed) return;
    const waitMs = Math.max(delayMs, this.#wroteMs + this.#settings.batchMs - performance.now());
    const write = () => void this.#write();
    if (waitMs < 1) {
      const immediate = setImmediate(write);
      this.#callOff = () => clearImmediate(immediate);
    } else {
      const timeout = setTimeout(write, waitMs);
      this.#callOff = () => clearTimeout(timeout);
    }
  }

  #stopTimer(): void {
    this.#callOff?.();
    this.#callOff = null;
  }

  /** Whether what was gathered is written now. */
  async #write(): Promise<boolean> {
    this.#stopTimer();
    const gathered = this.#gathered;
    if (gathered === null) return true;
    const sessions = this.#sessions;
    const members = this.#members;
    this.#gathered = null;
    this.#sessions = new Set();
    this.#members = new Map();
    this.#writing = gathered.promise;
    let delayMs = 0;
    try {
      await this.#store.write({ sessions: [...sessions].map(changeOf), members: [...members.values()] });
      gathered.resolve();
      return true;
    } catch (error) {
      // What has changed since is newer.
      this.#sessions = new Set([...sessions, ...this.#sessions]);
      this.#members = new Map([...members, ...this.#members]);
      delayMs = REWRITE_MS;
      gathered.reject(error);
      return false;
    } finally {
      // Said again later it would take the place of one that has come elsewhere since.
      for (const tracked of sessions) tracked.isNew = false;
      this.#writing = null;
      this.#wroteMs = performance.now();
      if (this.#sessions.size > 0 || this.#members.size > 0) this.#schedule(delayMs);
    }
  }
}

function withResolvers(): PromiseWithResolvers<void> {
  const gathered = Promise.withResolvers<void>();
  // Nobody may be waiting for it.
  gathered.promise.catch(() => {});
  return gathered;
}

function hasDevice(user: TrackedUser, device: string): boolean {
  return members(user.sessions).some((each) => each.device === device);
}
