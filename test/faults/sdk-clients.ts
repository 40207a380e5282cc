import { setTimeout as delay } from 'node:timers/promises';
import { Client, type Room } from '../../src/client/client.ts';
import { globalEnvironment } from '../../src/client/environment.ts';
import type { Position } from '../../src/protocol/position.ts';
import { CuttingProxy } from './cutting-proxy.ts';
import type { Oracle, Reading } from './oracle.ts';
import type { Random } from './random.ts';

/** Publishes of one client that wait for an answer; below what it lets wait. */
const UNACKED_MAX = 200;
/** Waits between tries are that much shorter, so that there is time for many. */
const WAITS_SCALE = 0.02;

/** What several clients have got done, for those who wait for it. */
export class Tally {
  count = 0;
  #waiting: { readonly goal: number; readonly resolve: () => void }[] = [];

  add(): void {
    this.count += 1;
    const { count } = this;
    for (const { resolve } of this.#waiting.filter(({ goal }) => goal <= count)) resolve();
    this.#waiting = this.#waiting.filter(({ goal }) => goal > count);
  }

  /** Resolves in the moment in which there are so many. */
  async reaches(goal: number): Promise<void> {
    if (this.count < goal) await new Promise<void>((resolve) => this.#waiting.push({ goal, resolve }));
  }
}

export interface SdkClientOptions {
  readonly user: string;
  /** WebSocket port of the gateway. */
  readonly port: number;
  readonly oracle: Oracle;
  readonly random: Random;
  /** To what it publishes. */
  readonly answers?: Tally;
  /** For which each chunk is under way; null: nothing stands between the client and the gateway. */
  readonly delayMs?: number | null;
}

/** A client of our library, behind a proxy of its own that cuts it off; tells the oracle what it does and hears. */
export class SdkClient {
  readonly user: string;
  readonly client: Client;
  /** What lies between it and the gateway. */
  readonly proxy: CuttingProxy | null;
  /** Sessions begun. */
  sessionCount = 0;
  /** Why each session, or try, ended. */
  readonly losses: string[] = [];
  readonly #options: SdkClientOptions;
  readonly #readings: Reading[] = [];
  #unackedCount = 0;
  #onAck: () => void = () => {};
  #publishing = Promise.resolve();

  private constructor(options: SdkClientOptions, proxy: CuttingProxy | null) {
    const { user, port, oracle } = options;
    this.#options = options;
    this.user = user;
    this.proxy = proxy;
    const environment = { ...globalEnvironment, random: () => WAITS_SCALE * Math.random() };
    this.client = new Client({ url: `ws://127.0.0.1:${proxy?.port ?? port}/ws`, user, environment });
    let hadSession = false;
    this.client.on('state', (state) => {
      if (state.name === 'waiting') this.losses.push(state.reason);
      if (state.name === 'closed' && state.code !== null) oracle.violate(`${user} was sent away: ${state.reason}`);
      if (this.hasSession && !hadSession) this.sessionCount += 1;
      hadSession = this.hasSession;
    });
    this.client.on('error', (error) => oracle.violate(`${user} was told of ${error}`));
  }

  static async open(options: SdkClientOptions): Promise<SdkClient> {
    const { port, delayMs = 0 } = options;
    const client = new SdkClient(options, delayMs === null ? null : await CuttingProxy.open(port, delayMs));
    await client.client.connect();
    return client;
  }

  get hasSession(): boolean {
    const { name } = this.client.state;
    return name === 'online' || name === 'resyncing';
  }

  /** Whether it has been given everything that was acknowledged to anyone. */
  get hasAll(): boolean {
    const { oracle } = this.#options;
    return this.#readings.every(({ room, messages }) => (messages.at(-1)?.offset ?? -1) >= oracle.end(room));
  }

  /** Publishes to one room or another, in bursts, behind all that it was told to publish before. */
  publish(count: number, rooms: readonly string[], dataBytes: number): Promise<void> {
    this.#publishing = this.#publishing.then(() => this.#publish(count, rooms, dataBytes));
    return this.#publishing;
  }

  /** Reads a room by events, from where it is now: nothing is published to it meanwhile. */
  async listen(name: string): Promise<Position> {
    const { oracle } = this.#options;
    const room = this.#room(name);
    await room.join();
    const from = room.position as Position;
    const reading = this.#reading(name, from);
    room.on('message', (message) => oracle.received(reading, message));
    return from;
  }

  /** Reads a room from a position on with `for await`, more slowly than messages may come. */
  iterate(name: string, since: Position, restMs: number): void {
    const { oracle } = this.#options;
    const room = this.#room(name);
    const reading = this.#reading(name, since);
    const read = async () => {
      for await (const message of room) {
        oracle.received(reading, message);
        if (reading.messages.length % 100 === 0) await delay(restMs);
      }
    };
    read().catch((error) => oracle.violate(`${this.user} can read ${name} no further: ${error}`));
    room.join({ since }).catch((error) => oracle.violate(`${this.user} can't join ${name}: ${error}`));
  }

  async close(): Promise<void> {
    await this.client.close();
    await this.proxy?.close();
  }

  #room(name: string): Room {
    const { oracle } = this.#options;
    const room = this.client.room(name);
    room.on('gap', (gap) => oracle.violate(`${this.user} was told of a gap in ${name}: ${JSON.stringify(gap)}`));
    room.on('left', ({ code }) => oracle.violate(`${this.user} was taken out of ${name}: ${code}`));
    return room;
  }

  #reading(room: string, { epoch, offset }: Position): Reading {
    const reading = { user: this.user, room, from: { epoch, offset }, messages: [] };
    this.#readings.push(reading);
    this.#options.oracle.readings.push(reading);
    return reading;
  }

  async #publish(count: number, rooms: readonly string[], dataBytes: number): Promise<void> {
    const { random } = this.#options;
    for (let left = count; left > 0; ) {
      const burst = Math.min(left, random.int(1, 16));
      for (let i = 0; i < burst; i++) this.#publishOne(random.pick(rooms), random.int(0, dataBytes));
      left -= burst;
      await delay(random.int(0, 3));
      while (this.#unackedCount >= UNACKED_MAX) {
        await new Promise<void>((resolve) => {
          this.#onAck = resolve;
        });
      }
    }
  }

  #publishOne(room: string, bytes: number): void {
    const { oracle, answers } = this.#options;
    const published = oracle.publish(this.user, room, { text: 'x'.repeat(bytes) });
    this.#unackedCount += 1;
    this.client
      .room(room)
      .publish(published.data, published.mid)
      .then(
        ({ mid, epoch, offset, duplicate }) => {
          if (mid !== published.mid) oracle.violate(`${published.mid} was answered as ${mid}`);
          oracle.acked(published, epoch, offset, duplicate);
        },
        (error) => oracle.violate(`${published.mid} of ${this.user} failed: ${error}`),
      )
      .finally(() => {
        this.#unackedCount -= 1;
        answers?.add();
        this.#onAck();
      });
  }
}
