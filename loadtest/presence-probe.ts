import { Worker } from 'node:worker_threads';
import type { ProbeFigures, ProbeMessage, ProbeOrder, ProbePlan } from './presence-plan.ts';

/** Another client of a presence in Redis, in a thread of its own, so that replicas that are busy don't hold it up. */
export class PresenceProbe {
  readonly #thread: Worker;
  readonly #ready = Promise.withResolvers<void>();
  readonly #stopped = Promise.withResolvers<void>();
  #answer: ((figures: ProbeFigures) => void) | undefined;

  private constructor(plan: ProbePlan, fail: (error: Error) => void) {
    this.#thread = new Worker(new URL('./presence-probe-thread.ts', import.meta.url), { workerData: plan });
    this.#thread.on('error', fail);
    this.#thread.on('message', (message: ProbeMessage) => {
      if (message.kind === 'ready') this.#ready.resolve();
      else if (message.kind === 'stopped') this.#stopped.resolve();
      else if (message.kind === 'report') this.#answer?.(message.figures);
      else fail(new Error(message.reason));
    });
  }

  /** Resolves when its sessions are there, and it sends what is due. */
  static async open(plan: ProbePlan, fail: (error: Error) => void): Promise<PresenceProbe> {
    const probe = new PresenceProbe(plan, fail);
    await probe.#ready.promise;
    return probe;
  }

  clear(): void {
    this.#order('clear');
  }

  /** Since it was cleared. */
  report(): Promise<ProbeFigures> {
    return new Promise((resolve) => {
      this.#answer = resolve;
      this.#order('report');
    });
  }

  /** It is no more, and says nothing to Redis about it. */
  async stop(): Promise<void> {
    this.#order('stop');
    await this.#stopped.promise;
    await this.#thread.terminate();
  }

  #order(order: ProbeOrder): void {
    this.#thread.postMessage(order);
  }
}
