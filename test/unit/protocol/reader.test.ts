import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BOUNDS } from '../../../src/protocol/bounds.ts';
import { ndjsonDialect, websocketDialect } from '../../../src/protocol/json-dialect.ts';
import { hasLoneSurrogateEscape } from '../../../src/protocol/json-scan.ts';
import { readPublish } from '../../../src/protocol/publish-reader.ts';
import { OPS, type ReadResult, readLine, readStrictly, readText } from '../../../src/protocol/reader.ts';
import { writeError } from '../../../src/protocol/writer.ts';
import { jsonText } from './arbitraries.ts';

const SAMPLES = [
  '{"op":"connect","id":1,"token":"a.b.c","user":"ann","device":"d","client":"c/1","heartbeat":false}',
  '{"op":"refresh","id":1,"token":"a.b.c"}',
  '{"op":"join","id":2,"room":"lobby","since":{"epoch":"e","offset":7},"history":3,"presence":"full","visible":false}',
  '{"op":"leave","id":3,"room":"lobby"}',
  '{"op":"publish","id":4,"room":"lobby","mid":"m","data":{"text":"h\\u00e9"},"after":"l"}',
  '{"op":"signal","id":4,"room":"lobby","data":{"typing":true}}',
  '{"op":"presence","id":4,"room":"lobby","after":"ann"}',
  '{"op":"presence","id":4,"user":"ann"}',
  '{"op":"watch","id":4,"users":["ann","bob"]}',
  '{"op":"unwatch","id":4,"users":["ann"]}',
  '{"op":"status","id":4,"status":"away","text":"t\\u00e9a"}',
  '{"op":"history","id":5,"room":"lobby","after":{"epoch":"e","offset":7},"limit":3}',
  '{"op":"ping","id":6}',
  '{"op":"quit","id":7}',
  '{"op":"pong"}',
];

const mutation = fc.record({
  at: fc.nat(),
  remove: fc.nat(3),
  insert: fc.oneof(
    fc.constantFrom(
      '',
      '"',
      '\\',
      '\\u',
      '{',
      '}',
      '[',
      ']',
      ',',
      ':',
      '\r',
      '\n',
      ' ',
      '-',
      '1e9',
      '\u0000',
      '"id":1,',
    ),
    fc.string({ unit: 'binary', maxLength: 4 }),
  ),
});

const mutated = fc
  .tuple(fc.constantFrom(...SAMPLES), fc.array(mutation, { maxLength: 4 }))
  .map(([sample, mutations]) => {
    let line = Buffer.from(sample);
    for (const { at, remove, insert } of mutations) {
      const from = at % (line.length + 1);
      line = Buffer.concat([line.subarray(0, from), Buffer.from(insert), line.subarray(from + remove)]);
    }
    return line;
  });

function expectSound(result: ReadResult): void {
  if ('command' in result) {
    expect(OPS).toContain(result.command.op);
    return;
  }
  const { id, error } = result.refusal;
  expect(id === null || (Number.isSafeInteger(id) && id >= 0 && !Object.is(id, -0))).toBe(true);
  expect(error.code).toBe('bad_request');
  expect(error.message).not.toBe('');
}

describe('readLine', () => {
  it('never throws, whatever the bytes', () => {
    const bytes = fc.uint8Array({ maxLength: 64 }).map((array) => Buffer.from(array));
    fc.assert(
      fc.property(
        fc.oneof(
          bytes,
          mutated,
          fc.json().map((json) => Buffer.from(json)),
        ),
        (line) => {
          expectSound(readLine(line));
          for (const dialect of [ndjsonDialect, websocketDialect]) dialect.read(line);
        },
      ),
      { numRuns: 3_000 },
    );
  });

  it('never throws for JSON of whatever members', () => {
    const key = fc.constantFrom(
      ...['op', 'id', 'room', 'since', 'mid', 'data', '\\u0069d', '__proto__', 'limit', 'after'],
      ...['token', 'heartbeat', 'presence', 'visible', 'user', 'users', 'status', 'text'],
    );
    const op = fc.constantFrom(...OPS.map((name) => `"${name}"`));
    const value = fc.oneof(op, fc.constantFrom('"a"', '["a"]', 'true', '1'), jsonText);
    fc.assert(
      fc.property(fc.array(fc.tuple(key, value), { maxLength: 20 }), (members) => {
        expectSound(readText(`{${members.map(([k, v]) => `"${k}":${v}`).join()}}`));
      }),
      { numRuns: 1_000 },
    );
  });

  it('gives an error the id of a line that has exactly one readable one', () => {
    const key = fc.constantFrom('id', 'id', '\\u0069d', 'i\\u0064', 'ID', 'x');
    const value = fc.constantFrom('0', '1', '9007199254740991', '9007199254740992', '1.0', '-0', '"1"', 'null', '{}');
    fc.assert(
      fc.property(fc.array(fc.tuple(key, value), { maxLength: 4 }), (members) => {
        const result = readText(`{${members.map(([k, v]) => `"${k}" :${v} `).join()}}`);
        const ids = members.filter(([k]) => JSON.parse(`"${k}"`) === 'id');
        const [only] = ids;
        const isReadable = ids.length === 1 && only?.[0] === 'id' && /^\d+$/.test(only[1]);
        const expected = isReadable && Number.isSafeInteger(Number(only[1])) ? Number(only[1]) : null;
        expect('refusal' in result ? result.refusal.id : undefined).toBe(expected);
      }),
      { numRuns: 2_000 },
    );
  });

  it('hands on the data of every publish that it accepts byte for byte, without raw line breaks', () => {
    let accepted = 0;
    const space = fc.constantFrom('', ' ', '\r', '\n', '\t', ' \r\n ');
    const order = fc.shuffledSubarray([0, 1, 2, 3, 4], { minLength: 5 });
    fc.assert(
      fc.property(jsonText, space, space, order, (raw, before, behind, places) => {
        const members = ['"op":"publish"', '"id":1', '"room":"a"', '"mid":"m"', `"data":${before}${raw}${behind}`];
        const line = `{${places.map((place) => members[place]).join()}}`;
        const result = readLine(Buffer.from(line));
        if ('refusal' in result) {
          expect(hasLoneSurrogateEscape(line), result.refusal.error.message).toBe(true);
          return;
        }
        accepted += 1;
        const { data } = result.command as { data: string };
        // Strings hold no raw line breaks, so all of them stand between tokens.
        expect(data).toBe(raw.trim().replaceAll('\r', '').replaceAll('\n', ''));
        expect(JSON.parse(data)).toEqual((JSON.parse(line) as { data: unknown }).data);
      }),
      { numRuns: 2_000 },
    );
    expect(accepted).toBeGreaterThan(500);
  });

  it('hands on the data of every signal as of a publish, and of no other lengths', () => {
    const long = fc.tuple(jsonText, fc.integer({ min: 1_000, max: 1_030 })).map(([raw, length]) => {
      return `[${raw},"${'x'.repeat(Math.max(length - Buffer.byteLength(raw) - 5, 0))}"]`;
    });
    fc.assert(
      fc.property(fc.oneof(jsonText, long), (raw) => {
        const publish = readLine(Buffer.from(`{"op":"publish","id":1,"room":"a","mid":"m","data":${raw}}`));
        const signal = readLine(Buffer.from(`{"op":"signal","id":1,"room":"a","data":${raw}}`));
        if ('command' in publish && Buffer.byteLength(raw.trim()) <= BOUNDS.signalBytesMax) {
          const { data } = publish.command as { data: string };
          expect(signal).toEqual({ command: { op: 'signal', id: 1, room: 'a', data } });
        } else {
          expect(signal).toHaveProperty('refusal.id', 1);
        }
      }),
      { numRuns: 1_000 },
    );
  });

  it('bounds the text of a status by its bytes, however it is written', () => {
    const part = fc.constantFrom('a', 'é', '漢', '😀', '\\u0041', '\\u00e9', '\\ud83d\\ude00', '\\n', '\\"');
    fc.assert(
      fc.property(fc.array(part, { minLength: 30, maxLength: 160 }), (parts) => {
        const text = JSON.parse(`"${parts.join('')}"`) as string;
        const result = readText(`{"op":"status","id":1,"status":"dnd","text":"${parts.join('')}"}`);
        if (Buffer.byteLength(text) > BOUNDS.statusTextBytesMax) expect(result).toHaveProperty('refusal.id', 1);
        else expect(result).toEqual({ command: { op: 'status', id: 1, status: 'dnd', text } });
      }),
    );
  });

  it('accepts nothing that it would refuse in another order of keys', () => {
    fc.assert(
      fc.property(mutated, fc.integer({ min: 1, max: 5 }), (line, by) => {
        const result = readLine(line);
        if (!('command' in result)) return;
        const members = Object.entries(JSON.parse(line.toString()) as object);
        const turned = [...members.slice(by % members.length), ...members.slice(0, by % members.length)];
        const again = readText(JSON.stringify(Object.fromEntries(turned)));
        expect(again).toHaveProperty('command');
      }),
      { numRuns: 1_000 },
    );
  });

  it('writes no lone surrogate into an error, however long the key that it names', () => {
    for (const length of [38, 39, 40, 41]) {
      const key = `${'a'.repeat(length)}😀😀`;
      for (const members of [`"${key}":1,"${key}":1`, `"${key}":1`, `"${key}\\n":1`]) {
        for (const line of [
          `{"op":"ping","id":1,${members}}`,
          `{"op":"join","id":1,"room":"a","since":{${members}}}`,
        ]) {
          const result = readText(line);
          if (!('refusal' in result)) throw new Error(`accepted: ${line}`);
          const { id, error } = result.refusal;
          expect(hasLoneSurrogateEscape(writeError(id, error).toString()), error.message).toBe(false);
        }
      }
    }
  });
});

describe('readPublish', () => {
  const key = fc.constantFrom('op', 'id', 'room', 'mid', 'data', 'after', 'x', 'roo', 'mids', '\\u0069d', '');
  const value = fc.oneof(
    fc.constantFrom('"publish"', '"publish "', '"signal"', '1', '0', '01', '-1', '1.0', '999999999999999', '1e3', ''),
    fc.constantFrom('"a"', '"a b"', '"é"', '"a\\n"', '""', `"${'r'.repeat(64)}"`, `"${'r'.repeat(65)}"`, '"a'),
    fc.constantFrom(`"${'r'.repeat(128)}"`, `"${'r'.repeat(129)}"`, '"@user/a"', '"\u007f"', '"a\u0000"', '}', '{'),
    fc.integer({ min: 28, max: 34 }).map((depth) => '['.repeat(depth) + ']'.repeat(depth)),
    fc.integer({ min: 5_400, max: 5_500 }).map((length) => `"${'漢'.repeat(length)}"`),
    fc.integer({ min: 16_380, max: 16_390 }).map((length) => `"${'x'.repeat(length)}"`),
    jsonText,
  );
  const space = fc.constantFrom('', '', '', ' ', '\t', '\r', '\n', '\u00a0', ',');
  const member = fc
    .tuple(space, key, space, space, value, space)
    .map(([a, k, b, c, v, d]) => `${a}"${k}"${b}:${c}${v}${d}`);
  const good = fc.shuffledSubarray(
    ['"op":"publish"', '"id":7', '"room":"a/b"', '"mid":"m 1"', '"after":"m 0"', '"data":[1]'],
    { minLength: 5 },
  );
  const line = fc
    .tuple(
      space,
      good,
      fc.array(member, { maxLength: 1 }),
      fc.nat(),
      fc.constantFrom('', '', '', ' ', '\r', '}', ',', 'x'),
    )
    .map(([before, some, odd, at, behind]) => {
      const members = [...some.slice(0, at % 7), ...odd, ...some.slice(at % 7)];
      return `${before}{${members.join()}}${behind}`;
    });

  it('returns what the strict reader returns, or nothing', () => {
    let read = 0;
    fc.assert(
      fc.property(fc.oneof(line, mutated.map(String)), (text) => {
        const publish = readPublish(text);
        if (publish === null) return;
        read += 1;
        expect(readStrictly(text)).toEqual({ command: publish });
      }),
      { numRuns: 30_000 },
    );
    expect(read).toBeGreaterThan(500);
  });

  it('reads every publish whose names are written without escapes', () => {
    const order = fc.shuffledSubarray([0, 1, 2, 3, 4, 5], { minLength: 6 });
    const gap = fc.constantFrom('', ' ', '\t', '\r\n');
    fc.assert(
      fc.property(jsonText, order, gap, fc.nat(10 ** 15 - 1), (raw, places, space, id) => {
        const members = ['"op":"publish"', `"id":${id}`, '"room":"a/b"', '"mid":"m 1"', '"after":"m"', `"data":${raw}`];
        const text = `{${places.map((place) => `${space}${members[place]}${space}`).join()}}`;
        const strict = readStrictly(text);
        expect(readPublish(text)).toEqual('command' in strict ? strict.command : null);
      }),
      { numRuns: 2_000 },
    );
  });
});
