import type { PresenceStore, RoomChange } from '../../src/presence/presence-store.ts';
import type { UserPresence, UserState } from '../../src/protocol/presence-state.ts';
import type { Journal } from './journal.ts';

/** More than there are, so that one page is a state at one version. */
export const PAGE = 500;

/** A room as somebody knows it who has read it once, applies what is told, and reads it again only if told to. */
export class WatchedRoom {
  readonly room: string;
  users = new Map<string, UserState>();
  count = 0;
  /** Of this state. */
  version = 0;
  isPartial = false;
  /** Later changes are told: not before is it to be read. */
  isHeard = false;
  /** It is being read, or is to be. */
  isStale = true;
  #toldVersion = -1;
  /** What was told since the read under way has begun. */
  #meanwhile: RoomChange[] = [];
  readonly #who: string;
  readonly #store: PresenceStore;
  readonly #journal: Journal;

  readonly #mayBeLost: boolean;

  /** @param mayBeLost single keys are, which no server tells of */
  constructor(who: string, room: string, store: PresenceStore, journal: Journal, mayBeLost: boolean) {
    this.#who = who;
    this.room = room;
    this.#mayBeLost = mayBeLost;
    this.#store = store;
    this.#journal = journal;
  }

  tell(change: RoomChange): void {
    if (change.version <= this.#toldVersion) {
      this.#violate(`was told version ${change.version} behind ${this.#toldVersion}`);
    }
    this.#toldVersion = change.version;
    this.#journal.note(`${this.#who} hears of ${this.room}: ${described(change)}`);
    if (this.isStale) this.#meanwhile.push(change);
    else this.#apply(change);
  }

  /** Reads it, if that is due. @throws CommandError `unavailable` */
  async read(): Promise<void> {
    while (this.isStale) {
      this.#meanwhile = [];
      const floor = Math.max(this.version, this.#toldVersion);
      const { version, count, users, partial } = await this.#store.readRoom(this.room, undefined, PAGE);
      // Where a room is lost with its version, that is only known once it is compared with what was told.
      if (version < floor && !this.#mayBeLost) this.#violate(`read version ${version} behind ${floor}`);
      this.#journal.note(`${this.#who} reads ${this.room}: v${version} ${users.map(({ user }) => user).join()}`);
      this.users = new Map(users.map((user) => [user.user, user]));
      this.count = count;
      this.version = version;
      this.isPartial = partial;
      this.isStale = false;
      for (const change of this.#meanwhile) if (!this.isStale) this.#apply(change);
    }
  }

  #apply(change: RoomChange): void {
    if (change.version <= this.version) return;
    if (change.names === null) {
      this.isStale = true;
      return;
    }
    const { joined, left, changed } = change.names;
    for (const { user } of left) this.users.delete(user);
    for (const state of [...joined, ...changed]) this.users.set(state.user, state);
    this.version = change.version;
    this.count = change.count;
    this.isPartial = change.partial;
  }

  #violate(what: string): void {
    this.#journal.violate(`${this.#who} ${what} of room ${this.room}`);
  }
}

/** A user as somebody knows them who has read them once, and takes what is told. */
export class WatchedUser {
  readonly user: string;
  state: UserPresence | undefined;
  #toldVersion = -1;
  readonly #who: string;
  readonly #store: PresenceStore;
  readonly #journal: Journal;

  constructor(who: string, user: string, store: PresenceStore, journal: Journal) {
    this.#who = who;
    this.user = user;
    this.#store = store;
    this.#journal = journal;
  }

  get isStale(): boolean {
    return this.state === undefined;
  }

  tell(user: UserPresence): void {
    if (user.version <= this.#toldVersion) {
      this.#journal.violate(
        `${this.#who} was told version ${user.version} behind ${this.#toldVersion} of user ${this.user}`,
      );
    }
    this.#toldVersion = user.version;
    this.#journal.note(`${this.#who} hears of ${this.user}: v${user.version} ${user.status}`);
    this.#take(user);
  }

  /** Reads them, once. @throws CommandError `unavailable` */
  async read(): Promise<void> {
    const [user] = await this.#store.readUsers([this.user], []);
    if (user !== undefined) this.#take(user);
  }

  #take(user: UserPresence): void {
    if (this.state === undefined || user.version > this.state.version) this.state = user;
  }
}

function described({ version, count, names, partial }: RoomChange): string {
  const list = (users: readonly UserState[], sign: string) =>
    users.map(({ user, status }) => `${sign}${user}/${status}`);
  const all = names && [...list(names.joined, '+'), ...list(names.left, '-'), ...list(names.changed, '~')].join(' ');
  return `v${version} ${count}${partial ? ' in part' : ''} ${all ?? 'something'}`;
}
