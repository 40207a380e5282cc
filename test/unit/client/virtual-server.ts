import { Client, type ClientError, type ClientOptions, type ClientState } from '../../../src/client/client.ts';
import type { Limits } from '../../../src/protocol/limits.ts';
import { FakeEnvironment, type FakeSocket, settled } from './fake-environment.ts';

export const LIMITS: Limits = {
  frameBytesMax: 65_536,
  serverFrameBytesMax: 1_048_576,
  dataBytesMax: 16_384,
  signalBytesMax: 1_024,
  roomsMax: 256,
  watchesMax: 200,
  historyMax: 300,
  publishesUnansweredMax: 32,
  commands: null,
  publishes: null,
  signals: null,
  bytes: null,
};

export const WELCOME = {
  protocol: 1,
  features: [],
  server: 'tidegate/0',
  node: 'n1',
  session: 's1',
  user: 'ann',
  device: 'd1',
  heartbeatMs: 20_000,
  retryWindowMs: 5_000,
  limits: LIMITS,
};

/** Milliseconds of silence after which a client leaves a server that greets it with `WELCOME`. */
export const SILENCE_MS = 1.5 * WELCOME.heartbeatMs + 10_000;

/** What the client said, with whatever else stands in it. */
export interface Command {
  readonly op: string;
  readonly id: number;
  readonly room?: string;
  readonly mid?: string;
  readonly after?: unknown;
  readonly [member: string]: unknown;
}

/** The server's end of the socket opened last. Commands wait for the test to answer them. */
export class VirtualServer {
  /** Messages of the client on this socket, as commands. */
  frames: Command[][] = [];
  /** Without an answer yet, oldest first. */
  unanswered: Command[] = [];
  onCommand: (command: Command) => void = () => {};
  #socket: FakeSocket | null = null;

  constructor(environment: FakeEnvironment) {
    environment.onSocket = (socket) => {
      this.#socket = socket;
      this.frames = [];
      this.unanswered = [];
      socket.onSent = (text) => {
        const frame = text.split('\n').map((line) => JSON.parse(line) as Command);
        this.frames.push(frame);
        this.unanswered.push(...frame.filter(({ id }) => id !== undefined));
        for (const command of frame) this.onCommand(command);
      };
    };
  }

  get socket(): FakeSocket {
    if (this.#socket === null) throw new Error('nobody has connected');
    return this.#socket;
  }

  /** All that was said on this socket. */
  get heard(): Command[] {
    return this.frames.flat();
  }

  async open(): Promise<void> {
    this.socket.opens();
    await settled();
  }

  /** Opens, and answers `connect`. */
  async accept(more: object = {}): Promise<void> {
    await this.open();
    await this.ok('connect', { ...WELCOME, ...more });
  }

  /** The oldest unanswered command of that op. */
  take(op: string): Command {
    const index = this.unanswered.findIndex((command) => command.op === op);
    const [command] = index < 0 ? [] : this.unanswered.splice(index, 1);
    if (command === undefined) throw new Error(`no ${op} waits, only ${JSON.stringify(this.unanswered)}`);
    return command;
  }

  async ok(op: string, ok: object = {}): Promise<Command> {
    await settled();
    const command = this.take(op);
    await this.say({ id: command.id, ok });
    return command;
  }

  async fail(op: string, code: string, retryAfterMs?: number): Promise<Command> {
    await settled();
    const command = this.take(op);
    await this.say({ id: command.id, error: { code, message: `${code} it is`, retryAfterMs } });
    return command;
  }

  async say(...lines: readonly unknown[]): Promise<void> {
    this.socket.says(...lines);
    await settled();
  }

  /** The connection ends without a word of the client. */
  async end(code = 1006, reason = ''): Promise<void> {
    this.socket.closes(code, reason);
    await settled();
  }

  /** The server sends the client away. */
  async disconnect(code: number, reason: string, reconnect: { readonly afterMs?: number } | null): Promise<void> {
    await this.say({ push: 'disconnect', code, reason, reconnect });
    await this.end(code, reason);
  }
}

/** A client, and the world that it lives in. */
export interface World {
  readonly environment: FakeEnvironment;
  readonly server: VirtualServer;
  readonly client: Client;
  /** Every state that was told. */
  readonly states: ClientState[];
}

export function worldOf(options: Partial<ClientOptions> = {}, environment = new FakeEnvironment()): World {
  const server = new VirtualServer(environment);
  const client = new Client({ url: 'ws://gateway/ws', ...options, environment });
  const states: ClientState[] = [];
  client.on('state', (state) => states.push(state));
  return { environment, server, client, states };
}

/** One that has called `connect` and has a socket. */
export async function connectingWorld(options: Partial<ClientOptions> = {}): Promise<World> {
  const world = worldOf(options);
  world.client.connect().catch(() => {});
  await settled();
  return world;
}

/** One whose client has a session. */
export async function onlineWorld(options: Partial<ClientOptions> = {}, welcome: object = {}): Promise<World> {
  const world = worldOf(options);
  const connected = world.client.connect();
  await settled();
  await world.server.accept(welcome);
  await connected;
  return world;
}

/** Milliseconds until the client tries again. */
export function waitMs({ client, environment }: World): number {
  if (client.state.name !== 'waiting') throw new Error(`the client is ${client.state.name}`);
  return client.state.retryAtMs - environment.wallMs();
}

/** Lets the client wait until its next try. */
export function waited(world: World): Promise<void> {
  // A time since 1970 has no room for all digits of a random wait.
  return world.environment.pass(waitMs(world) + 0.01);
}

export function namesOf(states: readonly ClientState[]): string[] {
  return states.map(({ name }) => name);
}

/** What has become of a promise so far. */
export interface SoFar<Value> {
  readonly value?: Value;
  readonly error?: ClientError;
}

export function outcomeOf<Value>(promise: Promise<Value>): SoFar<Value> {
  const outcome: { value?: Value; error?: ClientError } = {};
  promise.then(
    (value) => {
      outcome.value = value;
    },
    (error) => {
      outcome.error = error;
    },
  );
  return outcome;
}

export function message(offset: number, more: object = {}): Record<string, unknown> {
  return { room: 'tea', epoch: 'e', offset, ts: offset, from: 'bob', mid: `m${offset}`, data: offset, ...more };
}

/** A page up to the last of these offsets, or up to `through`. */
export function page(offsets: readonly number[], through: number = offsets.at(-1) ?? -1, more = false): object {
  return {
    room: 'tea',
    position: { epoch: 'e', offset: through },
    messages: offsets.map((offset) => message(offset)),
    more,
  };
}
