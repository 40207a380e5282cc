import type { UserState } from '../protocol/presence-state.ts';

/** Names kept of one room: a page of the server's. */
const NAMES_MAX = 500;

/** Who is in a room, as the server said last. */
export interface RosterChange {
  readonly joined: readonly UserState[];
  readonly left: readonly UserState[];
  readonly changed: readonly UserState[];
}

/** A snapshot with `users`, or a push with what has changed; neither: there are too many to name. */
interface Told extends Partial<RosterChange> {
  readonly version: number;
  readonly count: number;
  readonly users?: readonly UserState[];
}

/** One room's presence: snapshots and the pushes after them, put together. */
export class Roster {
  count = 0;
  /** The first 500 names at most. */
  readonly users = new Map<string, UserState>();
  #version = 0;
  /** Some have come, gone or changed that were not named. */
  isStale = false;

  /** Takes a snapshot, or the answer to a question of ours. Null: it is older than what is known. */
  read(told: Told, isOfThisSession: boolean): RosterChange | null {
    // Another session may be told by another clock.
    if (isOfThisSession && told.version < this.#version) return null;
    this.#version = told.version;
    this.count = told.count;
    if (told.users === undefined) return NOBODY;
    this.isStale = false;
    const now = new Map(told.users.map((state) => [state.user, state]));
    const left = [...this.users.values()].filter(({ user }) => !now.has(user));
    return this.#apply([...now.values()], left);
  }

  /** Takes a push. Null: it says nothing new. */
  hear(told: Told): RosterChange | null {
    if (told.version <= this.#version) return null;
    this.#version = told.version;
    this.count = told.count;
    const { joined, left, changed } = told;
    if (joined === undefined && left === undefined && changed === undefined) {
      this.isStale = true;
      return NOBODY;
    }
    return this.#apply([...(joined ?? []), ...(changed ?? [])], left ?? []);
  }

  #apply(states: readonly UserState[], left: readonly UserState[]): RosterChange {
    const change = { joined: [] as UserState[], left: [] as UserState[], changed: [] as UserState[] };
    for (const state of left) if (this.users.delete(state.user)) change.left.push(state);
    for (const state of states) {
      const known = this.users.get(state.user);
      if (known === undefined) {
        if (this.users.size >= NAMES_MAX) continue;
        change.joined.push(state);
      } else if (known.status !== state.status || known.text !== state.text || known.devices !== state.devices) {
        change.changed.push(state);
      }
      this.users.set(state.user, state);
    }
    return change;
  }
}

const NOBODY: RosterChange = { joined: [], left: [], changed: [] };
