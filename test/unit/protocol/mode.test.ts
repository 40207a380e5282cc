import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { OVERSIZE } from '../../../src/protocol/line-splitter.ts';
import { type Mode, ModeDetector } from '../../../src/tcp/mode.ts';
import { cutAt, cuts, lineBytes } from './arbitraries.ts';
import { heldPieces } from './memory.ts';

interface Detected {
  readonly mode: Mode;
  /** The lines of all that came. */
  readonly lines: readonly string[];
}

/** Feeds pieces as a server does: to the detector until it knows, then to what it hands over. */
function detect(pieces: readonly Buffer[]): Detected {
  const detector = new ModeDetector();
  let mode: Mode = 'unknown';
  for (const piece of pieces) {
    if (mode === 'unknown') mode = detector.push(piece);
    else detector.received.push(piece);
  }
  if (mode === 'foreign') return { mode, lines: [] };
  const lines: string[] = [];
  for (let line = detector.received.next(); line !== null; line = detector.received.next()) {
    if (line === OVERSIZE) break;
    lines.push(line.toString('latin1'));
  }
  return { mode, lines };
}

function naive(bytes: Buffer): Detected {
  const text = bytes.toString('latin1').replace(/^[ \t\n\v\f\r]+/, '');
  const lines = text
    .split('\n')
    .slice(0, -1)
    .map((line) => (line.endsWith('\r') ? line.slice(0, -1) : line));
  if (text.startsWith('{')) return { mode: 'json', lines };
  if (text.startsWith('\x16')) return { mode: 'foreign', lines: [] };
  const [first] = lines;
  if (first === undefined) return { mode: 'unknown', lines };
  return /^[A-Z]+ \S+ HTTP\/\d/.test(first) ? { mode: 'foreign', lines: [] } : { mode: 'text', lines };
}

describe('ModeDetector', () => {
  it('says the same wherever the stream is cut, and loses no byte', () => {
    fc.assert(
      fc.property(lineBytes, cuts, (bytes, places) => {
        expect(detect(cutAt(bytes, places))).toEqual(naive(bytes));
      }),
      { numRuns: 1_000 },
    );
  });

  it('says the same a byte at a time and at every single cut', () => {
    fc.assert(
      fc.property(lineBytes, (bytes) => {
        const expected = naive(bytes);
        expect(detect([...bytes].map((byte) => Buffer.from([byte])))).toEqual(expected);
        for (let at = 0; at <= bytes.length; at += 1) {
          expect(detect([bytes.subarray(0, at), bytes.subarray(at)])).toEqual(expected);
        }
      }),
      { numRuns: 100 },
    );
  });

  it('takes a first line that is too long for a person', () => {
    const detector = new ModeDetector();
    let mode: Mode = 'unknown';
    let bytes = 0;
    for (; mode === 'unknown'; bytes += 1_000) mode = detector.push(Buffer.alloc(1_000, 'a'));
    expect(mode).toBe('text');
    expect(bytes).toBe(66_000);
    expect(detector.received.next()).toBe(OVERSIZE);
  });

  it('holds few of the pieces of a first line that trickles in', async () => {
    const detector = new ModeDetector();
    const held = await heldPieces(10_000, (piece) => expect(detector.push(piece)).toBe('unknown'));
    expect(held).toBeLessThan(200);
  });

  it('hands over a first line that trickled in without stopping the loop', () => {
    const detector = new ModeDetector();
    for (let i = 0; i < 60_000; i += 1) detector.push(Buffer.from('a'));
    expect(detector.push(Buffer.from('\n'))).toBe('text');
    const started = performance.now();
    expect((detector.received.next() as Buffer).length).toBe(60_000);
    expect(performance.now() - started).toBeLessThan(500);
  });
});
