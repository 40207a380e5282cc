import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BOUNDS } from '../../../src/protocol/bounds.ts';
import { readLine } from '../../../src/protocol/reader.ts';
import { writeSignal as writePush } from '../../../src/protocol/writer.ts';
import {
  readAnswer,
  readRemoval,
  readSignal,
  writeAnswer,
  writeRemoval,
  writeSignal,
} from '../../../src/redis/peer-messages.ts';

const BY = 'abcdefgh-_012345';
const signal = (data: string, from = 'ann', by = BY) => `{"v":1,"by":"${by}","from":"${from}","data":${data}}`;
const deep = (levels: number) => '['.repeat(levels) + ']'.repeat(levels);

describe('a signal', () => {
  it.each(['null', '{"a":[1,2.50,"}"]}', '"\\ud83d\\ude00 \u2028"', '1e400', deep(BOUNDS.depthMax - 1)])(
    'with data %s is read as it was written',
    (data) => {
      const said = { by: BY, from: 'ann@home', data };
      expect(readSignal(writeSignal(said))).toEqual(said);
    },
  );

  it.each([
    ['nothing', ''],
    ['another language', 'typing'],
    ['another version', signal('1').replace('"v":1', '"v":2')],
    ['nobody', signal('1', '')],
    ['a name that is none', signal('1', 'ann smith')],
    ['a long name', signal('1', 'a'.repeat(BOUNDS.userBytesMax + 1))],
    ['no replica', signal('1', 'ann', 'short')],
    ['no data', signal('')],
    ['half of the data', signal('{"a":1')],
    ['more than the data', signal('1,"room":"other"')],
    ['two lines', signal('[1,\n2]')],
    ['a carriage return', signal('[1,\r2]')],
    ['space around', signal(' 1')],
    ['space behind', signal('1 ')],
    ['something behind', `${signal('1')} `],
    ['a lone surrogate', signal('"\\ud800"')],
    ['a control character', signal('"\u0001"')],
    ['deep nesting', signal(deep(BOUNDS.depthMax))],
    ['much data', signal(`"${'é'.repeat(BOUNDS.signalBytesMax / 2)}"`)],
    ['far too much of it', signal(`"${'x'.repeat(1_000_000)}"`)],
  ])('that is %s is not read', (_, text) => {
    expect(readSignal(text)).toBeNull();
  });

  it('is read where a client may say it, and as it says it, whatever it holds', () => {
    const piece = fc.oneof(
      fc.constantFrom(
        '{',
        '}',
        '[',
        ']',
        ',',
        ':',
        '"',
        '\\',
        '\n',
        '\r',
        ' ',
        '1',
        '-',
        'null',
        '"a"',
        '\\ud800',
        '\0',
      ),
      fc.json({ maxDepth: 3 }),
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 6 }), (pieces) => {
        const data = pieces.join('');
        const read = readSignal(signal(data));
        const asked = readLine(Buffer.from(`{"op":"signal","id":1,"room":"r","data":${data}}`));
        if (read === null) {
          // Clients may leave space and break lines, and this is taken out before it is said to others.
          const isPlain = data === data.trim() && !/[\r\n]/.test(data);
          if (isPlain) expect(asked).toHaveProperty('refusal');
          return;
        }
        expect(asked).toEqual({ command: { op: 'signal', id: 1, room: 'r', data: read.data } });
        const push = writePush('r', read.from, read.data).toString();
        expect(push).not.toMatch(/[\r\n]/);
        expect(JSON.parse(push)).toEqual({ push: 'signal', room: 'r', from: 'ann', data: JSON.parse(data) });
      }),
      { numRuns: 3_000 },
    );
  });
});

describe('a removal', () => {
  it.each([
    { op: 'kick', user: 'ann', room: 'tea' },
    { op: 'forget', user: 'ann', device: 'phone' },
    { op: 'forget', user: 'ann', device: 'phone', room: 'tea' },
    { op: 'disconnect', user: 'ann', reason: 'kicked' },
    { op: 'disconnect', user: 'ann', reason: 'drain', words: 'moved "on"' },
  ] as const)('%o is read as it was written', (removal) => {
    const said = { by: BY, question: 7, removal };
    expect(readRemoval(writeRemoval(said))).toEqual(said);
  });

  const kick = { v: 1, by: BY, question: 1, op: 'kick', user: 'ann', room: 'tea' };
  const disconnect = { v: 1, by: BY, question: 1, op: 'disconnect', user: 'ann', reason: 'kicked' };
  it.each([
    ['another version', { ...kick, v: 2 }],
    ['by nobody', { ...kick, by: 'me' }],
    ['no question', { ...kick, question: -1 }],
    ['from no room', { ...kick, room: undefined }],
    ['of no user', { ...disconnect, user: '' }],
    ['for no reason of ours', { ...disconnect, reason: 'toString' }],
    ['with words that are none', { ...disconnect, words: 'a\nb' }],
    ['with many words', { ...disconnect, words: 'x'.repeat(BOUNDS.disconnectReasonBytesMax + 1) }],
    ['with more than we know', { ...kick, soon: true }],
    ['of no device', { ...kick, op: 'forget', room: undefined }],
    ['another thing', { ...kick, op: 'toString' }],
  ])('that is %s is not read', (_, said) => {
    expect(readRemoval(JSON.stringify(said))).toBeNull();
  });

  it.each(['', 'x', '[]', '{"op":"kick","op":"kick"}', `{"v":1${' '.repeat(3_000)}}`])('is not %s', (text) => {
    expect(readRemoval(text)).toBeNull();
  });
});

describe('an answer', () => {
  it('is read as it was written', () => {
    expect(readAnswer(writeAnswer({ by: BY, question: 3, sessions: 2 }))).toMatchObject({ question: 3, sessions: 2 });
  });

  it.each([{ sessions: -1 }, { sessions: 1.5 }, { question: '3' }, { v: 2 }, { more: 1 }])(
    'with %o is not read',
    (more) => {
      expect(readAnswer(JSON.stringify({ v: 1, by: BY, question: 3, sessions: 2, ...more }))).toBeNull();
    },
  );
});
