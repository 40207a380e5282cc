import { ClientError } from './client-error.ts';
import { type Outcome, RETRYABLE, type Said } from './connection.ts';
import type { Environment } from './environment.ts';
import { Pending } from './pending.ts';

/** Bounds of what waits for a reply. */
export interface WaitingSettings {
  /** Commands in a line at most; more are refused with `queue_full`. */
  readonly waitingMax: number;
  /** Milliseconds of wall time for which a command is sent again. */
  readonly retryForMs: number;
}

/** The way to the server: sends in the session that there is, or returns false. */
export type Send = (members: string, onOutcome: (outcome: Outcome) => void) => boolean;

/** Milliseconds until the next try where the server names none: from half of this to one and a half. */
const RETRY_AFTER_MS = 1_000;

export function retryAfterMs(environment: Environment, { retryAfterMs }: ClientError): number {
  return retryAfterMs ?? RETRY_AFTER_MS * (0.5 + environment.random());
}

export function isRetryable({ code }: ClientError): boolean {
  return RETRYABLE.includes(code);
}

/** A promise that has failed for want of room in the line. */
export function refuse<Ok>(): Promise<Ok> {
  return Promise.reject(new ClientError('queue_full', 'too many commands wait already'));
}

/** Commands that do no harm when they come twice, each sent until it is answered. */
export class Questions {
  readonly #environment: Environment;
  readonly #settings: WaitingSettings;
  readonly #send: Send;
  readonly #line = new Map<Pending<Said>, () => string | null>();

  constructor(environment: Environment, settings: WaitingSettings, send: Send) {
    this.#environment = environment;
    this.#settings = settings;
    this.#send = send;
  }

  /**
   * @throws where `members` does
   * @param members what to send, asked for in each try, as it may have changed; null: nothing any more
   * @param isOwn whether the client asks for itself, of which there is little: it always may
   */
  ask(members: () => string | null, isOwn = false): Promise<Said> {
    if (this.#line.size >= this.#settings.waitingMax && !isOwn) return refuse();
    // What is no JSON fails its caller, and not the session.
    members();
    const { retryForMs } = this.#settings;
    const pending = new Pending<Said>(this.#environment, retryForMs, (ended) => this.#line.delete(ended));
    this.#line.set(pending, members);
    this.#try(pending);
    return pending.promise;
  }

  /** There is a new session. */
  resume(): void {
    for (const pending of [...this.#line.keys()]) this.#try(pending);
  }

  close(reason: string): void {
    for (const pending of [...this.#line.keys()]) pending.close(reason);
  }

  #try(pending: Pending<Said>): void {
    const ask = this.#line.get(pending);
    if (ask === undefined || pending.isInFlight || !pending.isDue()) return;
    const members = ask();
    if (members === null) {
      pending.succeed({});
      return;
    }
    const isSent = this.#send(members, (outcome) => {
      pending.isInFlight = false;
      if (outcome === null) return;
      if ('ok' in outcome) pending.succeed(outcome.ok);
      else if (!isRetryable(outcome.error)) pending.fail(outcome.error);
      else this.#environment.schedule(() => this.#try(pending), retryAfterMs(this.#environment, outcome.error));
    });
    if (!isSent) return;
    pending.isInFlight = true;
    pending.wasSent = true;
  }
}

/** The members of a JSON object, without its braces; undefined ones are left out. @throws where a value is no JSON */
export function membersOf(members: Readonly<Record<string, unknown>>): string {
  return JSON.stringify(members).slice(1, -1);
}
