import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process';

/** Something that runs, and that can be ended at once. */
export interface Killable {
  kill(signal: 'SIGKILL'): void;
}

const running = new Set<Killable>();

// The last resort, whatever ended the bench: nothing it started outlives it.
process.on('exit', () => {
  for (const one of running) one.kill('SIGKILL');
});

/** Has it killed at the latest when this process exits. Returns what undoes that, for when it is gone. */
export function killAtExit(one: Killable): () => void {
  running.add(one);
  return () => {
    running.delete(one);
  };
}

/**
 * Starts node with `args` on these cores. The child is killed at the latest when this process exits, and until then what
 * is typed at a terminal (Ctrl-C) is for this process alone.
 */
export function startNode(cores: readonly number[], args: readonly string[], options: SpawnOptions): ChildProcess {
  // taskset replaces itself by node, so the child's pid is node's.
  const child = spawn('taskset', ['-c', cores.join(','), process.execPath, ...args], { ...options, detached: true });
  child.once('exit', killAtExit(child));
  return child;
}

/** Ends a child: SIGTERM, then SIGKILL after `graceMs`. Resolves when it is gone. */
export async function stop(child: ChildProcess, graceMs: number): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  child.kill('SIGTERM');
  const timer = setTimeout(() => child.kill('SIGKILL'), graceMs);
  await gone;
  clearTimeout(timer);
}
