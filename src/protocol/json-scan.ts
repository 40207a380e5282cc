/** One member of an object, as it stands in the text: the value is `text.slice(start, end)`. */
export interface Member {
  /** The key as written between its quotes, escapes and all. */
  readonly key: string;
  readonly start: number;
  readonly end: number;
}

export interface ScannedObject {
  readonly members: readonly Member[];
  /** The index behind the closing brace. */
  readonly end: number;
  /** Levels of nesting, 1 for an object of scalars. */
  readonly depth: number;
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;
const OPEN_BRACKET = 0x5b;
const CLOSE_BRACKET = 0x5d;
const COMMA = 0x2c;

/**
 * Lists the top level of an object in text that `JSON.parse` has accepted already: keys with their escapes and
 * duplicates, which a parse hides, and the span of each value, so that `data` is spliced and never re-encoded.
 * Linear, whatever the text. `at` is the index of the opening brace.
 */
export function scanObject(text: string, at: number): ScannedObject {
  const members: Member[] = [];
  let deepest = 1;
  let i = skipSpace(text, at + 1);
  while (text.charCodeAt(i) !== CLOSE_BRACE) {
    const keyEnd = skipString(text, i);
    const key = text.slice(i + 1, keyEnd - 1);
    const start = skipSpace(text, skipSpace(text, keyEnd) + 1);
    let end = start;
    let depth = 1;
    // The value ends at the comma or brace that belongs to our own object.
    for (let done = false; !done; ) {
      switch (text.charCodeAt(end)) {
        case QUOTE:
          end = skipString(text, end);
          break;
        case OPEN_BRACE:
        case OPEN_BRACKET:
          depth += 1;
          if (depth > deepest) deepest = depth;
          end += 1;
          break;
        case CLOSE_BRACE:
        case CLOSE_BRACKET:
          if (depth === 1) done = true;
          else {
            depth -= 1;
            end += 1;
          }
          break;
        case COMMA:
          if (depth === 1) done = true;
          else end += 1;
          break;
        default:
          end += 1;
      }
    }
    i = text.charCodeAt(end) === COMMA ? skipSpace(text, end + 1) : end;
    while (isSpace(text.charCodeAt(end - 1))) end -= 1;
    members.push({ key, start, end });
  }
  return { members, end: i + 1, depth: deepest };
}

/** Whether text that `JSON.parse` has accepted holds an escape of half a surrogate pair (`\ud800` alone). */
export function hasLoneSurrogateEscape(text: string): boolean {
  if (!text.includes('\\u')) return false;
  let highAwaitsLowAt = -1;
  for (let i = text.indexOf('\\'); i !== -1; i = text.indexOf('\\', i)) {
    if (highAwaitsLowAt !== -1 && i !== highAwaitsLowAt) return true;
    if (text.charCodeAt(i + 1) !== 0x75) {
      if (highAwaitsLowAt !== -1) return true;
      i += 2;
      continue;
    }
    const unit = Number.parseInt(text.slice(i + 2, i + 6), 16);
    const isHigh = unit >= 0xd800 && unit <= 0xdbff;
    const isLow = unit >= 0xdc00 && unit <= 0xdfff;
    if (isLow !== (highAwaitsLowAt !== -1)) return true;
    i += 6;
    highAwaitsLowAt = isHigh ? i : -1;
  }
  return highAwaitsLowAt !== -1;
}

/** The index behind a string's closing quote; `at` is its opening one. 0: it has none, which is no JSON. */
export function skipString(text: string, at: number): number {
  let close = text.indexOf('"', at + 1);
  while (isEscaped(text, close)) close = text.indexOf('"', close + 1);
  return close + 1;
}

function isEscaped(text: string, at: number): boolean {
  let backslashes = 0;
  while (text.charCodeAt(at - 1 - backslashes) === BACKSLASH) backslashes += 1;
  return backslashes % 2 === 1;
}

/** The index of the first character from `at` on that is no white space of JSON's. */
export function skipSpace(text: string, at: number): number {
  let i = at;
  while (isSpace(text.charCodeAt(i))) i += 1;
  return i;
}

/** Whether JSON allows it between its tokens. */
export function isSpace(code: number): boolean {
  return code === 0x20 || code === 0x09 || code === 0x0a || code === 0x0d;
}
