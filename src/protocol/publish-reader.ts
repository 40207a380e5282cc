import { BOUNDS } from './bounds.ts';
import type { PublishCommand } from './commands.ts';
import { hasLoneSurrogateEscape, isSpace, skipSpace, skipString } from './json-scan.ts';

const QUOTE = 0x22;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;
const OPEN_BRACKET = 0x5b;
const CLOSE_BRACKET = 0x5d;
const COLON = 0x3a;
const COMMA = 0x2c;
const ZERO = 0x30;
/** So many digits are always an exact integer. */
const DIGITS_MAX = 15;

/** As `isRoom` and `isMid` have it, between quotes and without escapes. */
const ROOM = new RegExp(`"[A-Za-z0-9_.:@/-]{1,${BOUNDS.roomBytesMax}}"`, 'y');
const MID = new RegExp(`"[ !#-[\\]-~]{1,${BOUNDS.midBytesMax}}"`, 'y');

/**
 * Reads a publish that is written as programs write them: the hot path, in one pass over the line's top level, with
 * `JSON.parse` for the grammar of `data` alone. Whatever it returns is what the strict reader returns. null: this is
 * no publish, or a bad one, or one with an escape where none is needed; the strict reader knows what to say.
 */
export function readPublish(text: string): PublishCommand | null {
  if (!text.startsWith('{')) return null;
  const last = text.length - 1;
  let isPublish = false;
  let id = -1;
  let room = '';
  let mid = '';
  let after = '';
  let data = '';
  let i = 0;
  // Behind a comma, or the brace that opens the object; only the last one closes it.
  do {
    const key = skipSpace(text, i + 1) + 1;
    const keyEnd = text.indexOf('"', key);
    if (keyEnd === -1) return null;
    const colon = skipSpace(text, keyEnd + 1);
    if (text.charCodeAt(key - 1) !== QUOTE || text.charCodeAt(colon) !== COLON) return null;
    const start = skipSpace(text, colon + 1);
    let end = -1;
    switch (text.charCodeAt(key)) {
      case 0x6f: // o
        isPublish = !isPublish && text.startsWith('op"', key) && text.startsWith('"publish"', start);
        if (isPublish) end = start + 9;
        break;
      case 0x69: // i
        if (id !== -1 || !text.startsWith('id"', key)) return null;
        end = endOfInteger(text, start);
        id = Number(text.slice(start, end));
        break;
      case 0x72: // r
        if (room !== '' || !text.startsWith('room"', key)) return null;
        end = endOfString(text, start, ROOM);
        room = text.slice(start + 1, end - 1);
        break;
      case 0x6d: // m
        if (mid !== '' || !text.startsWith('mid"', key)) return null;
        end = endOfString(text, start, MID);
        mid = text.slice(start + 1, end - 1);
        break;
      case 0x61: // a
        if (after !== '' || !text.startsWith('after"', key)) return null;
        end = endOfString(text, start, MID);
        after = text.slice(start + 1, end - 1);
        break;
      case 0x64: // d
        if (data !== '' || !text.startsWith('data"', key)) return null;
        end = endOfValue(text, start);
        data = text.slice(start, end);
        break;
    }
    if (end === -1) return null;
    i = skipSpace(text, end);
  } while (text.charCodeAt(i) === COMMA);
  if (text.charCodeAt(i) !== CLOSE_BRACE || (i < last && skipSpace(text, i + 1) <= last)) return null;
  if (!isPublish || id === -1 || room === '' || mid === '' || !isData(data)) return null;
  if (data.includes('\r') || data.includes('\n')) data = data.replaceAll(/[\r\n]/g, '');
  return after === '' ? { op: 'publish', id, room, mid, data } : { op: 'publish', id, room, mid, data, after };
}

/** Whether a span of text is what the `data` of a publish may be, or of what else may have so many bytes. */
export function isData(raw: string, bytesMax: number = BOUNDS.dataBytesMax): boolean {
  // A character of UTF-16 is three bytes at most.
  if (raw.length > bytesMax / 3 && Buffer.byteLength(raw) > bytesMax) return false;
  try {
    JSON.parse(raw);
  } catch {
    return false;
  }
  return !hasLoneSurrogateEscape(raw);
}

/** The index behind a string of this form, or -1. */
function endOfString(text: string, start: number, form: RegExp): number {
  form.lastIndex = start;
  return form.test(text) ? form.lastIndex : -1;
}

function endOfInteger(text: string, start: number): number {
  let i = start;
  for (let digit = text.charCodeAt(i) - ZERO; digit >= 0 && digit <= 9; digit = text.charCodeAt(i) - ZERO) i += 1;
  const digits = i - start;
  const hasLeadingZero = digits > 1 && text.charCodeAt(start) === ZERO;
  return digits > 0 && digits <= DIGITS_MAX && !hasLeadingZero ? i : -1;
}

/**
 * The index behind a value of an object's, if it is one: that is for `JSON.parse` to say. -1: it is empty, has no end,
 * or is nested too deep.
 */
export function endOfValue(text: string, start: number): number {
  // The command's own object is the first level.
  let depth = 1;
  let i = start;
  while (i < text.length) {
    switch (text.charCodeAt(i)) {
      case QUOTE:
        i = skipString(text, i);
        if (i === 0) return -1;
        break;
      case OPEN_BRACE:
      case OPEN_BRACKET:
        depth += 1;
        if (depth > BOUNDS.depthMax) return -1;
        i += 1;
        break;
      case CLOSE_BRACE:
      case CLOSE_BRACKET:
        if (depth === 1) return trimmedEnd(text, start, i);
        depth -= 1;
        i += 1;
        break;
      case COMMA:
        if (depth === 1) return trimmedEnd(text, start, i);
        i += 1;
        break;
      default:
        i += 1;
    }
  }
  return -1;
}

/** Without the white space before `at`; -1: there was nothing else. */
function trimmedEnd(text: string, start: number, at: number): number {
  if (at === start) return -1;
  let end = at;
  while (isSpace(text.charCodeAt(end - 1))) end -= 1;
  return end;
}
