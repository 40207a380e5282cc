import { describe, expect, test } from 'vitest';
import { type Posting, type PostingRow, PostingSum, packPostings, readPostings } from '../../src/fanout/postings.ts';
import { RoomIndex } from '../../src/fanout/room-index.ts';

const UNINDEXED_MAX = 65_536;

function postingsIn({ room, last, postings }: PostingRow): readonly Posting[] {
  return readPostings(room, last, postings) as Posting[];
}

describe('a row of the index', () => {
  const postings = [5, 6, 9, 2 ** 32].map((offset) => ({ offset: 2 ** 39 + offset, block: 2 ** 38 + offset }));

  test('gives back where records stand', () => {
    const row = packPostings(2 ** 51 + 1, postings, 1, 3);
    expect([row.room, row.last]).toEqual([2 ** 51 + 1, 2 ** 39 + 2 ** 32]);
    expect(postingsIn(row)).toEqual(postings.slice(1));
  });

  test('is nothing where it is not what was written', () => {
    const row = packPostings(7, postings, 0, 4);
    for (let bit = 0; bit < row.postings.length * 8; bit++) {
      const flipped = Buffer.from(row.postings);
      flipped[bit >> 3] = (flipped[bit >> 3] as number) ^ (1 << (bit & 7));
      expect(readPostings(row.room, row.last, flipped)).toBeUndefined();
    }
    expect(readPostings(8, row.last, row.postings)).toBeUndefined();
    expect(readPostings(7, row.last + 1, row.postings)).toBeUndefined();
    expect(readPostings(7, row.last, row.postings.subarray(0, 10))).toBeUndefined();
  });
});

test('sums agree whatever the order, and not where one of them has lost, moved or doubled something', () => {
  const all: [number, number, number][] = Array.from({ length: 100 }, (_, index) => {
    return [(index % 7) * 2 ** 40, 2 ** 35 + index, 2 ** 33 + (index >> 2)];
  });
  const sumOf = (places: readonly [number, number, number][]) => {
    const sum = new PostingSum();
    for (const place of places) sum.add(...place);
    return sum;
  };
  expect(sumOf(all).equals(sumOf(all.toReversed()))).toBe(true);
  for (const [index, [room, offset, block]] of all.entries()) {
    for (const changed of [
      [],
      [[room, offset, block + 1]],
      [[room + 2 ** 40, offset, block]],
      [all[index], all[index]],
    ]) {
      const places = all.toSpliced(index, 1, ...(changed as [number, number, number][]));
      expect(sumOf(all).equals(sumOf(places))).toBe(false);
    }
  }
});

describe('the index in memory', () => {
  test('writes a row when a room has enough for one, and says how far all is written', () => {
    const index = new RoomIndex(4, 'salt');
    const quiet = index.room('quiet');
    const busy = index.room('busy');
    index.note(quiet, { offset: 0, block: 10 });
    for (let offset = 1; offset <= 99; offset++) index.note(busy, { offset, block: 10 + offset });
    expect(index.take(1, 110)).toBeUndefined();
    index.note(busy, { offset: 100, block: 110 });
    const taken = index.take(1, 111);
    expect(taken?.rows.map(postingsIn)).toEqual([busy.unindexed]);
    expect(taken?.rows[0]?.room).toBe(busy.key);
    // What the quiet room has in block 10 is not written.
    expect(taken?.indexedThrough).toBe(9);
    index.notWritten();
    expect(index.take(1, 111)).toEqual(taken);
    index.written();
    expect(busy.unindexed).toEqual([]);
    expect(index.take(1, 111)).toBeUndefined();
    expect(quiet.unindexed).toEqual([{ offset: 0, block: 10 }]);
  });

  test('writes what has waited long, the oldest first, in pieces that go with the commits', () => {
    const index = new RoomIndex(1, 'salt');
    const rooms = Array.from({ length: UNINDEXED_MAX + 200 }, (_, number) => index.room(`room ${number}`));
    for (const [offset, room] of rooms.entries()) index.note(room, { offset, block: offset });
    let through = -1;
    for (const records of [4, 100, 1_000]) {
      const taken = index.take(records, rooms.length);
      const blocks = taken?.rows.map((row) => postingsIn(row)[0]?.block);
      const count = Math.min(records + 16, 200 - (through + 1));
      expect(blocks).toEqual(Array.from({ length: count }, (_, nth) => through + 1 + nth));
      through += count;
      expect(taken?.indexedThrough).toBe(through);
      index.written();
    }
    expect(through).toBe(199);
    expect(index.take(1_000, rooms.length)).toBeUndefined();
  });

  test('finds a room that was restored, whose name it doesn’t know', () => {
    const key = new RoomIndex(4, 'salt').room('r').key;
    const index = new RoomIndex(4, 'salt');
    index.restore(key, { offset: 3, block: 2 });
    index.restore(key, { offset: 5, block: 4 });
    expect(index.room('r')).toMatchObject({
      key,
      unindexed: [
        { offset: 3, block: 2 },
        { offset: 5, block: 4 },
      ],
    });
    expect(new RoomIndex(4, 'another').room('r').key).not.toBe(key);
  });

  test('goes on with a room whose name was forgotten while a record of it was on its way', () => {
    const index = new RoomIndex(4, 'salt');
    const before = index.room('r');
    for (let number = 0; number < 70_000; number++) index.room(`other ${number}`);
    const after = index.room('r');
    expect(after).not.toBe(before);
    index.note(after, { offset: 0, block: 0 });
    index.note(before, { offset: 1, block: 1 });
    expect(index.room('r').unindexed).toHaveLength(2);
  });
});
