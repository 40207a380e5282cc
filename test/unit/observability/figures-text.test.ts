import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { lagging, readFigures, writeFigures } from '../../../src/observability/figures-text.ts';
import { BOUNDS } from '../../../src/protocol/bounds.ts';
import { someFigures } from './some-figures.ts';

const WHOLE = writeFigures(someFigures());

/** The figures with something in another one's place. */
function changed(change: (said: Record<string, unknown>) => unknown): string {
  const said = JSON.parse(WHOLE) as Record<string, unknown>;
  change(said);
  return JSON.stringify(said);
}

describe('figures', () => {
  it('are read as they were written', () => {
    expect(readFigures(WHOLE)).toEqual(someFigures());
  });

  it('are read though another version leaves out some and adds others, of which nothing is kept', () => {
    const said = changed((figures) => {
      figures.numbers = { sessions: 3, ofTomorrow: 1 };
      figures.labelled = { errors: { of_tomorrow: 2 }, ofTomorrow: {} };
      figures.buckets = { ofTomorrow: [1] };
      figures.more = 'of tomorrow';
      figures.rooms = [{ room: 'tea', members: 1, perSecond: 2, more: 3 }];
    });
    expect(readFigures(said)).toEqual(
      someFigures({
        numbers: { sessions: 3 },
        labelled: { errors: { of_tomorrow: 2 } },
        buckets: {},
        rooms: [{ room: 'tea', members: 1, perSecond: 2 }],
      }),
    );
  });

  it.each<[string, string]>([
    ['nothing', ''],
    ['no JSON', WHOLE.slice(1)],
    ['no object', '[1]'],
    ['of another version', changed((said) => (said.v = 2))],
    ['of nobody', changed((said) => (said.id = 'short'))],
    ['of a node without a name', changed((said) => (said.node = ''))],
    ['of a node with a long name', changed((said) => (said.node = 'n'.repeat(256)))],
    ['without a time', changed((said) => (said.upMs = undefined))],
    ['of a negative time', changed((said) => (said.upMs = -1))],
    ['with a number that is text', changed((said) => (said.numbers = { sessions: '1' }))],
    ['with a number that is none', WHOLE.replace('"sessions":1', '"sessions":1e999')],
    ['with a label that is no word', changed((said) => (said.labelled = { errors: { '<b>': 1 } }))],
    ['with more labels than there are', changed((said) => (said.labelled = { errors: letters(65) }))],
    ['with other buckets', changed((said) => (said.buckets = { publishAppend: [1, 2] }))],
    ['with a partition that is none', changed((said) => (said.lag = { first: 1 }))],
    ['with more partitions than are told', changed((said) => (said.lag = numbers(65)))],
    ['with a room that is none', changed((said) => (said.rooms = [{ room: 'a b', members: 1, perSecond: 1 }]))],
    ['with more rooms than are told', changed((said) => (said.rooms = new Array(25).fill(someFigures().rooms[0])))],
    ['without a process', changed((said) => (said.process = null))],
    ['too long', changed((said) => (said.more = 'x'.repeat(16_384)))],
  ])('that are %s are not read', (_, text) => {
    expect(readFigures(text)).toBeNull();
  });

  it('of whatever is said throw nothing', () => {
    fc.assert(
      fc.property(fc.jsonValue(), fc.constantFrom(...Object.keys(JSON.parse(WHOLE))), (value, key) => {
        const read = readFigures(changed((said) => (said[key] = value)));
        if (read !== null) expect(readFigures(writeFigures(read))).toEqual(read);
      }),
    );
  });

  it('fit into a message, however much there is to tell', () => {
    const rooms = Array.from({ length: 24 }, (_, i) => {
      return { room: `${i}`.padEnd(BOUNDS.roomBytesMax, 'x'), members: 100_000, perSecond: 100_000.5 };
    });
    const lags = Array.from({ length: 4_096 }, (_, i) => ({ partition: `${i}`, records: Number.MAX_SAFE_INTEGER - i }));
    const most = someFigures({ node: 'é'.repeat(255), rooms, lag: lagging(lags) }, Number.MAX_SAFE_INTEGER);
    expect(readFigures(writeFigures(most))).toEqual(most);
  });

  it('name the partitions that are farthest behind, and none that is not behind', () => {
    const lags = Array.from({ length: 100 }, (_, i) => ({ partition: `${i}`, records: i }));
    const told = Object.entries(lagging(lags));
    expect(told).toHaveLength(64);
    expect(told).toContainEqual(['99', 99]);
    expect(Math.min(...told.map(([, records]) => records))).toBe(36);
    expect(lagging(lags.slice(0, 1))).toEqual({});
  });
});

function numbers(count: number): Record<string, number> {
  return Object.fromEntries(Array.from({ length: count }, (_, i) => [`${i}`, 1]));
}

function letters(count: number): Record<string, number> {
  return Object.fromEntries(
    Array.from({ length: count }, (_, i) => ['x'.repeat(i + 1).slice(0, 64) + (i > 63 ? '_' : ''), 1]),
  );
}
