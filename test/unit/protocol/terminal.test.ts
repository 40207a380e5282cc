import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CommandError } from '../../../src/protocol/errors.ts';
import { harmless } from '../../../src/protocol/terminal.ts';
import { TextDialect } from '../../../src/protocol/text-dialect.ts';

const HARMFUL = [
  [0x00, 0x1f],
  [0x7f, 0x9f],
  [0x2028, 0x2029],
  [0x200e, 0x200f],
  [0x202a, 0x202e],
  [0x2066, 0x2069],
  [0x061c, 0x061c],
  [0xd800, 0xdfff],
] as const;

/** By code point, and not by the expression that the code uses. */
function drives(character: string): boolean {
  const code = character.codePointAt(0) ?? 0;
  return HARMFUL.some(([from, to]) => code >= from && code <= to);
}

const hostile = fc.string({
  unit: fc.oneof(
    fc.string({ unit: 'binary', minLength: 1, maxLength: 1 }),
    fc.integer({ min: 0, max: 0x2070 }).map((code) => String.fromCharCode(code)),
    fc.constantFrom('\u001b[', '\u009b', '\n', '\r', '\u202e', '\u2066', '\ud800', '\udc00', '\t', 'a'),
  ),
});

describe('harmless', () => {
  it('leaves nothing that could drive a terminal', () => {
    fc.assert(
      fc.property(hostile, (text) => {
        expect([...harmless(text)].filter(drives)).toEqual([]);
      }),
      { numRuns: 2_000 },
    );
  });

  it('changes what is harmful and nothing else, one for one', () => {
    const wrong: string[] = [];
    for (let code = 0; code <= 0x10ffff; code += 1) {
      if (code >= 0x3000 && code < 0xd000) continue;
      const character = String.fromCodePoint(code);
      const expected = character === '\t' ? ' ' : drives(character) ? '\ufffd' : character;
      if (harmless(character) !== expected) wrong.push(`U+${code.toString(16)}`);
    }
    expect(wrong).toEqual([]);
  });
});

describe('text mode', () => {
  it('shows one line each, without anything harmful, whatever others wrote', () => {
    fc.assert(
      fc.property(hostile, fc.boolean(), (text, isText) => {
        const dialect = new TextDialect();
        const data = JSON.stringify(isText ? { text } : { kind: text, [text]: [text] });
        const value = Buffer.from(`{"room":"a","from":"b","mid":"m","data":${data}}`);
        const lines = [
          dialect.framing.message({ room: 'a', partition: 0, epoch: 'e', offset: 1, ts: 1, value }),
          ...dialect.error(null, new CommandError('bad_request', text)),
        ];
        // Typed lines are echoed in refusals.
        for (const input of dialect.read(Buffer.from(`/${text}`))) {
          if ('refusal' in input) lines.push(...dialect.error(0, input.refusal.error));
        }
        expect(lines.length).toBeGreaterThan(1);
        expect(lines.map(String).filter((line) => [...line].some(drives))).toEqual([]);
      }),
      { numRuns: 500 },
    );
  });

  it('reads any line without throwing', () => {
    const start = fc.constantFrom('', '/', '/join ', '/msg ', '/msg a ', '/history ', '/connect ', '/leave ', '/quit ');
    fc.assert(
      fc.property(fc.array(fc.tuple(start, hostile)), (lines) => {
        const dialect = new TextDialect();
        for (const [command, rest] of lines) {
          for (const input of dialect.read(Buffer.from(command + rest))) {
            if ('command' in input && input.command.op === 'publish') JSON.parse(input.command.data);
          }
        }
      }),
      { numRuns: 500 },
    );
  });
});
