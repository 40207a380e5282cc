import { expect, onTestFinished } from 'vitest';
import { Client, ClientError, type ClientOptions, type Message, type Room } from '../../src/client/client.ts';
import type { Emitter } from '../../src/client/emitter.ts';
import { type Environment, globalEnvironment } from '../../src/client/environment.ts';
import { CuttingProxy } from '../faults/cutting-proxy.ts';
import { ApiClient } from './api-client.ts';
import { Stage } from './stage.ts';

/** For `expect.poll` and `vi.waitFor`. */
export const PATIENCE = { timeout: 25_000, interval: 20 };

const WAITS_SCALE = 0.1;
/** Where waits between tries are shorter. */
export const hasty: Environment = { ...globalEnvironment, random: () => WAITS_SCALE * Math.random() };
/** A port that nobody listens on. */
const NOWHERE = 9;

/** A gateway with clients of our library, which come to it through a proxy that can cut them off. */
export class SdkStage {
  readonly stage: Stage;
  readonly proxy: CuttingProxy;
  readonly #clients: Client[] = [];
  #names = 0;

  private constructor(stage: Stage, proxy: CuttingProxy) {
    this.stage = stage;
    this.proxy = proxy;
  }

  static async open(env: Readonly<Record<string, string>> = {}): Promise<SdkStage> {
    const stage = await Stage.open({ TIDEGATE_RETRY_WINDOW_MS: '100', ...env });
    return new SdkStage(stage, await CuttingProxy.open(stage.gateway.ports.http));
  }

  /** One that ends with the test. */
  static async forTest(env: Readonly<Record<string, string>> = {}): Promise<SdkStage> {
    const stage = await SdkStage.open(env);
    onTestFinished(() => stage.close());
    return stage;
  }

  get api(): ApiClient {
    return new ApiClient(this.stage.gateway.ports.internal);
  }

  /** A name that nobody else has. */
  fresh(kind: string): string {
    this.#names += 1;
    return `${kind}-${this.#names}`;
  }

  /** One that has not connected yet. */
  client(options: Partial<ClientOptions> = {}): Client {
    const client = new Client({ url: `ws://127.0.0.1:${this.proxy.port}/ws`, environment: hasty, ...options });
    this.#clients.push(client);
    return client;
  }

  async connected(options: Partial<ClientOptions> = {}): Promise<Client> {
    const client = this.client(options);
    await client.connect();
    return client;
  }

  /** Cuts all connections, and resolves when this client, which is has its next session and all its rooms. */
  async cut(client: Client): Promise<void> {
    const before = client.session?.session;
    this.proxy.reset();
    await expect.poll(() => client.session?.session, PATIENCE).not.toBe(before);
    await expect.poll(() => client.state.name, PATIENCE).toBe('online');
  }

  /** Cuts all connections, and makes none: resolves when this client waits. */
  async goAway(client: Client): Promise<void> {
    this.proxy.target = NOWHERE;
    this.proxy.reset();
    await expect.poll(() => client.state.name, PATIENCE).toBe('waiting');
  }

  comeBack(): void {
    this.proxy.target = this.stage.gateway.ports.http;
  }

  /** Ends the gateway, and starts one with the same log where the clients look for it. */
  async restart(): Promise<void> {
    await this.stage.restart();
    this.comeBack();
  }

  async close(): Promise<void> {
    await Promise.all(this.#clients.map((client) => client.close()));
    await this.proxy.close();
    await this.stage.close();
  }
}

/** The values of an event so far, and as they come. */
export function heard<Events extends object, Name extends keyof Events>(
  emitter: Emitter<Events>,
  event: Name,
): Events[Name][] {
  const values: Events[Name][] = [];
  emitter.on(event, (value) => values.push(value));
  return values;
}

/** The names of the states that a client has been in since. */
export function statesOf(client: Client): string[] {
  const names: string[] = [];
  client.on('state', ({ name }) => names.push(name));
  return names;
}

/** Less than may wait in a client. */
const BATCH = 200;

/** From one to the other, both included. */
export function numbers(from: number, to: number): number[] {
  return Array.from({ length: to - from + 1 }, (_, i) => from + i);
}

/** Publishes these, in this order. Resolves when all are acknowledged. */
export async function publishAll(room: Room, values: readonly unknown[]): Promise<void> {
  for (let i = 0; i < values.length; i += BATCH) {
    await Promise.all(values.slice(i, i + BATCH).map((value) => room.publish(value)));
  }
}

export function dataOf(messages: readonly Message[]): unknown[] {
  return messages.map(({ data }) => data);
}

/** The error of a call that fails. @throws if it does not */
export async function failure(call: Promise<unknown>): Promise<ClientError> {
  try {
    throw new Error(`it succeeded: ${JSON.stringify(await call)}`);
  } catch (error) {
    if (error instanceof ClientError) return error;
    throw error;
  }
}
