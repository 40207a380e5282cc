import { BOUNDS } from '../protocol/bounds.ts';
import type { Command } from '../protocol/commands.ts';

/** Stands for a session's watches where a room could stand: no room is called so. */
export const WATCHES = ' watches';

/** Which commands of a session are under way, and which may begin now. */
export class CommandGate {
  /** Called when something has ended that a command may have waited for. */
  readonly #onEnded: () => void;
  /** Ids of commands without a reply. */
  #unanswered: Set<number> | null = null;
  #publishes = 0;
  #reads = 0;
  /** Rooms in which a join or history is under way: the next join, leave or history there waits. */
  #busyRooms: Set<string> | null = null;
  /** `connect` or `refresh` is under way: everything waits until it is known what the client may do. */
  #isIdentifying = false;

  constructor(onEnded: () => void) {
    this.#onEnded = onEnded;
  }

  get unansweredCount(): number {
    return this.#unanswered?.size ?? 0;
  }

  isUnanswered(id: number): boolean {
    return this.#unanswered?.has(id) ?? false;
  }

  asked(id: number): void {
    this.#unanswered ??= new Set();
    this.#unanswered.add(id);
  }

  answered(id: number): void {
    this.#unanswered?.delete(id);
  }

  mayBegin(command: Command | null): boolean {
    if (this.#isIdentifying) return false;
    switch (command?.op) {
      case 'publish':
        return this.#publishes < BOUNDS.publishesUnansweredMax;
      case 'join':
      case 'history':
        return this.#reads < BOUNDS.readsUnansweredMax && !this.#busyRooms?.has(command.room);
      case 'leave':
      case 'signal':
        return !this.#busyRooms?.has(command.room);
      case 'presence':
        // Behind a join of the room, as whoever pastes both expects.
        return this.#reads < BOUNDS.readsUnansweredMax && !this.#busyRooms?.has(command.room ?? '');
      case 'watch':
      case 'unwatch':
        return this.#reads < BOUNDS.readsUnansweredMax && !this.#busyRooms?.has(WATCHES);
      default:
        return true;
    }
  }

  /** Holds every other command back until the returned function is called. */
  identifyBegun(): () => void {
    this.#isIdentifying = true;
    return () => {
      this.#isIdentifying = false;
      this.#onEnded();
    };
  }

  /** Counts a publish as unanswered until the returned function is called. */
  publishBegun(): () => void {
    this.#publishes += 1;
    return () => {
      this.#publishes -= 1;
      this.#onEnded();
    };
  }

  /** Counts a read as unanswered, and its room as busy, until the returned function is called. */
  readBegun(room: string | null): () => void {
    this.#reads += 1;
    if (room !== null) {
      this.#busyRooms ??= new Set();
      this.#busyRooms.add(room);
    }
    return () => {
      this.#reads -= 1;
      if (room !== null) this.#busyRooms?.delete(room);
      this.#onEnded();
    };
  }
}
