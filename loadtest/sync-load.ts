/** What the disk itself takes: writes 4 KiB and syncs them, over and over. Started with a SyncPlan; sends a SyncResult. */
import { closeSync, fdatasyncSync, openSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { LatencyHistogram } from './latency-histogram.ts';
import { runAsLoad } from './load-main.ts';

export interface SyncPlan {
  /** Beside the servers' data. */
  readonly directory: string;
  /** The server's core: nothing else runs there meanwhile. */
  readonly clientCores: readonly number[];
  readonly measureMs: number;
}

export interface SyncResult {
  readonly kind: 'done';
  readonly syncs: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

const SYNC_BYTES = 4096;

function perform({ directory, measureMs }: SyncPlan): Promise<SyncResult> {
  const file = openSync(join(directory, 'sync'), 'w');
  const bytes = Buffer.alloc(SYNC_BYTES, 1);
  const histogram = new LatencyHistogram();
  const endMs = performance.now() + measureMs;
  for (let startMs = performance.now(); startMs < endMs; ) {
    writeSync(file, bytes);
    fdatasyncSync(file);
    const nowMs = performance.now();
    histogram.record((nowMs - startMs) * 1000);
    startMs = nowMs;
  }
  closeSync(file);
  return Promise.resolve({
    kind: 'done',
    syncs: histogram.count,
    p50Ms: histogram.quantileUs(0.5) / 1000,
    p99Ms: histogram.quantileUs(0.99) / 1000,
  });
}

runAsLoad(perform);
