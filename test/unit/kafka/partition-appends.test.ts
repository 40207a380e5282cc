import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { AppendLoad } from '../../../src/fanout/append-queue.ts';
import type { Appended } from '../../../src/fanout/room-log.ts';
import { PartitionAppends } from '../../../src/kafka/partition-appends.ts';
import { CommandError } from '../../../src/protocol/errors.ts';
import { FakeTrace } from '../fake-trace.ts';

const SETTINGS = {
  ...{ queueRecordsMax: 100, queueBytesMax: 10_000, queueWaitMsMax: 2_000, appendTimeoutMs: 15_000 },
  node: 'one',
};

let appends: PartitionAppends;
let load: AppendLoad;

beforeEach(() => {
  vi.useFakeTimers();
  load = new AppendLoad();
  appends = new PartitionAppends(0, SETTINGS, load);
});

afterEach(() => {
  vi.useRealTimers();
});

function add(id: string, trace?: FakeTrace): Promise<Appended> {
  const outcome = appends.queue.add({ id, dataHash: 1, value: Buffer.alloc(1), room: 'r', trace }, undefined);
  outcome.catch(() => {});
  return outcome;
}

function take(deadlineMs = 0): string[] {
  return appends.take(100, 10_000, deadlineMs).map(({ id }) => id);
}

function decide(id: string, offset: number): void {
  appends.decided(id, { position: { epoch: 'e', offset }, duplicate: false, dataHash: 1 });
}

describe('a batch', () => {
  test('tells the traces in it how far it has come, and log lines who they are', () => {
    const trace = new FakeTrace();
    void add('a');
    void add('b', trace);
    expect(appends.traced).toEqual([]);
    take();
    expect(appends.traced).toEqual([trace.ids]);
    appends.failed(0);
    take();
    appends.acknowledged();
    expect(trace.told).toEqual(['queued', 'sending to 0 with 2', 'retrying', 'stored']);
    decide('a', 4);
    decide('b', 5);
    expect(appends.traced).toEqual([]);
  });

  test('is followed by the next one when the tail has decided on all of it, however it was acknowledged', async () => {
    const first = [add('a'), add('b')];
    expect(take()).toEqual(['a', 'b']);
    void add('c');
    expect(appends.isReady).toBe(false);
    decide('a', 4);
    appends.acknowledged();
    expect(appends.isReady).toBe(false);
    decide('b', 5);
    expect((await Promise.all(first)).map(({ position }) => position.offset)).toEqual([4, 5]);
    expect(appends.isReady).toBe(true);
    expect(take()).toEqual(['c']);
  });

  test('that the tail has decided on while it was sent waits for the sending to end', async () => {
    const first = add('a');
    take();
    decide('a', 4);
    expect((await first).position.offset).toBe(4);
    void add('b');
    expect(appends.isReady).toBe(false);
    appends.acknowledged();
    expect(appends.isReady).toBe(true);
    expect(take()).toEqual(['b']);
  });

  test('that failed is sent again as it was, after a while and with the deadline that it had', async () => {
    const first = add('a');
    expect(take(1_000)).toEqual(['a']);
    void add('b');
    appends.failed(100);
    expect(appends.isReady).toBe(false);
    vi.advanceTimersByTime(100);
    expect(appends.isReady).toBe(true);
    expect(take(2_000)).toEqual(['a']);
    expect(appends.deadlineMs).toBe(1_000);
    // It has been appended twice.
    decide('a', 4);
    decide('a', 5);
    appends.acknowledged();
    expect(await first).toEqual({ position: { epoch: 'e', offset: 4 }, duplicate: false });
    expect(take(3_000)).toEqual(['b']);
    expect(appends.deadlineMs).toBe(3_000);
  });

  test('has an unknown outcome at its deadline, acknowledged or not, and makes way', async () => {
    for (const end of [() => appends.acknowledged(), () => appends.failed(100)]) {
      const lost = add('a');
      take();
      end();
      vi.advanceTimersByTime(14_999);
      appends.expire();
      expect(load.waiters).toBe(1);
      vi.advanceTimersByTime(1);
      appends.expire();
      await expect(lost).rejects.toMatchObject({ code: 'unknown_outcome' });
      expect(load).toEqual({ waiters: 0, records: 0, bytes: 0 });
      expect([appends.underWayMs, appends.isReady]).toEqual([0, false]);
    }
    void add('b');
    expect(take()).toEqual(['b']);
  });

  test('that is refused for good fails as it is said', async () => {
    const refused = add('a');
    take();
    appends.refused(() => new CommandError('unavailable', 'no'));
    await expect(refused).rejects.toMatchObject({ code: 'unavailable' });
    void add('b');
    expect(take()).toEqual(['b']);
  });
});
