import fc from 'fast-check';

/** The bytes cut into pieces at the given places, some of them empty. */
export function cutAt(bytes: Buffer, places: readonly number[]): Buffer[] {
  const sorted = places.map((place) => place % (bytes.length + 1)).sort((a, b) => a - b);
  const pieces: Buffer[] = [];
  let from = 0;
  for (const place of [...sorted, bytes.length]) {
    pieces.push(bytes.subarray(from, place));
    from = place;
  }
  return pieces;
}

/** Where to cut bytes into up to 20 pieces. */
export const cuts = fc.array(fc.nat(), { maxLength: 19 });

/** Bytes in which line breaks, braces and letters are frequent. */
export const lineBytes = fc
  .array(
    fc.oneof(
      fc
        .constantFrom('\n', '\r', '\r\n', '{', ' ', 'GET / HTTP/1.1', 'a', '\x16', '\ufeff', '/join a')
        .map((s) => Buffer.from(s)),
      fc.uint8Array({ maxLength: 8 }).map((bytes) => Buffer.from(bytes)),
    ),
    { maxLength: 30 },
  )
  .map((parts) => Buffer.concat(parts));

/** White space that JSON allows between its tokens. */
const space = fc.constantFrom('', '', '', ' ', '\t', '\r', '\n', ' \r ', '  ');

/** Strings as JSON text: raw Unicode and every kind of escape, lone surrogates among them. */
export const jsonString = fc
  .array(
    fc.oneof(
      fc.constantFrom('a', 'é', '😀', ' ', ',', ':', '{', '}', '[', ']', 'id', 'op', 'u', 'ud800'),
      fc.constantFrom('\\"', '\\\\', '\\/', '\\b', '\\n', '\\u0041', '\\u000a', '\\u2028'),
      fc.constantFrom('\\ud83d\\ude00', '\\ud83d', '\\ude00', '\\uDBFF', '\\uDFFF', '\\ud7ff', '\\ue000'),
    ),
    { maxLength: 6 },
  )
  .map((parts) => `"${parts.join('')}"`);

const jsonScalar = fc.oneof(
  jsonString,
  fc.constantFrom('null', 'true', 'false', '0', '-0', '1.0', '1e400', '-1E+5', '12345678901234567890123'),
);

const spaced = (tokens: fc.Arbitrary<string[]>) =>
  fc.tuple(tokens, fc.infiniteStream(space)).map(([parts, spaces]) => {
    let text = '';
    for (const part of parts) text += `${part}${spaces.next().value ?? ''}`;
    return text;
  });

const { value: jsonValue, object: jsonObject } = fc.letrec<{ value: string; array: string; object: string }>((tie) => ({
  value: fc.oneof({ maxDepth: 5, depthIdentifier: 'json' }, jsonScalar, tie('array'), tie('object')),
  array: spaced(
    fc
      .array(tie('value'), { maxLength: 4, depthIdentifier: 'json' })
      .map((values) => ['[', ...values.flatMap((value, i) => (i === 0 ? [value] : [',', value])), ']']),
  ),
  object: spaced(
    fc
      .array(fc.tuple(jsonString, tie('value')), { maxLength: 4, depthIdentifier: 'json' })
      .map((members) => [
        '{',
        ...members.flatMap(([key, value], i) => [...(i === 0 ? [] : [',']), key, ':', value]),
        '}',
      ]),
  ),
}));

/** JSON text of any value, with white space and raw text that `JSON.stringify` never writes. */
export const jsonText = jsonValue;
export const jsonObjectText = jsonObject;
