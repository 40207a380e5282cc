import type { Message } from '../client/client.ts';
import type { Gap } from '../protocol/position.ts';
import { harmless } from '../protocol/terminal.ts';

/** A message as the server's push has it. */
export function messageJson({ epoch, offset, ts, room, from, mid, data }: Message): string {
  return harmlessJson({ push: 'message', epoch, offset, ts, room, from, mid, data });
}

export function gapJson(room: string, gap: Gap): string {
  return harmlessJson({ room, gap });
}

/**
 * The value of a line of JSON. Numbers that JavaScript's don't hold, as those of 64 bits, keep their digits when it is
 * made JSON again. @throws SyntaxError
 */
export function jsonValue(line: string): unknown {
  return parseWithSource(line, (_key, value, { source }) => {
    if (typeof value !== 'number' || source === undefined || String(value) === source) return value;
    return rawJson(source);
  });
}

// Node has both, and TypeScript's library for ES2024 doesn't yet.
type Reviver = (key: string, value: unknown, context: { readonly source?: string }) => unknown;
const parseWithSource = JSON.parse as (text: string, reviver: Reviver) => unknown;
const rawJson = (JSON as unknown as { rawJSON(text: string): unknown }).rawJSON;

/** JSON that means the same, and holds no character that could drive a terminal. */
function harmlessJson(value: unknown): string {
  const json = JSON.stringify(value);
  if (harmless(json) === json) return json;
  // Such characters stand in strings only, where an escape says the same.
  return Array.from(json, (character) =>
    harmless(character) === character ? character : `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  ).join('');
}
