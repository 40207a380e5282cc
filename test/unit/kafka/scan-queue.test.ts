import { expect, test } from 'vitest';
import { partitionOf } from '../../../src/fanout/partition.ts';
import type { Page, ReadRequest } from '../../../src/fanout/room-log.ts';
import type { KafkaLogSettings } from '../../../src/kafka/kafka-settings.ts';
import { ALL, codeOf, midsOf } from '../../contract/room-log-fixture.ts';
import { FakeReplica } from './fake-replica.ts';
import { EPOCH, FakeTopic } from './fake-topic.ts';

const WINDOW = { windowMs: 20, slackMs: 0 };

/** A topic in which rooms r0, r1, … were published m0, m1, … to in turn, a millisecond each; nothing is in memory. */
async function filled(
  records: number,
  rooms: number,
  changes: Partial<KafkaLogSettings> = {},
  partitions = 1,
): Promise<{ topic: FakeTopic; replica: FakeReplica }> {
  const topic = new FakeTopic(partitions);
  for (let index = 0; index < records; index++) {
    topic.append({ room: `r${index % rooms}`, mid: `m${index}`, ts: 1_000 + index });
  }
  const replica = await FakeReplica.open(topic, { ...WINDOW, recentRecordsMax: 0, ...changes }, 'whole');
  return { topic, replica };
}

function behind(offset: number, epoch = EPOCH): Pick<ReadRequest, 'after'> {
  return { after: { epoch, offset } };
}

test('one scan is for all who wait, whatever their rooms, places and bounds', async () => {
  const { topic, replica } = await filled(200, 5);
  const rooms = Array.from({ length: 50 }, (_, index) => `r${index % 5}`);
  const pages = await Promise.all(
    rooms.map((room, index) => replica.pages.read({ room, ...ALL, limit: 1 + (index % 7), ...behind(index) })),
  );
  for (const [index, page] of pages.entries()) {
    const expected = replica.truthOf(rooms[index] as string).filter(({ offset }) => offset > index);
    expect(page).toEqual({ publications: expected.slice(0, 1 + (index % 7)), source: 'log', more: true });
  }
  expect(replica.pages.scans.counts).toEqual({ finished: 1, cut: 0, failed: 0 });
  // The time of the first one, and the scan.
  expect(topic.reads).toBe(2);
});

test('who comes while a scan goes on joins it, unless it is past that', async () => {
  const { topic, replica } = await filled(200, 2);
  let batches = 0;
  const joined: Promise<Page>[] = [];
  topic.onBatch = () => {
    batches += 1;
    if (batches !== 20) return;
    for (const offset of [150, 10]) joined.push(replica.pages.read({ room: 'r0', ...ALL, ...behind(offset) }));
  };
  await replica.pages.read({ room: 'r1', ...ALL, ...behind(-1) });
  expect(joined).toHaveLength(2);
  expect((await joined[0])?.publications[0]?.offset).toBe(152);
  expect(replica.pages.scans.counts.finished).toBe(1);
  expect((await joined[1])?.publications[0]?.offset).toBe(12);
  expect(replica.pages.scans.counts.finished).toBe(2);
});

test('a page is there as soon as it is full, and not when the scan ends', async () => {
  const { topic, replica } = await filled(400, 4);
  const long = replica.pages.read({ room: 'r0', ...ALL, ...behind(-1) });
  await replica.pages.read({ room: 'r1', ...ALL, limit: 2, ...behind(-1) });
  expect(replica.pages.scans.running).toBe(1);
  expect(topic.busy.size).toBe(1);
  expect((await long).publications).toHaveLength(100);
});

test('those whom a scan did not reach are scanned for again, the lowest first', async () => {
  const { replica } = await filled(400, 4, { scanRecordsMax: 100 });
  const order: number[] = [];
  const offsets = [-1, 50, 250, 120];
  const pages = await Promise.all(
    offsets.map(async (offset) => {
      const page = await replica.pages.read({ room: 'r0', ...ALL, limit: 10, ...behind(offset) });
      order.push(offset);
      return page.publications[0]?.offset;
    }),
  );
  expect(pages).toEqual([0, 52, 252, 124]);
  expect(order).toEqual([-1, 50, 120, 250]);
  expect(replica.pages.scans.counts).toEqual({ finished: 1, cut: 2, failed: 0 });
});

test('who wants what is older does not hold up for good those who were there before', async () => {
  const { topic, replica } = await filled(400, 4, { scanRecordsMax: 30 });
  let isServed = false;
  let others = 0;
  topic.onBatch = () => {
    // Always one more, who wants what the scan that goes on is past.
    if (isServed || others > 200) return;
    others += 1;
    void replica.pages.read({ room: 'r1', ...ALL, limit: 1, ...behind(-1) });
  };
  void replica.pages.read({ room: 'r1', ...ALL, limit: 1, ...behind(-1) });
  const high = replica.pages.read({ room: 'r0', ...ALL, limit: 1, ...behind(300) });
  expect((await high).publications[0]?.offset).toBe(304);
  isServed = true;
  expect(replica.pages.scans.counts.finished + replica.pages.scans.counts.cut).toBeLessThan(4);
});

test('no more scans go on at the same time than may, and all partitions have their turn', async () => {
  const { topic, replica } = await filled(400, 40, { scansMax: 2 }, 8);
  const rooms = Array.from({ length: 40 }, (_, index) => `r${index}`);
  const partitions = new Set(rooms.map((room) => partitionOf(room, 8)));
  const pages = await Promise.all(rooms.map((room) => replica.pages.read({ room, ...ALL, ...behind(-1) })));
  for (const [index, page] of pages.entries()) {
    expect(page.publications).toEqual(replica.truthOf(rooms[index] as string));
  }
  expect(topic.busyMax).toBe(2);
  expect(replica.pages.scans.counts.finished).toBe(partitions.size);
  expect(replica.pages.scans.running).toBe(0);
});

test('beyond their bound reads are refused, and those that wait have their answers', async () => {
  const { replica } = await filled(100, 2, { readsQueuedMax: 3 });
  const reads = Array.from({ length: 5 }, () => codeOf(replica.pages.read({ room: 'r0', ...ALL, ...behind(-1) })));
  expect(replica.pages.waiting).toBe(3);
  expect(await Promise.all(reads)).toEqual(['no error', 'no error', 'no error', 'overloaded', 'overloaded']);
  expect(replica.pages.waiting).toBe(0);
});

test('when Kafka fails all who wait for the scan hear it, and the next scan works', async () => {
  const { topic, replica } = await filled(200, 2);
  let batches = 0;
  topic.onBatch = () => {
    batches += 1;
    if (batches === 10) throw new Error('the broker is gone');
  };
  const reads = [-1, 20, 190].map((offset) => codeOf(replica.pages.read({ room: 'r0', ...ALL, ...behind(offset) })));
  expect(await Promise.all(reads)).toEqual(['unavailable', 'unavailable', 'unavailable']);
  expect(replica.pages.scans.counts).toEqual({ finished: 0, cut: 0, failed: 1 });
  const page = await replica.pages.read({ room: 'r0', ...ALL, ...behind(20) });
  expect(page.publications[0]?.offset).toBe(22);
});

test('what was read before the log began anew is not told as if it were of the new one', async () => {
  const { topic, replica } = await filled(200, 2, { scansMax: 1 }, 2);
  let batches = 0;
  topic.onBatch = () => {
    batches += 1;
    if (batches === 10) replica.epoch = 'next';
  };
  // Some in the scan that goes on, others in the one that is due.
  const reads = ['r0', 'r1'].flatMap((room) => [
    codeOf(replica.pages.read({ room, ...ALL, ...behind(-1) })),
    codeOf(replica.pages.read({ room, ...ALL })),
  ]);
  expect(new Set(await Promise.all(reads))).toEqual(new Set(['unavailable']));
  const page = await replica.pages.read({ room: 'r0', ...ALL, ...behind(3) });
  // What is there is none of the new one's, and the place is of the old one.
  expect(page).toMatchObject({ publications: [], gap: { from: null, to: { epoch: 'next' } } });
});

test('nor is what is in memory of the new one told as if it were of the old one', async () => {
  const { replica } = await filled(20, 2, { recentRecordsMax: 100 });
  const reading = codeOf(replica.pages.read({ room: 'r0', ...ALL }));
  replica.epoch = 'next';
  expect(await reading).toBe('unavailable');
});

test('where Kafka has not what was read of it already, only those hear it who want that', async () => {
  const { topic, replica } = await filled(200, 2);
  // As in a topic that was made anew, or behind a leader that knows less.
  topic.records[0]?.splice(150);
  const within = replica.pages.read({ room: 'r0', ...ALL, through: 100, ...behind(-1) });
  const beyond = codeOf(replica.pages.read({ room: 'r0', ...ALL, ...behind(20) }));
  const nothing = codeOf(replica.pages.read({ room: 'r0', ...ALL, ...behind(160) }));
  expect((await within).publications).toHaveLength(51);
  expect(await beyond).toBe('unavailable');
  expect(await nothing).toBe('unavailable');
  expect(replica.pages.scans.counts.failed).toBe(0);
});

test('a step in the offsets is a loss: told as a gap where records were deleted, else tried again and refused', async () => {
  const { topic, replica } = await filled(400, 2);
  let batches = 0;
  topic.onBatch = () => {
    batches += 1;
    if (batches === 20) topic.firsts[0] = 200;
  };
  // It has something already when it comes to the step: the next page tells.
  const page = await replica.pages.read({ room: 'r0', ...ALL, ...behind(-1) });
  expect(page.gap).toBeUndefined();
  expect(page.more).toBe(true);
  const reached = page.publications.at(-1)?.offset ?? 0;
  expect(reached).toBeLessThan(200);
  const next = await replica.pages.read({ room: 'r0', ...ALL, ...behind(reached) });
  // What the window needs of those deleted is of 20 ms, a record each.
  expect(next.gap).toEqual({ from: { epoch: EPOCH, offset: reached }, to: { epoch: EPOCH, offset: 220 } });
  expect(next.publications[0]?.offset).toBe(222);

  const whole = await filled(100, 2);
  const [list] = whole.topic.records as [NonNullable<(typeof whole.topic.records)[0]>];
  list.splice(50, 1);
  expect(await codeOf(whole.replica.pages.read({ room: 'r0', ...ALL, through: 80, ...behind(-1) }))).toBe(
    'unavailable',
  );
  expect(whole.replica.pages.scans.counts.failed).toBe(3);
});

test('where too much would have to be read to decide, all that such a scan would serve is a gap', async () => {
  const topic = new FakeTopic();
  topic.batchSize = 10_000;
  for (let index = 0; index < 200_100; index++) topic.append({ room: null, mid: '', ts: 1_000 });
  topic.append({ room: 'r', mid: 'm0', ts: 1_001 });
  topic.append({ room: 'other', mid: 'm1', ts: 1_002 });
  const replica = await FakeReplica.open(topic, { ...WINDOW, recentRecordsMax: 1 }, 'whole');
  const [page, next] = await Promise.all(
    [200_050, 200_060].map((offset) => replica.pages.read({ room: 'r', ...ALL, ...behind(offset) })),
  );
  const to = { epoch: EPOCH, offset: 200_100 };
  expect(page).toEqual({
    publications: [],
    source: 'log',
    more: false,
    gap: { from: { epoch: EPOCH, offset: 200_050 }, to },
  });
  expect(next?.gap?.to).toEqual(to);
  expect(replica.pages.scans.counts).toEqual({ finished: 0, cut: 1, failed: 0 });
  const whole = await replica.pages.read({ room: 'r', ...ALL, ...behind(100_000) });
  expect(midsOf(whole)).toEqual([]);
  expect(whole.gap?.from?.offset).toBe(100_000);
});

test('a place beyond the end is of another log only if the end is known for sure', async () => {
  const { replica } = await filled(20, 2);
  const beyond = { epoch: EPOCH, offset: 20 };
  expect((await replica.pages.read({ room: 'r0', ...ALL, after: beyond })).gap?.from).toBeNull();
  replica.isLeaderSettled = false;
  for (const place of ['after', 'before']) {
    const error = await replica.pages.read({ room: 'r0', ...ALL, [place]: beyond }).catch((each: unknown) => each);
    expect(error).toMatchObject({ code: 'unavailable', retryAfterMs: 1_000 });
  }
  expect((await replica.pages.read({ room: 'r0', ...ALL, after: { ...beyond, offset: 19 } })).gap).toBeUndefined();
});

test('what a page holds of a scan is its own values, and nothing of what was fetched with them', async () => {
  const { topic, replica } = await filled(20, 2);
  const page = await replica.pages.read({ room: 'r0', ...ALL, ...behind(-1) });
  const fetched = new Set(topic.records.flat().map(({ value }) => value?.buffer));
  expect(page.publications).toHaveLength(10);
  for (const { value } of page.publications) expect(fetched).not.toContain(value.buffer);
});

test('memory that lets go of more while it is scanned makes no hole between', async () => {
  const { topic, replica } = await filled(200, 2, { recentRecordsMax: 20 });
  topic.onBatch = () => {
    const index = topic.ends[0] ?? 0;
    for (let more = 0; more < 3; more++) {
      topic.append({ room: `r${(index + more) % 2}`, mid: `m${index + more}`, ts: 1_000 + index + more });
    }
    replica.follow();
  };
  const page = await replica.pages.read({ room: 'r1', ...ALL, through: 199, ...behind(-1) });
  const publications = replica.truthOf('r1').filter(({ offset }) => offset < 200);
  expect(page).toEqual({ publications, source: 'log', more: false });
});
