import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { partitionOf } from '../../src/fanout/partition.ts';
import type { RoomLog } from '../../src/fanout/room-log.ts';
import type { Position } from '../../src/protocol/position.ts';
import { encodeValue, type Publication } from '../../src/protocol/publication.ts';
import { ALL, codeOf, midOf, midsOf, PARTITIONS, publish } from './room-log-fixture.ts';
import { describeReading } from './room-log-reading.ts';

export interface RoomLogOptions {
  readonly partitions: number;
}

/** A log of an adapter's, empty at first. */
export interface RoomLogUnderTest {
  readonly log: RoomLog;
  /** Closes the log and opens it as a restarted process would. */
  reopen(): Promise<RoomLog>;
  /** Closes the log, and removes what it left. */
  dispose(): Promise<void>;
}

/** Every promise of the port, held against one adapter. */
export function describeRoomLog(
  name: string,
  open: (options: RoomLogOptions) => Promise<RoomLogUnderTest>,
  /** Milliseconds that opening the adapter's log may take. */
  openTimeoutMs = 60_000,
): void {
  describe(`${name} as a RoomLog`, () => {
    let subject: RoomLogUnderTest;
    let log: RoomLog;
    let tailed: Publication[];

    beforeEach(async () => {
      subject = await open({ partitions: PARTITIONS });
      log = subject.log;
      tailed = [];
      log.tail((publications) => tailed.push(...publications));
    }, openTimeoutMs);
    afterEach(() => subject.dispose(), openTimeoutMs);

    async function reopen(): Promise<void> {
      log = await subject.reopen();
      tailed = [];
      log.tail((publications) => tailed.push(...publications));
    }

    describe('append', () => {
      test('gives each record a position behind those before it in the room', async () => {
        const positions: Position[] = [];
        for (let index = 0; index < 5; index++) {
          const { position, duplicate } = await log.append(publish('r', `m${index}`));
          expect(duplicate).toBe(false);
          expect(position.epoch).toBe(log.epoch);
          positions.push(position);
        }
        const offsets = positions.map(({ offset }) => offset);
        expect(offsets).toEqual([...new Set(offsets)].sort((a, b) => a - b));
      });

      test('takes effect in a room in the order of the calls', async () => {
        const calls = Array.from({ length: 200 }, (_, index) => log.append(publish('r', `m${index}`)));
        const offsets = (await Promise.all(calls)).map(({ position }) => position.offset);
        expect(offsets).toEqual([...offsets].sort((a, b) => a - b));
        expect(tailed.map(midOf)).toEqual(Array.from({ length: 200 }, (_, index) => `m${index}`));
      });

      test('keeps data byte for byte', async () => {
        const data = '{ "a" : 1.0, "b":"\\u0041é\u{1f30a}", "c":[1e2,  -0] }';
        await log.append({ room: 'r', from: 'u@x', mid: 'quote" back\\slash', data });
        const expected = encodeValue('r', 'u@x', 'quote" back\\slash', data);
        expect(expected.includes(data)).toBe(true);
        expect(tailed[0]?.value.equals(expected)).toBe(true);
        const page = await log.read({ room: 'r', ...ALL });
        expect(page.publications[0]?.value.equals(expected)).toBe(true);
      });

      test('says where the first record stands when the same publish comes again', async () => {
        const first = await log.append(publish('r', 'm'));
        await log.append(publish('r', 'other'));
        expect(await log.append(publish('r', 'm'))).toEqual({ position: first.position, duplicate: true });
        expect(tailed.map(midOf)).toEqual(['m', 'other']);
        expect(await midsIn('r')).toEqual(['m', 'other']);
      });

      test('adds one record where the same publish comes while the first is under way', async () => {
        const outcomes = await Promise.all([1, 2, 3].map(() => log.append(publish('r', 'm'))));
        expect(outcomes.map(({ duplicate }) => duplicate)).toEqual([false, true, true]);
        expect(new Set(outcomes.map(({ position }) => position.offset)).size).toBe(1);
        expect(tailed.map(midOf)).toEqual(['m']);
        expect(await midsIn('r')).toEqual(['m']);
      });

      test('knows a publish from before a restart', async () => {
        const first = await log.append(publish('r', 'm'));
        await reopen();
        expect(await log.append(publish('r', 'm'))).toEqual({ position: first.position, duplicate: true });
        expect(await codeOf(log.append(publish('r', 'm', '"other"')))).toBe('mid_conflict');
        expect(tailed).toEqual([]);
        expect(await midsIn('r')).toEqual(['m']);
      });

      test('tells the same mid of other users and in other rooms apart', async () => {
        const outcomes = await Promise.all([
          log.append(publish('r', 'm')),
          log.append({ ...publish('r', 'm'), from: 'another' }),
          log.append(publish('r2', 'm')),
        ]);
        expect(outcomes.map(({ duplicate }) => duplicate)).toEqual([false, false, false]);
        expect(tailed).toHaveLength(3);
      });

      test('refuses other data under the same mid, settled or under way', async () => {
        const first = log.append(publish('r', 'm', '1'));
        const meanwhile = codeOf(log.append(publish('r', 'm', '2')));
        expect((await first).duplicate).toBe(false);
        expect(await meanwhile).toBe('mid_conflict');
        expect(await codeOf(log.append(publish('r', 'm', '2')))).toBe('mid_conflict');
        expect(await codeOf(log.append(publish('r', 'm', '1 ')))).toBe('mid_conflict');
        expect(tailed).toHaveLength(1);
      });
    });

    describe('append with `after`', () => {
      test('appends a chain in order', async () => {
        const chain = Array.from({ length: 50 }, (_, index) =>
          log.append({ ...publish('r', `m${index}`), after: index === 0 ? undefined : `m${index - 1}` }),
        );
        await Promise.all(chain);
        expect(tailed.map(midOf)).toEqual(Array.from({ length: 50 }, (_, index) => `m${index}`));
      });

      test('goes on where the one named was settled long ago', async () => {
        await log.append(publish('r', 'first'));
        expect((await log.append({ ...publish('r', 'second'), after: 'first' })).duplicate).toBe(false);
      });

      test('fails with the one that failed, and what comes after that too, and appends none of them', async () => {
        await log.append(publish('r', 'used', '1'));
        const failed = log.append(publish('r', 'used', '2'));
        const second = log.append({ ...publish('r', 'second'), after: 'used' });
        const third = log.append({ ...publish('r', 'third'), after: 'second' });
        const bystander = log.append(publish('r', 'bystander'));
        const codes = await Promise.all([failed, second, third].map(codeOf));
        expect(codes).toEqual(['mid_conflict', 'overloaded', 'overloaded']);
        await bystander;
        expect(await midsIn('r')).toEqual(['used', 'bystander']);

        expect((await log.append(publish('r', 'second'))).duplicate).toBe(false);
        expect((await log.append({ ...publish('r', 'third'), after: 'second' })).duplicate).toBe(false);
        expect(await midsIn('r')).toEqual(['used', 'bystander', 'second', 'third']);
      });

      test('is a matter of one user and room', async () => {
        await log.append(publish('r', 'used', '1'));
        const failed = codeOf(log.append(publish('r', 'used', '2')));
        const others = [
          log.append({ ...publish('r2', 'a'), after: 'used' }),
          log.append({ ...publish('r', 'b'), from: 'another', after: 'used' }),
        ];
        expect(await failed).toBe('mid_conflict');
        expect((await Promise.all(others)).map(({ duplicate }) => duplicate)).toEqual([false, false]);
      });
    });

    describe('tail', () => {
      test('has handed a publication on when its append resolves', async () => {
        const rooms = ['a', 'b', 'c', 'd', 'e'];
        const acked = rooms.flatMap((room) =>
          Array.from({ length: 20 }, async (_, index) => {
            const { position } = await log.append(publish(room, `m${index}`));
            return tailed.some((publication) => publication.room === room && publication.offset === position.offset);
          }),
        );
        expect(await Promise.all(acked)).toEqual(acked.map(() => true));
      });

      test('hands on what the port says of a publication', async () => {
        const earliest = Date.now() - 60_000;
        const { position } = await log.append(publish('some/room', 'm', '{"x":1}'));
        expect(tailed).toHaveLength(1);
        const publication = tailed[0] as Publication;
        expect(publication).toMatchObject({ room: 'some/room', epoch: log.epoch, offset: position.offset });
        expect(publication.partition).toBe(partitionOf('some/room', log.partitions));
        expect(publication.ts).toBeGreaterThan(earliest);
        expect(publication.value.toString()).toBe('{"room":"some/room","from":"user","mid":"m","data":{"x":1}}');
      });

      test('begins behind the ends as they stood when it was called', async () => {
        await log.append(publish('r', 'before'));
        log = await subject.reopen();
        await log.append(publish('r', 'between'));
        const ends = [...log.ends()];
        tailed = [];
        log.tail((publications) => tailed.push(...publications));
        await log.append(publish('r', 'behind'));
        expect(tailed.map(midOf)).toEqual(['behind']);
        expect(tailed[0]?.offset).toBeGreaterThan(ends[partitionOf('r', PARTITIONS)] ?? Number.NaN);
        expect(await midsIn('r')).toEqual(['before', 'between', 'behind']);
      });
    });

    describe('ends', () => {
      test('are -1 at first, then those of what the tail handed on, also after a restart', async () => {
        expect(log.partitions).toBe(PARTITIONS);
        const ends = log.ends();
        expect(ends).toEqual(Array.from({ length: PARTITIONS }, () => -1));
        await fill(['a', 'b', 'c', 'd', 'e', 'f'], 5);
        expect(log.ends()).toBe(ends);
        const newest = Array.from({ length: PARTITIONS }, (_, partition) =>
          Math.max(-1, ...tailed.filter((each) => each.partition === partition).map(({ offset }) => offset)),
        );
        expect(ends).toEqual(newest);

        const { epoch } = log;
        await reopen();
        expect(log.epoch).toBe(epoch);
        expect(log.ends()).toEqual(newest);
        const { position } = await log.append(publish('a', 'next'));
        expect(position.offset).toBeGreaterThan(newest[partitionOf('a', PARTITIONS)] ?? Number.NaN);
      });
    });

    describeReading(() => ({ log, tailed, reopen, fill }));

    test('holds all that together under load', async () => {
      const rooms = Array.from({ length: 20 }, (_, index) => `load/${index}`);
      const seen = new Map(rooms.map((room): [string, Publication[]] => [room, []]));
      let handedOn = 0;
      const collect = () => {
        for (; handedOn < tailed.length; handedOn++) {
          const publication = tailed[handedOn] as Publication;
          seen.get(publication.room)?.push(publication);
        }
      };
      const reads: Promise<void>[] = [];
      const appends = rooms.map(async (room, number) => {
        for (let index = 0; index < 30; index++) {
          const request = publish(room, `m${index}`);
          const twice = await Promise.all([log.append(request), log.append(request)]);
          expect(twice.map(({ duplicate }) => duplicate)).toEqual([false, true]);
          if (index % 3 !== number % 3) continue;
          collect();
          const through = log.ends()[partitionOf(room, PARTITIONS)] ?? Number.NaN;
          const known = [...(seen.get(room) ?? [])];
          const after = { epoch: log.epoch, offset: known[Math.floor(index / 2)]?.offset ?? -1 };
          reads.push(
            log.read({ room, ...ALL, through, after }).then((page) => {
              const publications = known.slice(Math.floor(index / 2) + 1);
              expect(page).toEqual({ publications, source: expect.any(String), more: false });
            }),
          );
        }
      });
      await Promise.all(appends);
      await Promise.all(reads);
      collect();
      for (const room of rooms) {
        expect(seen.get(room)?.map(midOf)).toEqual(Array.from({ length: 30 }, (_, index) => `m${index}`));
      }
      const perPartition = new Map<number, number>();
      for (const { partition, offset } of tailed) {
        expect(offset).toBeGreaterThan(perPartition.get(partition) ?? -1);
        perPartition.set(partition, offset);
      }
      await reopen();
      for (const room of rooms) {
        expect((await log.read({ room, ...ALL })).publications).toEqual(seen.get(room));
      }
    });

    test('settles what is under way when it is closed, and refuses what comes then', async () => {
      const underWay = Array.from({ length: 50 }, (_, index) => log.append(publish('r', `m${index}`)));
      const closed = log.close();
      expect(await codeOf(log.append(publish('r', 'late')))).toBe('unavailable');
      expect(await codeOf(log.read({ room: 'r', ...ALL }))).toBe('unavailable');
      const outcomes = await Promise.allSettled(underWay);
      await closed;
      await log.close();
      const appended = outcomes.flatMap((outcome, index) => (outcome.status === 'fulfilled' ? [`m${index}`] : []));
      await reopen();
      expect(await midsIn('r')).toEqual(appended);
      expect(appended).toHaveLength(50);
    });

    async function fill(rooms: readonly string[], count: number): Promise<void> {
      for (let index = 0; index < count; index++) {
        await Promise.all(rooms.map((room) => log.append(publish(room, `m${index}`))));
      }
    }

    async function midsIn(room: string): Promise<string[]> {
      return midsOf(await log.read({ room, ...ALL }));
    }
  });
}
