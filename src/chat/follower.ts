import type { Client, Room, RoomEvents } from '../client/client.ts';
import type { PipeView } from './pipe-view.ts';
import { leftLine } from './words.ts';

/** Shows what is said in some rooms to a program, as fast as that reads. */
export class Follower {
  readonly #rooms: readonly Room[];
  readonly #view: PipeView;
  readonly #over = Promise.withResolvers<string>();
  /** The rooms are not to be left: they are not joined yet, or have been left already. A join's reply is bounded. */
  #isPaused = true;

  constructor(client: Pick<Client, 'room'>, names: readonly string[], view: PipeView) {
    this.#rooms = names.map((name) => client.room(name));
    this.#view = view;
    for (const room of this.#rooms) this.#listen(room);
  }

  /** Resolves, with words for it, when there is no room left to be shown. */
  get over(): Promise<string> {
    return this.#over.promise;
  }

  /** Resolves when all rooms are joined. @throws ClientError of the first one that is refused */
  async join(history: number): Promise<void> {
    await Promise.all(
      this.#rooms.map(async (room) => {
        await room.join({ history });
        // What a join fails with is told by the join.
        room.on('left', (why) => this.#left(room, why));
      }),
    );
    this.#isPaused = false;
    this.#pauseIfFull();
  }

  #listen(room: Room): void {
    room.on('message', (message) => {
      this.#view.message(message);
      this.#pauseIfFull();
    });
    room.on('gap', (gap) => this.#view.gap(room.name, gap));
  }

  #pauseIfFull(): void {
    if (!this.#view.isFull || this.#isPaused) return;
    this.#isPaused = true;
    // Not in the middle of a page.
    queueMicrotask(() => void this.#pause());
  }

  #left(room: Room, why: RoomEvents['left']): void {
    this.#view.note(leftLine(room.name, why));
    if (this.#joined.length === 0) this.#over.resolve('no room is left');
  }

  /** The rooms are left until the reader has taken what waits, and then joined again from the same places. */
  async #pause(): Promise<void> {
    this.#view.note('# waiting for the reader of the output');
    const places = this.#joined.map((room) => ({ room, since: room.position }));
    for (const { room } of places) void room.leave();
    await this.#view.drained();
    this.#isPaused = false;
    for (const { room, since } of places) void room.join(since === null ? {} : { since });
  }

  get #joined(): readonly Room[] {
    return this.#rooms.filter(({ state }) => state !== 'idle');
  }
}
