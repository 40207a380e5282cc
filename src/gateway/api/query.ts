import { CommandError } from '../../protocol/errors.ts';
import { positionParts } from '../../protocol/fields.ts';
import { type Check, type Field, missingField, printableKey } from '../../protocol/strict-object.ts';

/** A field that comes as text: `parse` gives the value that is then checked. */
export interface QueryField extends Field {
  parse(text: string): unknown;
}

/** The keys that a query of type T is read from. */
export type QueryOf<T> = { readonly [Name in keyof T]-?: QueryField };

/** Reads a request's query: each key at most once, and none that isn't expected. @throws CommandError `bad_request` */
export function readQuery<T>(query: string, expected: QueryOf<T>): T {
  const values: Record<string, unknown> = {};
  for (const pair of query.split('&')) {
    if (pair === '') continue;
    const equals = pair.indexOf('=');
    const key = decodeForm(equals === -1 ? pair : pair.slice(0, equals));
    const text = equals === -1 ? '' : decodeForm(pair.slice(equals + 1));
    if (!isKeyOf(expected, key)) refuse(`${printableKey(key)}: not in this call's query`);
    if (Object.hasOwn(values, key)) refuse(`${key}: given twice`);
    const { parse, check } = expected[key];
    const value = parse(text);
    const complaint = check(value, text);
    if (complaint !== null) refuse(`${key}: ${complaint}`);
    values[key] = value;
  }
  const missing = missingField(expected, values);
  if (missing !== null) refuse(missing);
  // Every key was checked against the fields of T.
  return values as T;
}

/** What stands in a path or query for a text. @throws CommandError `bad_request` if its escapes are none */
export function decode(encoded: string, name: string): string {
  try {
    return decodeURIComponent(encoded);
  } catch {
    throw new CommandError('bad_request', `${name}: not percent-encoded UTF-8`);
  }
}

export function textField({ check, required }: Field): QueryField {
  return { check, required, parse: (text) => text };
}

/** Text that is no integer stays text, for the check to refuse. */
export function integerField({ check, required }: Field): QueryField {
  return { check, required, parse: parseInteger };
}

/** A position as `epoch:offset`; the epoch may hold colons itself. */
export const positionField: QueryField = {
  required: false,
  check: checkPosition,
  parse(text) {
    const colon = text.lastIndexOf(':');
    return colon === -1 ? text : { epoch: text.slice(0, colon), offset: parseInteger(text.slice(colon + 1)) };
  },
};

function checkPosition(value: unknown): ReturnType<Check> {
  if (typeof value !== 'object' || value === null) return 'must be epoch:offset';
  const { epoch, offset } = value as Record<string, unknown>;
  return positionParts(epoch, offset);
}

function parseInteger(text: string): number | string {
  return /^(0|-?[1-9][0-9]{0,15})$/.test(text) ? Number(text) : text;
}

/** In a query a plus sign is a space. */
function decodeForm(encoded: string): string {
  return decode(encoded.replaceAll('+', '%20'), 'query');
}

function isKeyOf<T>(expected: QueryOf<T>, key: string): key is string & keyof T {
  return Object.hasOwn(expected, key);
}

function refuse(message: string): never {
  throw new CommandError('bad_request', message);
}
