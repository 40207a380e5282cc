import { describe, expect, it } from 'vitest';
import type { Message, Page } from '../../../src/client/messages.ts';
import { Place } from '../../../src/client/place.ts';
import type { Gap, Position } from '../../../src/protocol/position.ts';

function at(offset: number, epoch = 'e'): Position {
  return { epoch, offset };
}

function said(offset: number, epoch = 'e', mid = `m${offset}`, from = 'bob'): Message {
  return { room: 'tea', epoch, offset, from, mid, ts: 0, data: null };
}

function pageOf(messages: readonly Message[], position: Position, gap?: Gap): Page {
  return { messages, position, more: false, ...(gap && { gap }) };
}

/** What comes out, as offsets of messages, and gaps. */
function told(place: Place, page: Page): (number | Gap)[] {
  return [...place.read(page)].map((item) => ('to' in item ? item : item.offset));
}

describe('a pushed message', () => {
  it('passes behind the place, and moves it', () => {
    const place = new Place(at(4));
    expect(place.passes(said(5))).toBe(true);
    expect(place.position).toEqual(at(5));
    // Offsets are not dense.
    expect(place.passes(said(17))).toBe(true);
    expect(place.position).toEqual(at(17));
  });

  it.each([4, 3, -1])('is known at %i, and leaves the place where it is', (offset) => {
    const place = new Place(at(4));
    expect(place.passes(said(offset))).toBe(false);
    expect(place.position).toEqual(at(4));
  });

  it('is the first one behind -1', () => {
    expect(new Place(at(-1)).passes(said(0))).toBe(true);
  });

  it('throws where it is of another epoch, or before there is a place', () => {
    const place = new Place(at(4));
    expect(() => place.passes(said(5, 'f'))).toThrow('another epoch');
    expect(place.position).toEqual(at(4));
    expect(() => new Place(null).passes(said(5))).toThrow('another epoch');
  });

  it.each([said(1.5), said(Number.NaN), said('5' as unknown as number), said(2 ** 53)])(
    'throws where it has no offset',
    (message) => {
      expect(() => new Place(at(0)).passes(message)).toThrow('no position');
    },
  );

  it('has its mid for itself: another one of the same name is another message', () => {
    const place = new Place(at(0));
    expect(place.passes(said(1, 'e', 'same'))).toBe(true);
    expect(place.passes(said(2, 'e', 'same'))).toBe(true);
  });
});

describe('a page', () => {
  it('begins a place where there is none', () => {
    const place = new Place(null);
    expect(told(place, pageOf([said(7), said(9)], at(12)))).toEqual([7, 9]);
    expect(place.position).toEqual(at(12));
  });

  it('hands on only what is not known', () => {
    const place = new Place(at(7));
    expect(told(place, pageOf([said(6), said(7), said(8)], at(8)))).toEqual([8]);
  });

  it('moves the place also without messages', () => {
    const place = new Place(at(7));
    expect(told(place, pageOf([], at(20)))).toEqual([]);
    expect(place.position).toEqual(at(20));
  });

  it('does not move the place back', () => {
    const place = new Place(at(7));
    expect(told(place, pageOf([], at(3)))).toEqual([]);
    expect(place.position).toEqual(at(7));
  });

  it('moves the place with each message that is taken out', () => {
    const place = new Place(at(0));
    const items = place.read(pageOf([said(1), said(2)], at(9)));
    expect(items.next().value).toEqual(said(1));
    expect(place.position).toEqual(at(1));
    // Whoever stops here, goes on from here.
    items.return(undefined);
    expect(place.position).toEqual(at(1));
    expect(told(place, pageOf([said(1), said(2)], at(9)))).toEqual([2]);
  });

  it.each([{ epoch: 7, offset: 1 }, { epoch: 'e', offset: null }, { epoch: 'e' }])(
    'throws where %j is its position',
    (position) => {
      const page = pageOf([], position as unknown as Position);
      expect(() => told(new Place(at(0)), page)).toThrow('no position');
    },
  );
});

describe('a gap', () => {
  it('comes before the messages behind it', () => {
    const place = new Place(at(3));
    const gap = { from: at(3), to: at(8) };
    expect(told(place, pageOf([said(9), said(10)], at(10), gap))).toEqual([gap, 9, 10]);
  });

  it('comes between the messages around it', () => {
    const gap = { from: at(5), to: at(8) };
    expect(told(new Place(at(3)), pageOf([said(4), said(5), said(9)], at(9), gap))).toEqual([4, 5, gap, 9]);
  });

  it('comes behind the messages within it', () => {
    const place = new Place(at(3));
    const gap = { from: at(3), to: at(8) };
    // Damage: some of what the gap speaks of can be had.
    expect(told(place, pageOf([said(4), said(8)], at(8), gap))).toEqual([4, 8]);
    expect(told(place, pageOf([said(9)], at(12), { from: at(9), to: at(12) }))).toEqual([
      9,
      { from: at(9), to: at(12) },
    ]);
    expect(place.position).toEqual(at(12));
  });

  it('comes alone', () => {
    const place = new Place(at(3));
    const gap = { from: at(3), to: at(8) };
    expect(told(place, pageOf([], at(8), gap))).toEqual([gap]);
    expect(place.position).toEqual(at(8));
  });

  it('is told once', () => {
    const place = new Place(at(3));
    const gap = { from: at(3), to: at(8) };
    expect(told(place, pageOf([], at(8), gap))).toEqual([gap]);
    expect(told(place, pageOf([said(9)], at(9), gap))).toEqual([9]);
    expect(place.skip(gap)).toBe(false);
    expect(place.position).toEqual(at(9));
  });

  it('steps over messages', () => {
    const place = new Place(at(3));
    expect(place.skip({ from: at(3), to: at(8) })).toBe(true);
    expect(place.passes(said(8))).toBe(false);
    expect(place.passes(said(9))).toBe(true);
  });

  it('leads to another epoch', () => {
    const place = new Place(at(900));
    const gap = { from: null, to: at(2, 'f') };
    expect(told(place, pageOf([said(3, 'f')], at(3, 'f'), gap))).toEqual([gap, 3]);
    expect(place.position).toEqual(at(3, 'f'));
  });

  it('without a beginning leads to smaller offsets of the same epoch', () => {
    const place = new Place(at(900));
    const gap = { from: null, to: at(2) };
    expect(told(place, pageOf([said(3)], at(3), gap))).toEqual([gap, 3]);
    expect(place.position).toEqual(at(3));
    // Only once.
    expect(place.passes(said(2))).toBe(false);
  });

  it('of an epoch that is gone comes before the messages of the next one', () => {
    const place = new Place(at(3));
    const gap = { from: at(3), to: at(8) };
    expect(told(place, pageOf([said(0, 'f')], at(0, 'f'), gap))).toEqual([gap, 0]);
  });
});

describe('a place', () => {
  it.each([
    [at(4), true],
    [at(5), true],
    [at(6), false],
    [at(4, 'f'), false],
    [null, true],
  ])('at 5 reaches %j: %s', (there, isReached) => {
    expect(new Place(at(5)).reaches(there)).toBe(isReached);
  });

  it('that is nowhere yet may reach anything', () => {
    expect(new Place(null).reaches(at(6))).toBe(true);
  });
});

describe('a place that the server could not take up', () => {
  it('goes on at smaller offsets of the same epoch, each once', () => {
    const place = new Place(at(900));
    place.lose();
    expect(told(place, pageOf([said(3), said(4)], at(6)))).toEqual([3, 4]);
    expect(place.position).toEqual(at(6));
    expect(told(place, pageOf([said(4), said(7)], at(7)))).toEqual([7]);
  });

  it('goes on at an empty room', () => {
    const place = new Place(at(900));
    place.lose();
    expect(told(place, pageOf([], at(-1)))).toEqual([]);
    expect(place.position).toEqual(at(-1));
    expect(place.passes(said(0))).toBe(true);
  });

  it('does not lose the first one', () => {
    const place = new Place(null);
    place.lose();
    expect(told(place, pageOf([said(3)], at(3)))).toEqual([3]);
    expect(place.passes(said(3))).toBe(false);
  });
});

describe('a restored log', () => {
  /** A place behind so many messages, with the mids m1, m2, … */
  function placeAfter(count: number): Place {
    const place = new Place(at(0));
    for (let offset = 1; offset <= count; offset += 1) expect(place.passes(said(offset))).toBe(true);
    return place;
  }

  it('brings back nothing that was handed on, under another epoch', () => {
    const place = placeAfter(3);
    const restored = [said(10, 'f', 'm2'), said(11, 'f', 'm3'), said(12, 'f', 'new')];
    const gap = { from: null, to: at(9, 'f') };
    expect(told(place, pageOf(restored, at(12, 'f'), gap))).toEqual([gap, 12]);
    expect(place.position).toEqual(at(12, 'f'));
  });

  it('brings back nothing under smaller offsets of the same epoch', () => {
    const place = placeAfter(3);
    place.lose();
    expect(told(place, pageOf([said(0, 'e', 'm2'), said(1, 'e', 'm3'), said(2, 'e', 'm4')], at(2)))).toEqual([2]);
  });

  it('brings back nothing by pushes either', () => {
    const place = placeAfter(3);
    place.lose();
    expect(told(place, pageOf([], at(-1)))).toEqual([]);
    expect(place.passes(said(0, 'e', 'm3'))).toBe(false);
    expect(place.passes(said(1, 'e', 'm4'))).toBe(true);
  });

  it('takes the same mid of another user for another message', () => {
    const place = placeAfter(3);
    expect(told(place, pageOf([said(0, 'f', 'm3', 'cat')], at(0, 'f')))).toEqual([0]);
  });

  it('is known by the last 300 messages, however many older ones it brings back', () => {
    const count = 1_000;
    const place = placeAfter(count);
    const restored = Array.from({ length: count }, (_, i) => said(i, 'f', `m${i + 1}`));
    const old = Array.from({ length: count - 300 }, (_, i) => i);
    expect(told(place, pageOf(restored, at(count - 1, 'f')))).toEqual(old);
  });

  it('is known by what came since it was restored for the first time', () => {
    const place = placeAfter(2);
    expect(told(place, pageOf([said(0, 'f', 'm2'), said(1, 'f', 'm3')], at(1, 'f')))).toEqual([1]);
    const again = [said(5, 'g', 'm1'), said(6, 'g', 'm2'), said(7, 'g', 'm3'), said(8, 'g', 'm4')];
    expect(told(place, pageOf(again, at(8, 'g')))).toEqual([8]);
  });
});
