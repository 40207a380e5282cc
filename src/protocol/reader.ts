import { isUtf8 } from 'node:buffer';
import { STATUSES } from '../presence/presence-state.ts';
import { BOUNDS } from './bounds.ts';
import { type Command, PRESENCE_MODES } from './commands.ts';
import { CommandError } from './errors.ts';
import { hasLoneSurrogateEscape, type Member, scanObject } from './json-scan.ts';
import { isDevice, isMid, isPrintable, isRoom, isUser } from './names.ts';

/** A line that is no command: `id` is the one to answer with, null where the line has none that can be read. */
export interface Refusal {
  readonly id: number | null;
  readonly error: CommandError;
}

export type ReadResult = { readonly command: Command } | { readonly refusal: Refusal };

/** Says in words what a value should have been, or null if it is right. `raw` is its text. */
type Check = (value: unknown, raw: string) => string | null;

interface Field {
  readonly check: Check;
  readonly required: boolean;
}

interface Shape {
  readonly fields: Readonly<Record<string, Field>>;
  /** `connect` alone ignores keys that it doesn't know, so that newer clients can talk to older servers. */
  readonly ignoresUnknownKeys: boolean;
  readonly hasId: boolean;
}

const bytes = (min: number, max: number) => `${min}–${max} bytes`;
const name = (max: number) => `${bytes(1, max)} of [A-Za-z0-9_.:@/-]`;

const room = required((value) => (isRoom(value) ? null : `must be ${name(BOUNDS.roomBytesMax)}`));
const midCheck: Check = (value) => (isMid(value) ? null : `must be 1–${BOUNDS.midBytesMax} printable ASCII characters`);
const printable =
  (max: number): Check =>
  (value) =>
    isPrintable(value, max) ? null : `must be 1–${max} printable ASCII characters`;
const userCheck: Check = (value) => (isUser(value) ? null : `must be ${name(BOUNDS.userBytesMax)}`);
const token = printable(BOUNDS.tokenBytesMax);
const oneOf =
  (values: readonly unknown[]): Check =>
  (value) =>
    values.includes(value) ? null : `must be one of ${values.join(', ')}`;
const flag = oneOf([true, false]);

/** Every command that a client may send: the reader and its tests know no other list. */
const SHAPES: Readonly<Record<Command['op'], Shape>> = {
  connect: {
    ...shape({
      token: optional(token),
      user: optional(userCheck),
      device: optional((value) => (isDevice(value) ? null : `must be ${name(BOUNDS.deviceBytesMax)}`)),
      client: optional(printable(BOUNDS.clientBytesMax)),
      heartbeat: optional(flag),
    }),
    ignoresUnknownKeys: true,
  },
  refresh: shape({ token: required(token) }),
  join: shape({
    room,
    since: optional(position),
    history: optional(integer(0, BOUNDS.historyMax)),
    presence: optional(oneOf(PRESENCE_MODES)),
    visible: optional(flag),
  }),
  leave: shape({ room }),
  publish: shape({
    room,
    mid: required(midCheck),
    data: required(data(BOUNDS.dataBytesMax)),
    after: optional(midCheck),
  }),
  signal: shape({ room, data: required(data(BOUNDS.signalBytesMax)) }),
  presence: shape({ room: optional(room.check), after: optional(userCheck), user: optional(userCheck) }),
  watch: shape({ users: required(users) }),
  unwatch: shape({ users: required(users) }),
  status: shape({ status: required(oneOf(STATUSES)), text: optional(statusText) }),
  history: shape({
    room,
    before: optional(position),
    after: optional(position),
    limit: required(integer(1, BOUNDS.historyMax)),
  }),
  ping: shape({}),
  quit: shape({}),
  pong: { ...shape({}), hasId: false },
};

/** What is wrong with fields that are right each by itself, or null. */
const TOGETHER: Readonly<Record<string, (command: Readonly<Record<string, unknown>>) => string | null>> = {
  history: (command) => ('before' in command && 'after' in command ? 'after: not together with before' : null),
  presence(command) {
    if ('room' in command === 'user' in command) return 'room: exactly one of room and user';
    return 'user' in command && 'after' in command ? 'after: not together with user' : null;
  },
};

export const OPS = Object.keys(SHAPES) as readonly Command['op'][];

/**
 * Reads one line, strictly, so that no two readers can disagree about it: UTF-8, JSON's grammar, nesting, lone
 * surrogates, and the keys of the command and its positions. Never throws.
 */
export function readLine(line: Buffer): ReadResult {
  if (!isUtf8(line)) return refuse(null, 'the line is not UTF-8');
  return readText(line.toString('utf8'));
}

/** {@link readLine} of text that is known to have been UTF-8. */
export function readText(text: string): ReadResult {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    return refuse(null, 'the line is not JSON');
  }
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed)) {
    return refuse(null, 'the line is not one JSON object');
  }
  const { members, depth } = scanObject(text, text.indexOf('{'));
  const id = readId(text, members);

  if (depth > BOUNDS.depthMax) return refuse(id, `nested deeper than ${BOUNDS.depthMax} levels`);
  if (hasLoneSurrogateEscape(text)) return refuse(id, 'a lone surrogate escape is not text');
  const keys = checkKeys(members);
  if (keys !== null) return refuse(id, keys);

  const fields = parsed as Record<string, unknown>;
  const { op } = fields;
  if (typeof op !== 'string') return refuse(id, 'op: must be a string');
  if (!Object.hasOwn(SHAPES, op)) return refuse(id, `op: unknown, must be one of ${OPS.join(', ')}`);
  const { fields: expected, ignoresUnknownKeys, hasId } = SHAPES[op as Command['op']];
  if (hasId && id === null) return refuse(null, 'id: must be an integer from 0 to 2^53-1, digits only');

  const command: Record<string, unknown> = hasId ? { op, id } : { op };
  for (const { key, start, end } of members) {
    if (key === 'op' || (key === 'id' && hasId)) continue;
    const field = Object.hasOwn(expected, key) ? expected[key] : undefined;
    if (field === undefined) {
      if (ignoresUnknownKeys) continue;
      return refuse(id, `${printableKey(key)}: not a field of ${op}`);
    }
    const raw = text.slice(start, end);
    const complaint = field.check(fields[key], raw);
    if (complaint !== null) return refuse(id, `${key}: ${complaint}`);
    command[key] = key === 'data' ? raw.replaceAll(/[\r\n]/g, '') : fields[key];
  }
  for (const key in expected) {
    if (expected[key]?.required && !(key in command)) return refuse(id, `${key}: missing`);
  }
  const contradiction = TOGETHER[op]?.(command) ?? null;
  if (contradiction !== null) return refuse(id, contradiction);
  // Every key was checked against SHAPES, which is the run-time form of Command.
  return { command: command as unknown as Command };
}

function refuse(id: number | null, message: string): ReadResult {
  return { refusal: { id, error: new CommandError('bad_request', message) } };
}

/** The command's id if exactly one top-level key means `id`, is written plainly and holds a valid one. */
function readId(text: string, members: readonly Member[]): number | null {
  let id: number | null = null;
  let count = 0;
  for (const { key, start, end } of members) {
    if (key === 'id') {
      count += 1;
      const raw = text.slice(start, end);
      if (/^(0|[1-9][0-9]{0,15})$/.test(raw) && Number.isSafeInteger(Number(raw))) id = Number(raw);
    } else if (key.includes('\\') && JSON.parse(`"${key}"`) === 'id') {
      count += 1;
    }
  }
  return count === 1 ? id : null;
}

/** What is wrong with an object's keys, or null. Two keys that some reader takes for one are refused. */
function checkKeys(members: readonly Member[]): string | null {
  for (let i = 0; i < members.length; i += 1) {
    const key = members[i]?.key ?? '';
    if (key.includes('\\')) return `${printableKey(key)}: a key with an escape`;
    // A command has a handful of keys; one with hundreds would make this quadratic, so a set takes over.
    if (members.length > 16) return duplicateKey(members);
    for (let j = 0; j < i; j += 1) if (members[j]?.key === key) return `${printableKey(key)}: given twice`;
  }
  return null;
}

function duplicateKey(members: readonly Member[]): string | null {
  const seen = new Set<string>();
  for (const { key } of members) {
    if (key.includes('\\')) return `${printableKey(key)}: a key with an escape`;
    if (seen.has(key)) return `${printableKey(key)}: given twice`;
    seen.add(key);
  }
  return null;
}

function printableKey(key: string): string {
  return key.length > 40 ? `${key.slice(0, 40).toWellFormed()}…` : key;
}

function shape(fields: Readonly<Record<string, Field>>): Shape {
  return { fields, ignoresUnknownKeys: false, hasId: true };
}

function required(check: Check): Field {
  return { check, required: true };
}

function optional(check: Check): Field {
  return { check, required: false };
}

function integer(min: number, max: number): Check {
  return (value) =>
    Number.isInteger(value) && (value as number) >= min && (value as number) <= max
      ? null
      : `must be an integer from ${min} to ${max}`;
}

function data(bytesMax: number): Check {
  return (_value, raw) => (isWithin(raw, bytesMax) ? null : `must be at most ${bytesMax} bytes`);
}

function statusText(value: unknown): string | null {
  return typeof value === 'string' && isWithin(value, BOUNDS.statusTextBytesMax)
    ? null
    : `must be a string of at most ${BOUNDS.statusTextBytesMax} bytes`;
}

function users(value: unknown): string | null {
  return Array.isArray(value) && value.length >= 1 && value.length <= BOUNDS.watchesMax && value.every(isUser)
    ? null
    : `must be 1–${BOUNDS.watchesMax} names, each ${name(BOUNDS.userBytesMax)}`;
}

function isWithin(text: string, bytesMax: number): boolean {
  return text.length <= bytesMax && Buffer.byteLength(text) <= bytesMax;
}

function position(value: unknown, raw: string): string | null {
  const expected = 'must be {"epoch": string, "offset": number}';
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return expected;
  const keys = checkKeys(scanObject(raw, 0).members);
  if (keys !== null) return keys;
  const { epoch, offset, ...others } = value as Record<string, unknown>;
  if (Object.keys(others).length > 0) return expected;
  if (!isPrintable(epoch, BOUNDS.epochBytesMax)) {
    return `epoch must be 1–${BOUNDS.epochBytesMax} printable ASCII characters`;
  }
  // -1 is the position before a partition's first record.
  if (!Number.isSafeInteger(offset) || (offset as number) < -1) return 'offset must be an integer from -1 to 2^53-1';
  return null;
}
