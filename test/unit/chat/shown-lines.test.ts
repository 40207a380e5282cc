import { describe, expect, it } from 'vitest';
import { gapJson, jsonValue, messageJson } from '../../../src/chat/json-lines.ts';
import { counted, disconnectedWords, leftLine, quoted } from '../../../src/chat/words.ts';

const message = { room: 'tea', epoch: 'e', offset: 7, from: 'ann', mid: 'm', ts: 1, data: { text: 'hi' } as unknown };

describe('words', () => {
  it('say why a room was left', () => {
    expect(leftLine('tea', { code: 'kicked', message: 'left: kicked' })).toBe('# left [tea]: you were removed');
    expect(leftLine('tea', { code: 'forbidden', message: '' })).toBe('# left [tea]: you may no longer be there');
    expect(leftLine('tea', { code: 'limit_exceeded', message: 'limit_exceeded: rooms' })).toBe(
      '# left [tea]: limit_exceeded: rooms',
    );
  });

  it('say why the gateway sent one away', () => {
    expect(disconnectedWords(3504, 'replaced')).toBe(
      'disconnected: the same user and device connected again (3504 replaced)',
    );
    expect(disconnectedWords(null, 'no URL')).toBe('disconnected: no URL');
    expect(disconnectedWords(3999, 'of a newer gateway')).toBe('disconnected: of a newer gateway');
  });

  it('quote what is short, and the beginning of what is long', () => {
    expect(quoted('short')).toBe('"short"');
    expect(quoted('x'.repeat(60))).toBe(`"${'x'.repeat(60)}"`);
    expect(quoted('x'.repeat(61))).toBe(`"${'x'.repeat(60)}…"`);
    expect(quoted('😀'.repeat(5_000))).toBe(`"${'😀'.repeat(60)}…"`);
  });

  it('count', () => {
    expect([counted(0, 'line'), counted(1, 'line'), counted(2, 'line')]).toEqual(['0 lines', '1 line', '2 lines']);
  });
});

describe('JSON lines', () => {
  it('have a message as its push has it', () => {
    expect(messageJson(message)).toBe(
      '{"push":"message","epoch":"e","offset":7,"ts":1,"room":"tea","from":"ann","mid":"m","data":{"text":"hi"}}',
    );
    expect(gapJson('tea', { from: null, to: { epoch: 'e', offset: 3 } })).toBe(
      '{"room":"tea","gap":{"from":null,"to":{"epoch":"e","offset":3}}}',
    );
  });

  it('mean what was said, and hold nothing that could drive a terminal', () => {
    const data = { '\u009b2J': 'a\u0007b\u2028c\u202ed\u2066e\tf\u007f', fine: 'ä😀\ufffd' };
    const line = messageJson({ ...message, data });
    expect(line).not.toMatch(/[\p{Cc}\u2028\u2029\u202a-\u202e\u2066-\u2069]/u);
    expect(line).toContain('ä😀\ufffd');
    expect(JSON.parse(line)).toMatchObject({ data });
  });

  it.each([
    ['12345678901234567890'],
    ['{"a":[1.0,-0,1e400,{"b":0.10}],"c":"d"}'],
    ['"text"'],
    ['null'],
    ['{"__proto__":{"a":1}}'],
  ])('keep %s as it is', (line) => {
    expect(JSON.stringify(jsonValue(line))).toBe(line);
  });

  it('that are no JSON are refused', () => {
    for (const line of ['', '{', 'hello', '01', '{"a":1} x']) expect(() => jsonValue(line)).toThrow(SyntaxError);
  });
});
