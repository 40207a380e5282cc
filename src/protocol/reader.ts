import { isUtf8 } from 'node:buffer';
import { BOUNDS } from './bounds.ts';
import { type Command, PRESENCE_MODES } from './commands.ts';
import { CommandError } from './errors.ts';
import {
  data,
  device,
  flag,
  integer,
  mid,
  oneOf,
  optional,
  position,
  printable,
  required,
  room,
  statusText,
  token,
  user,
  users,
} from './fields.ts';
import type { Member } from './json-scan.ts';
import { STATUSES } from './presence-state.ts';
import { readPublish } from './publish-reader.ts';
import { checkObject, type Field, type Fields, parseObject, readFields } from './strict-object.ts';

/** A line that is no command: `id` is the one to answer with, null where the line has none that can be read. */
export interface Refusal {
  readonly id: number | null;
  readonly error: CommandError;
}

export type ReadResult = { readonly command: Command } | { readonly refusal: Refusal };

interface Shape {
  readonly fields: Fields;
  /** `connect` alone ignores keys that it doesn't know, so that newer clients can talk to older servers. */
  readonly ignoresUnknownKeys: boolean;
  readonly hasId: boolean;
}

/** Every command that a client may send: the reader and its tests know no other list. */
const SHAPES: Readonly<Record<Command['op'], Shape>> = {
  connect: {
    ...shape({
      token: optional(token),
      user: optional(user),
      device: optional(device),
      client: optional(printable(BOUNDS.clientBytesMax)),
      heartbeat: optional(flag),
    }),
    ignoresUnknownKeys: true,
  },
  refresh: shape({ token: required(token) }),
  join: shape({
    room: required(room),
    since: optional(position),
    history: optional(integer(0, BOUNDS.historyMax)),
    presence: optional(oneOf(PRESENCE_MODES)),
    visible: optional(flag),
  }),
  leave: shape({ room: required(room) }),
  publish: shape({
    room: required(room),
    mid: required(mid),
    data: required(data(BOUNDS.dataBytesMax)),
    after: optional(mid),
  }),
  signal: shape({ room: required(room), data: required(data(BOUNDS.signalBytesMax)) }),
  presence: shape({ room: optional(room), after: optional(user), user: optional(user) }),
  watch: shape({ users: required(users) }),
  unwatch: shape({ users: required(users) }),
  status: shape({ status: required(oneOf(STATUSES)), text: optional(statusText) }),
  history: shape({
    room: required(room),
    before: optional(position),
    after: optional(position),
    limit: required(integer(1, BOUNDS.historyMax)),
  }),
  ping: shape({}),
  quit: shape({}),
  pong: { ...shape({}), hasId: false },
};

/** What is wrong with fields that are right each by itself, or null. */
const TOGETHER: Readonly<Record<string, (fields: object) => string | null>> = {
  history: (fields) => ('before' in fields && 'after' in fields ? 'after: not together with before' : null),
  presence(fields) {
    if ('room' in fields === 'user' in fields) return 'room: exactly one of room and user';
    return 'user' in fields && 'after' in fields ? 'after: not together with user' : null;
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
  const publish = readPublish(text);
  return publish === null ? readStrictly(text) : { command: publish };
}

/** {@link readText} of any line, and the words for what is wrong with it. */
export function readStrictly(text: string): ReadResult {
  const object = parseObject(text);
  if (typeof object === 'string') return refuse(null, `the line is not ${object}`);
  const id = readId(text, object.members);
  const fault = checkObject(object);
  if (fault !== null) return refuse(id, fault);

  const { op } = object.values;
  if (typeof op !== 'string') return refuse(id, 'op: must be a string');
  if (!Object.hasOwn(SHAPES, op)) return refuse(id, `op: unknown, must be one of ${OPS.join(', ')}`);
  const { fields: expected, ignoresUnknownKeys, hasId } = SHAPES[op as Command['op']];
  if (hasId && id === null) return refuse(null, 'id: must be an integer from 0 to 2^53-1, digits only');

  const command: Record<string, unknown> = hasId ? { op, id } : { op };
  const complaint =
    readFields(object, { expected, owner: op, ignoresUnknownKeys }, command) ?? contradiction(op, command);
  if (complaint !== null) return refuse(id, complaint);
  // Every key was checked against SHAPES, which is the run-time form of Command.
  return { command: command as unknown as Command };
}

/** What is wrong with an op's fields that are right each by itself, or null. */
export function contradiction(op: string, fields: object): string | null {
  return TOGETHER[op]?.(fields) ?? null;
}

/** The fields that an object of type T is read from. */
export type FieldsOf<T> = { readonly [Name in keyof T]-?: Field };

/**
 * Reads a request's body as strictly as a command's line. An empty one counts as an object without fields.
 *
 * @throws CommandError `bad_request`, which names the field
 */
export function readBody<T>(body: Buffer, expected: FieldsOf<T>): T {
  const values: Record<string, unknown> = {};
  const complaint = readBodyInto(values, body, expected);
  if (complaint !== null) throw new CommandError('bad_request', complaint);
  // Every key was checked against the fields of T.
  return values as T;
}

function readBodyInto(values: Record<string, unknown>, body: Buffer, expected: Fields): string | null {
  if (!isUtf8(body)) return 'the body is not UTF-8';
  const object = parseObject(body.length === 0 ? '{}' : body.toString('utf8'));
  if (typeof object === 'string') return `the body is not ${object}`;
  return checkObject(object) ?? readFields(object, { expected, owner: 'this call', ignoresUnknownKeys: false }, values);
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

function shape(fields: Fields): Shape {
  return { fields, ignoresUnknownKeys: false, hasId: true };
}
