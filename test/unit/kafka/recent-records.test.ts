import fc from 'fast-check';
import { expect, test } from 'vitest';
import { RecentRecords } from '../../../src/kafka/recent-records.ts';
import type { Publication } from '../../../src/protocol/publication.ts';

function publication(offset: number, room: string, bytes = 1): Publication {
  return { room, partition: 0, epoch: 'e', offset, ts: offset, value: Buffer.alloc(bytes) };
}

test('keeps a publication without its trace', () => {
  const recent = new RecentRecords(0, { recordsMax: 10, bytesMax: 100 });
  const parent = { traceId: 'a', spanId: 'b', isSampled: true };
  recent.add({ ...publication(0, 'a'), trace: { parent, readMs: 1 } });
  expect([...recent.since(0)]).toEqual([{ ...publication(0, 'a'), trace: undefined }]);
});

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
