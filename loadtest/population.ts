import { LOOPBACK, type Road, type Run, Session } from './clients/session.ts';
import type { Wire } from './clients/wire.ts';
import { LatencyHistogram } from './latency-histogram.ts';
import { PublishWindow } from './publish-window.ts';
import { RoomStream } from './room-stream.ts';

const CONNECTING_AT_ONCE = 64;

/** Who is to be there. */
export interface PopulationShape {
  readonly rooms: number;
  readonly sessionsPerRoom: number;
  /** Members of each room that publish. */
  readonly publishersPerRoom: number;
  /**
   * By default each session is in one room. Woven, there are as many sessions as rooms, and each is in as many rooms
   * as a room has members, one of which it publishes to: so there are more rooms than a process may have connections.
   */
  readonly isWoven?: boolean;
  /** Numbers of the first room and session, for several populations of one server. */
  readonly firstRoom?: number;
  readonly firstSession?: number;
  /** What the names of rooms begin with: another one for each run against the same server. */
  readonly roomPrefix?: string;
}

/** All sessions of a load process against one server, in their rooms, and what they have received. */
export class Population implements Run {
  readonly road: Road;
  readonly ports: readonly number[];
  readonly wire: Wire;
  readonly window: PublishWindow;
  readonly histograms: readonly LatencyHistogram[];
  nowUs = 0;
  deliveries = 0;
  bytes = 0;
  presences = 0;
  readonly fail: (error: Error) => void;
  readonly #shape: PopulationShape;
  readonly #rooms: RoomStream[] = [];
  readonly #sessions: Session[] = [];

  constructor(
    ports: readonly number[],
    wire: Wire,
    shape: PopulationShape,
    fail: (error: Error) => void,
    road: Road = LOOPBACK,
  ) {
    this.road = road;
    this.ports = ports;
    this.histograms = ports.map(() => new LatencyHistogram());
    this.wire = wire;
    this.fail = fail;
    this.#shape = shape;
    this.window = new PublishWindow(shape.rooms * shape.publishersPerRoom, shape.sessionsPerRoom);
  }

  get sessions(): readonly Session[] {
    return this.#sessions;
  }

  /** Of deliveries to all sessions. */
  get latencies(): LatencyHistogram {
    const all = new LatencyHistogram();
    for (const histogram of this.histograms) all.add(histogram);
    return all;
  }

  /** Forgets the latencies so far. */
  clearLatencies(): void {
    for (const histogram of this.histograms) histogram.clear();
    this.window.answerHistogram.clear();
  }

  async connect(): Promise<void> {
    const {
      rooms,
      sessionsPerRoom,
      publishersPerRoom,
      isWoven = false,
      firstRoom = 0,
      roomPrefix = 'room',
    } = this.#shape;
    for (let index = 0; index < rooms; index++) {
      const name = `${roomPrefix}-${String(firstRoom + index).padStart(5, '0')}`;
      this.#rooms.push(new RoomStream(index, name, this.wire, this.window));
    }
    const total = isWoven ? rooms : rooms * sessionsPerRoom;
    let next = 0;
    const connectSome = async (): Promise<void> => {
      while (next < total) {
        const index = next++;
        this.#sessions[index] = await this.#open(index);
      }
    };
    await Promise.all(Array.from({ length: CONNECTING_AT_ONCE }, connectSome));
    // Members of a room are neighbours; those who publish are spread evenly among them.
    const stride = Math.floor(sessionsPerRoom / publishersPerRoom);
    for (const [index, session] of this.#sessions.entries()) {
      const member = isWoven ? 0 : index % sessionsPerRoom;
      const publishes = member % stride === 0 && member / stride < publishersPerRoom;
      if (publishes) session.becomePublisher(isWoven ? index : Math.floor(index / sessionsPerRoom));
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
    const { rooms, sessionsPerRoom, isWoven = false, firstSession = 0 } = this.#shape;
    const indexes = isWoven
      ? Array.from({ length: sessionsPerRoom }, (_, step) => (index + step) % rooms)
      : [Math.floor(index / sessionsPerRoom)];
    const joined = indexes.map((room) => this.#rooms[room] as RoomStream);
    return Session.open(this, joined, firstSession + index);
  }
}
