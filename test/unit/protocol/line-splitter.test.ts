import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BOUNDS } from '../../../src/protocol/bounds.ts';
import { LineSplitter, OVERSIZE } from '../../../src/protocol/line-splitter.ts';
import { cutAt, cuts, lineBytes } from './arbitraries.ts';
import { heldPieces } from './memory.ts';

const MAX = 8;

/** Lines found by the definition: cut at line feeds, drop one carriage return, stop at the first one too long. */
function naiveLines(bytes: Buffer, max: number): (string | typeof OVERSIZE)[] {
  const lines: (string | typeof OVERSIZE)[] = [];
  const parts = bytes.toString('latin1').split('\n');
  const rest = parts.pop() ?? '';
  for (const part of parts) {
    const line = part.endsWith('\r') ? part.slice(0, -1) : part;
    if (line.length > max) return [...lines, OVERSIZE];
    lines.push(line);
  }
  return rest.length > max + 1 ? [...lines, OVERSIZE] : lines;
}

function drain(splitter: LineSplitter): (string | typeof OVERSIZE)[] {
  const lines: (string | typeof OVERSIZE)[] = [];
  for (let line = splitter.next(); line !== null; line = splitter.next()) {
    lines.push(line === OVERSIZE ? OVERSIZE : line.toString('latin1'));
    if (line === OVERSIZE) break;
  }
  return lines;
}

/** Reads after every piece, or only at the end. */
function split(pieces: readonly Buffer[], max: number, readAlways: boolean): (string | typeof OVERSIZE)[] {
  const splitter = new LineSplitter(max);
  const lines: (string | typeof OVERSIZE)[] = [];
  for (const piece of pieces) {
    splitter.push(piece);
    if (readAlways) lines.push(...drain(splitter));
    if (lines.at(-1) === OVERSIZE) return lines;
  }
  lines.push(...drain(splitter));
  return lines;
}

describe('LineSplitter', () => {
  it('finds the same lines wherever the stream is cut', () => {
    fc.assert(
      fc.property(lineBytes, cuts, fc.boolean(), (bytes, places, readAlways) => {
        expect(split(cutAt(bytes, places), MAX, readAlways)).toEqual(naiveLines(bytes, MAX));
      }),
      { numRuns: 1_000 },
    );
  });

  it('finds the same lines at every single cut and a byte at a time', () => {
    fc.assert(
      fc.property(lineBytes, (bytes) => {
        const expected = naiveLines(bytes, MAX);
        for (let at = 0; at <= bytes.length; at += 1) {
          expect(split([bytes.subarray(0, at), bytes.subarray(at)], MAX, true)).toEqual(expected);
        }
        expect(
          split(
            [...bytes].map((byte) => Buffer.from([byte])),
            MAX,
            true,
          ),
        ).toEqual(expected);
      }),
      { numRuns: 100 },
    );
  });

  it.each([
    ['just fits', 'a'.repeat(BOUNDS.frameBytesMax), BOUNDS.frameBytesMax],
    ['just fits, with CRLF', `${'a'.repeat(BOUNDS.frameBytesMax)}\r`, BOUNDS.frameBytesMax],
    ['is a byte too long', 'a'.repeat(BOUNDS.frameBytesMax + 1), OVERSIZE],
    ['is a byte too long, with CRLF', `${'a'.repeat(BOUNDS.frameBytesMax + 1)}\r`, OVERSIZE],
  ])('by default a line that %s, a byte at a time and in 1,000-byte pieces', (_name, text, outcome) => {
    const bytes = Buffer.from(`${text}\n`);
    for (const size of [1, 1_000, bytes.length]) {
      const pieces: Buffer[] = [];
      for (let at = 0; at < bytes.length; at += size) pieces.push(bytes.subarray(at, at + size));
      const lines = split(pieces, BOUNDS.frameBytesMax, true);
      expect(lines).toHaveLength(1);
      if (outcome === OVERSIZE) expect(lines[0]).toBe(OVERSIZE);
      else expect((lines[0] as string).length).toBe(outcome);
    }
  });

  it('stays broken behind a line too long', () => {
    const splitter = new LineSplitter(3);
    splitter.push(Buffer.from('ok\ntoo long\nfine\n'));
    expect(splitter.next()?.toString()).toBe('ok');
    expect(splitter.next()).toBe(OVERSIZE);
    splitter.push(Buffer.from('fine\n'));
    expect(splitter.next()).toBe(OVERSIZE);
  });

  it('does not split before it is asked', () => {
    const splitter = new LineSplitter(3);
    splitter.push(Buffer.from('too long'));
    splitter.push(Buffer.from('\n'));
    expect(splitter.next()).toBe(OVERSIZE);
  });

  it('holds few of the pieces of a line that trickles in', async () => {
    const splitter = new LineSplitter();
    const held = await heldPieces(10_000, (piece) => {
      splitter.push(piece);
      expect(splitter.next()).toBe(null);
    });
    expect(held).toBeLessThan(100);
    splitter.push(Buffer.from('\n'));
    expect((splitter.next() as Buffer).length).toBe(10_000);
  });
});
