import type { ClientOptions } from '../../../src/client/client.ts';
import type { Faults } from './faults.ts';
import { HostileServer, type ServerOptions } from './hostile-server.ts';
import { complaints } from './oracle.ts';
import { hasFailed, Participant } from './participant.ts';
import { TestEnvironment } from './test-environment.ts';

/** Real milliseconds that anything may take. */
const PATIENCE_MS = 20_000;
const LOOK_EACH_MS = 3;

const unhandled: unknown[] = [];
process.on('unhandledRejection', (reason) => unhandled.push(reason));

/** A hostile server, who talks to it, and what they have to agree about in the end. */
export class Stage {
  readonly server: HostileServer;
  readonly participants: Participant[] = [];
  readonly #options: ServerOptions;
  messageCount = 0;

  private constructor(faults: Faults, options: ServerOptions) {
    this.server = new HostileServer(faults, options);
    this.#options = options;
  }

  static async open(faults: Faults, options: ServerOptions): Promise<Stage> {
    const stage = new Stage(faults, options);
    await stage.server.listen();
    return stage;
  }

  participant(name: string, options: Partial<ClientOptions>, randomShare: number): Participant {
    const { speed, seed = 1 } = this.#options;
    const environment = new TestEnvironment(seed * 100 + this.participants.length, { speed, randomShare });
    const participant = new Participant(this.server, name, environment, options);
    this.participants.push(participant);
    return participant;
  }

  /** Something to publish, unlike anything else, with characters that are easily hurt. */
  words(by: string): object {
    this.messageCount += 1;
    return { by, n: this.messageCount, text: 'ä\u2028\n"\\\u{1f375}{}' };
  }

  async until(what: string, check: () => boolean): Promise<void> {
    const deadline = performance.now() + PATIENCE_MS;
    while (!check()) {
      if (performance.now() > deadline) throw new Error(`waited in vain for ${what}; ${this.#describe()}`);
      await new Promise((resolve) => setTimeout(resolve, LOOK_EACH_MS));
    }
  }

  /** When the server is benign: has a last message go through every room, and looks at all there was. */
  async settle(): Promise<string[]> {
    const { participants, server } = this;
    // What is still to be appended would come behind the last message.
    await this.until('the server to have nothing left to do', () => server.isIdle);
    // Who joins only now would begin behind it.
    await this.until('all to have joined', () => participants.every(({ isAtRest }) => isAtRest));
    const rooms = new Set(participants.flatMap(({ followings }) => [...followings.keys()]));
    await Promise.all([...rooms].map((room) => this.#sayLast(room)));
    // A slow machine may cut somebody off at any time.
    await this.until('all to be at rest', () => participants.every(({ isAtRest }) => isAtRest) && this.#isOneEach());
    const found = complaints(server, participants);
    if (unhandled.length > 0) found.push(`unhandled rejections: ${unhandled.map(String)}`);
    return found;
  }

  async close(): Promise<void> {
    await Promise.all(this.participants.map(({ client }) => client.close()));
    await this.server.close();
  }

  /** Publishes until one is heard by all who follow the room. */
  async #sayLast(room: string): Promise<void> {
    const followers = this.participants.filter(({ followings }) => followings.has(room));
    const publisher = followers[0] as Participant;
    let last = publisher.publish(room, this.words(publisher.name));
    await this.until(`all to hear the last message of ${room}`, () => {
      if (hasFailed(last.outcome)) last = publisher.publish(room, this.words(publisher.name));
      return followers.every((follower) => follower.has(room, last.mid));
    });
  }

  /** Every participant has one connection. */
  #isOneEach(): boolean {
    const connected = [...this.server.connections].map(({ client }) => client);
    return String(connected.sort()) === String(this.participants.map(({ name }) => name).sort());
  }

  #describe(): string {
    const states = this.participants.map(({ name, client, followings }) => {
      const rooms = [...followings.values()].map(({ room }) => `${room.name} ${room.state}`);
      return `${name} is ${JSON.stringify(client.state)} (${rooms})`;
    });
    states.push(`connected are ${[...this.server.connections].map(({ client }) => client)}`);
    return [...states, ...complaints(this.server, this.participants)].join('\n').slice(0, 5_000);
  }
}
