import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, existsSync, openSync, readFileSync, statSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';

/** Names a process, also when its pid has been given to another one since. */
export interface Daemon {
  readonly pid: number;
  /** When it began, in ticks since the machine did; null where the system doesn't tell. */
  readonly began: string | null;
}

/** How a process has ended. */
export interface End {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

const POLL_MS = 20;

/**
 * Starts a process that outlives this one. What it prints is appended to a file, and it holds none of this process's
 * descriptors: whoever waits for the end of this one's output is not kept waiting.
 *
 * @param onEnd called when it ends, if this process is still there
 * @throws Error if the program can't be started
 */
export async function startDaemon(
  command: string,
  args: readonly string[],
  logFile: string,
  env: Readonly<Record<string, string>> = {},
  onEnd: (end: End) => void = () => {},
): Promise<Daemon> {
  const log = openSync(logFile, 'a');
  try {
    const child = spawn(command, args, {
      detached: true,
      stdio: ['ignore', log, log],
      env: { ...process.env, ...env },
    });
    child.once('exit', (code, signal) => onEnd({ code, signal }));
    await once(child, 'spawn');
    child.unref();
    const pid = child.pid as number;
    return { pid, began: readStat(pid)?.began ?? null };
  } finally {
    closeSync(log);
  }
}

export function isRunning({ pid, began }: Daemon): boolean {
  if (existsSync('/proc/self/stat')) {
    const stat = readStat(pid);
    // One that has ended and is not reaped yet can still be sent signals.
    return stat !== undefined && stat.began === began && !'ZX'.includes(stat.state);
  }
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

/** Ends a process, by force after `graceMs`; resolves when it is gone. */
export async function stopDaemon(daemon: Daemon, graceMs: number): Promise<void> {
  if (!isRunning(daemon)) return;
  // Once: to a second one, a gateway ends in the middle of its draining.
  process.kill(daemon.pid, 'SIGTERM');
  const forceAtMs = performance.now() + graceMs;
  let isForced = false;
  while (isRunning(daemon)) {
    if (performance.now() >= forceAtMs && !isForced) {
      isForced = true;
      process.kill(daemon.pid, 'SIGKILL');
    }
    await delay(POLL_MS);
  }
}

/** Polls until `isSo`. @throws Error, with the end of the log, if the process ends before or `timeoutMs` pass */
export async function untilReady(
  name: string,
  daemon: Daemon,
  logFile: string,
  timeoutMs: number,
  isSo: () => boolean | Promise<boolean>,
): Promise<void> {
  const deadlineMs = performance.now() + timeoutMs;
  while (!(await isSo())) {
    const hasEnded = !isRunning(daemon);
    if (hasEnded || performance.now() > deadlineMs) {
      const what = hasEnded ? 'has ended' : `was not ready within ${timeoutMs} ms`;
      throw new Error(`${name} ${what}; the end of ${logFile}:\n${endOf(logFile)}`);
    }
    await delay(POLL_MS);
  }
}

/** Bytes of a file; 0 where there is none. */
export function sizeOf(file: string): number {
  return statSync(file, { throwIfNoEntry: false })?.size ?? 0;
}

function endOf(logFile: string): string {
  return readFileSync(logFile, 'utf8').trimEnd().split('\n').slice(-15).join('\n');
}

function readStat(pid: number): { state: string; began: string } | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The name, in parentheses, may hold anything.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return { state: fields[0] ?? '', began: fields[19] ?? '' };
  } catch {
    return undefined;
  }
}
