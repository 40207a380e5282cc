import { parseTraceParent } from '@opentelemetry/core';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readTraceparent, TRACEPARENT_BYTES, writeTraceparent } from '../../../src/protocol/traceparent.ts';

const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736';
const SPAN = '00f067aa0ba902b7';

describe('a traceparent', () => {
  it('is read as it was written, and as long as it is said to be', () => {
    for (const isSampled of [true, false]) {
      const context = { traceId: TRACE, spanId: SPAN, isSampled };
      const written = writeTraceparent(context);
      expect(written).toHaveLength(TRACEPARENT_BYTES);
      expect(readTraceparent(written)).toEqual(context);
    }
  });

  it.each([
    [`00-${TRACE}-${SPAN}-03`, true],
    [`00-${TRACE}-${SPAN}-02`, false],
    [`cc-${TRACE}-${SPAN}-01-what-will-be`, true],
  ])('%s is one', (text, isSampled) => {
    expect(readTraceparent(text)).toEqual({ traceId: TRACE, spanId: SPAN, isSampled });
  });

  it.each([
    '',
    `00-${TRACE}-${SPAN}`,
    `00-${TRACE}-${SPAN}-1`,
    `00-${TRACE}-${SPAN}-01-more`,
    `00-${TRACE}-${SPAN}-01\n`,
    `ff-${TRACE}-${SPAN}-01`,
    `00-${TRACE.toUpperCase()}-${SPAN}-01`,
    `00-${'0'.repeat(32)}-${SPAN}-01`,
    `00-${TRACE}-${'0'.repeat(16)}-01`,
    `00-${TRACE}-${SPAN}-01, 00-${TRACE}-${SPAN}-01`,
  ])('%j is none', (text) => {
    expect(readTraceparent(text)).toBeNull();
  });

  it("is for us what it is for OpenTelemetry's library, which forgives spaces", () => {
    const digits = (length: number) => fc.stringMatching(new RegExp(`^[0-9a-f]{${length}}$`));
    const parts = fc.tuple(digits(2), digits(32), digits(16), digits(2)).map((all) => all.join('-'));
    const spoiled = fc.tuple(parts, fc.nat(60), fc.string()).map(([text, at, more]) => {
      return text.slice(0, at) + more + text.slice(at + more.length);
    });
    fc.assert(
      fc.property(fc.oneof(parts, spoiled), (text) => {
        fc.pre(text === text.trim());
        const known = parseTraceParent(text);
        const read = readTraceparent(text);
        expect(read && { traceId: read.traceId, spanId: read.spanId }).toEqual(
          known && { traceId: known.traceId, spanId: known.spanId },
        );
        if (read !== null) expect(read.isSampled).toBe(((known?.traceFlags ?? 0) & 1) === 1);
      }),
      { numRuns: 2_000 },
    );
  });
});
