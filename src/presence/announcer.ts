import type { PresenceReplica, Subject } from './presence-store.ts';
import type { Audience, RosterChanges } from './roster-edit.ts';

type Listener = Pick<PresenceReplica, 'onRoomChange' | 'onUserChange'>;

/** Who wants to hear of what, and tells them, in the order in which it happened. */
export class Announcer implements Audience {
  readonly #rooms = new Map<string, Set<Listener>>();
  readonly #users = new Map<string, Set<Listener>>();
  readonly #queue: RosterChanges[] = [];
  #isTelling = false;

  hearsRoom(room: string): boolean {
    return this.#rooms.has(room);
  }

  hearsUser(user: string): boolean {
    return this.#users.has(user);
  }

  setInterest(listener: Listener, subject: Subject, isInterested: boolean): void {
    const [table, name] = 'room' in subject ? [this.#rooms, subject.room] : [this.#users, subject.user];
    const listeners = table.get(name) ?? new Set();
    if (isInterested) listeners.add(listener);
    else listeners.delete(listener);
    if (listeners.size > 0) table.set(name, listeners);
    else table.delete(name);
  }

  /** Ends all of the listener's interests. */
  remove(listener: Listener): void {
    for (const table of [this.#rooms, this.#users]) {
      for (const [name, listeners] of table) {
        if (listeners.delete(listener) && listeners.size === 0) table.delete(name);
      }
    }
  }

  /** Tells at once; or, when called by somebody who is just being told, as soon as all have been told that. */
  announce(changes: RosterChanges): void {
    this.#queue.push(changes);
    if (this.#isTelling) return;
    this.#isTelling = true;
    try {
      for (let next = this.#queue.shift(); next !== undefined; next = this.#queue.shift()) this.#tell(next);
    } finally {
      this.#isTelling = false;
    }
  }

  #tell({ rooms, users }: RosterChanges): void {
    for (const change of rooms) {
      for (const listener of listening(this.#rooms, change.room)) listener.onRoomChange(change);
    }
    for (const user of users) {
      for (const listener of listening(this.#users, user.user)) listener.onUserChange(user);
    }
  }
}

/** Those who listen now: being told, they may end and begin to listen, and are not to be told again for that. */
function listening(table: ReadonlyMap<string, Set<Listener>>, name: string): readonly Listener[] {
  return [...(table.get(name) ?? [])];
}
