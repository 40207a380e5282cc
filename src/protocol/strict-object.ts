import { BOUNDS } from './bounds.ts';
import { hasLoneSurrogateEscape, type Member, scanObject } from './json-scan.ts';

/** Says in words what a value should have been, or null if it is right. `raw` is its text. */
export type Check = (value: unknown, raw: string) => string | null;

export interface Field {
  readonly check: Check;
  readonly required: boolean;
}

/** The fields that an object may have, by name. */
export type Fields = Readonly<Record<string, Field>>;

/** An object of which no two readers can have different opinions, once {@link checkObject} has nothing to say. */
export interface StrictObject {
  readonly text: string;
  readonly values: Readonly<Record<string, unknown>>;
  /** The top level as it stands in the text. */
  readonly members: readonly Member[];
  readonly depth: number;
}

/** Reads text as one JSON object. Returns what it is not, where it is something else. */
export function parseObject(text: string): StrictObject | 'JSON' | 'one JSON object' {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    return 'JSON';
  }
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed)) return 'one JSON object';
  const { members, depth } = scanObject(text, text.indexOf('{'));
  return { text, values: parsed as Record<string, unknown>, members, depth };
}

/** What is wrong with an object whatever its fields mean, or null: nesting, lone surrogates, and its keys. */
export function checkObject({ text, members, depth }: StrictObject): string | null {
  if (depth > BOUNDS.depthMax) return `nested deeper than ${BOUNDS.depthMax} levels`;
  if (hasLoneSurrogateEscape(text)) return 'a lone surrogate escape is not text';
  return checkKeys(members);
}

export interface FieldRules {
  readonly expected: Fields;
  /** What the fields belong to, for messages. */
  readonly owner: string;
  readonly ignoresUnknownKeys: boolean;
}

/**
 * Copies the fields, checked, into `known`, which has those already that are not to be looked at. `data` is copied
 * as its text, without the raw line breaks between its tokens. Returns what is wrong, or null.
 */
export function readFields(
  { text, values, members }: StrictObject,
  { expected, owner, ignoresUnknownKeys }: FieldRules,
  known: Record<string, unknown>,
): string | null {
  for (const { key, start, end } of members) {
    if (Object.hasOwn(known, key)) continue;
    const field = Object.hasOwn(expected, key) ? expected[key] : undefined;
    if (field === undefined) {
      if (ignoresUnknownKeys) continue;
      return `${printableKey(key)}: not a field of ${owner}`;
    }
    const raw = text.slice(start, end);
    const complaint = field.check(values[key], raw);
    if (complaint !== null) return `${key}: ${complaint}`;
    known[key] = key === 'data' ? raw.replaceAll(/[\r\n]/g, '') : values[key];
  }
  return missingField(expected, known);
}

/** Names a required field that is not there, or null. */
export function missingField(expected: Fields, known: Readonly<Record<string, unknown>>): string | null {
  for (const key in expected) {
    if (expected[key]?.required && !(key in known)) return `${key}: missing`;
  }
  return null;
}

/** What is wrong with an object's keys, or null. Two keys that some reader takes for one are refused. */
export function checkKeys(members: readonly Member[]): string | null {
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

export function printableKey(key: string): string {
  return key.length > 40 ? `${key.slice(0, 40).toWellFormed()}…` : key;
}
