import type { Replica } from './scope.ts';

export interface ShownRoom {
  readonly room: string;
  readonly members: number;
  readonly perSecond: number;
}

export type RoomOrder = 'members' | 'perSecond';

/** Views over which what a room is told is evened out. */
const VIEWS = 5;
const SHOWN_MAX = 10;

/**
 * The busiest rooms of all replicas. Members add up over those where the room is among the busiest; its publications are the
 * same ones wherever it has members.
 */
export class Rooms {
  readonly #views: ReadonlyMap<string, ShownRoom>[] = [];

  add(replicas: readonly Replica[]): void {
    const rooms = new Map<string, ShownRoom>();
    for (const { figures } of replicas) {
      for (const { room, members, perSecond } of figures.rooms) {
        const before = rooms.get(room);
        rooms.set(room, {
          room,
          members: members + (before?.members ?? 0),
          perSecond: Math.max(perSecond, before?.perSecond ?? 0),
        });
      }
    }
    this.#views.push(rooms);
    if (this.#views.length > VIEWS) this.#views.shift();
  }

  clear(): void {
    this.#views.length = 0;
  }

  /** Those that come first, at most ten. */
  top(order: RoomOrder): readonly ShownRoom[] {
    const names = new Set(this.#views.flatMap((rooms) => [...rooms.keys()]));
    const rooms = [...names].map((room) => {
      const seen = this.#views.map((rooms) => rooms.get(room));
      const perSecond = seen.reduce((total, each) => total + (each?.perSecond ?? 0), 0) / seen.length;
      return { room, members: seen.at(-1)?.members ?? 0, perSecond };
    });
    const rest = order === 'members' ? 'perSecond' : 'members';
    rooms.sort((a, b) => b[order] - a[order] || b[rest] - a[rest] || a.room.localeCompare(b.room));
    return rooms.slice(0, SHOWN_MAX);
  }
}
