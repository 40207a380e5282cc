import { describe, expect, test } from 'vitest';
import { dataHash, dedupeId } from '../../src/fanout/dedupe.ts';
import { type BlockRecord, packBlocks, partitionOfKey, RecordBlock, roomKey } from '../../src/fanout/record-block.ts';

const TS = 1_700_000_000_000;

function recordOf(number: number, bytes: number): BlockRecord {
  const value = Buffer.alloc(bytes, `value ${number}`);
  const id = dedupeId('user', 'room', String(number));
  return { offset: 2 ** 39 + number, room: roomKey(number % 4_096, 2 ** 40 - 1), id, dataHash: dataHash(value), value };
}

/** The blocks, one by one. */
function split({ bytes, lengths }: ReturnType<typeof packBlocks>): Uint8Array[] {
  let at = 0;
  return lengths.map((length) => {
    at += length;
    return new Uint8Array(bytes.slice(at - length, at));
  });
}

describe('blocks', () => {
  test('give back every record as it was, in order, from blocks of a bounded size', () => {
    const sizes = [100, 0, 1, 8_000, 200, 70_000, 100, ...Array.from({ length: 300 }, (_, index) => index)];
    const records = sizes.map((bytes, number) => recordOf(number, bytes));
    const packed = packBlocks(records, 7, TS);
    const read: BlockRecord[] = [];
    for (const [index, bytes] of split(packed).entries()) {
      const block = RecordBlock.open(bytes, 7 + index) as RecordBlock;
      expect([block.ts, block.number, block.count]).toEqual([TS, 7 + index, packed.counts[index]]);
      if (block.count > 1) expect(bytes.length).toBeLessThanOrEqual(4_050);
      for (let place = 0; place < block.count; place++) {
        const offset = block.offset(place);
        const room = block.room(place);
        expect(block.find(room, offset)).toBe(place);
        expect(block.find(room + 1, offset)).toBe(-1);
        const value = block.value(place) as Buffer;
        read.push({ offset, room, id: block.id(place), dataHash: block.dataHash(place), value });
      }
    }
    expect(read).toEqual(records);
    expect(packed.bytes.byteLength).toBe(packed.lengths.reduce((sum, length) => sum + length, 0));
  });

  test('give back nothing that was not written, whichever bit is flipped, and wherever they are cut off', () => {
    const records = [recordOf(0, 30), recordOf(1, 20), recordOf(2, 40)];
    const [bytes] = split(packBlocks(records, 3, TS)) as [Uint8Array];
    const headBytes = bytes.length - 90;
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      const flipped = Buffer.from(bytes);
      flipped[bit >> 3] = (flipped[bit >> 3] as number) ^ (1 << (bit & 7));
      const block = RecordBlock.open(flipped, 3);
      expect(block === undefined).toBe(bit >> 3 < headBytes);
      if (block === undefined) continue;
      const values = records.map((_, place) => block.value(place));
      expect(values.filter((value) => value === undefined)).toHaveLength(1);
      for (const [place, value] of values.entries()) {
        if (value !== undefined) expect(value.equals(records[place]?.value as Buffer)).toBe(true);
      }
    }
    for (let length = 0; length < bytes.length; length++) {
      const block = RecordBlock.open(bytes.subarray(0, length), 3);
      expect(block === undefined).toBe(length < headBytes);
      expect(block?.value(2)).toBeUndefined();
    }
    expect(RecordBlock.open(bytes, 4)).toBeUndefined();
    expect(RecordBlock.open(RecordBlock.open(bytes, 3)?.head() as Uint8Array, 3)?.offset(1)).toBe(records[1]?.offset);
  });

  test('know a room’s partition by its key', () => {
    for (const partition of [0, 1, 4_095]) {
      for (const hash of [0, 2 ** 40 - 1]) {
        const key = roomKey(partition, hash);
        expect(Number.isSafeInteger(key)).toBe(true);
        expect(partitionOfKey(key)).toBe(partition);
      }
    }
  });
});
