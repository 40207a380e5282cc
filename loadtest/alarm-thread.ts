/** The thread of an `Alarm`: sleeps as many milliseconds as it is told, a fraction too, and says when it has. */
import { parentPort } from 'node:worker_threads';

const cell = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT));

parentPort?.on('message', (sleepMs: number) => {
  // Nobody ever notifies: it is the timeout that ends this.
  if (sleepMs > 0) Atomics.wait(cell, 0, 0, sleepMs);
  parentPort?.postMessage(undefined);
});
