import type { Environment } from './environment.ts';

/** An environment whose waits can all be called off, so that what is closed keeps no program alive. */
export class Timers implements Environment {
  readonly #environment: Environment;
  readonly #cancels = new Set<() => void>();
  readonly wallMs: Environment['wallMs'];
  readonly monotonicMs: Environment['monotonicMs'];
  readonly random: Environment['random'];
  readonly makeId: Environment['makeId'];
  readonly openSocket: Environment['openSocket'];
  readonly onOnline: Environment['onOnline'];

  constructor(environment: Environment) {
    this.#environment = environment;
    this.wallMs = () => environment.wallMs();
    this.monotonicMs = () => environment.monotonicMs();
    this.random = () => environment.random();
    this.makeId = () => environment.makeId();
    this.openSocket = (url, subprotocols, events) => environment.openSocket(url, subprotocols, events);
    this.onOnline = (listener) => environment.onOnline(listener);
  }

  schedule(callback: () => void, ms: number): () => void {
    const cancel = this.#environment.schedule(() => {
      this.#cancels.delete(cancel);
      callback();
    }, ms);
    this.#cancels.add(cancel);
    return () => {
      this.#cancels.delete(cancel);
      cancel();
    };
  }

  cancelAll(): void {
    for (const cancel of this.#cancels) cancel();
    this.#cancels.clear();
  }
}
