import { describe, expect, test } from 'vitest';
import { partitionOf } from '../../src/fanout/partition.ts';
import type { Page, RoomLog } from '../../src/fanout/room-log.ts';
import type { Position } from '../../src/protocol/position.ts';
import type { Publication } from '../../src/protocol/publication.ts';
import { ALL, midOf, midsOf, PARTITIONS, positionOf, publish, roomBeside } from './room-log-fixture.ts';

/** A log as it is now, and what it has handed on since it was opened. */
export interface ReadingSubject {
  readonly log: RoomLog;
  readonly tailed: readonly Publication[];
  reopen(): Promise<void>;
  /** Appends m0, m1, … to each room, so many each, in turn. */
  fill(rooms: readonly string[], count: number): Promise<void>;
}

/** The part of the contract that is about `read`. */
export function describeReading(subject: () => ReadingSubject): void {
  describe('read', () => {
    test('finds nothing, and no gap, in a room without records', async () => {
      const { log } = subject();
      const nothing = { publications: [], source: expect.any(String), more: false };
      expect(await log.read({ room: 'r', ...ALL })).toEqual(nothing);
      expect(await log.read({ room: 'r', ...ALL, after: { epoch: log.epoch, offset: -1 } })).toEqual(nothing);
      await log.append(publish(roomBeside('r'), 'm'));
      expect(await log.read({ room: 'r', ...ALL })).toEqual(nothing);
      const end = log.ends()[partitionOf('r', PARTITIONS)] ?? Number.NaN;
      expect(await log.read({ room: 'r', ...ALL, after: { epoch: log.epoch, offset: end } })).toEqual(nothing);
    });

    test('gives what the tail gave', async () => {
      const { log, tailed, fill } = subject();
      await fill(['r', roomBeside('r')], 10);
      const page = await log.read({ room: 'r', ...ALL });
      expect(page.publications).toEqual(tailed.filter(({ room }) => room === 'r'));
      await subject().reopen();
      expect((await subject().log.read({ room: 'r', ...ALL })).publications).toEqual(page.publications);
    });

    test('goes forward in pages behind a position', async () => {
      const { log, fill } = subject();
      await fill(['r', roomBeside('r')], 10);
      const pages: string[][] = [];
      let after: Position = { epoch: log.epoch, offset: -1 };
      for (;;) {
        const page: Page = await log.read({ room: 'r', ...ALL, limit: 4, after });
        expect(page.gap).toBeUndefined();
        pages.push(page.publications.map(midOf));
        if (!page.more) break;
        after = { epoch: log.epoch, offset: page.publications.at(-1)?.offset ?? Number.NaN };
      }
      expect(pages).toEqual([
        ['m0', 'm1', 'm2', 'm3'],
        ['m4', 'm5', 'm6', 'm7'],
        ['m8', 'm9'],
      ]);
    });

    test('goes backward in pages from the newest', async () => {
      const { log, fill } = subject();
      await fill(['r', roomBeside('r')], 9);
      const pages: string[][] = [];
      let before: Position | undefined;
      for (;;) {
        const page: Page = await log.read({ room: 'r', ...ALL, limit: 3, before });
        expect(page.gap).toBeUndefined();
        pages.push(page.publications.map(midOf));
        if (!page.more) break;
        before = { epoch: log.epoch, offset: page.publications[0]?.offset ?? Number.NaN };
      }
      expect(pages.filter((page) => page.length > 0)).toEqual([
        ['m6', 'm7', 'm8'],
        ['m3', 'm4', 'm5'],
        ['m0', 'm1', 'm2'],
      ]);
    });

    test('reads up to `through` and no further', async () => {
      const { log, tailed, fill } = subject();
      await fill(['r'], 6);
      const [, second, third] = tailed as [Publication, Publication, Publication];
      const within = { room: 'r', ...ALL, through: third.offset };
      const start = { epoch: log.epoch, offset: -1 };
      expect(midsOf(await log.read({ ...within, after: start }))).toEqual(['m0', 'm1', 'm2']);
      expect((await log.read({ ...within, after: start })).more).toBe(false);
      expect(midsOf(await log.read(within))).toEqual(['m0', 'm1', 'm2']);
      expect(midsOf(await log.read({ ...within, limit: 1 }))).toEqual(['m2']);
      expect(midsOf(await log.read({ ...within, before: positionOf(second) }))).toEqual(['m0']);
      const behind = tailed[4] as Publication;
      expect(midsOf(await log.read({ ...within, before: positionOf(behind) }))).toEqual(['m0', 'm1', 'm2']);
      expect(await log.read({ ...within, after: positionOf(third) })).toEqual({
        publications: [],
        source: expect.any(String),
        more: false,
      });
    });

    test('ends a page at its bytes, but gives the first publication whatever its size', async () => {
      const { log, tailed } = subject();
      const sizes = [10, 1_000, 10, 10, 5_000];
      for (const [index, size] of sizes.entries()) {
        await log.append(publish('r', `m${index}`, JSON.stringify('x'.repeat(size))));
      }
      const start = { epoch: log.epoch, offset: -1 };
      const three = tailed.slice(0, 3).reduce((sum, { value }) => sum + value.length, 0);
      const forward = await log.read({ room: 'r', ...ALL, bytesMax: three - 1, after: start });
      expect(midsOf(forward)).toEqual(['m0', 'm1']);
      expect(forward.more).toBe(true);
      const tiny = await log.read({ room: 'r', ...ALL, bytesMax: 1, after: start });
      expect(midsOf(tiny)).toEqual(['m0']);
      const newest = await log.read({ room: 'r', ...ALL, bytesMax: three });
      expect(midsOf(newest)).toEqual(['m4']);
      expect(newest.more).toBe(true);
      const older = await log.read({
        room: 'r',
        ...ALL,
        bytesMax: 1_000,
        before: positionOf(tailed[4] as Publication),
      });
      expect(midsOf(older)).toEqual(['m2', 'm3']);
      const exact = tailed.slice(0, 2).reduce((sum, { value }) => sum + value.length, 0);
      expect(midsOf(await log.read({ room: 'r', ...ALL, bytesMax: exact, after: start }))).toEqual(['m0', 'm1']);
      expect(midsOf(await log.read({ room: 'r', ...ALL, bytesMax: exact - 1, after: start }))).toEqual(['m0']);
    });

    test('reads from the first record, with a gap, behind a position of another epoch or beyond the end', async () => {
      const { log, fill } = subject();
      await fill(['r'], 3);
      const gap = { from: null, to: { epoch: log.epoch, offset: -1 } };
      const end = log.ends()[partitionOf('r', PARTITIONS)] ?? Number.NaN;
      for (const after of [
        { epoch: 'another', offset: 1 },
        { epoch: log.epoch, offset: end + 1 },
      ]) {
        const page = await log.read({ room: 'r', ...ALL, limit: 2, after });
        expect(page).toMatchObject({ more: true, gap });
        expect(midsOf(page)).toEqual(['m0', 'm1']);
      }
      const beyond = { epoch: log.epoch, offset: end + 1 };
      expect(await log.read({ room: roomBeside('r'), ...ALL, after: beyond })).toMatchObject({
        publications: [],
        gap,
      });
    });

    test('reads the newest, with a gap, before a position of another epoch or beyond the end', async () => {
      const { log, fill } = subject();
      await fill(['r'], 3);
      const end = log.ends()[partitionOf('r', PARTITIONS)] ?? Number.NaN;
      for (const before of [
        { epoch: 'another', offset: 1 },
        { epoch: log.epoch, offset: end + 1 },
      ]) {
        const page = await log.read({ room: 'r', ...ALL, limit: 2, before });
        expect(page.gap?.from).toBeNull();
        expect(midsOf(page)).toEqual(['m1', 'm2']);
      }
    });
  });
}
