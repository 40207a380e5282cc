import type { ClientError } from './client-error.ts';
import type { Outcome } from './connection.ts';
import { Deferred } from './deferred.ts';
import type { Environment } from './environment.ts';
import { isRetryable, membersOf, retryAfterMs, type Send } from './questions.ts';

/** How the server gets to know that a room was left. */
export class Leaving {
  readonly #members: string;
  readonly #environment: Environment;
  readonly #send: Send;
  readonly #onEnd: () => void;
  #left: Deferred<void> | null = null;
  #unanswered = 0;

  /** @param onEnd is called whenever there is nothing more to tell the server */
  constructor(room: string, environment: Environment, send: Send, onEnd: () => void) {
    this.#members = membersOf({ op: 'leave', room });
    this.#environment = environment;
    this.#send = send;
    this.#onEnd = onEnd;
  }

  /** Resolves when the server knows; null: there is nothing that it would have to know. */
  get left(): Promise<void> | null {
    return this.#left?.promise ?? null;
  }

  /** A `leave` is under way: what the server says before its reply is of the visit before. */
  get isUnanswered(): boolean {
    return this.#unanswered > 0;
  }

  /** Tells the server until it knows, or `end`. */
  begin(): Promise<void> {
    const left = new Deferred<void>();
    this.#left = left;
    this.#try(left);
    return left.promise;
  }

  /** The session is over, or the room is joined again. */
  end(): void {
    const left = this.#left;
    if (left === null) return;
    this.#left = null;
    left.resolve();
    this.#onEnd();
  }

  /** Tells the server once. False: there is no session. */
  tell(onOutcome: (outcome: Outcome) => void = () => {}): boolean {
    const isSent = this.#send(this.#members, (outcome) => {
      this.#unanswered -= 1;
      onOutcome(outcome);
    });
    if (isSent) this.#unanswered += 1;
    return isSent;
  }

  #try(left: Deferred<void>): void {
    if (left !== this.#left) return;
    const isSent = this.tell((outcome) => {
      if (left !== this.#left) return;
      if (outcome !== null && 'error' in outcome && isRetryable(outcome.error)) this.#later(left, outcome.error);
      else this.end();
    });
    if (!isSent) this.end();
  }

  #later(left: Deferred<void>, error: ClientError): void {
    this.#environment.schedule(() => this.#try(left), retryAfterMs(this.#environment, error));
  }
}
