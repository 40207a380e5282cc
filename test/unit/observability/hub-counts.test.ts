import { expect, test, vi } from 'vitest';
import { Hub } from '../../../src/fanout/hub.ts';
import { Tally } from '../../../src/observability/tally.ts';
import type { Tracing } from '../../../src/observability/tracing.ts';
import { BOUNDS } from '../../../src/protocol/bounds.ts';
import { ndjsonDialect, websocketDialect } from '../../../src/protocol/json-dialect.ts';
import { encodeValue, type Publication } from '../../../src/protocol/publication.ts';
import { TextDialect } from '../../../src/protocol/text-dialect.ts';
import { FakeSubscriber } from '../hub/fake-subscriber.ts';

const SETTINGS = { tickMaxMs: 0, tickBytesMax: 100_000, recentBytesMax: 1_000 };

function publication(room: string, offset: number, ts = Date.now()): Publication {
  return { room, partition: 0, epoch: 'e', offset, ts, value: encodeValue(room, 'ann', 'm', String(offset)) };
}

function open(onTick = () => {}, tracing?: Pick<Tracing, 'delivered'>) {
  const tally = new Tally();
  const log = { epoch: 'e', partitions: 1, ends: () => [-1] };
  return { tally, hub: new Hub(log, SETTINGS, onTick, tally, () => {}, tracing) };
}

const total = ({ counts }: { counts: readonly number[] }) => counts.reduce((sum, count) => sum + count, 0);

test('publications are counted once, deliveries once a member, rooms without members not at all', () => {
  const { hub, tally } = open();
  for (const framing of [ndjsonDialect.framing, websocketDialect.framing, ndjsonDialect.framing]) {
    hub.subscribe(new FakeSubscriber(framing), 'a').goLive(-1);
  }
  hub.subscribe(new FakeSubscriber(ndjsonDialect.framing), 'b').goLive(-1);
  hub.subscribe(new FakeSubscriber(ndjsonDialect.framing), 'joining');
  hub.receive([publication('a', 0), publication('b', 1), publication('a', 2), publication('joining', 3)]);
  hub.receive([publication('nobody', 4)]);
  expect(tally).toMatchObject({ publications: 0, deliveries: 0 });
  hub.flush();
  expect(tally).toMatchObject({ publications: 3, deliveries: 7 });
  expect(total(tally.appendDeliver)).toBe(3);
  // One room tick each.
  expect(total(tally.tailDeliver)).toBe(2);
});

test('a delivery is told to its trace once, of how many sessions it was, and where nothing is traced it is none', () => {
  const trace = { parent: { traceId: 'a'.repeat(32), spanId: 'b'.repeat(16), isSampled: true }, readMs: 1 };
  const ids = { trace_id: 'a', span_id: 'c' };
  const told: unknown[] = [];
  const tracing: Pick<Tracing, 'delivered'> = {
    delivered({ room, offset }, traced, sessions) {
      told.push([room, offset, traced, sessions]);
      return ids;
    },
  };
  for (const given of [tracing, undefined]) {
    const { hub, tally } = open(() => {}, given);
    for (let member = 0; member < 3; member += 1) {
      hub.subscribe(new FakeSubscriber(ndjsonDialect.framing), 'a').goLive(-1);
    }
    hub.receive([publication('a', 0), { ...publication('a', 1), trace }, { ...publication('nobody', 2), trace }]);
    hub.flush();
    expect(tally.deliveries).toBe(6);
    expect(tally.appendDeliver.exemplars.flat()).toHaveLength(given === undefined ? 0 : 1);
  }
  expect(told).toEqual([['a', 1, trace, 3]]);
});

test('what a member has from its join is not counted as delivered', () => {
  const { hub, tally } = open();
  hub.subscribe(new FakeSubscriber(ndjsonDialect.framing), 'a').goLive(-1);
  const late = new FakeSubscriber(ndjsonDialect.framing);
  hub.receive([publication('a', 0), publication('a', 1), publication('a', 2)]);
  hub.subscribe(late, 'a').goLive(1);
  hub.flush();
  expect(late.heard).toHaveLength(1);
  expect(tally).toMatchObject({ publications: 3, deliveries: 4 });
});

test('both latencies end when the pushes were handed to the sockets', () => {
  vi.useFakeTimers();
  try {
    const { hub, tally } = open(() => vi.advanceTimersByTime(30));
    hub.subscribe(new FakeSubscriber(ndjsonDialect.framing), 'a').goLive(-1);
    const ts = Date.now() - 200;
    hub.receive([publication('a', 0, ts), publication('a', 1, ts + 100)]);
    vi.advanceTimersByTime(20);
    // The first one's tick has ended by itself, after its 30 ms.
    expect(tally.tailDeliver.sum).toBeGreaterThanOrEqual(0.03);
    expect(tally.tailDeliver.sum).toBeLessThanOrEqual(0.05);
    expect(tally.appendDeliver.sum).toBeCloseTo(0.3 + 2 * tally.tailDeliver.sum, 5);
  } finally {
    vi.useRealTimers();
  }
});

test('signals are counted for those who are told of them', () => {
  const { hub, tally } = open();
  let pushes = 0;
  for (const { framing } of [ndjsonDialect, websocketDialect, new TextDialect()]) {
    const push = () => {
      pushes += 1;
    };
    hub.subscribe({ framing, push, resync() {}, waitingBytes: 0 }, 'a').goLive(-1);
  }
  hub.signal({ room: 'a', from: 'ann', data: '1' });
  hub.signal({ room: 'nobody', from: 'ann', data: '1' });
  // People in text mode are not told.
  expect(pushes).toBe(2);
  expect(tally.signalPushes).toBe(2);
});

test('who lags behind goes without signals, which is counted, and nobody else does', () => {
  const { hub, tally } = open();
  const { framing } = ndjsonDialect;
  const { signalWaitingBytesMax } = BOUNDS;
  const told: number[] = [];
  for (const waitingBytes of [0, signalWaitingBytesMax, signalWaitingBytesMax + 1]) {
    const push = () => void told.push(waitingBytes);
    hub.subscribe({ framing, push, resync() {}, waitingBytes }, 'a').goLive(-1);
  }
  hub.signal({ room: 'a', from: 'ann', data: '1' });
  expect(told).toEqual([0, signalWaitingBytesMax]);
  expect(tally).toMatchObject({ signalPushes: 2, signalsShed: 1 });
});
