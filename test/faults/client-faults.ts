import { expect } from 'vitest';
import { DISCONNECTS } from '../../src/protocol/disconnects.ts';
import { ApiClient } from '../e2e/api-client.ts';
import { type GatewayProcess, startGateway, UNLIMITED } from '../e2e/gateway-process.ts';
import { scrape } from '../e2e/metrics-page.ts';
import { lastingPlace } from '../lasting-ports.ts';
import { eventually } from './load.ts';
import type { Random } from './random.ts';
import type { SdkClient } from './sdk-clients.ts';

/** What the slow reader reads, of which there is so much that no buffer holds it. */
export const BULK_ROOM = 'bulk';
const BULK_DATA_BYTES = 16_000;
const BULK_BURST = 64;

/** How often each fault comes. */
export const FAULTS = { reset: 10, fin: 9, frame: 10, silence: 3, kick: 8, slow: 2, kill: 5, drain: 3 };
export const FAULT_COUNT = Object.values(FAULTS).reduce((sum, count) => sum + count);
export type Fault = keyof typeof FAULTS;

/** Everything in some order, but silence at first, since it takes its time. */
export function schedule(random: Random): Fault[] {
  const all = (Object.keys(FAULTS) as Fault[]).flatMap((fault) => Array<Fault>(FAULTS[fault]).fill(fault));
  const ranked = all.map((fault) => ({ fault, rank: random.next() * (fault === 'silence' ? 0.1 : 1) }));
  return ranked.sort((a, b) => a.rank - b.rank).map(({ fault }) => fault);
}

/** A gateway that is in the same place each time that it is started. */
export class LastingGateway {
  readonly #directory: string;
  readonly #env: Readonly<Record<string, string>>;
  process: GatewayProcess;

  private constructor(directory: string, env: Readonly<Record<string, string>>, process: GatewayProcess) {
    this.#directory = directory;
    this.#env = env;
    this.process = process;
  }

  static async start(directory: string): Promise<LastingGateway> {
    const env = {
      ...UNLIMITED,
      ...(await lastingPlace()),
      TIDEGATE_HEARTBEAT_MS: '500',
      TIDEGATE_RETRY_WINDOW_MS: '100',
    };
    return new LastingGateway(directory, env, await startGateway(directory, { env }));
  }

  async restart(signal: 'SIGKILL' | 'SIGTERM'): Promise<void> {
    const code = await this.process.stop(signal);
    if (signal === 'SIGTERM') expect(code).toBe(0);
    this.process = await startGateway(this.#directory, { env: this.#env });
  }

  /** Ends the user's session with a code. False: there was none. */
  async kick(user: string, code: number): Promise<boolean> {
    const api = new ApiClient(this.process.ports.internal);
    return (await api.post(`/api/v1/users/${user}/disconnect`, { code })).json.sessions === 1;
  }

  /** Sessions that were ended for their slowness since the start. */
  async slowConsumers(): Promise<number> {
    return (await scrape(this.process)).value('disconnects_total', { reason: 'slow_consumer' });
  }
}

export interface Victims {
  /** Cut off at random. */
  readonly clients: readonly SdkClient[];
  /** Those of whom nobody hears any more, one after the other. Nothing else waits for them. */
  readonly silenced: readonly SdkClient[];
  readonly slow: SdkClient;
  /** Publishes what the slow one doesn't read. */
  readonly bulk: SdkClient;
}

/** Makes faults on demand. */
export class Faults {
  readonly #gateway: LastingGateway;
  readonly #random: Random;
  readonly #victims: Victims;
  readonly #silenced: SdkClient[];
  /** Faults that somebody is still to feel. */
  readonly #ahead = new Map<SdkClient, Promise<void>>();

  constructor(gateway: LastingGateway, random: Random, victims: Victims) {
    this.#gateway = gateway;
    this.#random = random;
    this.#victims = victims;
    this.#silenced = [...victims.silenced];
  }

  async make(fault: Fault): Promise<void> {
    if (fault === 'kill') await this.#gateway.restart('SIGKILL');
    else if (fault === 'drain') await this.#gateway.restart('SIGTERM');
    else if (fault === 'slow') await this.#slowDown();
    else if (fault === 'silence') await this.#cutOff(fault, this.#silenced.shift() as SdkClient);
    else await this.#cutOff(fault, await this.#anyone());
  }

  /** Resolves when all have been felt. */
  async settle(): Promise<void> {
    await Promise.all(this.#ahead.values());
  }

  /** Who has a session, and no fault ahead. */
  async #anyone(): Promise<SdkClient> {
    const free = () => this.#victims.clients.filter((each) => each.hasSession && !this.#ahead.has(each));
    await eventually('somebody to cut off', () => free().length > 0);
    return this.#random.pick(free());
  }

  async #cutOff(fault: Exclude<Fault, 'kill' | 'drain' | 'slow'>, target: SdkClient): Promise<void> {
    const { user, proxy, losses } = target;
    const before = losses.length;
    if (fault === 'reset') proxy?.reset();
    if (fault === 'fin') proxy?.end();
    if (fault === 'frame') proxy?.cutAfter(this.#random.pick(['up', 'down']), this.#random.int(0, 200));
    if (fault === 'kick') await this.#kick(user);
    if (fault === 'silence') proxy?.silence();
    const felt = eventually(`${user} to feel a ${fault}`, () => losses.length > before);
    this.#ahead.set(
      target,
      felt.then(() => void this.#ahead.delete(target)),
    );
    // These take their time, while the others go on.
    if (fault !== 'silence' && fault !== 'frame') await felt;
  }

  async #kick(user: string): Promise<void> {
    const codes = Object.values(DISCONNECTS).map(({ code }) => code);
    const code = this.#random.pick(codes.filter((each) => each < 3_500));
    await eventually(`${user} to be sent away`, () => this.#gateway.kick(user, code));
  }

  /** Bytes stay with the gateway until it ends the session for it. */
  async #slowDown(): Promise<void> {
    const { slow, bulk } = this.#victims;
    const room = slow.client.room(BULK_ROOM);
    await eventually('the slow reader to listen', () => room.state === 'live');
    const before = await this.#gateway.slowConsumers();
    while ((await this.#gateway.slowConsumers()) === before) {
      // On a slow machine, it may have given up what is so silent, and come back.
      if (room.state === 'live') slow.proxy?.hold('down');
      await bulk.publish(BULK_BURST, [BULK_ROOM], BULK_DATA_BYTES);
    }
    slow.proxy?.release('down');
  }
}
