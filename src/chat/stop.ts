import { onFirstSignal } from '../signals.ts';

/** What ends a chat from outside. */
export type Stop =
  | { readonly cause: 'signal' }
  /** Nobody reads the output any more, or it can't be written. */
  | { readonly cause: 'output'; readonly error: NodeJS.ErrnoException };

/** Resolves with the first of them. */
export function firstStop({ stdout, stderr }: Pick<NodeJS.Process, 'stdout' | 'stderr'>): Promise<Stop> {
  return new Promise((resolve) => {
    onFirstSignal(['SIGINT', 'SIGTERM', 'SIGHUP'], () => resolve({ cause: 'signal' }));
    stdout.on('error', (error) => resolve({ cause: 'output', error }));
    // Messages are what matters.
    stderr.on('error', () => {});
  });
}
