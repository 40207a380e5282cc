import { type Holder, MemoryRoster } from './memory-roster.ts';
import type { KnownUser, PresenceBatch, RoomPresence } from './presence-store.ts';
import { type Audience, RosterEdit } from './roster-edit.ts';

/** Who is told of a change: all that `Audience` hears of. */
export interface LocalListener extends Audience {
  tell(changes: ReturnType<RosterEdit['commit']>): void;
}

/** What one replica knows by itself, for as long as the others can't be asked: told and read as partial. */
export class LocalPresence {
  readonly #roster: MemoryRoster;
  readonly #listener: LocalListener;
  readonly #holder: Holder = { heardAtMs: 0, isOver: () => false, onReplaced() {} };

  /**
   * @param lastSeenMax users without a session whose last seen is kept
   * @param versionFloor what was told or read before has no higher version
   */
  constructor(everything: PresenceBatch, lastSeenMax: number, versionFloor: number, listener: LocalListener) {
    this.#roster = new MemoryRoster(lastSeenMax, () => Date.now(), true, versionFloor);
    this.#listener = listener;
    this.#edit(everything, false);
  }

  /** The highest that was told or read. */
  get version(): number {
    return this.#roster.version;
  }

  write(batch: PresenceBatch): void {
    this.#edit(batch, true);
  }

  readRoom(room: string, after: string | undefined, limit: number): RoomPresence {
    return this.#roster.readRoom(room, after, limit);
  }

  readUsers(users: readonly string[], rooms: Iterable<string>): readonly KnownUser[] {
    return this.#roster.readUsers(users, rooms);
  }

  #edit(batch: PresenceBatch, isTold: boolean): void {
    const edit = new RosterEdit(this.#roster);
    edit.apply(batch, this.#holder);
    const changes = edit.commit(this.#listener);
    if (isTold) this.#listener.tell(changes);
  }
}
