import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { RecentPast } from '../../src/fanout/shared-history.ts';
import { encodeValue, type Publication } from '../../src/protocol/publication.ts';
import { HistoryReader } from '../../src/redis/history-reader.ts';
import { HISTORY_DEFAULTS, type HistorySettings } from '../../src/redis/history-settings.ts';
import { HistoryWriter } from '../../src/redis/history-writer.ts';
import type { RedisLink } from '../../src/redis/redis-link.ts';
import { REDIS_URL } from '../services/test-services.ts';
import { HistoryStage, silent } from './history-stage.ts';

const BOUNDS = { limit: 300, bytesMax: 1_000_000 };
/** Facts that a partition's state has beside its rooms. */
const FACTS = 6;

/** One partition's memory. */
class FakePast implements RecentPast {
  readonly epoch = 'epoch';
  readonly partitions = 1;
  from = 0;
  readonly list: Publication[] = [];

  say(room: string, bytes = 10): void {
    const offset = this.list.length;
    const value = encodeValue(room, 'ann', `m${offset}`, JSON.stringify('x'.repeat(bytes)));
    this.list.push({ room, partition: 0, epoch: this.epoch, offset, ts: 1_000 + offset, value });
  }

  span(): { from: number; through: number } {
    return { from: this.from, through: this.list.length - 1 };
  }

  publications(_partition: number, from: number): Iterable<Publication> {
    return this.list.slice(from);
  }
}

describe.skipIf(REDIS_URL === undefined && !process.env.CI)('the writer of history', () => {
  let stage: HistoryStage;
  let link: RedisLink;
  let past: FakePast;

  beforeAll(async () => {
    stage = await HistoryStage.open();
    link = await stage.link();
  });

  beforeEach(async () => {
    await stage.client.flushall();
    past = new FakePast();
  });

  afterAll(() => stage?.close());

  function writer(changes: Partial<HistorySettings> = {}, of = past): HistoryWriter {
    const settings = { ...HISTORY_DEFAULTS, writeMs: 2 ** 30, renewMs: 0, ...changes };
    return new HistoryWriter(link, settings, silent, of);
  }

  async function offsetsOf(room: string, from = 0): Promise<number[]> {
    const reader = new HistoryReader(link, HISTORY_DEFAULTS);
    const place = { room, partition: 0, epoch: past.epoch };
    const stretch = await reader.readForward(place, from, past.list.length - 1, BOUNDS);
    return stretch.publications.map(({ offset }) => offset);
  }

  const streams = () => stage.client.keys('*:h:*');
  const state = () => link.key('hp', past.epoch, 0);

  test('keeps so many of a room, for so long', async () => {
    const one = writer({ lengthMax: 20, ageMs: 5_000, lastMs: 50_000, batchRecordsMax: 7 });
    for (let count = 0; count < 100; count++) past.say('r');
    await one.write();
    const offsets = await offsetsOf('r');
    expect(offsets.at(-1)).toBe(99);
    expect(offsets.length).toBeGreaterThanOrEqual(20);
    // Trimmed by nodes, of two entries here.
    expect(offsets.length).toBeLessThan(23);
    const [stream = ''] = await streams();
    expect(await stage.client.pttl(stream)).toBeGreaterThan(4_000);
    expect(await stage.client.pttl(stream)).toBeLessThanOrEqual(5_000);
    expect(await stage.client.pttl(state())).toBeGreaterThan(40_000);
    await one.close();
  });

  test('keeps bytes within twice their bound, and knows of rooms whose messages have gone', async () => {
    const bytesMax = 200_000;
    const one = writer({ bytesMax });
    let most = 0;
    for (let round = 0; round < 40; round++) {
      for (let count = 0; count < 20; count++) past.say(round % 2 === 0 ? 'busy' : `room/${round}/${count}`, 1_000);
      await one.write();
      const used = await Promise.all((await streams()).map((key) => stage.client.call('MEMORY', 'USAGE', key)));
      most = Math.max(
        most,
        used.reduce<number>((sum, bytes) => sum + Number(bytes), 0),
      );
    }
    expect(most).toBeGreaterThan(bytesMax / 2);
    expect(most).toBeLessThan(2 * bytesMax);
    expect(await stage.client.exists(link.key('h', past.epoch, 'room/1/0'))).toBe(0);
    expect(await stage.client.zscore(state(), 'room/1/0')).toBe('20');
    expect((await offsetsOf('room/39/19')).length).toBe(1);
    await one.close();
  });

  test('knows so many rooms, and forgets those that were quiet for longest', async () => {
    const one = writer({ roomsMax: 30 });
    for (let count = 0; count < 100; count++) past.say(`room/${count}`);
    await one.write();
    await one.write();
    expect(await stage.client.zcard(state())).toBe(30 + FACTS);
    expect(await stage.client.zscore(state(), ' forgotten')).toBe('69');
    expect(await stage.client.zscore(state(), 'room/69')).toBeNull();
    expect(await stage.client.zscore(state(), 'room/70')).toBe('70');
    expect(await streams()).toHaveLength(30);
    await one.close();
  });

  test('writes nothing without the lease, which another one gets when it has lapsed', async () => {
    const [first, second] = [writer({ leaseMs: 60_000 }), writer({ leaseMs: 60_000 })];
    past.say('r');
    await first.write();
    await second.write();
    expect([first.led, second.led]).toEqual([1, 0]);
    // As if it had lapsed while the first one was paused.
    await stage.client.set(link.key('hw', past.epoch, 0), 'another');
    past.say('r');
    await first.write();
    expect([first.led, first.writes.lapses]).toEqual([0, 1]);
    expect(await offsetsOf('r')).toEqual([0]);
    await stage.client.del(link.key('hw', past.epoch, 0));
    const third = writer({ leaseMs: 60_000 });
    await third.write();
    expect([third.led, third.writes.starts]).toEqual([1, 0]);
    expect(await offsetsOf('r')).toEqual([0, 1]);
    await third.close();
    expect(await stage.client.exists(link.key('hw', past.epoch, 0))).toBe(0);
    for (const each of [first, second]) await each.close();
  });

  test('goes on from where Redis is, if that has gone back a little', async () => {
    const one = writer();
    for (let count = 0; count < 5; count++) past.say('r');
    await one.write();
    const snapshot = await stage.snapshot();
    for (let count = 0; count < 5; count++) past.say('r');
    await one.write();
    await stage.restore(snapshot);
    past.say('r');
    await one.write();
    expect(one.writes.starts).toBe(1);
    expect(await offsetsOf('r')).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    await one.close();
  });

  test('begins anew behind what has gone from memory before it was written', async () => {
    const one = writer();
    past.say('r');
    await one.write();
    for (let count = 0; count < 9; count++) past.say('r');
    past.from = 6;
    await one.write();
    expect(one.writes.starts).toBe(2);
    expect(await offsetsOf('r')).toEqual([0]);
    expect(await offsetsOf('r', 1)).toEqual([6, 7, 8, 9]);
    await one.close();
  });
});
