import type { ClientOptions } from 'ws';
import { type Client, type Said, TcpClient, WsClient } from './clients.ts';
import { type GatewayProcess, startGateway, temporaryDirectory } from './gateway-process.ts';

export type TransportName = 'tcp' | 'ws';

/** A gateway of a test's own with the clients that were opened on it: `close` ends all of it. */
export class Stage {
  readonly directory: Awaited<ReturnType<typeof temporaryDirectory>>;
  readonly #env: Readonly<Record<string, string>>;
  #gateway: GatewayProcess;
  readonly #clients: Client[] = [];

  private constructor(directory: Stage['directory'], env: Readonly<Record<string, string>>, gateway: GatewayProcess) {
    this.directory = directory;
    this.#env = env;
    this.#gateway = gateway;
  }

  static async open(env: Readonly<Record<string, string>>): Promise<Stage> {
    const directory = await temporaryDirectory();
    return new Stage(directory, env, await startGateway(directory.path, { env }));
  }

  get gateway(): GatewayProcess {
    return this.#gateway;
  }

  /** Ends the gateway and starts one with the same log. */
  async restart(): Promise<void> {
    await this.#gateway.stop();
    this.#gateway = await startGateway(this.directory.path, { env: this.#env });
  }

  async tcp(): Promise<TcpClient> {
    const client = await TcpClient.open(this.#gateway.ports.tcp);
    this.#clients.push(client);
    return client;
  }

  async ws(options: ClientOptions = {}): Promise<WsClient> {
    const client = await WsClient.open(this.#gateway.ports.http, options);
    this.#clients.push(client);
    return client;
  }

  /** A connected client. */
  async client(user: string, more: object = {}, transport: TransportName = 'tcp'): Promise<Client> {
    const client = await this[transport]();
    await client.connect(user, more);
    return client;
  }

  async close(): Promise<void> {
    for (const client of this.#clients.splice(0)) client.close();
    await this.#gateway.stop('SIGKILL');
    await this.directory.remove();
  }
}

/** A user in a room's list. */
export interface UserState {
  readonly user: string;
  readonly status: string;
  readonly text?: string;
  readonly devices: number;
}

/** A `presence` push of a room. */
export interface RoomPush extends Said {
  readonly room: string;
  readonly version: number;
  readonly count: number;
  readonly joined?: readonly UserState[];
  readonly left?: readonly UserState[];
  readonly changed?: readonly UserState[];
}

/** The presence pushes of a room so far, in order. */
export function roomPushes(client: Client, room: string): RoomPush[] {
  return client.heard.filter((said) => said.push === 'presence' && said.room === room) as unknown as RoomPush[];
}

/** The presence pushes of a watched user so far, in order. */
export function userPushes(client: Client, user: string): Said[] {
  return client.heard.filter((said) => said.push === 'presence' && said.user === user);
}

/** What the presence pushes have said of a user, whether in a room or as watched, in order: `joined`, `left` and so on. */
export function toldOf(client: Client, user: string): string[] {
  const told: string[] = [];
  for (const said of client.heard) {
    if (said.push !== 'presence') continue;
    if (said.user === user) told.push(`${said.status} ${said.devices}`);
    for (const list of ['joined', 'left', 'changed'] as const) {
      const state = (said as unknown as RoomPush)[list]?.find((each) => each.user === user);
      if (state !== undefined) told.push(`${list} ${said.room}: ${state.status} ${state.devices}`);
    }
  }
  return told;
}

/** Resolves when a push of the room has the user in that list. */
export function untilTold(client: Client, room: string, list: 'joined' | 'left' | 'changed', user: string) {
  return client.until(`${user} in ${list} of ${room}`, () =>
    roomPushes(client, room).find((push) => push[list]?.some((state) => state.user === user)),
  );
}

/**
 * Resolves when the watcher of both has been told all there is of a user who is in the room: the room's presence and
 * the user's own are told apart, in either order.
 */
export async function untilPresent(client: Client, room: string, user: string, state = 'online 1'): Promise<void> {
  await untilTold(client, room, 'joined', user);
  await client.until(`${user} being ${state}`, () => toldOf(client, user).includes(state));
}
