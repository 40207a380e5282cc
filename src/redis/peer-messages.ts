import type { Removal } from '../fanout/peers.ts';
import { BOUNDS } from '../protocol/bounds.ts';
import { DISCONNECTS } from '../protocol/disconnects.ts';
import { device, integer, oneOf, optional, printable, required, room, user } from '../protocol/fields.ts';
import { isUser } from '../protocol/names.ts';
import { checkObject, type Fields, parseObject, readFields } from '../protocol/strict-object.ts';
import { readData } from '../protocol/value-reader.ts';

/** Of the messages' form: whoever speaks another one is not understood. */
const VERSION = 1;
/** Characters of a message, by far enough for any that is ours. */
const MESSAGE_CHARACTERS_MAX = 2_048;
const SIGNAL_HEAD = /^\{"v":1,"by":"([\w-]{16})","from":"([^"]+)","data":/;

/** Who says it: a replica, for as long as its process lives. */
interface Said {
  readonly by: string;
}

export interface SaidSignal extends Said {
  readonly from: string;
  readonly data: string;
}

export interface SaidRemoval extends Said {
  /** Of the replica's questions: to be answered with it. */
  readonly question: number;
  readonly removal: Removal;
}

export interface SaidAnswer extends Said {
  readonly question: number;
  readonly sessions: number;
}

const SAID: Fields = {
  v: required(oneOf([VERSION])),
  by: required((value) => (typeof value === 'string' && /^[\w-]{16}$/.test(value) ? null : 'must be a replica')),
  question: required(integer(0, Number.MAX_SAFE_INTEGER)),
};
const REMOVALS: Readonly<Record<Removal['op'], Fields>> = {
  disconnect: {
    ...SAID,
    op: required(oneOf(['disconnect'])),
    user: required(user),
    reason: required(oneOf(Object.keys(DISCONNECTS))),
    words: optional(printable(BOUNDS.disconnectReasonBytesMax)),
  },
  kick: { ...SAID, op: required(oneOf(['kick'])), user: required(user), room: required(room) },
  forget: {
    ...SAID,
    op: required(oneOf(['forget'])),
    user: required(user),
    device: required(device),
    room: optional(room),
  },
};
const ANSWER: Fields = { ...SAID, sessions: required(integer(0, Number.MAX_SAFE_INTEGER)) };

/** The room is the channel's. */
export function writeSignal({ by, from, data }: SaidSignal): string {
  return `{"v":${VERSION},"by":"${by}","from":"${from}","data":${data}}`;
}

export function writeRemoval({ by, question, removal }: SaidRemoval): string {
  return JSON.stringify({ v: VERSION, by, question, ...removal });
}

export function writeAnswer({ by, question, sessions }: SaidAnswer): string {
  return JSON.stringify({ v: VERSION, by, question, sessions });
}

/**
 * Reads what came over a room's channel, as strictly as a client's signal: it may be anybody's, and its bytes are spliced
 * into what sessions are sent. null: it is no signal.
 */
export function readSignal(text: string): SaidSignal | null {
  if (text.length > MESSAGE_CHARACTERS_MAX) return null;
  const head = SIGNAL_HEAD.exec(text);
  if (head === null) return null;
  const [{ length: start }, by, from] = head as unknown as [string, string, string];
  const data = readData(text, start, BOUNDS.signalBytesMax);
  return data === null || !isUser(from) ? null : { by, from, data };
}

/** null: it is none. */
export function readRemoval(text: string): SaidRemoval | null {
  const isKnown = (op: unknown): op is Removal['op'] => typeof op === 'string' && Object.hasOwn(REMOVALS, op);
  const said = readSaid(text, ({ op }) => (isKnown(op) ? REMOVALS[op] : null));
  if (said === null) return null;
  const { v: _, by, question, ...removal } = said;
  // Every key was checked against the fields of its op.
  return { by, question, removal } as SaidRemoval;
}

/** null: it is none. */
export function readAnswer(text: string): SaidAnswer | null {
  const said = readSaid(text, () => ANSWER);
  // Every key was checked.
  return said === null ? null : (said as unknown as SaidAnswer);
}

function readSaid(
  text: string,
  fieldsOf: (values: Readonly<Record<string, unknown>>) => Fields | null,
): Record<string, unknown> | null {
  if (text.length > MESSAGE_CHARACTERS_MAX) return null;
  const object = parseObject(text);
  if (typeof object === 'string' || checkObject(object) !== null) return null;
  const expected = fieldsOf(object.values);
  if (expected === null) return null;
  const said: Record<string, unknown> = {};
  const complaint = readFields(object, { expected, owner: 'it', ignoresUnknownKeys: false }, said);
  return complaint === null ? said : null;
}
