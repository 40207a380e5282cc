import { Worker } from 'node:worker_threads';
import type { BareKafkaPlan, ReaderMessage, ReaderQuestion } from './bare-kafka-plan.ts';

export type ReaderReport = Extract<ReaderMessage, { readonly kind: 'report' }>;

/** Consumes in a thread of its own, so that producing and consuming don't wait for each other. */
export class BareReader {
  readonly #thread: Worker;
  readonly #ready = Promise.withResolvers<void>();
  #answer: ((report: ReaderReport) => void) | undefined;

  private constructor(plan: BareKafkaPlan, fail: (error: Error) => void) {
    this.#thread = new Worker(new URL('./bare-kafka-thread.ts', import.meta.url), { workerData: plan });
    this.#thread.on('error', fail);
    this.#thread.on('message', (message: ReaderMessage) => {
      if (message.kind === 'ready') this.#ready.resolve();
      else if (message.kind === 'report') this.#answer?.(message);
      else fail(new Error(message.reason));
    });
  }

  /** Resolves when it has its partitions. */
  static async open(plan: BareKafkaPlan, fail: (error: Error) => void): Promise<BareReader> {
    const reader = new BareReader(plan, fail);
    await reader.#ready.promise;
    return reader;
  }

  clear(): void {
    this.#ask('clear');
  }

  report(): Promise<ReaderReport> {
    return new Promise((resolve) => {
      this.#answer = resolve;
      this.#ask('report');
    });
  }

  #ask(question: ReaderQuestion): void {
    this.#thread.postMessage(question);
  }
}
