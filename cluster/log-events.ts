import { harmless } from '../src/protocol/terminal.ts';

export type Level = 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'fatal';

/** One line of the view. */
export interface LogEvent {
  /** Since 1970: when it was logged, or read, where the line doesn't say. */
  readonly atMs: number;
  readonly level: Level;
  /** What those have in common that differ in details. */
  readonly kind: string;
  readonly text: string;
}

/** Makes an event of a line that a program has logged; null: it is not worth showing. */
export type LineReader = (line: string) => LogEvent | null;

/** Characters of what is not ours; the whole of it is in the log file. */
const FOREIGN_CHARS_MAX = 160;
/** pino's. */
const LEVELS: Readonly<Record<number, Level>> = {
  10: 'trace',
  20: 'debug',
  30: 'info',
  40: 'warn',
  50: 'error',
  60: 'fatal',
};
/** Of each line of a gateway; its name is the source already. */
const SAID_OTHERWISE = new Set(['level', 'time', 'pid', 'node', 'msg']);

export const readGatewayLine: LineReader = (line) => {
  const said = objectOf(line);
  // What Node itself prints, as it ends.
  if (said === null) return line.trim() === '' ? null : event('error', foreign(line));
  const fields = Object.entries(said).filter(([name]) => !SAID_OTHERWISE.has(name));
  const kind = String(said.msg);
  const words = [kind, ...fields.map(([name, value]) => `${name}=${shown(value)}`)];
  const level = LEVELS[Number(said.level)] ?? 'info';
  return { atMs: Number(said.time), level, kind, text: harmless(words.join('  ')) };
};

/** Replicas that come and go; all else as HAProxy puts it. */
export const readHaproxyLine: LineReader = (line) => {
  // On its standard error it says the same with a level before it; and of a server that follows another one's checks, twice.
  if (line === '' || line.startsWith('[') || line.includes(' via ')) return null;
  const [, server, state, reason, code] =
    /^Server \w+\/(\S+) is (UP|DOWN)(?:.*?reason: ([^,]+))?(?:.*?code: (\d+))?/.exec(line) ?? [];
  if (server === undefined) return event('warn', foreign(line));
  if (state === 'UP') return event('info', `${server} is up: it is led clients`);
  const why = [reason, code].filter((each) => each !== undefined).join(' ');
  return event('warn', `${server} is out: it is led no new clients${why === '' ? '' : ` (${why})`}`);
};

/** Warnings alone: `12:M 27 Nov 2026 13:00:00.000 # text`. */
export const readRedisLine: LineReader = (line) => {
  const [, text] = /^\d+:[A-Z] .{20,30}? # (.*)$/.exec(line) ?? [];
  return text === undefined ? null : event('warn', foreign(text));
};

/** Warnings and worse, without the package of who says it: `123 [thread] WARN org.apache.kafka.Class - text`. */
export const readKafkaLine: LineReader = (line) => {
  const [, level, who, text] = / (WARN|ERROR) (?:[\w$]+\.)*([\w$]+) - (.*)$/.exec(line) ?? [];
  return level === undefined ? null : event(level === 'WARN' ? 'warn' : 'error', foreign(`${who}: ${text}`));
};

/** One of now. */
export function event(level: Level, text: string): LogEvent {
  return { atMs: Date.now(), level, kind: text, text };
}

function objectOf(line: string): Record<string, unknown> | null {
  try {
    const value = JSON.parse(line) as unknown;
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : null;
  } catch {
    return null;
  }
}

/** Words as they are, all else as JSON; of an error what it says. */
function shown(value: unknown): string {
  if (typeof value === 'string' && /^[^\s="]+$/.test(value)) return value;
  if (typeof value === 'object' && value !== null && 'message' in value) return JSON.stringify(value.message);
  return JSON.stringify(value);
}

function foreign(text: string): string {
  const clean = harmless(text);
  return clean.length <= FOREIGN_CHARS_MAX ? clean : `${clean.slice(0, FOREIGN_CHARS_MAX)}…`;
}
