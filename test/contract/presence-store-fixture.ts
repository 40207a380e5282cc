import type {
  MemberChange,
  PresenceBatch,
  PresenceReplica,
  PresenceStore,
  RoomChange,
  SessionChange,
} from '../../src/presence/presence-store.ts';
import type { Status, UserPresence, UserState } from '../../src/protocol/presence-state.ts';

/** An adapter's store, empty at first, that several replicas share. */
export interface PresenceStoreUnderTest {
  readonly leaseMs: number;
  /** At least one lease and a half. */
  readonly graceMs: number;
  /** Another replica, open. */
  replica(): Promise<ReplicaUnderTest>;
  /** The replica is no more: it renews and writes nothing, and nobody is told. */
  crash(replica: ReplicaUnderTest): Promise<void>;
  /** The replica renews nothing until it is resumed, which happens after its lease has lapsed. */
  pause(replica: ReplicaUnderTest): Promise<void>;
  /** The replica goes on, but what it does next is the test's choice: it renews at its next renewal. */
  resume(replica: ReplicaUnderTest): Promise<void>;
  /** Milliseconds pass, with all that is due in them. */
  advance(ms: number): Promise<void>;
  /** Waits until everybody has been told of what was written. */
  settle(): Promise<void>;
  /** Ends all replicas, and removes what is stored. */
  dispose(): Promise<void>;
}

export type Change = SessionChange | MemberChange;

/** A replica that keeps what is so on it, as changes come, and records what it is told. */
export class ReplicaUnderTest implements PresenceReplica {
  readonly store: PresenceStore;
  readonly roomChanges: RoomChange[] = [];
  readonly userChanges: UserPresence[] = [];
  /** How often the store has asked for everything. */
  asked = 0;
  /** What it was given then. */
  given: readonly Change[] = [];
  /** Sessions that have lost their place, as they were told. */
  readonly replaced: string[] = [];
  /** What to do when something is told. */
  onTold: (() => void) | undefined;
  readonly #sessions = new Map<string, SessionChange>();
  readonly #members = new Map<string, MemberChange>();

  constructor(store: PresenceStore) {
    this.store = store;
  }

  /** It happens here, and is written. */
  write(...changes: readonly Change[]): Promise<void> {
    this.happen(...changes);
    return this.store.write(batchOf(changes));
  }

  /** It happens here, and is not written yet. */
  happen(...changes: readonly Change[]): void {
    for (const change of changes) {
      if ('session' in change) apply(this.#sessions, change.session, change, change.state !== null);
      else apply(this.#members, `${change.room} ${change.user}`, change, change.present);
    }
  }

  everything(): PresenceBatch {
    this.asked += 1;
    this.given = [...this.#sessions.values(), ...this.#members.values()];
    return batchOf(this.given);
  }

  onRoomChange(change: RoomChange): void {
    this.roomChanges.push(change);
    this.onTold?.();
  }

  onUserChange(user: UserPresence): void {
    this.userChanges.push(user);
    this.onTold?.();
  }

  onReplaced(user: string, session: string): void {
    this.replaced.push(`${user} ${session}`);
  }

  async watchRooms(...rooms: readonly string[]): Promise<void> {
    for (const room of rooms) await this.store.setInterest({ room }, true);
  }

  async watchUsers(...users: readonly string[]): Promise<void> {
    for (const user of users) await this.store.setInterest({ user }, true);
  }

  /** What was told since the last call. */
  told(): readonly RoomChange[] {
    return this.roomChanges.splice(0);
  }
}

export function batchOf(changes: readonly Change[]): PresenceBatch {
  return {
    sessions: changes.filter((change) => 'session' in change),
    members: changes.filter((change) => 'room' in change),
  };
}

function apply<T>(table: Map<string, T>, key: string, value: T, isKept: boolean): void {
  if (isKept) table.set(key, value);
  else table.delete(key);
}

let lastAtMs = 0;

/** Now, but later each time. */
export function tickMs(): number {
  lastAtMs = Math.max(lastAtMs + 1, Date.now());
  return lastAtMs;
}

export interface SessionOptions {
  readonly device?: string;
  readonly session?: string;
  readonly text?: string;
  readonly atMs?: number;
  readonly isNew?: true;
  readonly isCutOff?: true;
}

/** A session of a user's device has a status; without options it is the same device and session each time. */
export function device(user: string, status: Status, options: SessionOptions = {}): SessionChange {
  const { device: name = 'phone', session = `${user}/${name}`, text, atMs = tickMs(), isNew, isCutOff } = options;
  const state = { status, ...(text !== undefined && { text }), ...(isCutOff && { isCutOff }) };
  return { user, device: name, session, state, atMs, ...(isNew && { isNew }) };
}

/** The session of `device` with the same options is gone. */
export function gone(user: string, options: SessionOptions = {}): SessionChange {
  return { ...device(user, 'online', options), state: null };
}

export function joins(user: string, room: string): MemberChange {
  return { room, user, present: true };
}

export function leaves(user: string, room: string): MemberChange {
  return { room, user, present: false };
}

/** A change with the names of its users alone. */
export function namesIn({ names }: RoomChange): { joined: string[]; left: string[]; changed: string[] } {
  if (names === null) throw new Error('a change without names');
  return { joined: namesOf(names.joined), left: namesOf(names.left), changed: namesOf(names.changed) };
}

export function namesOf(users: readonly UserState[]): string[] {
  return users.map(({ user }) => user).sort();
}

/** All who are in a room, read page by page. */
export async function everybodyIn(store: PresenceStore, room: string, limit = 500): Promise<UserState[]> {
  const users: UserState[] = [];
  for (;;) {
    const page = await store.readRoom(room, users.at(-1)?.user, limit);
    users.push(...page.users);
    if (!page.more) return users;
  }
}
