import fc from 'fast-check';
import { expect, test } from 'vitest';
import { FirstPublications, LastPublications } from '../../../src/kafka/page-publications.ts';
import type { Publication } from '../../../src/protocol/publication.ts';

test('those that come first, and those that come last, are as many as the bounds have place for', () => {
  const sizes = fc.array(fc.integer({ min: 1, max: 5 }), { maxLength: 12 });
  const bounds = fc.record({ limit: fc.integer({ min: 1, max: 6 }), bytesMax: fc.integer({ min: 1, max: 15 }) });
  fc.assert(
    fc.property(sizes, bounds, (lengths, { limit, bytesMax }) => {
      const all = lengths.map((length, offset): Publication => {
        return { room: 'r', partition: 0, epoch: 'e', offset, ts: 0, value: Buffer.alloc(length) };
      });
      const fits = (list: readonly Publication[]) => {
        const bytes = list.reduce((sum, { value }) => sum + value.length, 0);
        return list.length <= 1 || (list.length <= limit && bytes <= bytesMax);
      };
      let count = 0;
      while (count < all.length && fits(all.slice(0, count + 1))) count += 1;
      const first = new FirstPublications({ limit, bytesMax });
      expect(all.map((each) => first.add(each)).filter((isTaken) => isTaken)).toHaveLength(count);
      expect(first.list).toEqual(all.slice(0, count));
      if (count < all.length) expect(first.isFull).toBe(true);
      let from = all.length;
      while (from > 0 && fits(all.slice(from - 1))) from -= 1;
      const last = new LastPublications({ limit, bytesMax });
      for (const each of all) last.add(each);
      expect(last.list).toEqual(all.slice(from));
      expect(last.isCut).toBe(from > 0);
    }),
  );
});
