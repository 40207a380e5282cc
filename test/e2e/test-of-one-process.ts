import { test } from 'vitest';
import { REPLICAS } from './replica-count.ts';

/** A test of what a process does by itself; where a gateway is several of them there is none such, nor one skipped. */
export function testOfOneProcess(name: string, run: () => Promise<void>, timeoutMs?: number): void {
  if (REPLICAS === 1) test(name, run, timeoutMs);
}
