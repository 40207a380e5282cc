import type { UserPresence, UserState } from '../protocol/presence-state.ts';
import { members } from './few.ts';
import type { Holder, MemoryRoster, Room, SessionEntry, User } from './memory-roster.ts';
import type { MemberChange, PresenceBatch, RoomChange, SessionChange, SessionState } from './presence-store.ts';
import { aggregate, seenAlike } from './user-aggregate.ts';

/** What an edit changed for those who listen. */
export interface RosterChanges {
  readonly rooms: readonly RoomChange[];
  readonly users: readonly UserPresence[];
}

/** A session that has lost its place. */
interface Replaced {
  readonly holder: Holder;
  readonly user: string;
  readonly session: string;
}

/** Tells for which subjects somebody listens; of the others only the versions are kept. */
export interface Audience {
  hearsRoom(room: string): boolean;
  hearsUser(user: string): boolean;
}

interface Names {
  readonly joined: UserState[];
  readonly left: UserState[];
  readonly changed: UserState[];
}

/**
 * Changes of a roster that others see as one: only the difference between the first state and the last one counts,
 * whatever was added and dropped in between. Begun, filled and committed without a pause.
 */
export class RosterEdit {
  readonly #roster: MemoryRoster;
  /** Everybody touched, as they were. */
  readonly #before = new Map<User, readonly SessionEntry[]>();
  /** Rooms touched, with those who are present now and were not, or the other way round. */
  readonly #moved = new Map<Room, Set<User>>();
  readonly #replaced: Replaced[] = [];

  constructor(roster: MemoryRoster) {
    this.#roster = roster;
  }

  /** What a replica says under its lease: sessions and members are that lease's from now on. */
  apply(batch: PresenceBatch, holder: Holder): void {
    for (const change of batch.sessions) {
      if (change.isNew) this.#replace(change, holder);
      this.#applySession(change, holder);
    }
    for (const change of batch.members) this.#applyMember(change, holder);
  }

  /** Tells those whose sessions have lost their place. To be called once this is committed. */
  tellReplaced(): void {
    for (const { holder, user, session } of this.#replaced) holder.onReplaced(user, session);
  }

  /** Drops all that these hold. Cost: O(all users and their rooms), so that no entry need be indexed by its holder. */
  dropAllOf(holders: ReadonlySet<Holder>): void {
    for (const user of this.#roster.users()) {
      const isDropped = ({ holder }: SessionEntry) => holders.has(holder);
      const lost = user.sessions.filter(isDropped);
      if (lost.length > 0) {
        const heardAtMs = Math.max(...lost.map(({ holder }) => holder.heardAtMs));
        this.#removeSessions(user, isDropped, heardAtMs);
      }
      for (const room of members(user.rooms)) {
        for (const holder of holders) this.#deleteMember(room, user, holder);
      }
    }
  }

  /** Gives what changed its version, and says what to tell. Ends the edit. */
  commit(audience: Audience): RosterChanges {
    const changed = this.#changedUsers();
    const rooms = new Set<Room>();
    for (const [room, moved] of this.#moved) if (moved.size > 0) rooms.add(room);
    for (const user of changed.keys()) for (const room of members(user.rooms)) rooms.add(room);
    if (changed.size === 0 && rooms.size === 0) {
      this.#settle();
      return { rooms: [], users: [] };
    }
    const version = this.#roster.nextVersion();
    for (const room of rooms) room.version = version;
    for (const user of changed.keys()) user.version = version;
    const changes = { rooms: this.#roomChanges(rooms, changed, audience), users: this.#userChanges(changed, audience) };
    this.#settle();
    return changes;
  }

  #applySession({ user: name, device, session, state, atMs, isLeaving }: SessionChange, holder: Holder): void {
    const isThis = (each: SessionEntry) => each.session === session;
    if (state === null) {
      const user = this.#roster.findUser(name);
      if (user?.sessions.some(isThis)) this.#removeSessions(user, isThis, atMs);
      if (user !== undefined && isLeaving) this.#leaveFormer(user, device, atMs);
    } else {
      const user = this.#touch(this.#roster.user(name));
      const others = user.sessions.filter((each) => !isThis(each));
      // Not spread: that would reserve room for 16 more.
      this.#roster.setSessions(user, others.concat(entryOf(device, session, state, atMs, holder)));
    }
  }

  /** A device that leaves for good is not waited for where it was before, if nobody is there to say so. */
  #leaveFormer(user: User, device: string, heardAtMs: number): void {
    const isOver = (each: SessionEntry) => each.device === device && each.holder.isOver();
    const formers = new Set(user.sessions.filter(isOver).map(({ holder }) => holder));
    if (formers.size === 0) return;
    this.#removeSessions(user, isOver, heardAtMs);
    // Rooms are the holder's, whichever device is in them.
    for (const { holder } of user.sessions) formers.delete(holder);
    for (const room of members(user.rooms)) for (const former of formers) this.#deleteMember(room, user, former);
  }

  /** A session that has just connected takes the place of those of its device elsewhere. */
  #replace({ user, device, session, state }: SessionChange, holder: Holder): void {
    if (state === null || state.isCutOff) return;
    const sessions = this.#roster.findUser(user)?.sessions ?? [];
    if (sessions.some((each) => each.session === session)) return;
    for (const each of sessions) {
      if (each.device === device && each.holder !== holder) this.#replaced.push({ ...each, user });
    }
  }

  #applyMember({ room: roomName, user: userName, present }: MemberChange, holder: Holder): void {
    if (present) {
      const user = this.#touch(this.#roster.user(userName));
      const room = this.#roster.room(roomName);
      if (this.#roster.addMember(room, user, holder)) this.#move(room, user);
    } else {
      const user = this.#roster.findUser(userName);
      const room = this.#roster.findRoom(roomName);
      if (user !== undefined && room !== undefined) this.#deleteMember(room, user, holder);
    }
  }

  #changedUsers(): Map<User, UserState> {
    const changed = new Map<User, UserState>();
    for (const [user, sessionsBefore] of this.#before) {
      if (sessionsBefore === user.sessions) continue;
      const state = aggregate(user.name, user.sessions);
      if (!seenAlike(aggregate(user.name, sessionsBefore), state)) changed.set(user, state);
    }
    return changed;
  }

  #roomChanges(rooms: Iterable<Room>, changed: ReadonlyMap<User, UserState>, audience: Audience): RoomChange[] {
    const names = new Map<Room, Names>();
    for (const room of rooms) {
      if (audience.hearsRoom(room.name)) names.set(room, { joined: [], left: [], changed: [] });
    }
    for (const [room, moved] of this.#moved) {
      const lists = names.get(room);
      if (lists === undefined) continue;
      for (const user of moved) {
        const list = room.holders.has(user) ? lists.joined : lists.left;
        list.push(changed.get(user) ?? aggregate(user.name, user.sessions));
      }
    }
    for (const [user, state] of changed) {
      for (const room of members(user.rooms)) {
        if (!this.#moved.get(room)?.has(user)) names.get(room)?.changed.push(state);
      }
    }
    return [...names].map(([{ name, version, holders }, lists]) => ({
      room: name,
      version,
      count: holders.size,
      names: lists,
      partial: this.#roster.partial,
    }));
  }

  #userChanges(changed: ReadonlyMap<User, UserState>, audience: Audience): UserPresence[] {
    const heard = [...changed].filter(([user]) => audience.hearsUser(user.name));
    return heard.map(([user, state]) => this.#roster.presenceOf(user, state));
  }

  #settle(): void {
    for (const user of this.#before.keys()) this.#roster.settleUser(user);
    for (const room of this.#moved.keys()) this.#roster.settleRoom(room);
  }

  #removeSessions(user: User, isRemoved: (session: SessionEntry) => boolean, lastSeenMs: number): void {
    this.#touch(user);
    user.lastSeenMs = Math.max(user.lastSeenMs, lastSeenMs);
    this.#roster.setSessions(
      user,
      user.sessions.filter((each) => !isRemoved(each)),
    );
  }

  #deleteMember(room: Room, user: User, holder: Holder): void {
    if (this.#roster.deleteMember(room, user, holder)) this.#move(room, this.#touch(user));
  }

  #touch(user: User): User {
    if (!this.#before.has(user)) this.#before.set(user, user.sessions);
    return user;
  }

  #move(room: Room, user: User): void {
    let moved = this.#moved.get(room);
    if (moved === undefined) {
      moved = new Set();
      this.#moved.set(room, moved);
    }
    // Twice is there and back again.
    if (!moved.delete(user)) moved.add(user);
  }
}

/** Without keys that have nothing to say. */
function entryOf(
  device: string,
  session: string,
  { status, text, isCutOff }: SessionState,
  atMs: number,
  holder: Holder,
): SessionEntry {
  const entry = { device, session, status, atMs, holder };
  if (isCutOff) return { ...entry, ...(text !== undefined && { text }), isCutOff };
  return text === undefined ? entry : { ...entry, text };
}
