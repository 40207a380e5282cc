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
  plan: { readonly clientCore: number },
  timeoutMs: number,
): Promise<Result> {
  const path = fileURLToPath(new URL(script, import.meta.url));
  const child = startNode(plan.clientCore, [path, JSON.stringify(plan)], {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
  let timer: NodeJS.Timeout | undefined;
  const result = new Promise<Result>((resolve, reject) => {
    child.once('message', (message: Result | LoadFailure) => {
      if (message.kind === 'done') resolve(message);
      else reject(new Error(message.reason));
    });
    child.once('error', reject);
    child.once('exit', (code, signal) => reject(new Error(`the load process ended with ${code ?? signal}`)));
    timer = setTimeout(() => reject(new Error(`the load process took longer than ${timeoutMs} ms`)), timeoutMs);
  });
  try {
    return await result;
  } finally {
    clearTimeout(timer);
    await stop(child, STOP_GRACE_MS);
  }
}
