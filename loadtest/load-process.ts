import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { startNode, stop } from './children.ts';
import type { LoadFailure } from './load-plan.ts';

const STOP_GRACE_MS = 1_000;

/**
 * Runs one load process, a script beside this one that takes such a plan, to its end.
 *
 * @throws Error with the reason if a delivery was wrong, a connection ended, or it took longer than `timeoutMs`.
 */
export async function runLoad<Result extends { readonly kind: 'done' }>(
  script: string,
  plan: { readonly clientCores: readonly number[] },
  timeoutMs: number,
): Promise<Result> {
  const path = fileURLToPath(new URL(script, import.meta.url));
  const child = startNode(plan.clientCores, [path, JSON.stringify(plan)], {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
  let message: Result | LoadFailure | undefined;
  child.once('message', (value: Result | LoadFailure) => {
    message = value;
  });
  const signal = AbortSignal.timeout(timeoutMs);
  try {
    // It ends by itself, and so writes the profile that NODE_OPTIONS may have asked for.
    await Promise.all([once(child, 'exit', { signal }), once(child, 'disconnect', { signal })]);
  } catch (error) {
    if (signal.aborted) throw new Error(`the load process took longer than ${timeoutMs} ms`);
    throw error;
  } finally {
    await stop(child, STOP_GRACE_MS);
  }
  if (message === undefined) throw new Error(`the load process ended with ${child.exitCode ?? child.signalCode}`);
  if (message.kind === 'failed') throw new Error(message.reason);
  return message;
}
