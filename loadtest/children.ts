import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process';

const running = new Set<ChildProcess>();

// The last resort, whatever ended the bench: nothing it started outlives it.
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

/** Starts node with `args` on one core. The child is killed at the latest when this process exits. */
export function startNode(core: number, args: readonly string[], options: SpawnOptions): ChildProcess {
  // taskset replaces itself by node, so the child's pid is node's.
  const child = spawn('taskset', ['-c', String(core), process.execPath, ...args], options);
  running.add(child);
  child.once('exit', () => running.delete(child));
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
