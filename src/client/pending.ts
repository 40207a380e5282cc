import { ClientError } from './client-error.ts';
import { Deferred } from './deferred.ts';
import { type Environment, elapsedMs, type Moment, momentOf } from './environment.ts';

/** A command that waits for its reply, over as many sessions as that takes, for so long as it may be sent again. */
export class Pending<Ok> {
  /** It has gone out in this session, and no outcome has come. */
  isInFlight = false;
  /** It has gone out at least once. */
  wasSent = false;
  readonly #environment: Environment;
  readonly #retryForMs: number;
  readonly #onEnd: () => void;
  readonly #begun: Moment;
  readonly #cancel: () => void;
  readonly #outcome = new Deferred<Ok>();
  #hasEnded = false;

  /** @param onEnd is called once, before the promise settles */
  constructor(environment: Environment, retryForMs: number, onEnd: (pending: Pending<Ok>) => void) {
    this.#environment = environment;
    this.#retryForMs = retryForMs;
    this.#onEnd = () => onEnd(this);
    this.#begun = momentOf(environment);
    this.#cancel = environment.schedule(() => this.#expire(), retryForMs);
  }

  get promise(): Promise<Ok> {
    return this.#outcome.promise;
  }

  get hasEnded(): boolean {
    return this.#hasEnded;
  }

  /** Whether it may still be sent. Timers may be late to say so, as those of a computer that was asleep. */
  isDue(): boolean {
    if (!this.#hasEnded && elapsedMs(this.#environment, this.#begun) >= this.#retryForMs) this.#expire();
    return !this.#hasEnded;
  }

  succeed(ok: Ok): void {
    if (this.#end()) this.#outcome.resolve(ok);
  }

  fail(error: ClientError): void {
    if (this.#end()) this.#outcome.reject(error);
  }

  close(reason: string): void {
    this.fail(new ClientError('closed', reason, this.wasSent));
  }

  #expire(): void {
    const words = this.wasSent ? 'no answer, and it may have been done' : 'never sent';
    this.fail(new ClientError('timed_out', `${words} within ${this.#retryForMs} ms`, this.wasSent));
  }

  #end(): boolean {
    if (this.#hasEnded) return false;
    this.#hasEnded = true;
    this.#cancel();
    this.#onEnd();
    return true;
  }
}
