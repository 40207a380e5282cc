import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { BOUNDS } from '../../../src/protocol/bounds.ts';
import { encodeValue } from '../../../src/protocol/publication.ts';
import { readValue } from '../../../src/protocol/value-reader.ts';

describe('readValue', () => {
  test('reads what a publish is stored as', () => {
    fc.assert(
      fc.property(fc.json({ maxDepth: 5 }), fc.stringMatching(/^[\x20-\x7e]{1,64}$/), (data, mid) => {
        // What is no publish can't be stored.
        fc.pre(!/\\ud[89a-f]/i.test(data));
        expect(readValue(encodeValue('some/room', 'u@x', mid, data))).toEqual({ room: 'some/room', from: 'u@x', mid });
      }),
    );
  });

  test.each([
    ['nothing', ''],
    ['an array', '[]'],
    ['another order', '{"from":"u","room":"r","mid":"m","data":1}'],
    ['more members', '{"room":"r","from":"u","mid":"m","data":1,"extra":2}'],
    ['less members', '{"room":"r","from":"u","data":1}'],
    ['an end of its own', '{"room":"r","from":"u","mid":"m","data":1},{"x":2}'],
    ['text behind it', '{"room":"r","from":"u","mid":"m","data":1} '],
    ['white space', '{"room": "r","from":"u","mid":"m","data":1}'],
    ['white space around data', '{"room":"r","from":"u","mid":"m","data": 1}'],
    ['line breaks', '{"room":"r","from":"u","mid":"m","data":[1,\n2]}'],
    ['no data', '{"room":"r","from":"u","mid":"m","data":}'],
    ['data that is no JSON', '{"room":"r","from":"u","mid":"m","data":{a:1}}'],
    ['data with half of a pair', '{"room":"r","from":"u","mid":"m","data":"\\ud800"}'],
    ['a name with an escape', '{"room":"\\u0072","from":"u","mid":"m","data":1}'],
    ['a name that none may have', '{"room":"a b","from":"u","mid":"m","data":1}'],
    ['a mid written otherwise', '{"room":"r","from":"u","mid":"\\/","data":1}'],
    ['a mid that none may have', '{"room":"r","from":"u","mid":"\u00e9","data":1}'],
    ['too much data', `{"room":"r","from":"u","mid":"m","data":"${'x'.repeat(BOUNDS.dataBytesMax)}"}`],
    [
      'too deep data',
      `{"room":"r","from":"u","mid":"m","data":${'['.repeat(BOUNDS.depthMax)}${']'.repeat(BOUNDS.depthMax)}}`,
    ],
  ])('refuses %s', (_, text) => {
    expect(readValue(Buffer.from(text))).toBe(null);
  });

  test('refuses bytes that are no text', () => {
    const value = encodeValue('r', 'u', 'm', '"x"');
    expect(readValue(Buffer.from(value))).not.toBe(null);
    value[value.indexOf('x')] = 0xff;
    expect(readValue(value)).toBe(null);
  });
});
