import { Worker } from 'node:worker_threads';

/**
 * Rings when it is time, to within a tenth of a millisecond or so, and takes no core meanwhile. Timers know whole
 * milliseconds only, so a thread sleeps instead.
 */
export class Alarm {
  readonly #thread = new Worker(new URL('./alarm-thread.ts', import.meta.url));

  constructor(onRing: () => void) {
    this.#thread.on('message', onRing);
  }

  /** One at a time. */
  set(inMs: number): void {
    this.#thread.postMessage(inMs);
  }

  close(): void {
    void this.#thread.terminate();
  }
}
