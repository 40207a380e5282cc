import { BOUNDS } from '../protocol/bounds.ts';
import type { Command } from '../protocol/commands.ts';

/** Stands for a session's watches where a room could stand: no room is called so. */
export const WATCHES = ' watches';

/** Whose commands wait at the gate. */
export interface Waiting {
  /** Something has ended that a command may have waited for. */
  goOn(): void;
}

/**
 * Which commands of a session are under way, and which may begin now. They are few at a time, by the bounds, so that
 * lists serve; and none most of the time, so that there is no list then.
 */
export class CommandGate {
  readonly #waiting: Waiting;
  /** Ids of commands without a reply. */
  #unanswered: number[] | null = null;
  #publishes = 0;
  #reads = 0;
  /** Rooms in which a join or history is under way: the next join, leave or history there waits. */
  #busyRooms: string[] | null = null;
  /** `connect` or `refresh` is under way: everything waits until it is known what the client may do. */
  #isIdentifying = false;

  constructor(waiting: Waiting) {
    this.#waiting = waiting;
  }

  get unansweredCount(): number {
    return this.#unanswered?.length ?? 0;
  }

  isUnanswered(id: number): boolean {
    return this.#unanswered?.includes(id) ?? false;
  }

  asked(id: number): void {
    if (this.#unanswered === null) this.#unanswered = [id];
    else this.#unanswered.push(id);
  }

  answered(id: number): void {
    this.#unanswered = without(this.#unanswered, id);
  }

  mayBegin(command: Command | null): boolean {
    if (this.#isIdentifying) return false;
    switch (command?.op) {
      case 'publish':
        return this.#publishes < BOUNDS.publishesUnansweredMax;
      case 'join':
      case 'history':
        return this.#reads < BOUNDS.readsUnansweredMax && !this.#isBusy(command.room);
      case 'leave':
      case 'signal':
        return !this.#isBusy(command.room);
      case 'presence':
        // Behind a join of the room, as whoever pastes both expects.
        return this.#reads < BOUNDS.readsUnansweredMax && !this.#isBusy(command.room ?? '');
      case 'watch':
      case 'unwatch':
        return this.#reads < BOUNDS.readsUnansweredMax && !this.#isBusy(WATCHES);
      default:
        return true;
    }
  }

  /** Holds every other command back until the returned function is called. */
  identifyBegun(): () => void {
    this.#isIdentifying = true;
    return () => {
      this.#isIdentifying = false;
      this.#waiting.goOn();
    };
  }

  /** Counts a publish as unanswered until {@link publishEnded}. */
  publishBegun(): void {
    this.#publishes += 1;
  }

  publishEnded(): void {
    this.#publishes -= 1;
    this.#waiting.goOn();
  }

  /** Counts a read as unanswered, and its room as busy, until the returned function is called. */
  readBegun(room: string | null): () => void {
    this.#reads += 1;
    if (room !== null) this.#busyRooms = [...(this.#busyRooms ?? []), room];
    return () => {
      this.#reads -= 1;
      if (room !== null) this.#busyRooms = without(this.#busyRooms, room);
      this.#waiting.goOn();
    };
  }

  #isBusy(room: string): boolean {
    return this.#busyRooms?.includes(room) ?? false;
  }
}

/** The list without the item, which takes another's place; null instead of an empty one. */
function without<T>(list: T[] | null, item: T): T[] | null {
  if (list === null) return null;
  const at = list.indexOf(item);
  if (at === -1) return list;
  const last = list.pop();
  if (list.length === 0) return null;
  if (at < list.length) list[at] = last as T;
  return list;
}
