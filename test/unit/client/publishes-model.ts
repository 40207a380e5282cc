import { expect } from 'vitest';
import type { Published, Room } from '../../../src/client/client.ts';
import type { FakeEnvironment } from './fake-environment.ts';
import { type Command, outcomeOf, type SoFar } from './virtual-server.ts';

const RETRY_FOR_MS = 60_000;

interface Moment {
  readonly wall: number;
  readonly monotonic: number;
}

interface PublishModel {
  readonly mid: string;
  readonly room: string;
  readonly number: number;
  readonly begunMs: Moment;
  readonly outcome: SoFar<Published>;
  /** Called while the client was closed. */
  readonly isRefused: boolean;
  wasSent: boolean;
  /** With which the server has answered for good. */
  readonly acknowledgements: object[];
  readonly refusals: string[];
}

/** What has to become of a client's publishes. */
export class PublishesModel {
  readonly #environment: FakeEnvironment;
  readonly #publishes = new Map<string, PublishModel>();

  constructor(environment: FakeEnvironment) {
    this.#environment = environment;
  }

  add(room: Room, isRefused: boolean): void {
    const number = this.#publishes.size + 1;
    const begunMs = this.#now();
    const sending = room.publish({ number });
    const outcome = outcomeOf<Published>(sending);
    const { mid } = sending;
    const rest = { wasSent: false, acknowledgements: [], refusals: [] };
    this.#publishes.set(mid, { mid, room: room.name, number, begunMs, outcome, isRefused, ...rest });
  }

  /** The client has sent one. */
  sent({ mid, room, data }: Command): void {
    const publish = this.#of(mid as string);
    publish.wasSent = true;
    expect({ room, data }).toEqual({ room: publish.room, data: { number: publish.number } });
    expect(publish.outcome, 'sent again behind its end').toStrictEqual({});
    const { wall, monotonic } = this.#now();
    expect(wall - publish.begunMs.wall, 'sent again too late').toBeLessThan(RETRY_FOR_MS);
    expect(monotonic - publish.begunMs.monotonic, 'sent again too late').toBeLessThan(RETRY_FOR_MS);
  }

  acknowledged(mid: string, acknowledgement: object): void {
    this.#of(mid).acknowledgements.push(acknowledgement);
  }

  refused(mid: string, code: string): void {
    this.#of(mid).refusals.push(code);
  }

  get isWaiting(): boolean {
    return [...this.#publishes.values()].some(
      ({ outcome }) => outcome.value === undefined && outcome.error === undefined,
    );
  }

  /** Those in a log stand in the order of their calls. */
  checkOrder(mids: readonly string[]): void {
    const numbers = mids.flatMap((mid) => this.#publishes.get(mid)?.number ?? []);
    expect(numbers).toEqual([...numbers].sort((a, b) => a - b));
  }

  /** @param isClosed nothing may wait any more */
  check(isClosed: boolean): void {
    for (const publish of this.#publishes.values()) this.#check(publish, isClosed);
  }

  #check(publish: PublishModel, isClosed: boolean): void {
    const { outcome, begunMs, isRefused, wasSent, acknowledgements, refusals } = publish;
    const { value, error } = outcome;
    if (value !== undefined) {
      expect(acknowledgements).toContainEqual(value);
    } else if (error !== undefined) {
      const legal = isRefused ? ['closed'] : ['closed', 'timed_out', ...refusals];
      expect(legal).toContain(error.code);
      expect(error.wasSent).toBe(wasSent);
    } else {
      expect(isClosed, 'a publish that waits for a closed client').toBe(false);
      expect(this.#now().monotonic - begunMs.monotonic).toBeLessThan(RETRY_FOR_MS);
      expect(acknowledgements).toEqual([]);
    }
  }

  #now(): Moment {
    return { wall: this.#environment.wallMs(), monotonic: this.#environment.monotonicMs() };
  }

  #of(mid: string): PublishModel {
    const publish = this.#publishes.get(mid);
    if (publish === undefined) throw new Error(`nobody published ${mid}`);
    return publish;
  }
}
