import { setTimeout as delay } from 'node:timers/promises';
import { Client } from '../../src/client/client.ts';
import { globalEnvironment } from '../../src/client/environment.ts';
import type { Ports } from '../e2e/replica.ts';
import { eventually, readLog } from '../faults/load.ts';
import { LoadClient } from '../faults/load-client.ts';
import { Oracle } from '../faults/oracle.ts';
import { Random } from '../faults/random.ts';
import { SdkClient } from '../faults/sdk-clients.ts';

const ROOMS = 2;
const SDK_CLIENTS = 6;
const TCP_CLIENTS = 3;
const WATCHERS = 3;
const DATA_BYTES = 100;
const BURST = 4;
const REST_MS = 60;

/** A session, and on which replica it is. */
interface Stay {
  readonly session: string;
  readonly node: string;
}

/** People who talk by WebSocket and TCP through a balancer, and others who watch who is there. */
export class Traffic {
  readonly oracle = new Oracle();
  readonly people: SdkClient[] = [];
  /** Of each of `people`, the replicas that it was on, one after the other. */
  readonly stays = new Map<string, Stay[]>();
  /** What watchers saw that nobody should: who has gone. */
  readonly flaps: string[] = [];
  readonly #rooms: readonly string[];
  readonly #ports: Ports;
  readonly #random = new Random(1);
  readonly #netcats: LoadClient[] = [];
  readonly #watchers: Client[] = [];
  #isPublishing = true;
  #publishing: Promise<void>[] = [];

  private constructor(name: string, ports: Ports) {
    this.#rooms = Array.from({ length: ROOMS }, (_, i) => `${name}-${i}`);
    this.#ports = ports;
  }

  /** Resolves when everybody is there, and seen by all watchers. `name` is of rooms that nobody else uses. */
  static async start(name: string, ports: Ports): Promise<Traffic> {
    const traffic = new Traffic(name, ports);
    for (let i = 0; i < SDK_CLIENTS; i++) await traffic.#addPerson(`person-${i}`);
    for (let i = 0; i < TCP_CLIENTS; i++) traffic.#addNetcat(`netcat-${i}`);
    for (let i = 0; i < WATCHERS; i++) await traffic.#addWatcher(`watcher-${i}`);
    traffic.#publishing = traffic.people.map((person) => traffic.#keepPublishing(person));
    await traffic.acks(50);
    return traffic;
  }

  /** Resolves when so many more publishes are acknowledged. */
  async acks(count: number): Promise<void> {
    const goal = this.oracle.ackedCount + count;
    await eventually(`${count} acks`, () => this.oracle.ackedCount >= goal || this.oracle.violations.length > 0);
  }

  /** How often the people have come back, in all. */
  get returns(): number {
    return this.people.reduce((sum, { sessionCount }) => sum + sessionCount - 1, 0);
  }

  /** Ends it when all has come, and says everything that was wrong. */
  async judge(): Promise<string[]> {
    this.#isPublishing = false;
    for (const netcat of this.#netcats) netcat.publishing = false;
    await Promise.all(this.#publishing);
    const { oracle } = this;
    const isWrong = () => oracle.violations.length > 0;
    await eventually('the last acks', () => oracle.ackedCount === oracle.published.size || isWrong());
    const everyone = [...this.people, ...this.#netcats];
    await eventually('the last messages', () => everyone.every(({ hasAll }) => hasAll) || isWrong());
    return oracle.judge(await readLog(this.#ports, this.#rooms));
  }

  async close(): Promise<void> {
    this.#isPublishing = false;
    await Promise.all([...this.people, ...this.#netcats, ...this.#watchers].map((each) => each.close()));
  }

  async #addPerson(user: string): Promise<void> {
    const { oracle } = this;
    const person = await SdkClient.open({ user, port: this.#ports.http, oracle, random: this.#random, delayMs: null });
    this.people.push(person);
    const stays: Stay[] = [];
    this.stays.set(user, stays);
    const note = () => {
      const { session, node } = person.client.session ?? { session: '', node: '' };
      if (person.hasSession && stays.at(-1)?.session !== session) stays.push({ session, node });
    };
    note();
    person.client.on('state', note);
    for (const room of this.#rooms) await person.listen(room);
  }

  #addNetcat(user: string): void {
    const { oracle } = this;
    const netcat = new LoadClient({
      ...{ transport: 'tcp', user, reads: this.#rooms, publishes: this.#rooms, random: this.#random, oracle },
      ...{ dataBytesMax: DATA_BYTES, burstMax: BURST, restMsMax: REST_MS, where: async () => this.#ports },
    });
    this.#netcats.push(netcat);
    netcat.start();
  }

  async #addWatcher(user: string): Promise<void> {
    const watcher = new Client({ url: `ws://127.0.0.1:${this.#ports.http}/ws`, user, environment: globalEnvironment });
    this.#watchers.push(watcher);
    await watcher.connect();
    const room = watcher.room(this.#rooms[0] as string);
    room.on('presence', ({ left }) => {
      for (const gone of left) this.flaps.push(`${user} saw ${gone.user} leave`);
    });
    await room.join({ presence: 'full', visible: false });
    const expected = [...this.people, ...this.#netcats].map((each) => each.user);
    await eventually(`${user} to see all`, () => expected.every((each) => room.users.has(each)));
  }

  async #keepPublishing(person: SdkClient): Promise<void> {
    while (this.#isPublishing) {
      await person.publish(BURST, this.#rooms, DATA_BYTES);
      await delay(REST_MS);
    }
  }
}
