/**
 * Preloaded into a server (`node --expose-gc --import …`) whose memory is measured: at SIGUSR2 it collects garbage and
 * appends one line of JSON, a MemoryReading, to the file that BENCH_MEMORY_FILE names. The server knows nothing of it.
 * With BENCH_SNAPSHOT, a path, the second reading is followed by a heap snapshot; the first would spoil the second.
 */
import { appendFileSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { writeHeapSnapshot } from 'node:v8';
import { isMainThread } from 'node:worker_threads';
import type { MemoryReading } from '../memory-reading.ts';

/**
 * What a collection lets go of is given back to the system by other threads, and may be found only by the next one. What
 * a process has used to start is given back some 3 s later.
 */
const COLLECTIONS = 8;
const PAUSE_MS = 500;

function statusKb(name: string): number {
  const status = readFileSync('/proc/self/status', 'utf8');
  return Number(new RegExp(`^${name}:\\s*(\\d+) kB$`, 'm').exec(status)?.[1]);
}

async function read(): Promise<MemoryReading> {
  for (let collection = 0; collection < COLLECTIONS; collection++) {
    // The flavor shrinks the young generation's pages as well, which a storm of connects has made grow.
    globalThis.gc?.({ type: 'major', execution: 'sync', flavor: 'last-resort' });
    await sleep(PAUSE_MS);
  }
  const { heapUsed, heapTotal, external, arrayBuffers } = process.memoryUsage();
  return {
    rss: 1024 * statusKb('VmRSS'),
    anonymous: 1024 * statusKb('RssAnon'),
    heapUsed,
    heapTotal,
    external,
    arrayBuffers,
  };
}

const { BENCH_MEMORY_FILE: file, BENCH_SNAPSHOT: snapshot } = process.env;

// Workers inherit the preload, but get no signals.
if (isMainThread && file !== undefined) {
  let readings = 0;
  process.on('SIGUSR2', async () => {
    const reading = await read();
    if (++readings === 2 && snapshot !== undefined) writeHeapSnapshot(snapshot);
    appendFileSync(file, `${JSON.stringify(reading)}\n`);
  });
}
