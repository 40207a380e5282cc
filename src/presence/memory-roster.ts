import type { UserPresence, UserState } from '../protocol/presence-state.ts';
import { excluding, type Few, includes, including } from './few.ts';
import { OrderedNames } from './ordered-names.ts';
import type { DeviceState, KnownUser, RoomPresence } from './presence-store.ts';
import { aggregate, countDevices, type SessionStatus, tellingOf } from './user-aggregate.ts';

/** Whose entries are dropped together: a lease. */
export interface Holder {
  /** Milliseconds since 1970: when the holder was last known to live. */
  readonly heardAtMs: number;
  /** It is gone, and what it holds is seen for its grace alone. */
  isOver(): boolean;
  /** One of its sessions has lost its place: see `PresenceReplica`. */
  onReplaced(user: string, session: string): void;
}

/** Never changed but replaced, so that a state of before can be kept by keeping the list. */
export interface SessionEntry extends SessionStatus {
  readonly holder: Holder;
  readonly isCutOff?: true;
}

const NO_SESSIONS: readonly SessionEntry[] = [];

export class User {
  readonly name: string;
  /** Few, since a user's sessions are limited: a list. */
  sessions = NO_SESSIONS;
  /** Rooms in which the user is present. */
  rooms: Few<Room>;
  version: number;
  /** When the last of the sessions that are gone was heard; 0 if not known. */
  lastSeenMs: number;

  constructor(name: string, version: number, lastSeenMs: number) {
    this.name = name;
    this.version = version;
    this.lastSeenMs = lastSeenMs;
  }
}

export class Room {
  readonly name: string;
  readonly names = new OrderedNames();
  /** For each user present, those who say so. */
  readonly holders = new Map<User, Few<Holder>>();
  version: number;

  constructor(name: string, version: number) {
    this.name = name;
    this.version = version;
  }
}

/** What is remembered of a user without session or room. */
interface Departed {
  readonly lastSeenMs: number;
  readonly version: number;
}

/**
 * The tables of who is where, without a thought for leases or watchers; changed through a `RosterEdit` alone. A room
 * is forgotten when it is empty. For 10,000 sessions of as many users it takes about 0.5 KB each in one room and
 * 0.9 KB in a room each.
 */
export class MemoryRoster {
  readonly #users = new Map<string, User>();
  readonly #rooms = new Map<string, Room>();
  /** In the order of departure. */
  readonly #departed = new Map<string, Departed>();
  readonly #departedMax: number;
  readonly #nowMs: () => number;
  #sessionCount = 0;
  #deviceCount = 0;
  #onlineCount = 0;
  #version: number;
  /** The highest version of what was forgotten: what comes again goes on from here. */
  #versionFloor: number;

  /** Everything read is known from this replica alone. */
  readonly partial: boolean;

  /**
   * @param departedMax users without a session whose last seen is kept
   * @param versionFloor all versions are higher
   */
  constructor(departedMax: number, nowMs: () => number, partial: boolean, versionFloor = 0) {
    this.partial = partial;
    this.#departedMax = departedMax;
    this.#nowMs = nowMs;
    // Behind all that an earlier process can have given out, at less than a thousand changes a millisecond.
    this.#version = Math.max(nowMs() * 1000, versionFloor);
    this.#versionFloor = this.#version;
  }

  get sessionCount(): number {
    return this.#sessionCount;
  }

  get deviceCount(): number {
    return this.#deviceCount;
  }

  /** Users with a session. */
  get onlineCount(): number {
    return this.#onlineCount;
  }

  get roomCount(): number {
    return this.#rooms.size;
  }

  /** The highest that was given out. */
  get version(): number {
    return this.#version;
  }

  users(): Iterable<User> {
    return this.#users.values();
  }

  findUser(name: string): User | undefined {
    return this.#users.get(name);
  }

  findRoom(name: string): Room | undefined {
    return this.#rooms.get(name);
  }

  /** A user to whom something is about to be added; see `settleUser`. */
  user(name: string): User {
    let user = this.#users.get(name);
    if (user === undefined) {
      const departed = this.#departed.get(name);
      this.#departed.delete(name);
      user = new User(name, departed?.version ?? this.#versionFloor, departed?.lastSeenMs ?? 0);
      this.#users.set(name, user);
    }
    return user;
  }

  /** A room to which somebody is about to be added; see `settleRoom`. */
  room(name: string): Room {
    let room = this.#rooms.get(name);
    if (room === undefined) {
      room = new Room(name, this.#versionFloor);
      this.#rooms.set(name, room);
    }
    return room;
  }

  nextVersion(): number {
    this.#version += 1;
    return this.#version;
  }

  setSessions(user: User, sessions: readonly SessionEntry[]): void {
    this.#sessionCount += sessions.length - user.sessions.length;
    this.#deviceCount += countDevices(sessions) - countDevices(user.sessions);
    this.#onlineCount += Number(sessions.length > 0) - Number(user.sessions.length > 0);
    user.sessions = sessions.length === 0 ? NO_SESSIONS : sessions;
  }

  /** Whether the user was not present before. */
  addMember(room: Room, user: User, holder: Holder): boolean {
    const holders = room.holders.get(user);
    const now = including(holders, holder);
    if (now !== holders) room.holders.set(user, now);
    if (holders !== undefined) return false;
    room.names.add(user.name);
    user.rooms = including(user.rooms, room);
    return true;
  }

  /** Whether the user was present before, and is no more. */
  deleteMember(room: Room, user: User, holder: Holder): boolean {
    const holders = room.holders.get(user);
    if (!includes(holders, holder)) return false;
    const now = excluding(holders, holder);
    if (now !== undefined) {
      room.holders.set(user, now);
      return false;
    }
    room.holders.delete(user);
    room.names.delete(user.name);
    user.rooms = excluding(user.rooms, room);
    return true;
  }

  /** Lets go of a user who has neither session nor room, but for what others may ask about them later. */
  settleUser(user: User): void {
    if (user.sessions.length > 0 || user.rooms !== undefined) return;
    this.#users.delete(user.name);
    this.#departed.set(user.name, { lastSeenMs: user.lastSeenMs, version: user.version });
    if (this.#departed.size > this.#departedMax) this.#forgetDeparted();
  }

  /** Lets go of a room in which nobody is. */
  settleRoom(room: Room): void {
    if (room.holders.size > 0) return;
    this.#rooms.delete(room.name);
    this.#versionFloor = Math.max(this.#versionFloor, room.version);
  }

  readRoom(name: string, after: string | undefined, limit: number): RoomPresence {
    const room = this.#rooms.get(name);
    const { partial } = this;
    if (room === undefined) return { count: 0, version: this.#versionFloor, users: [], more: false, partial };
    const names = room.names.after(after, limit + 1);
    const users = names.slice(0, limit).map((each) => this.#stateOf(each));
    return { count: room.names.size, version: room.version, users, more: names.length > limit, partial };
  }

  /** Users, one each in the order asked for, known or not; and whether each is present in one of `rooms`. */
  readUsers(names: readonly string[], rooms: Iterable<string>): readonly KnownUser[] {
    const { partial } = this;
    const asked = [...rooms].map((name) => this.#rooms.get(name)).filter((room) => room !== undefined);
    return names.map((name) => {
      const user = this.#users.get(name);
      const isTogether = user !== undefined && asked.some(({ holders }) => holders.has(user));
      const deviceStates = deviceStatesOf(user?.sessions ?? NO_SESSIONS);
      return { ...this.readUser(name), deviceStates, isTogether, partial };
    });
  }

  readUser(name: string): UserPresence {
    const user = this.#users.get(name);
    if (user !== undefined) return this.presenceOf(user, aggregate(name, user.sessions));
    const { lastSeenMs, version } = this.#departed.get(name) ?? { lastSeenMs: 0, version: this.#versionFloor };
    return { ...aggregate(name, NO_SESSIONS), lastSeenMs, version };
  }

  presenceOf(user: User, state: UserState): UserPresence {
    return { ...state, lastSeenMs: state.devices > 0 ? this.#nowMs() : user.lastSeenMs, version: user.version };
  }

  #stateOf(name: string): UserState {
    return aggregate(name, this.#users.get(name)?.sessions ?? NO_SESSIONS);
  }

  /** Several at once, since a Map's iterator walks over all the holes that deletions at its front have left. */
  #forgetDeparted(): void {
    const keep = this.#departedMax - Math.floor(this.#departedMax / 100);
    for (const [name, { version }] of this.#departed) {
      if (this.#departed.size <= keep) break;
      this.#departed.delete(name);
      this.#versionFloor = Math.max(this.#versionFloor, version);
    }
  }
}

function deviceStatesOf(sessions: readonly SessionEntry[]): readonly DeviceState[] {
  return tellingOf(sessions).map(({ device, status, text, atMs }) => {
    const isConnected = sessions.some((each) => each.device === device && !each.isCutOff);
    return { device, status, ...(text !== undefined && { text }), atMs, isConnected };
  });
}
