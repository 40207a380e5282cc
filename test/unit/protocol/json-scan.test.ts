import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { hasLoneSurrogateEscape, scanObject } from '../../../src/protocol/json-scan.ts';
import { jsonObjectText, jsonText } from './arbitraries.ts';

/** Levels of nesting of a parsed value; duplicate keys must not occur, since a parse hides them. */
function depthOf(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 0;
  return 1 + Math.max(0, ...Object.values(value).map(depthOf));
}

/** By brackets alone, outside of strings. */
function depthOfText(text: string): number {
  let depth = 0;
  let deepest = 0;
  for (const [token] of text.matchAll(/"(?:[^"\\]|\\.)*"|[[\]{}]/gs)) {
    if (token === '{' || token === '[') depth += 1;
    else if (token === '}' || token === ']') depth -= 1;
    deepest = Math.max(deepest, depth);
  }
  return deepest;
}

describe('scanObject', () => {
  it('finds the members that JSON.parse finds, and spans that parse to their values', () => {
    fc.assert(
      fc.property(jsonObjectText, fc.constantFrom('', ' ', '\n\t'), (object, before) => {
        const text = `${before}${object}${before}x`;
        const { members, end, depth } = scanObject(text, before.length);
        expect(text.slice(before.length, end)).toBe(object.trimEnd());
        expect(depth).toBe(depthOfText(object));
        // Of members with one key the last one counts, as in JSON.parse.
        const rebuilt = new Map<string, unknown>();
        for (const { key, start, end: valueEnd } of members) {
          const raw = text.slice(start, valueEnd);
          expect(raw).toBe(raw.trim());
          rebuilt.set(JSON.parse(`"${key}"`) as string, JSON.parse(raw));
        }
        expect(rebuilt).toEqual(new Map(Object.entries(JSON.parse(object) as object)));
        const rewritten = members.map(({ key, start, end: valueEnd }) => `"${key}":${text.slice(start, valueEnd)}`);
        expect(JSON.parse(`{${rewritten.join()}}`)).toEqual(JSON.parse(object));
      }),
      { numRuns: 1_000 },
    );
  });

  it('counts depth as a recursive count of the parsed value does', () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.jsonValue({ maxDepth: 8 })), fc.constantFrom(0, 1), (value, indent) => {
        const parsed = JSON.parse(JSON.stringify(value)) as object;
        expect(scanObject(JSON.stringify(value, null, indent), 0).depth).toBe(depthOf(parsed));
      }),
      { numRuns: 500 },
    );
  });

  it('shows duplicates and escapes as written', () => {
    const { members } = scanObject(String.raw`{"a":1,"a":2,"\u0061":3,"a\"}":4}`, 0);
    expect(members.map(({ key }) => key)).toEqual(['a', 'a', String.raw`\u0061`, String.raw`a\"}`]);
  });

  it.each([
    ['backslashes', `{"a":"${'\\\\'.repeat(300_000)}"}`],
    ['quotes', `{"a":"${'\\"'.repeat(300_000)}"}`],
    ['backslashes and quotes', `{"a":"${'\\\\\\"'.repeat(150_000)}"}`],
    ['brackets', `{"a":${'['.repeat(300_000)}${']'.repeat(300_000)}}`],
    ['members', `{${Array.from({ length: 60_000 }, () => '"a":1').join()}}`],
    ['white space', `{"a" :${' '.repeat(600_000)}1${' '.repeat(1_000)}}`],
  ])('is linear: 600 KB of %s', (_name, text) => {
    const started = performance.now();
    scanObject(text, 0);
    expect(performance.now() - started).toBeLessThan(1_000);
  });
});

describe('hasLoneSurrogateEscape', () => {
  /** Whether the value or any key in it is not well-formed; needs text without raw halves. */
  function isMalformed(value: unknown): boolean {
    if (typeof value === 'string') return !value.isWellFormed();
    if (typeof value !== 'object' || value === null) return false;
    return Object.entries(value).some(([key, inner]) => !key.isWellFormed() || isMalformed(inner));
  }

  /** By every string of the text, so that duplicate keys count. */
  function naive(text: string): boolean {
    return [...text.matchAll(/"(?:[^"\\]|\\.)*"/gs)].some(([string]) => isMalformed(JSON.parse(string)));
  }

  it('agrees with parsing every string of the text', () => {
    let lone = 0;
    let sound = 0;
    fc.assert(
      fc.property(jsonText, (text) => {
        const expected = naive(text);
        if (expected) lone += 1;
        else if (text.includes('\\u')) sound += 1;
        expect(hasLoneSurrogateEscape(text)).toBe(expected);
        if (isMalformed(JSON.parse(text))) expect(expected).toBe(true);
      }),
      { numRuns: 3_000 },
    );
    expect(Math.min(lone, sound)).toBeGreaterThan(100);
  });

  it('agrees for strings of backslashes, u and digits', () => {
    const parts = fc.constantFrom('\\\\', '\\ud800', '\\udc00', 'u', 'd800', '\\u0041', '\\n', '😀', '\\"');
    fc.assert(
      fc.property(fc.array(parts, { maxLength: 8 }), (array) => {
        const text = `"${array.join('')}"`;
        expect(hasLoneSurrogateEscape(text)).toBe(isMalformed(JSON.parse(text)));
      }),
      { numRuns: 3_000 },
    );
  });
});
