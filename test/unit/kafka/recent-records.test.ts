import fc from 'fast-check';
import { expect, test } from 'vitest';
import { RecentRecords } from '../../../src/kafka/recent-records.ts';
import type { Publication } from '../../../src/protocol/publication.ts';

function publication(offset: number, room: string, bytes = 1): Publication {
  return { room, partition: 0, epoch: 'e', offset, ts: offset, value: Buffer.alloc(bytes) };
}

test('has the newest of each room, within its bounds, as a list would', () => {
  const steps = fc.array(
    fc.record({ room: fc.constantFrom('a', 'b'), skip: fc.nat(2), bytes: fc.integer({ min: 1, max: 9 }) }),
    {
      maxLength: 60,
    },
  );
  const bounds = fc.record({ recordsMax: fc.integer({ min: 1, max: 20 }), bytesMax: fc.integer({ min: 10, max: 60 }) });
  fc.assert(
    fc.property(steps, bounds, fc.nat(120), fc.nat(120), (added, bound, from, through) => {
      const recent = new RecentRecords(5, bound);
      let kept: Publication[] = [];
      let first = 5;
      let offset = 4;
      for (const { room, skip, bytes } of added) {
        offset += 1 + skip;
        const one = publication(offset, room, bytes);
        recent.add(one);
        kept.push(one);
        const sum = () => kept.reduce((total, { value }) => total + value.length, 0);
        while (kept.length > bound.recordsMax || sum() > bound.bytesMax) {
          first = (kept[0] as Publication).offset + 1;
          kept = kept.slice(1);
        }
        expect([recent.from, recent.size, recent.bytes]).toEqual([first, kept.length, sum()]);
      }
      const wanted = kept.filter((each) => each.room === 'a' && each.offset >= from && each.offset <= through);
      expect([...recent.ofRoom('a', from, through)]).toEqual(wanted);
      expect([...recent.ofRoomBackward('a', from, through)]).toEqual(wanted.toReversed());
    }),
  );
});
