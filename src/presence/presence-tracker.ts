import { Timed, type TimerWheel } from '../gateway/timer-wheel.ts';
import type { Status, UserPresence } from './presence-state.ts';
import type {
  DeviceChange,
  MemberChange,
  PresenceBatch,
  PresenceReplica,
  PresenceStore,
  RoomChange,
} from './presence-store.ts';

export interface TrackerSettings {
  /** Milliseconds for which a session that was cut off is still seen as present. */
  readonly graceMs: number;
  /** Milliseconds over which changes are gathered when there are many; one alone is written at once. */
  readonly batchMs: number;
  /** Sessions in their grace: of one user, and of this replica. The oldest one beyond leaves early. */
  readonly lingeringPerUserMax: number;
  readonly lingeringMax: number;
}

/** Hears what changed in rooms and users of interest. */
export type PresenceChanges = Pick<PresenceReplica, 'onRoomChange' | 'onUserChange'>;

/** Milliseconds after which what could not be written is tried again. */
const REWRITE_MS = 1_000;

/** One session as others see it: its device, what its person says, and the rooms that it is seen in. */
export class TrackedSession extends Timed {
  readonly user: TrackedUser;
  readonly device: string;
  readonly session: string;
  status: Status = 'online';
  text: string | undefined;
  /** Milliseconds since 1970: when the status was set. */
  statusMs = Date.now();
  /** Milliseconds since 1970; 0 while it is connected. */
  endedMs = 0;
  /** Made for the first room. */
  rooms: Set<string> | null = null;
  isLingering = false;
  readonly #onGraceOver: (session: TrackedSession) => void;

  constructor(user: TrackedUser, device: string, session: string, onGraceOver: (session: TrackedSession) => void) {
    super();
    this.user = user;
    this.device = device;
    this.session = session;
    this.#onGraceOver = onGraceOver;
  }

  onDue(): void {
    this.#onGraceOver(this);
  }
}

interface TrackedUser {
  readonly name: string;
  /** In the order in which they connected. */
  sessions: TrackedSession[];
}

/**
 * What of presence is this replica's own: its sessions, also those in their grace, and what the store must know of
 * them. Several sessions of a user are told to the store as one: only the first that a room or device has, and the
 * last. Changes are written in batches, one after the other; where several concern the same, the latest counts.
 */
export class PresenceTracker implements PresenceReplica {
  readonly #store: PresenceStore;
  readonly #changes: PresenceChanges;
  readonly #settings: TrackerSettings;
  readonly #wheel: TimerWheel;
  readonly #users = new Map<string, TrackedUser>();
  /** Oldest first. */
  readonly #lingering = new Set<TrackedSession>();
  #devices = new Map<string, DeviceChange>();
  #members = new Map<string, MemberChange>();
  /** Resolved when the changes gathered now are written. */
  #gathered: PromiseWithResolvers<void> | null = null;
  #writing: Promise<void> | null = null;
  #timer: NodeJS.Timeout | NodeJS.Immediate | null = null;
  #wroteMs = Number.NEGATIVE_INFINITY;
  #closed = false;

  constructor(store: PresenceStore, changes: PresenceChanges, settings: TrackerSettings, wheel: TimerWheel) {
    this.#store = store;
    this.#changes = changes;
    this.#settings = settings;
    this.#wheel = wheel;
  }

  get userCount(): number {
    return this.#users.size;
  }

  get lingeringCount(): number {
    return this.#lingering.size;
  }

  open(): Promise<void> {
    return this.#store.open(this);
  }

  /** A session has its user and device. It goes on with the status of the device's last one, if that lingers. */
  connected(name: string, device: string, session: string): TrackedSession {
    let user = this.#users.get(name);
    if (user === undefined) {
      user = { name, sessions: [] };
      this.#users.set(name, user);
    }
    const before = latestOf(user, device);
    const tracked = new TrackedSession(user, device, session, (over) => this.#remove(over));
    if (before !== undefined) {
      tracked.status = before.status;
      tracked.text = before.text;
      tracked.statusMs = before.statusMs;
    }
    user.sessions.push(tracked);
    this.#tellDevice(tracked);
    return tracked;
  }

  /** The session is seen in a room from now on. */
  join(tracked: TrackedSession, room: string): void {
    const isFirst = !isSeen(tracked.user, room);
    tracked.rooms ??= new Set();
    tracked.rooms.add(room);
    if (isFirst) this.#tellMember(room, tracked.user.name, true);
  }

  leave(tracked: TrackedSession, room: string): void {
    if (!tracked.rooms?.delete(room)) return;
    // Where the device's last session lingers in the room, it has come back only to leave.
    for (const other of tracked.user.sessions) {
      if (other.isLingering && other.device === tracked.device) other.rooms?.delete(room);
    }
    if (!isSeen(tracked.user, room)) this.#tellMember(room, tracked.user.name, false);
  }

  setStatus(tracked: TrackedSession, status: Status, text: string | undefined): void {
    tracked.status = status;
    tracked.text = text;
    tracked.statusMs = Date.now();
    this.#tellDevice(tracked);
  }

  /** The session has ended: for good, or perhaps only cut off, and then it is seen until its grace has passed. */
  ended(tracked: TrackedSession, isLeaving: boolean): void {
    tracked.endedMs = Date.now();
    if (isLeaving || this.#settings.graceMs === 0 || this.#closed) {
      // Who leaves also leaves where an earlier connection of the same device still lingers.
      for (const other of tracked.user.sessions.filter((one) => one.isLingering && one.device === tracked.device)) {
        this.#remove(other);
      }
      this.#remove(tracked);
      return;
    }
    tracked.isLingering = true;
    this.#lingering.add(tracked);
    this.#wheel.set(tracked, this.#settings.graceMs);
    const ofUser = tracked.user.sessions.filter((session) => session.isLingering);
    if (ofUser.length > this.#settings.lingeringPerUserMax) this.#remove(ofUser[0]);
    if (this.#lingering.size > this.#settings.lingeringMax) this.#remove(this.#lingering.values().next().value);
  }

  /** Resolves when others can see what was changed before. @throws CommandError `unavailable` */
  written(): Promise<void> {
    return this.#gathered?.promise ?? this.#writing ?? Promise.resolve();
  }

  everything(): PresenceBatch {
    const devices: DeviceChange[] = [];
    const members: MemberChange[] = [];
    for (const { name, sessions } of this.#users.values()) {
      const rooms = new Set<string>();
      const last = new Map<string, TrackedSession>();
      for (const session of sessions) {
        last.set(session.device, session);
        for (const room of session.rooms ?? []) rooms.add(room);
      }
      for (const session of last.values()) devices.push(deviceChange(session));
      for (const room of rooms) members.push({ room, user: name, present: true });
    }
    return { devices, members };
  }

  onRoomChange(change: RoomChange): void {
    this.#changes.onRoomChange(change);
  }

  onUserChange(user: UserPresence): void {
    this.#changes.onUserChange(user);
  }

  /** Writes what is gathered, then gives the lease back. */
  async close(): Promise<void> {
    this.#closed = true;
    for (const tracked of this.#lingering) this.#wheel.clear(tracked);
    this.#stopTimer();
    await this.#writing?.catch(() => {});
    await this.#write().catch(() => {});
    await this.#store.close();
  }

  #remove(tracked: TrackedSession | undefined): void {
    if (tracked === undefined) return;
    this.#wheel.clear(tracked);
    this.#lingering.delete(tracked);
    const { user, device } = tracked;
    user.sessions = user.sessions.filter((session) => session !== tracked);
    for (const room of tracked.rooms ?? []) if (!isSeen(user, room)) this.#tellMember(room, user.name, false);
    if (user.sessions.length === 0) this.#users.delete(user.name);
    // The device may have come back under another session, which the store knows already.
    if (latestOf(user, device) === undefined) this.#tell(goneChange(tracked));
  }

  #tellDevice(tracked: TrackedSession): void {
    this.#tell(deviceChange(tracked));
  }

  #tell(change: DeviceChange): void {
    this.#devices.set(`${change.user} ${change.device}`, change);
    this.#schedule();
  }

  #tellMember(room: string, user: string, present: boolean): void {
    this.#members.set(`${room} ${user}`, { room, user, present });
    this.#schedule();
  }

  #schedule(delayMs = 0): void {
    this.#gathered ??= withResolvers();
    if (this.#timer !== null || this.#writing !== null || this.#closed) return;
    const waitMs = Math.max(delayMs, this.#wroteMs + this.#settings.batchMs - performance.now());
    const write = () => void this.#write().catch(() => {});
    this.#timer = waitMs < 1 ? setImmediate(write) : setTimeout(write, waitMs);
  }

  #stopTimer(): void {
    // One of the two is the wrong kind, and ignored.
    clearTimeout(this.#timer as NodeJS.Timeout);
    clearImmediate(this.#timer as NodeJS.Immediate);
    this.#timer = null;
  }

  async #write(): Promise<void> {
    this.#stopTimer();
    const gathered = this.#gathered;
    if (gathered === null) return;
    const devices = this.#devices;
    const members = this.#members;
    this.#gathered = null;
    this.#devices = new Map();
    this.#members = new Map();
    this.#writing = gathered.promise;
    let delayMs = 0;
    try {
      await this.#store.write({ devices: [...devices.values()], members: [...members.values()] });
      gathered.resolve();
    } catch (error) {
      // What has changed since is newer.
      this.#devices = new Map([...devices, ...this.#devices]);
      this.#members = new Map([...members, ...this.#members]);
      delayMs = REWRITE_MS;
      gathered.reject(error);
    } finally {
      this.#writing = null;
      this.#wroteMs = performance.now();
      if (this.#devices.size > 0 || this.#members.size > 0) this.#schedule(delayMs);
    }
  }
}

/** The session that a device is known by: the one that connected last. */
function latestOf(user: TrackedUser, device: string): TrackedSession | undefined {
  return user.sessions.findLast((session) => session.device === device);
}

function isSeen(user: TrackedUser, room: string): boolean {
  return user.sessions.some(({ rooms }) => rooms?.has(room));
}

function deviceChange({ user, device, session, status, text, statusMs }: TrackedSession): DeviceChange {
  const state = { status, ...(text !== undefined && { text }) };
  return { user: user.name, device, session, state, atMs: statusMs };
}

function goneChange({ user, device, session, endedMs }: TrackedSession): DeviceChange {
  return { user: user.name, device, session, state: null, atMs: endedMs };
}

function withResolvers(): PromiseWithResolvers<void> {
  const gathered = Promise.withResolvers<void>();
  // Nobody may be waiting for it.
  gathered.promise.catch(() => {});
  return gathered;
}
