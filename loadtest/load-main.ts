import type { LoadFailure } from './load-plan.ts';

/**
 * What a load process does: performs the plan that is its argument, sends the result or a LoadFailure over IPC and
 * exits. `fail` ends it early, from wherever.
 */
export function runAsLoad<Plan, Result extends { readonly kind: 'done' }>(
  perform: (plan: Plan, fail: (error: Error) => void) => Promise<Result>,
): void {
  const report = (message: Result | LoadFailure): void => {
    process.send?.(message, () => process.exit(message.kind === 'done' ? 0 : 1));
  };
  const plan = JSON.parse(process.argv[2] ?? '') as Plan;
  // A bench that dies must not leave its load behind.
  process.on('disconnect', () => process.exit(1));
  const failed = new Promise<never>((_resolve, reject) => {
    perform(plan, reject).then(report, reject);
  });
  failed.catch((error: unknown) =>
    report({ kind: 'failed', reason: error instanceof Error ? error.message : String(error) }),
  );
}
