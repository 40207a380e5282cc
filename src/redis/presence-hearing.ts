import type { PresenceReplica, RoomChange, Subject } from '../presence/presence-store.ts';
import type { UserPresence } from '../protocol/presence-state.ts';
import { readRoomMessage, readUserMessage } from './presence-words.ts';
import type { RedisLink } from './redis-link.ts';

/** Subjects that are compared in one step. */
const COMPARED_MAX = 500;

/** How subjects are now, as Redis has them; what was told a higher version than it knows goes on from there. */
export interface PresenceNow {
  compare(rooms: readonly Told[], users: readonly Told[]): Promise<Compared>;
  /** In the order asked for. */
  readUsers(users: readonly string[]): Promise<readonly UserPresence[]>;
}

/** A subject's name, and the version that was told. */
export type Told = readonly [name: string, version: number];

export interface Compared {
  readonly partial: boolean;
  readonly rooms: readonly { readonly version: number; readonly count: number }[];
  /** Versions. */
  readonly users: readonly number[];
}

interface Watch {
  readonly subject: Subject;
  /** Of what was told last, or read when the watch began; -1: not known. */
  version: number;
  /** What was told last, or read when the watch began, is that nobody was there. */
  isEmpty: boolean;
  /** What was told last may not be all. */
  isPartial: boolean;
}

/**
 * Hears how the rooms and users of interest change, and tells the replica: each once, and later ones only. Where something
 * may have been missed, it tells that something changed; and it compares all with what Redis has now and then, as what is
 * published may be lost.
 */
export class PresenceHearing {
  readonly #link: RedisLink;
  readonly #now: PresenceNow;
  readonly #replica: PresenceReplica;
  /** By channel. */
  readonly #watches = new Map<string, Watch>();
  #comparing: Promise<void> | null = null;
  #isComparedAgain = false;
  #isDeaf = false;
  /** The highest version that was told or read. */
  highest = 0;

  constructor(link: RedisLink, now: PresenceNow, replica: PresenceReplica) {
    this.#link = link;
    this.#now = now;
    this.#replica = replica;
  }

  get size(): number {
    return this.#watches.size;
  }

  /** Rooms of interest. */
  get rooms(): readonly string[] {
    return [...this.#watches.values()].flatMap(({ subject }) => ('room' in subject ? [subject.room] : []));
  }

  hearsRoom(room: string): boolean {
    return this.#watches.has(this.#channel({ room }));
  }

  hearsUser(user: string): boolean {
    return this.#watches.has(this.#channel({ user }));
  }

  /** Resolves when later changes are told; where Redis does not answer, once it does again. */
  async begin(subject: Subject): Promise<void> {
    const channel = this.#channel(subject);
    if (this.#watches.has(channel)) return;
    const watch: Watch = { subject, version: -1, isEmpty: false, isPartial: false };
    this.#watches.set(channel, watch);
    try {
      await this.#link.subscribe(channel, (message) => this.#onMessage(watch, message));
      await this.#compare([watch], false);
    } catch {
      // The link subscribes again, and then all are compared.
    }
  }

  end(subject: Subject): void {
    const channel = this.#channel(subject);
    if (this.#watches.delete(channel)) this.#link.unsubscribe(channel);
  }

  /** Some room was told in part. */
  get hasPartial(): boolean {
    return [...this.#watches.values()].some(({ isPartial }) => isPartial);
  }

  /** Looks at all, and tells what is not as it was told last. */
  async compareAll(): Promise<void> {
    this.#isComparedAgain = true;
    this.#comparing ??= this.#compareWhileAsked();
    await this.#comparing;
  }

  /** From now on the replica is told what it knows by itself, in versions of its own, and nothing that Redis has. */
  deafen(): void {
    this.#isDeaf = true;
  }

  /** Once all of its own has been said: whatever was read or told meanwhile, up to that version, is told anew behind it. */
  hearAgain(version: number): void {
    this.#isDeaf = false;
    for (const watch of this.#watches.values()) if (watch.version < version) this.#know(watch, version, false);
  }

  /** A change that this replica knows by itself. */
  tellRoom(change: RoomChange): void {
    const watch = this.#watches.get(this.#channel(change));
    if (watch !== undefined) this.#tellRoom(watch, change);
  }

  tellUser(user: UserPresence): void {
    const watch = this.#watches.get(this.#channel(user));
    if (watch !== undefined) this.#tellUser(watch, user);
  }

  close(): void {
    for (const channel of this.#watches.keys()) this.#link.unsubscribe(channel);
    this.#watches.clear();
  }

  async #compareWhileAsked(): Promise<void> {
    try {
      while (this.#isComparedAgain) {
        this.#isComparedAgain = false;
        const all = [...this.#watches.values()];
        for (let i = 0; i < all.length; i += COMPARED_MAX) await this.#compare(all.slice(i, i + COMPARED_MAX), true);
      }
    } finally {
      this.#comparing = null;
    }
  }

  /** @param isTold what is not known yet is told as well; else it is where the watch begins */
  async #compare(watches: readonly Watch[], isTold: boolean): Promise<void> {
    const rooms = watches.flatMap((watch) => ('room' in watch.subject ? [{ watch, name: watch.subject.room }] : []));
    const users = watches.flatMap((watch) => ('user' in watch.subject ? [{ watch, name: watch.subject.user }] : []));
    // What was told in part is told once more, whatever the version, when it is all.
    const told = ({ watch, name }: { watch: Watch; name: string }): Told => {
      return [name, watch.isPartial ? watch.version + 1 : watch.version];
    };
    const compared = await this.#now.compare(rooms.map(told), users.map(told));
    if (this.#isDeaf) return;
    for (const [i, { watch, name }] of rooms.entries()) {
      const { version, count } = compared.rooms[i] ?? { version: 0, count: 0 };
      if (version <= watch.version) continue;
      if (isTold) this.#tellRoom(watch, { room: name, version, count, names: null, partial: compared.partial });
      else this.#know(watch, version, count === 0);
    }
    const changed = users.filter(({ watch }, i) => (compared.users[i] ?? 0) > watch.version);
    if (!isTold) {
      for (const { watch } of changed) this.#know(watch, compared.users[0] ?? 0, false);
      return;
    }
    if (changed.length === 0 || compared.partial) return;
    const read = await this.#now.readUsers(changed.map(({ name }) => name));
    for (const [i, { watch }] of changed.entries()) {
      const user = read[i];
      if (user !== undefined && user.version > watch.version) this.#tellUser(watch, user);
    }
  }

  #onMessage(watch: Watch, message: string): void {
    if (this.#isDeaf) return;
    const { subject } = watch;
    if ('user' in subject) {
      const { user, partial } = readUserMessage(message);
      // How a user is can't be told in part: it is compared once that is known.
      if (user.version > watch.version && !partial) this.#tellUser(watch, user);
      return;
    }
    const { change, before } = readRoomMessage(subject.room, message);
    if (change.version <= watch.version) return;
    const isNext = before === 0 ? watch.isEmpty : before === watch.version;
    this.#tellRoom(watch, isNext ? change : { ...change, names: null });
  }

  #tellRoom(watch: Watch, change: RoomChange): void {
    this.#know(watch, change.version, change.count === 0);
    watch.isPartial = change.partial;
    this.#replica.onRoomChange(change);
  }

  #tellUser(watch: Watch, user: UserPresence): void {
    this.#know(watch, user.version, false);
    this.#replica.onUserChange(user);
  }

  #know(watch: Watch, version: number, isEmpty: boolean): void {
    watch.version = version;
    watch.isEmpty = isEmpty;
    this.highest = Math.max(this.highest, version);
  }

  #channel(subject: Subject): string {
    return 'room' in subject ? this.#link.key('pr', subject.room) : this.#link.key('pu', subject.user);
  }
}
