import { type Config, readConfig, withoutEffect } from '../../src/config.ts';
import { CLOSE_TIMEOUT_MS } from '../../src/gateway/transport.ts';
import type { Findings } from './findings.ts';

/** Bytes of a gateway that are neither its heap nor what waits for clients: Node's code, stacks, the log's threads. */
const REST_BYTES = 128 * 1_048_576;
/** For the log to be closed, once the sessions are gone. */
const CLOSE_LOG_MS = 5_000;

/** The settings that `env` makes, or null where a gateway would not start with it. */
export function checkSettings(env: Readonly<Record<string, string>>, findings: Findings): Config | null {
  findings.problems.push(...withoutEffect(env).map((name) => `${name} is set, but without effect`));
  try {
    return readConfig(env);
  } catch (error) {
    findings.problems.push((error as Error).message);
    return null;
  }
}

/** Who ends a gateway by force must not do so before it has drained. */
export function checkStopGrace(graceMs: number, beforeMs: number, config: Config, findings: Findings): void {
  const neededMs = beforeMs + config.drainMs + CLOSE_TIMEOUT_MS + CLOSE_LOG_MS;
  findings.expect(graceMs >= neededMs, `it is killed after ${graceMs} ms, and may need ${neededMs} to stop`);
}

/** What a gateway may take at its bounds must fit into what it is given. */
export function checkMemory(limitBytes: number, nodeOptions: string, config: Config, findings: Findings): void {
  const heapBytes = Number(/--max-old-space-size=(\d+)/.exec(nodeOptions)?.[1]) * 1_048_576;
  const neededBytes = heapBytes + config.unsharedBytesMax + config.inboxesBytesMax + REST_BYTES;
  // Also where NODE_OPTIONS say nothing of the heap.
  findings.expect(neededBytes <= limitBytes, `it may have ${limitBytes} bytes, and need ${neededBytes}`);
}
