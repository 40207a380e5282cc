import {
  Client,
  ClientError,
  type ClientOptions,
  type Gap,
  type JoinOptions,
  type Message,
  type Position,
  type Published,
  type Room,
} from '../../../src/client/client.ts';
import type { HostileServer } from './hostile-server.ts';
import type { TestEnvironment } from './test-environment.ts';
import { WireWatch } from './wire-watch.ts';

/** What a program hears of a room, and what its client says of it on the wire, in order. */
export type RoomEvent =
  | { readonly what: 'message'; readonly message: Message }
  | { readonly what: 'gap'; readonly gap: Gap }
  /** Live for the first time, with nothing heard before. */
  | { readonly what: 'started'; readonly position: Position }
  /** Joined anew by the program, with its position. */
  | { readonly what: 'rejoined'; readonly since: Position | undefined }
  /** The client has sent a join. */
  | { readonly what: 'join'; readonly since: Position | undefined };

/** One room of a participant's. */
export interface Following {
  readonly room: Room;
  readonly events: RoomEvent[];
  /** What `for await` gave. */
  readonly iterated: Message[];
  readonly options: JoinOptions;
  lefts: number;
}

export interface PublishRecord {
  readonly room: string;
  readonly mid: string;
  readonly data: unknown;
  outcome: Published | ClientError | null;
}

/** A program with a client of the real library, which notes all that it is told. */
export class Participant {
  readonly name: string;
  readonly client: Client;
  readonly environment: TestEnvironment;
  readonly watch: WireWatch;
  readonly followings = new Map<string, Following>();
  readonly publishes: PublishRecord[] = [];
  readonly states: string[] = [];
  readonly errors: ClientError[] = [];
  /** Other calls that failed with what a program cannot expect. */
  readonly surprises: string[] = [];
  #unsettled = 0;

  constructor(server: HostileServer, name: string, environment: TestEnvironment, options: Partial<ClientOptions>) {
    this.name = name;
    this.environment = environment;
    this.watch = new WireWatch(environment, options.retryForMs ?? 60_000, {
      wanted: () => [...this.client.rooms.keys()],
      onJoin: (room, since) => this.followings.get(room)?.events.push({ what: 'join', since }),
    });
    environment.wire = this.watch;
    this.client = new Client({
      ...{ url: server.url(name), user: name, client: 'hostile-test/1' },
      ...options,
      environment,
    });
    this.client.on('state', (state) => this.states.push(state.name));
    this.client.on('error', (error) => this.errors.push(error));
  }

  get hasSettled(): boolean {
    return this.#unsettled === 0;
  }

  /** Connected, and live in all that it follows. */
  get isAtRest(): boolean {
    const areLive = [...this.followings.values()].every(({ room }) => room.state === 'live');
    return this.hasSettled && this.client.state.name === 'online' && areLive;
  }

  /** Joins the room, and again whenever the server takes it away. */
  follow(name: string, options: JoinOptions = {}): Following {
    const room = this.client.room(name);
    const following: Following = { room, events: [], iterated: [], options, lefts: 0 };
    this.followings.set(name, following);
    const { events } = following;
    room.on('message', (message) => events.push({ what: 'message', message }));
    room.on('gap', (gap) => events.push({ what: 'gap', gap }));
    room.on('state', (state) => {
      const { position } = room;
      const isBegun = options.since !== undefined || events.some(({ what }) => what !== 'join' && what !== 'rejoined');
      if (state === 'live' && !isBegun && position !== null) events.push({ what: 'started', position });
    });
    room.on('left', () => {
      following.lefts += 1;
      this.rejoin(following);
    });
    this.#join(following, options);
    return following;
  }

  rejoin(following: Following): void {
    const since = following.room.position ?? undefined;
    following.events.push({ what: 'rejoined', since });
    this.#join(following, since === undefined ? following.options : { since });
  }

  publish(room: string, data: unknown): PublishRecord {
    const promise = this.client.room(room).publish(data);
    const record: PublishRecord = { room, mid: promise.mid, data, outcome: null };
    this.publishes.push(record);
    this.watch.called(promise.mid);
    this.#unsettled += 1;
    const settle = (outcome: Published | ClientError) => {
      record.outcome = outcome;
      this.#unsettled -= 1;
    };
    promise.then(settle, settle);
    return record;
  }

  /** Notes a call whose failure is a surprise, unless it is one of these. */
  expect(what: string, promise: Promise<unknown>, ...codes: readonly string[]): void {
    promise.catch((error: ClientError) => {
      if (!codes.includes(error.code)) this.surprises.push(`${what}: ${error}`);
    });
  }

  /** Messages of a room, in the order in which they were handed on. */
  messages(room: string): readonly Message[] {
    const events = this.followings.get(room)?.events ?? [];
    return events.flatMap((event) => (event.what === 'message' ? [event.message] : []));
  }

  gaps(room: string): readonly Gap[] {
    const events = this.followings.get(room)?.events ?? [];
    return events.flatMap((event) => (event.what === 'gap' ? [event.gap] : []));
  }

  has(room: string, mid: string): boolean {
    return this.messages(room).some((message) => message.mid === mid);
  }

  #join({ room, iterated }: Following, options: JoinOptions): void {
    this.expect('join', room.join(options), 'left');
    this.expect('for await', this.#iterate(room, iterated), 'left');
  }

  async #iterate(room: Room, iterated: Message[]): Promise<void> {
    for await (const message of room) iterated.push(message);
  }
}

export function hasFailed(outcome: Published | ClientError | null): outcome is ClientError {
  return outcome instanceof ClientError;
}
