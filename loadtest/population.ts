import { type Run, Session } from './clients/session.ts';
import type { Wire } from './clients/wire.ts';
import { LatencyHistogram } from './latency-histogram.ts';
import { PublishWindow } from './publish-window.ts';
import { RoomStream } from './room-stream.ts';

const CONNECTING_AT_ONCE = 32;

/** Who is to be there. */
export interface PopulationShape {
  readonly rooms: number;
  readonly sessionsPerRoom: number;
  /** Members of each room that publish. */
  readonly publishersPerRoom: number;
}

/** All sessions of a load process against one server, each in its room, and what they have received. */
export class Population implements Run {
  readonly port: number;
  readonly wire: Wire;
  readonly window: PublishWindow;
  readonly histogram = new LatencyHistogram();
  nowUs = 0;
  deliveries = 0;
  bytes = 0;
  presences = 0;
  readonly fail: (error: Error) => void;
  readonly #shape: PopulationShape;
  readonly #rooms: RoomStream[] = [];
  readonly #sessions: Session[] = [];

  constructor(port: number, wire: Wire, shape: PopulationShape, fail: (error: Error) => void) {
    this.port = port;
    this.wire = wire;
    this.fail = fail;
    this.#shape = shape;
    this.window = new PublishWindow(shape.rooms * shape.publishersPerRoom, shape.sessionsPerRoom, this.histogram);
  }

  async connect(): Promise<void> {
    const { rooms, sessionsPerRoom, publishersPerRoom } = this.#shape;
    for (let index = 0; index < rooms; index++) {
      this.#rooms.push(new RoomStream(index, `room-${String(index).padStart(4, '0')}`, this.wire, this.window));
    }
    const total = rooms * sessionsPerRoom;
    for (let first = 0; first < total; first += CONNECTING_AT_ONCE) {
      const count = Math.min(CONNECTING_AT_ONCE, total - first);
      const opening = Array.from({ length: count }, (_, index) => this.#open(first + index));
      this.#sessions.push(...(await Promise.all(opening)));
    }
    // Members of a room are neighbours; those who publish are spread evenly among them.
    const stride = Math.floor(sessionsPerRoom / publishersPerRoom);
    for (const [index, session] of this.#sessions.entries()) {
      const member = index % sessionsPerRoom;
      const publishes = member % stride === 0 && member / stride < publishersPerRoom;
      if (publishes) session.becomePublisher(Math.floor(index / sessionsPerRoom));
    }
  }

  /** @throws Error unless every session has received everything. */
  verify(): void {
    for (const room of this.#rooms) room.finish();
    if (this.window.open > 0) throw new Error(`${this.window.open} publications were delivered but not answered`);
    if (this.deliveries === 0) throw new Error('nothing was delivered');
  }

  /** @throws Error unless the server says that exactly its sessions are in the room. */
  async checkPresence(roomIndex: number): Promise<void> {
    const { sessionsPerRoom } = this.#shape;
    const first = roomIndex * sessionsPerRoom;
    const members = Array.from({ length: sessionsPerRoom }, (_, member) => first + member);
    const room = this.#rooms[roomIndex] as RoomStream;
    await this.#sessions[first]?.converse(async (greeting) => {
      await this.wire.checkPresence?.(greeting, room.name, members);
    });
  }

  /** All sessions say goodbye. Resolves when their connections are gone. */
  async leave(): Promise<void> {
    await Promise.all(this.#sessions.map((session) => session.leave()));
  }

  close(): void {
    for (const session of this.#sessions) session.close();
  }

  #open(index: number): Promise<Session> {
    const room = this.#rooms[Math.floor(index / this.#shape.sessionsPerRoom)] as RoomStream;
    return Session.open(this, room, index);
  }
}
