import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { BOUNDS } from '../../../src/protocol/bounds.ts';
import { DISCONNECTS } from '../../../src/protocol/disconnects.ts';
import { ERRORS } from '../../../src/protocol/errors.ts';
import type { Limits } from '../../../src/protocol/limits.ts';
import { OPS } from '../../../src/protocol/reader.ts';

/** What `limits` in connect's reply has and a constant of ours decides. */
const LIMITS = [
  'frameBytesMax',
  'serverFrameBytesMax',
  'dataBytesMax',
  'signalBytesMax',
  'roomsMax',
  'watchesMax',
  'historyMax',
  'publishesUnansweredMax',
] as const satisfies readonly (keyof Limits & keyof typeof BOUNDS)[];

/** The body rows of every table between a heading and the next one of its level, as cells. */
function tableRows(markdown: string, heading: string): string[][] {
  const [, section] = markdown.split(new RegExp(`^## ${heading}\\b.*$`, 'm'));
  if (section === undefined) throw new Error(`there is no heading "## ${heading}"`);
  const [body = ''] = section.split(/^## /m);
  const rows = body.split('\n').filter((line) => line.trimStart().startsWith('|'));
  return rows.filter((row, i) => !isDelimiter(row) && !isDelimiter(rows[i + 1])).map(cellsOf);
}

function cellsOf(row: string): string[] {
  const inner = row.trim().replace(/^\|/, '').replace(/\|$/, '');
  return inner.split(/(?<!\\)\|/).map((cell) => cell.trim());
}

function isDelimiter(row: string | undefined): boolean {
  return row !== undefined && /^[\s|:-]+$/.test(row);
}

/** What stands in backticks in the first cell of each row. */
function firstCodes(markdown: string, heading: string): string[] {
  const cells = tableRows(markdown, heading).map(([first = '']) => first);
  return cells.flatMap((cell) => [...cell.matchAll(/`([^`]+)`/g)].map(([, code = '']) => code));
}

/** Number and reason of each row, whichever comes first. */
function disconnects(markdown: string): string[] {
  return tableRows(markdown, 'Disconnects').map(([first = '', second = '']) => {
    const words = `${first} ${second}`.replaceAll('`', '');
    return `${/\b\d{4}\b/.exec(words)?.[0]} ${/\b[a-z]+(_[a-z]+)*\b/.exec(words)?.[0]}`;
  });
}

function bounds(markdown: string): [string, number][] {
  return tableRows(markdown, 'Bounds').map(([name = '', value = '']) => [
    name.replaceAll('`', ''),
    Number(/^[\d,]+/.exec(value)?.[0].replaceAll(',', '')),
  ]);
}

describe('docs/PROTOCOL.md', () => {
  const read = () => readFileSync(new URL('../../../docs/PROTOCOL.md', import.meta.url), 'utf8');

  it('has every error and no other', () => {
    expect(firstCodes(read(), 'Errors').sort()).toEqual(Object.keys(ERRORS).sort());
  });

  it('has every disconnect with its number and no other', () => {
    const ours = Object.entries(DISCONNECTS).map(([reason, { code }]) => `${code} ${reason}`);
    expect(disconnects(read()).sort()).toEqual(ours.sort());
  });

  it('has every op and no other', () => {
    expect(firstCodes(read(), 'Commands').sort()).toEqual([...OPS].sort());
  });

  it('has the bounds as they are, those of `limits` among them', () => {
    const documented = bounds(read());
    const names = documented.map(([name]) => name);
    expect(documented).toEqual(names.map((name) => [name, (BOUNDS as Readonly<Record<string, number>>)[name]]));
    expect(names).toEqual(expect.arrayContaining([...LIMITS]));
    expect(new Set(names).size).toBe(names.length);
  });
});

describe('the parser of the documents', () => {
  const SAMPLE = [
    '## Errors',
    '| code | meaning |',
    '| --- | :-- |',
    '| `bad_request` | not `this` |',
    '| `unauthorized` / `forbidden` | a \\| b |',
    '',
    '### Deeper',
    '| code |',
    '| --- |',
    '| `internal` |',
    '## Disconnects, in numbers',
    '| code | reason |',
    '|---|---|',
    '| `3001` | `slow_consumer` |',
    '| `drain` | 3000, at leisure |',
    '## Bounds',
    '| name | value | |',
    '| --- | ---: | --- |',
    '| `frameBytesMax` | 65,536 | bytes |',
  ].join('\n');

  it('reads rows, and nothing else', () => {
    expect(firstCodes(SAMPLE, 'Errors')).toEqual(['bad_request', 'unauthorized', 'forbidden', 'internal']);
    expect(disconnects(SAMPLE)).toEqual(['3001 slow_consumer', '3000 drain']);
    expect(bounds(SAMPLE)).toEqual([['frameBytesMax', 65_536]]);
    expect(() => tableRows(SAMPLE, 'Commands')).toThrow('Commands');
  });
});
