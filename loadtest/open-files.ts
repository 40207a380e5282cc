import { readFileSync } from 'node:fs';

/** Files that a process has open beside its sessions. */
const OTHER_FILES = 300;

/** Sessions that a server, or a load process, may have at once: each is an open file. */
export function sessionsAllowed(): number {
  // Node raises what it may use to what it could, so the harder of the two limits counts.
  const max = /^Max open files\s+\d+\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1];
  return Number(max) - OTHER_FILES;
}
