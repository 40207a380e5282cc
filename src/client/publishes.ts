import type { ClientError } from './client-error.ts';
import type { Environment } from './environment.ts';
import { Pending } from './pending.ts';
import { isRetryable, membersOf, refuse, retryAfterMs, type Send, type WaitingSettings } from './questions.ts';

/** Where a publish has come to stand. */
export interface Published {
  readonly room: string;
  readonly mid: string;
  readonly epoch: string;
  readonly offset: number;
  /** It stood there already: an earlier try had come through. */
  readonly duplicate: boolean;
}

/** What publishes of one room have in common. */
interface Lane {
  inFlight: number;
  /** One has failed: the rest is not sent before all in flight are answered, and a while has passed. */
  isStalled: boolean;
  afterMs: number;
}

interface Publish {
  readonly pending: Pending<Published>;
  readonly room: string;
  readonly mid: string;
  /** JSON text, the same in every try. */
  readonly data: string;
}

/**
 * Publishes, in the order of the calls: each names the one before it in its room, so that none overtakes one that
 * failed, and from that one on they are sent again, with the same `mid`.
 */
export class Publishes {
  readonly #environment: Environment;
  readonly #settings: WaitingSettings;
  readonly #send: Send;
  readonly #line = new Map<Pending<Published>, Publish>();
  readonly #lanes = new Map<string, Lane>();
  #inFlight = 0;
  /** How many may be in flight: as many as the server takes, but after a failure first one, and one more with each success. */
  #window = 1;
  #windowMax = 1;

  constructor(environment: Environment, settings: WaitingSettings, send: Send) {
    this.#environment = environment;
    this.#settings = settings;
    this.#send = send;
  }

  add(room: string, mid: string, data: string): Promise<Published> {
    if (this.#line.size >= this.#settings.waitingMax) return refuse();
    const { retryForMs } = this.#settings;
    const pending = new Pending<Published>(this.#environment, retryForMs, (ended) => this.#line.delete(ended));
    this.#line.set(pending, { pending, room, mid, data });
    this.#pump();
    return pending.promise;
  }

  /** There is a new session, in which the server takes so many without a reply. */
  resume(windowMax: number): void {
    this.#windowMax = windowMax;
    this.#window = windowMax;
    this.#pump();
  }

  close(reason: string): void {
    for (const pending of [...this.#line.keys()]) pending.close(reason);
    this.#lanes.clear();
  }

  /** Sends what may be sent. */
  #pump(): void {
    /** The publish that the next one of its room comes after: the last one without an outcome. */
    const previous = new Map<string, string>();
    for (const publish of this.#line.values()) {
      const { pending, room, mid } = publish;
      if (this.#inFlight >= this.#window) return;
      if (!pending.isInFlight && !this.#lanes.get(room)?.isStalled && pending.isDue()) {
        if (!this.#try(publish, previous.get(room))) return;
      }
      if (!pending.hasEnded) previous.set(room, mid);
    }
  }

  #try({ pending, room, mid, data }: Publish, after: string | undefined): boolean {
    const lane = this.#lanes.get(room) ?? { inFlight: 0, isStalled: false, afterMs: 0 };
    const members = `"op":"publish",${membersOf({ room, mid, after })},"data":${data}`;
    const isSent = this.#send(members, (outcome) => {
      pending.isInFlight = false;
      lane.inFlight -= 1;
      this.#inFlight -= 1;
      if (outcome !== null && 'ok' in outcome) {
        this.#window = Math.min(this.#window + 1, this.#windowMax);
        pending.succeed(outcome.ok as unknown as Published);
      } else {
        this.#failed(pending, lane, outcome);
      }
      if (lane.inFlight === 0) this.#answered(room, lane, outcome === null);
      this.#pump();
    });
    if (!isSent) return false;
    this.#lanes.set(room, lane);
    pending.isInFlight = true;
    pending.wasSent = true;
    lane.inFlight += 1;
    this.#inFlight += 1;
    return true;
  }

  #failed(pending: Pending<Published>, lane: Lane, outcome: { readonly error: ClientError } | null): void {
    // What is not in flight any more may be sent again only behind all that still is.
    lane.isStalled = true;
    if (outcome === null) return;
    if (!isRetryable(outcome.error)) {
      pending.fail(outcome.error);
      return;
    }
    this.#window = 1;
    lane.afterMs = Math.max(lane.afterMs, retryAfterMs(this.#environment, outcome.error));
  }

  /** Nothing of the room is in flight: with a session of its own, or after the wait, the rest may go. */
  #answered(room: string, lane: Lane, isSessionOver: boolean): void {
    this.#lanes.delete(room);
    if (!lane.isStalled || isSessionOver || lane.afterMs === 0) return;
    const waiting = { inFlight: 0, isStalled: true, afterMs: 0 };
    this.#lanes.set(room, waiting);
    this.#environment.schedule(() => {
      if (this.#lanes.get(room) !== waiting) return;
      this.#lanes.delete(room);
      this.#pump();
    }, lane.afterMs);
  }
}
