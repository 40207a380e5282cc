import { expect, test } from 'vitest';
import { ALL, midsOf } from '../../contract/room-log-fixture.ts';
import { FakeReplica } from './fake-replica.ts';
import { EPOCH, FakeTopic } from './fake-topic.ts';

const SETTINGS = { windowMs: 100, slackMs: 20, recentRecordsMax: 0 };

/** A topic whose records are of one room, as they are named and stamped. */
function topicOf(records: readonly (readonly [mid: string, ts: number])[]): FakeTopic {
  const topic = new FakeTopic();
  for (const [mid, ts] of records) topic.append({ room: 'r', mid, ts });
  return topic;
}

test('what is decided where time has stepped back is decided with what lies that much further back', async () => {
  // The second `m` is within the window of the first, though the record before it is not.
  const records = [
    ['m', 1_000],
    ['a', 1_050],
    ['b', 1_115],
    ['m', 1_096],
    ['c', 1_120],
  ] as const;
  const replica = await FakeReplica.open(topicOf(records), SETTINGS, 'whole');
  expect(replica.truth).toHaveLength(4);
  const page = await replica.pages.read({ room: 'r', ...ALL, after: { epoch: EPOCH, offset: 1 } });
  expect(midsOf(page)).toEqual(['b', 'c']);
  expect(page.gap).toBeUndefined();
});

test('what may be a duplicate of one that was deleted is not told, however time has stepped', async () => {
  // The first `m` is deleted; the first that is left is stamped the slack before it.
  const records = [
    ['m', 1_000],
    ['a', 980],
    ['b', 1_120],
    ['m', 1_100],
    ['c', 1_121],
    ['d', 1_141],
  ] as const;
  const topic = topicOf(records);
  const replica = await FakeReplica.open(topic, SETTINGS, 'whole');
  topic.firsts[0] = 1;
  const page = await replica.pages.read({ room: 'r', ...ALL, after: { epoch: EPOCH, offset: 1 } });
  expect(midsOf(page)).toEqual(['c', 'd']);
  expect(page.gap?.to.offset).toBe(3);
  const newest = await replica.pages.read({ room: 'r', ...ALL });
  expect(midsOf(newest)).toEqual(['c', 'd']);
  expect([newest.more, newest.gap]).toEqual([false, undefined]);
});

test('who begins at the end keeps in memory only what it decides as all others do', async () => {
  const records = [
    ['m', 1_000],
    ['a', 1_060],
    ['m', 1_099],
    ['b', 1_110],
    ['c', 1_170],
    ['d', 1_195],
  ] as const;
  const topic = topicOf(records);
  const replica = await FakeReplica.open(topic, { ...SETTINGS, recentRecordsMax: 100 }, 'begun');
  // It reads from 1,075 on, and is sure of what is stamped 1,175 or later.
  expect(replica.recent[0]?.from).toBe(5);
  expect(midsOf(await replica.pages.read({ room: 'r', ...ALL, limit: 1 }))).toEqual(['d']);
  const page = await replica.pages.read({ room: 'r', ...ALL, after: { epoch: EPOCH, offset: -1 } });
  expect(midsOf(page)).toEqual(['m', 'a', 'b', 'c', 'd']);
  // All that there ever was is in memory of who has read all of it.
  const whole = await FakeReplica.open(topicOf(records.slice(0, 3)), { ...SETTINGS, recentRecordsMax: 100 }, 'begun');
  expect(whole.recent[0]?.from).toBe(0);
  // Where the beginning is gone, nothing is sure.
  const cut = topicOf(records.slice(0, 4));
  cut.firsts[0] = 1;
  const beheaded = await FakeReplica.open(cut, { ...SETTINGS, recentRecordsMax: 100 }, 'begun');
  expect(beheaded.recent[0]?.from).toBe(4);
});

test('what is deleted while it is asked where to begin is not taken for what never was', async () => {
  const records = [
    ['m', 1_000],
    ['a', 1_001],
    ['m', 1_002],
    ['b', 1_003],
  ] as const;
  for (const how of ['whole', 'begun'] as const) {
    const topic = topicOf(records);
    // By the first record that is read: after it was asked where the log begins.
    topic.onBatch = () => {
      topic.firsts[0] = 2;
    };
    const replica = await FakeReplica.open(topic, { ...SETTINGS, recentRecordsMax: how === 'whole' ? 0 : 100 }, how);
    const page = await replica.pages.read({ room: 'r', ...ALL, after: { epoch: EPOCH, offset: 1 } });
    expect(midsOf(page), how).toEqual([]);
    expect(page.gap?.to.offset, how).toBe(3);
  }
});
