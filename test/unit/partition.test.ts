import { expect, test } from 'vitest';
import { murmur2, partitionOf } from '../../src/fanout/partition.ts';

// From the tests of Kafka's own client (UtilsTest.testMurmur2).
const KNOWN: ReadonlyArray<readonly [string, number]> = [
  ['21', -973_932_308],
  ['foobar', -790_332_482],
  ['a-little-bit-long-string', -985_981_536],
  ['a-little-bit-longer-string', -1_486_304_829],
  ['lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8', -58_897_971],
  ['abc', 479_470_107],
];

test.each(KNOWN)('murmur2 of %s is what the Java client computes', (text, expected) => {
  expect(murmur2(Buffer.from(text))).toBe(expected);
});

test.each(KNOWN)('the partition of %s is that of a record with this key', (text, hash) => {
  for (const partitions of [1, 2, 16, 48, 4096]) {
    expect(partitionOf(text, partitions)).toBe((hash & 0x7fffffff) % partitions);
  }
});

test('rooms spread over all partitions', () => {
  const counts = Array.from({ length: 16 }, () => 0);
  for (let number = 0; number < 16_000; number++) {
    const partition = partitionOf(`room/${number}`, 16);
    counts[partition] = (counts[partition] ?? 0) + 1;
  }
  expect(Math.min(...counts)).toBeGreaterThan(800);
  expect(Math.max(...counts)).toBeLessThan(1_200);
});
