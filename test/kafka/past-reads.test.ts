import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { dataHash, dedupeId } from '../../src/fanout/dedupe.ts';
import { partitionOf } from '../../src/fanout/partition.ts';
import type { Page } from '../../src/fanout/room-log.ts';
import type { KafkaLog } from '../../src/kafka/kafka-log.ts';
import { encodeRecord } from '../../src/kafka/record.ts';
import type { Position } from '../../src/protocol/position.ts';
import { encodeValue, type Publication } from '../../src/protocol/publication.ts';
import {
  ALL,
  codeOf,
  midOf,
  midsOf,
  PARTITIONS,
  positionOf,
  publish,
  roomBeside,
} from '../contract/room-log-fixture.ts';
import { KAFKA_BROKERS } from '../services/test-services.ts';
import { API } from './kafka-proxy.ts';
import { KafkaStage, type OpenedLog } from './kafka-stage.ts';

const PATIENCE = { timeout: 25_000, interval: 50 };
/** So that next to nothing is in memory, and little is needed to decide. */
const FORGETFUL = { recentRecordsMax: 40, windowMs: 1_500, slackMs: 200 };

/** Appends so many to each room, in turn. */
async function fill({ log, tailed }: OpenedLog, rooms: readonly string[], count: number, name = 'm'): Promise<void> {
  const before = tailed.length;
  for (let index = 0; index < count; index++) {
    await Promise.all(rooms.map((room) => log.append(publish(room, `${name}${index}`))));
  }
  expect(tailed.length).toBeGreaterThanOrEqual(before + rooms.length * count);
}

function roomsOf(count: number): string[] {
  return Array.from({ length: count }, (_, index) => `room/${index}`);
}

function inRoom(room: string, publications: readonly Publication[]): Publication[] {
  return publications.filter((each) => each.room === room);
}

async function pagesForward(log: KafkaLog, room: string, limit: number, from: Position): Promise<Page[]> {
  const pages: Page[] = [];
  for (let after = from; ; ) {
    const page: Page = await log.read({ room, ...ALL, limit, after });
    pages.push(page);
    if (!page.more) return pages;
    after = positionOf(page.publications.at(-1) as Publication);
  }
}

async function pagesBackward(log: KafkaLog, room: string, limit: number): Promise<Page[]> {
  const pages: Page[] = [];
  for (let before: Position | undefined; ; ) {
    const page: Page = await log.read({ room, ...ALL, limit, before });
    pages.unshift(page);
    if (!page.more) return pages;
    before = positionOf(page.publications[0] as Publication);
  }
}

function scansOf(log: KafkaLog): number {
  return Object.values(log.figures().scans).reduce((sum, count) => sum + count, 0);
}

describe.skipIf(KAFKA_BROKERS === undefined && !process.env.CI)('reads of the past', () => {
  let stage: KafkaStage;

  beforeAll(async () => {
    stage = await KafkaStage.open();
  }, 120_000);

  afterEach(() => stage.clear());

  afterAll(() => stage?.close());

  /** Appends what a replica would not: copies of what is there, records behind their deadline, and somebody else's. */
  async function disturb(topic: string, epoch: string, room: string, mids: readonly string[]): Promise<void> {
    const partition = partitionOf(room, PARTITIONS);
    const producer = stage.client().producer({ createPartitioner: () => () => partition });
    await producer.connect();
    const record = (mid: string, deadlineMs: number, ofEpoch = epoch) => {
      const value = encodeValue(room, 'user', mid, publish(room, mid).data);
      const append = { id: dedupeId('user', room, mid), dataHash: dataHash(value), value, room };
      return encodeRecord(append, partition, { epoch: ofEpoch, node: 'test', deadlineMs });
    };
    const inTime = Date.now() + 60_000;
    const messages = mids.flatMap((mid) => [
      record(mid, inTime),
      record(`${mid}/late`, 1),
      record(`${mid}/other`, inTime, 'another'),
      { key: room, value: 'hello', partition },
    ]);
    await producer.send({ topic, messages });
    await producer.disconnect();
  }

  test('give page by page what the tail has handed on, before a restart and behind it', async () => {
    const first = await stage.log('pages', FORGETFUL);
    const rooms = roomsOf(12);
    for (let round = 0; round < 4; round++) {
      await fill(first, rooms, 40, `round${round}/`);
      const said = rooms.flatMap((room) => inRoom(room, first.tailed).slice(-3));
      await Promise.all(
        rooms.slice(0, 6).map((room) => disturb('pages.rooms', first.log.epoch, room, inRoom(room, said).map(midOf))),
      );
    }
    // The last ones are not disturbed: then it is all handed on.
    await fill(first, rooms, 1, 'end');
    const { outcomes } = first.log;
    expect(outcomes.zombie).toBeGreaterThan(50);
    expect(outcomes.foreign).toBeGreaterThan(50);
    expect(outcomes.other_epoch).toBeGreaterThan(50);
    expect(outcomes.duplicate).toBeGreaterThan(20);
    const second = await stage.log('pages', FORGETFUL);
    for (const { log } of [first, second]) {
      const start = { epoch: log.epoch, offset: -1 };
      const all = await Promise.all(
        rooms.map(async (room) => [await pagesForward(log, room, 23, start), await pagesBackward(log, room, 37)]),
      );
      for (const [index, room] of rooms.entries()) {
        for (const pages of all[index] as Page[][]) {
          expect(pages.filter(({ gap }) => gap !== undefined)).toEqual([]);
          expect(pages.flatMap(({ publications }) => publications)).toEqual(inRoom(room, first.tailed));
        }
      }
      // 12 rooms, of each 8 pages forward and 5 back: were each a scan of its own, that would be 150.
      expect(scansOf(log)).toBeGreaterThan(0);
      expect(scansOf(log)).toBeLessThan(75);
      expect(log.figures().scans.failed).toBe(0);
    }
  }, 60_000);

  test('of hundreds of sessions that resume at once behind a restart cost a few scans, two at a time', async () => {
    const first = await stage.log('storm', FORGETFUL);
    const rooms = roomsOf(30);
    await fill(first, rooms, 40);
    const { log } = await stage.log('storm', FORGETFUL);
    let runningMax = 0;
    const sampler = setInterval(() => {
      runningMax = Math.max(runningMax, log.figures().scansRunning);
    }, 1);
    const sessions = Array.from({ length: 300 }, (_, index) => {
      const room = rooms[index % rooms.length] as string;
      return { room, seen: (index * 7) % 35 };
    });
    const pages = await Promise.all(
      sessions.map(({ room, seen }) => {
        const after = positionOf(inRoom(room, first.tailed)[seen] as Publication);
        return log.read({ room, ...ALL, after });
      }),
    );
    clearInterval(sampler);
    for (const [index, { room, seen }] of sessions.entries()) {
      expect(pages[index]).toEqual({
        publications: inRoom(room, first.tailed).slice(seen + 1),
        source: 'log',
        more: false,
      });
    }
    expect(scansOf(log)).toBeLessThanOrEqual(2 * PARTITIONS);
    expect(runningMax).toBeGreaterThan(0);
    expect(runningMax).toBeLessThanOrEqual(2);
  }, 60_000);

  test('end where their bounds are, and say what they leave out', async () => {
    const opened = await stage.log('bounds', { ...FORGETFUL, recentRecordsMax: 40, scanRecordsMax: 100 });
    const { log, tailed } = opened;
    const busy = roomBeside('quiet');
    await fill(opened, ['quiet'], 2);
    await fill(opened, [busy], 300);
    const [, seen] = inRoom('quiet', tailed) as [Publication, Publication];
    const memoryFrom = (tailed.at(-10) as Publication).offset;
    const forward = await log.read({ room: 'quiet', ...ALL, after: positionOf(seen) });
    const to = { epoch: log.epoch, offset: memoryFrom - 1 };
    expect(forward).toEqual({ publications: [], source: 'log', more: false, gap: { from: positionOf(seen), to } });
    const backward = await log.read({ room: 'quiet', ...ALL });
    expect(backward.publications).toEqual([]);
    expect(backward.gap).toEqual({
      from: { epoch: log.epoch, offset: -1 },
      to: { epoch: log.epoch, offset: memoryFrom - 101 },
    });
    // What was found is given, and the next page goes on.
    const page = await log.read({ room: busy, ...ALL, after: positionOf(seen) });
    expect(page.publications).toEqual(inRoom(busy, tailed).slice(0, 100));
    expect([page.more, page.gap]).toEqual([true, undefined]);
    const pages = await pagesForward(log, busy, 300, positionOf(seen));
    expect(pages.flatMap(({ publications }) => publications)).toEqual(inRoom(busy, tailed));
  }, 60_000);

  test('that retention passes by say what it has taken', async () => {
    const settings = { ...FORGETFUL, windowMs: 300, slackMs: 0 };
    const opened = await stage.log('passing', settings);
    const { log, tailed } = opened;
    await fill(opened, ['r'], 600, 'old');
    await new Promise((resolve) => setTimeout(resolve, 400));
    await fill(opened, ['r'], 600, 'new');
    const partition = partitionOf('r', PARTITIONS);
    const admin = stage.client().admin();
    await admin.connect();
    await admin.fetchTopicOffsets('passing.rooms');
    // It looks where the log begins, and for the first record; then it is held while that is deleted.
    let fetches = 0;
    stage.proxy.rule = ({ kind, api }) => (kind === 'reply' && api === API.fetch && ++fetches > 1 ? 'hold' : 'pass');
    const reading = log.read({ room: 'r', ...ALL, limit: 100, after: { epoch: log.epoch, offset: -1 } });
    await new Promise((resolve) => setTimeout(resolve, 300));
    await admin.deleteTopicRecords({ topic: 'passing.rooms', partitions: [{ partition, offset: '500' }] });
    await admin.disconnect();
    stage.proxy.rule = () => 'pass';
    stage.proxy.release();
    const pages = [await reading];
    const last = pages[0]?.publications.at(-1);
    if (pages[0]?.more && last !== undefined) pages.push(...(await pagesForward(log, 'r', 100, positionOf(last))));
    const given = new Set(pages.flatMap(({ publications }) => publications.map(({ offset }) => offset)));
    const gaps = pages.flatMap(({ gap }) => (gap === undefined ? [] : [gap]));
    expect(gaps).toHaveLength(1);
    for (const publication of tailed) {
      const { offset } = publication;
      const isMissing = gaps.some(({ from, to }) => offset > (from?.offset ?? -1) && offset <= to.offset);
      expect(isMissing, `${offset}`).toBe(!given.has(offset));
    }
    // Of those that are left, only those are not told whose duplicates may have been deleted.
    expect(gaps[0]?.to.offset).toBeGreaterThanOrEqual(499);
    expect(gaps[0]?.to.offset).toBeLessThan(700);
    expect(midsOf(await log.read({ room: 'r', ...ALL, limit: 1 }))).toEqual(['new599']);
  }, 60_000);

  test('are refused while the broker can’t be reached, and go on behind that', async () => {
    const opened = await stage.log('unreachable', FORGETFUL);
    const { log, tailed } = opened;
    await fill(opened, ['r', 'other'], 500);
    const start = { epoch: log.epoch, offset: -1 };
    expect(await log.read({ room: 'r', ...ALL, limit: 1, after: start })).toMatchObject({ more: true });
    // In the middle: what is asked first has answers.
    let fetches = 0;
    stage.proxy.rule = ({ kind, api }) => {
      if (fetches > 0) return 'cut';
      if (kind === 'request' && api === API.fetch) fetches += 1;
      return 'pass';
    };
    const readers = Array.from({ length: 20 }, (_, index) =>
      codeOf(log.read({ room: index % 2 === 0 ? 'r' : 'other', ...ALL, after: { ...start, offset: index } })),
    );
    expect(new Set(await Promise.all(readers))).toEqual(new Set(['unavailable']));
    expect(log.load().readsWaiting).toBe(0);
    expect(log.figures().scans.failed).toBeGreaterThan(0);
    stage.proxy.rule = () => 'pass';
    await expect.poll(() => codeOf(log.read({ room: 'r', ...ALL, limit: 1, after: start })), PATIENCE).toBe('no error');
    const pages = await pagesForward(log, 'r', 300, start);
    expect(pages.flatMap(({ publications }) => publications)).toEqual(inRoom('r', tailed));
  }, 90_000);

  test('under which the topic is made anew end, and are of the new one then', async () => {
    const quick = { watchMs: 200, lostAfterMs: 1_000, checkpointMs: 0 };
    const opened = await stage.log('anew', { ...FORGETFUL, ...quick });
    const { log } = opened;
    await fill(opened, ['r'], 300);
    const { epoch } = log;
    const admin = stage.client().admin();
    await admin.connect();
    stage.proxy.rule = ({ kind, api }) => (kind === 'reply' && api === API.fetch ? 'hold' : 'pass');
    const reading = codeOf(log.read({ room: 'r', ...ALL, after: { epoch, offset: -1 } }));
    await admin.deleteTopics({ topics: ['anew.rooms'] });
    await admin.disconnect();
    stage.proxy.rule = () => 'pass';
    stage.proxy.cutAll();
    expect(await reading).toBe('unavailable');
    await expect.poll(() => log.epoch, PATIENCE).not.toBe(epoch);
    await fill(opened, ['r'], 60, 'new');
    const after = { epoch: log.epoch, offset: -1 };
    await expect.poll(() => codeOf(log.read({ room: 'r', ...ALL, after })), PATIENCE).toBe('no error');
    const page = await log.read({ room: 'r', ...ALL, after: { epoch, offset: 20 } });
    expect(midsOf(page)).toEqual(Array.from({ length: 60 }, (_, index) => `new${index}`));
    expect(page.gap).toEqual({ from: null, to: { epoch: log.epoch, offset: -1 } });
  }, 90_000);
});
