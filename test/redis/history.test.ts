import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { partitionOf } from '../../src/fanout/partition.ts';
import type { Page } from '../../src/fanout/room-log.ts';
import type { KafkaLogSettings } from '../../src/kafka/kafka-settings.ts';
import type { Position } from '../../src/protocol/position.ts';
import type { Publication } from '../../src/protocol/publication.ts';
import { HISTORY_DEFAULTS, type HistorySettings } from '../../src/redis/history-settings.ts';
import { RedisHistory } from '../../src/redis/redis-history.ts';
import type { RedisLink } from '../../src/redis/redis-link.ts';
import { ALL, PARTITIONS, positionOf, publish, roomBeside } from '../contract/room-log-fixture.ts';
import { CuttingProxy } from '../faults/cutting-proxy.ts';
import { KafkaStage, type OpenedLog } from '../kafka/kafka-stage.ts';
import { KAFKA_BROKERS, REDIS_URL } from '../services/test-services.ts';
import { HistoryStage, silent } from './history-stage.ts';

const PATIENCE = { timeout: 15_000, interval: 20 };
const QUICK: Partial<HistorySettings> = { writeMs: 20, leaseMs: 600, renewMs: 100, retryMs: 100 };
/** So that little is in memory, 500 of each partition, and little is needed to decide. */
const FORGETFUL: Partial<KafkaLogSettings> = { recentRecordsMax: 2_000, windowMs: 1_500, slackMs: 200 };
/** Publishes at a time: less than is in memory, so that none is gone from there before it is written. */
const AT_A_TIME = 100;

interface Replica extends OpenedLog {
  readonly history: RedisHistory;
  readonly link: RedisLink;
  readonly proxy: CuttingProxy;
}

/** Appends so many to a room, some at a time. */
async function fill({ log }: OpenedLog, room: string, count: number, name: string, atATime = AT_A_TIME): Promise<void> {
  for (let index = 0; index < count; index += atATime) {
    const mids = Array.from({ length: Math.min(atATime, count - index) }, (_, each) => `${name}${index + each}`);
    await Promise.all(mids.map((mid) => log.append(publish(room, mid))));
  }
}

function inRoom(room: string, { tailed }: OpenedLog): Publication[] {
  return tailed.filter((each) => each.room === room);
}

/** Page by page up to the end as it is then. */
async function readOn(
  { log }: OpenedLog,
  room: string,
  from: Position,
  onPage: (pages: number) => Promise<void> = async () => {},
): Promise<Page[]> {
  const pages: Page[] = [];
  for (let after = from; ; ) {
    const page: Page = await log.read({ room, ...ALL, after });
    pages.push(page);
    if (!page.more) return pages;
    after = positionOf(page.publications.at(-1) as Publication);
    await onPage(pages.length);
  }
}

function all(pages: readonly Page[]): readonly Publication[] {
  return pages.flatMap(({ publications }) => publications);
}

function gapsOf(pages: readonly Page[]): unknown[] {
  return pages.flatMap(({ gap }) => (gap === undefined ? [] : [gap]));
}

function scansOf({ log }: OpenedLog): number {
  return Object.values(log.figures().scans).reduce((sum, count) => sum + count, 0);
}

describe.skipIf((KAFKA_BROKERS === undefined || REDIS_URL === undefined) && !process.env.CI)(
  'history of replicas',
  () => {
    let kafka: KafkaStage;
    let redis: HistoryStage;
    let replicas: Replica[] = [];

    beforeAll(async () => {
      [kafka, redis] = await Promise.all([KafkaStage.open(), HistoryStage.open()]);
    }, 120_000);

    afterEach(async () => {
      await Promise.all(replicas.map(({ history }) => history.close()));
      await kafka.clear();
      for (const { link, proxy } of replicas) {
        link.close();
        await proxy.close();
      }
      replicas = [];
    });

    afterAll(async () => {
      await kafka?.close();
      await redis?.close();
    });

    async function replica(
      prefix: string,
      settings: Partial<HistorySettings> = {},
      ofLog: Partial<KafkaLogSettings> = {},
      commandTimeoutMs?: number,
    ): Promise<Replica> {
      const proxy = await CuttingProxy.open(redis.port);
      const link = await redis.link(prefix, proxy.port, commandTimeoutMs);
      const history = new RedisHistory(link, { ...HISTORY_DEFAULTS, ...QUICK, ...settings }, silent);
      const opened = await kafka.log(prefix, { ...FORGETFUL, ...ofLog }, history);
      history.follow(opened.log.past);
      const made = { ...opened, history, link, proxy };
      replicas.push(made);
      return made;
    }

    /** Resolves when all that a replica has read is in Redis. */
    async function written(...of: readonly Replica[]): Promise<void> {
      await expect
        .poll(() => of.reduce((sum, { history }) => sum + history.figures().led, 0), PATIENCE)
        .toBe(PARTITIONS);
      await expect.poll(() => of.reduce((sum, { history }) => sum + history.figures().behind, 0), PATIENCE).toBe(0);
    }

    const start = ({ log }: OpenedLog): Position => ({ epoch: log.epoch, offset: -1 });

    test('gives what was said 10,000 messages ago page by page, while more is said, without a look at Kafka', async () => {
      const open = () => replica('far', { lengthMax: 50_000 }, { recentRecordsMax: 8_000 });
      const [first, second] = [await open(), await open()];
      for (let thousand = 0; thousand < 10; thousand++) {
        await fill(first, 'r', 1_000, `m${thousand}/`, 500);
        await written(first, second);
      }
      let isReading = true;
      const more = async () => {
        for (let round = 0; isReading; round++) await fill(first, 'r', 20, `more${round}/`);
      };
      const saying = more();
      const pages = await readOn(second, 'r', start(second));
      isReading = false;
      await saying;
      expect(gapsOf(pages)).toEqual([]);
      const given = all(pages);
      expect(given.length).toBeGreaterThanOrEqual(10_000);
      expect(given).toEqual(inRoom('r', first).slice(0, given.length));
      expect(scansOf(second)).toBeLessThanOrEqual(second.history.figures().reads.unavailable);
      // 2,000 of them are in memory, the others come in pages of 300.
      expect(second.history.figures().reads.known).toBeGreaterThanOrEqual(Math.floor(8_000 / 300));
      // And backward, from what is in memory on, once this one has come to the end as well.
      await expect.poll(() => [...second.log.ends()], PATIENCE).toEqual([...first.log.ends()]);
      const backward: Publication[] = [];
      for (let before: Position | undefined; ; ) {
        const page = await second.log.read({ room: 'r', ...ALL, before });
        backward.unshift(...page.publications);
        if (!page.more) break;
        before = positionOf(page.publications[0] as Publication);
      }
      expect(backward).toEqual(inRoom('r', first));
      // On a busy machine Redis may be out of reach for a moment; else Kafka has no part in it.
      expect(scansOf(second)).toBeLessThanOrEqual(second.history.figures().reads.unavailable);
    }, 60_000);

    test('goes on from Kafka where Redis is emptied in the middle, and begins anew', async () => {
      const [first, second] = [await replica('emptied'), await replica('emptied')];
      await fill(first, 'r', 2_000, 'm');
      await written(first, second);
      const begun = first.history.figures().starts + second.history.figures().starts;
      const pages = await readOn(second, 'r', positionOf(inRoom('r', first)[1_100] as Publication), async (count) => {
        if (count === 1) await redis.client.flushall();
      });
      expect(gapsOf(pages)).toEqual([]);
      expect(all(pages)).toEqual(inRoom('r', first).slice(1_101));
      expect(scansOf(second)).toBeGreaterThan(0);
      await expect
        .poll(() => first.history.figures().starts + second.history.figures().starts, PATIENCE)
        .toBe(begun + PARTITIONS);
      await written(first, second);
    }, 60_000);

    test('goes on from Kafka where Redis does not answer, and from Redis when it does', async () => {
      const opened = await replica('silent', {}, {}, 100);
      await fill(opened, 'r', 1_000, 'm');
      await written(opened);
      redis.signal('SIGSTOP');
      try {
        expect(all(await readOn(opened, 'r', start(opened)))).toEqual(inRoom('r', opened));
        expect(scansOf(opened)).toBeGreaterThan(0);
        expect(opened.history.figures().reads.unavailable).toBeGreaterThan(0);
        await fill(opened, 'r', 600, 'later');
      } finally {
        redis.signal('SIGCONT');
      }
      await written(opened);
      const { known } = opened.history.figures().reads;
      const from = positionOf(inRoom('r', opened)[900] as Publication);
      const reads = async () => {
        expect(all(await readOn(opened, 'r', from))).toEqual(inRoom('r', opened).slice(901));
        return opened.history.figures().reads.known;
      };
      await expect.poll(reads, PATIENCE).toBeGreaterThan(known);
    }, 60_000);

    test('says what retention has taken, and of a room quiet for longer than that only what it has missed', async () => {
      const opened = await replica('quiet', { ageMs: 1_500 });
      const busy = roomBeside('quiet');
      await fill(opened, 'quiet', 3, 'm');
      await fill(opened, busy, 800, 'm');
      await written(opened);
      const [missed, , last] = inRoom('quiet', opened).map(positionOf) as [Position, Position, Position];
      const partition = opened.tailed[0]?.partition ?? Number.NaN;
      const end = opened.log.ends()[partition] ?? Number.NaN;
      await kafka.admin(async (admin) => {
        await admin.fetchTopicOffsets('quiet.rooms');
        await admin.deleteTopicRecords({ topic: 'quiet.rooms', partitions: [{ partition, offset: String(end - 3) }] });
      });
      const stream = opened.link.key('h', opened.log.epoch, 'quiet');
      await expect.poll(() => redis.client.exists(stream), PATIENCE).toBe(0);
      await written(opened);
      const latecomer = await replica('quiet', { ageMs: 1_500 });
      for (const { log } of [opened, latecomer]) {
        expect(await log.read({ room: 'quiet', ...ALL, after: last })).toEqual({
          publications: [],
          source: 'history',
          more: false,
        });
        expect(await log.read({ room: 'quiet', ...ALL, after: missed })).toEqual({
          publications: [],
          source: expect.any(String),
          more: false,
          gap: { from: missed, to: last },
        });
        // Of a room of which nobody ever heard as well.
        const names = Array.from({ length: 100 }, (_, number) => `silent/${number}`);
        const room = names.find((name) => partitionOf(name, PARTITIONS) === partition) as string;
        expect(await log.read({ room, ...ALL, after: last })).toEqual({
          publications: [],
          source: 'history',
          more: false,
        });
      }
      await redis.client.flushall();
      const page = await latecomer.log.read({ room: 'quiet', ...ALL, after: last });
      expect(page.gap?.from).toEqual(last);
      expect(page.gap?.to.offset).toBeGreaterThanOrEqual(end - 4);
    }, 60_000);

    test('is written by another replica where its writer hangs past its lease, and by that one not any more', async () => {
      const [first, second] = [
        await replica('paused', { lengthMax: 10_000 }),
        await replica('paused', { lengthMax: 10_000 }),
      ];
      const third = await replica('paused', { lengthMax: 10_000 });
      await fill(first, 'r', 100, 'm');
      await written(first, second, third);
      const partition = first.tailed[0]?.partition ?? Number.NaN;
      const writer = async () => redis.client.get(first.link.key('hw', first.log.epoch, partition));
      const paused = first.history.figures().led > 0 ? first : second;
      const others = [first, second, third].filter((each) => each !== paused);
      const token = await writer();
      paused.proxy.target = 1;
      paused.proxy.hold('up');
      await fill(first, 'r', 400, 'meanwhile');
      await expect.poll(writer, PATIENCE).not.toBe(token);
      await written(...others);
      paused.proxy.target = redis.port;
      paused.proxy.release('up');
      await fill(first, 'r', 1_000, 'later');
      await written(...others);
      await expect.poll(() => paused.history.figures().led, PATIENCE).toBe(0);
      const pages = await readOn(third, 'r', positionOf(inRoom('r', first)[100] as Publication));
      expect(all(pages)).toEqual(inRoom('r', first).slice(101));
      expect(scansOf(third)).toBe(0);
      expect(others.reduce((sum, { history }) => sum + history.figures().starts, 0)).toBe(0);
    }, 60_000);

    test('is written on by one who comes where the only one has gone', async () => {
      const first = await replica('alone', { lengthMax: 10_000 });
      await fill(first, 'r', 700, 'm');
      await written(first);
      await first.history.close();
      await first.log.close();
      const second = await replica('alone', { lengthMax: 10_000 });
      await fill(second, 'r', 10, 'later');
      await written(second);
      expect(second.history.figures().starts).toBe(0);
      const pages = await readOn(second, 'r', start(second));
      expect(all(pages).length).toBe(710);
      expect(gapsOf(pages)).toEqual([]);
      expect(scansOf(second)).toBe(0);
    }, 60_000);
  },
);
