import { DISCONNECTS } from '../protocol/disconnects.ts';

/** Characters of a line that could not be published, where it is shown again. */
const QUOTE_MAX = 60;

export function gapLine(room: string): string {
  return `# [${room}] messages may be missing here`;
}

/** Why one is not in a room any more. */
export function leftLine(room: string, { code, message }: { readonly code: string; readonly message: string }): string {
  const known = { kicked: 'you were removed', forbidden: 'you may no longer be there' }[code];
  return `# left [${room}]: ${known ?? message}`;
}

/** Why the gateway wants no more of this session. */
export function disconnectedWords(code: number | null, reason: string): string {
  const known = Object.values(DISCONNECTS).find((disconnect) => disconnect.code === code);
  if (known === undefined) return `disconnected: ${reason}`;
  return `disconnected: ${known.meaning} (${code} ${reason})`;
}

/** A line of one's own, as it is named in an error; its end is left out where it is long. */
export function quoted(line: string): string {
  const start = [...line.slice(0, 2 * QUOTE_MAX)].slice(0, QUOTE_MAX).join('');
  return start === line ? `"${line}"` : `"${start}…"`;
}

export function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}
