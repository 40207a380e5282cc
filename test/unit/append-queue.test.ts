import { beforeEach, describe, expect, test } from 'vitest';
import { AppendLoad, AppendQueue, type PendingAppend, type Settled } from '../../src/fanout/append-queue.ts';
import type { Appended } from '../../src/fanout/room-log.ts';
import { CommandError } from '../../src/protocol/errors.ts';

const SETTINGS = { queueRecordsMax: 5, queueBytesMax: 100, queueWaitMsMax: 200, appendTimeoutMs: 1_000 };

let nowMs: number;
let queue: AppendQueue<PendingAppend>;

beforeEach(() => {
  nowMs = 10_000;
  queue = new AppendQueue(SETTINGS, () => nowMs);
});

describe('what is queued', () => {
  test('goes as one batch, in order', async () => {
    const outcomes = [add('a'), add('b'), add('c')];
    expect(idsOf(queue.take())).toEqual(['a', 'b', 'c']);
    queue.succeed([settledAt(0), settledAt(1), settledAt(2)]);
    expect(await Promise.all(outcomes)).toEqual([at(0), at(1), at(2)]);
    expect(queue.take()).toEqual([]);
    expect([queue.load.waiters, queue.load.bytes]).toEqual([0, 0]);
  });

  test('is refused beyond so many records, those in flight included', async () => {
    const accepted = ['a', 'b', 'c'].map((id) => add(id));
    queue.take();
    accepted.push(add('d'), add('e'));
    expect(await codeOf(add('f'))).toBe('overloaded');
    expect(await codeOf(queue.attach('a', 1))).toBe('overloaded');
    queue.succeed([settledAt(0), settledAt(1), settledAt(2)]);
    await Promise.all(accepted.slice(0, 3));
    accepted.push(add('g'));
    expect(idsOf(queue.take())).toEqual(['d', 'e', 'g']);
  });

  test('is refused beyond so many bytes, those in flight included', async () => {
    const first = add('a', { bytes: 60 });
    queue.take();
    void add('b', { bytes: 40 });
    const error = await errorOf(add('c', { bytes: 1 }));
    expect(error.code).toBe('overloaded');
    expect(error.retryAfterMs).toBeGreaterThan(0);
    queue.succeed([settledAt(0)]);
    await first;
    void add('d', { bytes: 60 });
    expect(idsOf(queue.take())).toEqual(['b', 'd']);
  });

  test('is refused after it waited too long, and only then', async () => {
    const inFlight = add('a');
    queue.take();
    const old = add('b');
    nowMs += 100;
    const young = add('c');
    nowMs += 99;
    queue.expire();
    expect(queue.queued).toBe(2);
    nowMs += 1;
    queue.expire();
    expect(await codeOf(old)).toBe('overloaded');
    expect(queue.queued).toBe(1);
    queue.succeed([settledAt(0)]);
    await inFlight;
    expect(idsOf(queue.take())).toEqual(['c']);
    queue.succeed([settledAt(1)]);
    expect(await young).toEqual(at(1));
  });

  test('is not sent when it waited too long, though nobody has looked', async () => {
    const old = add('a');
    nowMs += 200;
    expect(queue.take()).toEqual([]);
    expect(await codeOf(old)).toBe('overloaded');
  });
});

describe('a log with several queues', () => {
  test('has one bound for all of them', async () => {
    const load = new AppendLoad();
    const queues = [1, 2].map(() => new AppendQueue<PendingAppend>(SETTINGS, () => nowMs, load));
    const addTo = (index: number, id: string, bytes = 1) =>
      (queues[index] as AppendQueue<PendingAppend>).add({ id, dataHash: 1, value: Buffer.alloc(bytes) }, undefined);
    const accepted = [addTo(0, 'a', 60), addTo(1, 'b'), addTo(0, 'c')];
    expect(await codeOf(addTo(1, 'd', 39))).toBe('overloaded');
    accepted.push(addTo(1, 'e'), addTo(0, 'f'));
    expect(await codeOf(addTo(1, 'g'))).toBe('overloaded');
    expect(load).toEqual({ waiters: 5, records: 5, bytes: 64 });
    queues[0]?.take();
    queues[0]?.succeed([settledAt(0), settledAt(1), settledAt(2)]);
    expect(load).toEqual({ waiters: 2, records: 2, bytes: 2 });
    queues[1]?.take();
    queues[1]?.succeed([settledAt(0), settledAt(1)]);
    await Promise.all(accepted);
    expect(load).toEqual({ waiters: 0, records: 0, bytes: 0 });
  });
});

describe('a batch', () => {
  test('is as large as its bounds, and has one record at least', async () => {
    const outcomes = [add('a', { bytes: 20 }), add('b', { bytes: 20 }), add('c', { bytes: 1 }), add('d', { bytes: 5 })];
    expect(idsOf(queue.take(2, 30))).toEqual(['a']);
    queue.succeed([settledAt(0)]);
    expect(idsOf(queue.take(2, 10))).toEqual(['b']);
    queue.succeed([settledAt(1)]);
    expect(idsOf(queue.take(1, 10))).toEqual(['c']);
    queue.succeed([settledAt(2)]);
    expect(idsOf(queue.take(9, 10))).toEqual(['d']);
    queue.succeed([settledAt(3)]);
    expect(await Promise.all(outcomes)).toEqual([at(0), at(1), at(2), at(3)]);
  });

  test('fails where another replica had other data first, with what was to come after it and is not sent', async () => {
    const conflicting = add('a');
    const bystander = add('b');
    queue.take();
    const successor = add('c', { after: 'a' });
    queue.succeed([settledAt(3, 2), { ...settledAt(4), duplicate: true }]);
    expect(await codeOf(conflicting)).toBe('mid_conflict');
    expect(await bystander).toEqual({ ...at(4), duplicate: true });
    expect(await codeOf(successor)).toBe('overloaded');
    expect([queue.queued, queue.load.records]).toEqual([0, 0]);
  });
});

describe('what is in flight', () => {
  test('has an unknown outcome at its deadline, counted from when it was sent', async () => {
    const outcome = add('a');
    nowMs += 150;
    queue.take();
    nowMs += 999;
    queue.expire();
    expect(queue.load.waiters).toBe(1);
    nowMs += 1;
    queue.expire();
    expect(await codeOf(outcome)).toBe('unknown_outcome');
    expect(queue.has('a')).toBe(true);
    expect(queue.flightMs).toBe(1_000);
  });

  test('gives a retry that came after the deadline the outcome, as a duplicate', async () => {
    const first = add('a');
    queue.take();
    nowMs += 1_000;
    queue.expire();
    expect(await codeOf(first)).toBe('unknown_outcome');
    const retry = queue.attach('a', 1);
    nowMs += 500;
    queue.expire();
    queue.succeed([settledAt(7)]);
    expect(await retry).toEqual({ ...at(7), duplicate: true });
    expect(queue.has('a')).toBe(false);
  });

  test('has a deadline for each retry of its own', async () => {
    const first = add('a');
    queue.take();
    nowMs += 600;
    const retry = queue.attach('a', 1);
    nowMs += 400;
    queue.expire();
    expect(await codeOf(first)).toBe('unknown_outcome');
    expect(queue.load.waiters).toBe(1);
    nowMs += 600;
    queue.expire();
    expect(await codeOf(retry)).toBe('unknown_outcome');
  });

  test('fails for all who wait, whatever their data', async () => {
    const waiting = [add('a'), queue.attach('a', 1), queue.attach('a', 2)];
    queue.take();
    queue.fail(() => new CommandError('unavailable', 'full'));
    expect(await Promise.all(waiting.map(codeOf))).toEqual(['unavailable', 'unavailable', 'unavailable']);
  });

  test('is a conflict for those with other data only once it is there', async () => {
    const first = add('a');
    queue.take();
    const other = queue.attach('a', 2);
    queue.succeed([settledAt(0)]);
    expect(await first).toEqual(at(0));
    expect(await codeOf(other)).toBe('mid_conflict');
  });
});

describe('what comes after a record', () => {
  test('fails when the record does, in turn, while others go on in order', async () => {
    const failed = add('a');
    queue.take();
    const behind = [add('b', { after: 'a' }), add('c', { after: 'b' }), add('d', { after: 'c' })];
    void add('x');
    queue.fail(() => new CommandError('unavailable', 'full'));
    expect(await codeOf(failed)).toBe('unavailable');
    expect(await Promise.all(behind.map(codeOf))).toEqual(['overloaded', 'overloaded', 'overloaded']);
    expect(idsOf(queue.take())).toEqual(['x']);
  });

  test('goes on when the record is there', async () => {
    void add('a');
    queue.take();
    void add('b', { after: 'a' });
    void add('c', { after: 'b' });
    queue.succeed([settledAt(0)]);
    nowMs += 10;
    queue.expire();
    expect(idsOf(queue.take())).toEqual(['b', 'c']);
  });

  test('fails when the record waited too long, though it came later itself', async () => {
    const inFlight = add('a');
    queue.take();
    const expired = add('b');
    nowMs += 150;
    const behind = add('c', { after: 'b' });
    nowMs += 50;
    queue.expire();
    expect(await Promise.all([expired, behind].map(codeOf))).toEqual(['overloaded', 'overloaded']);
    queue.succeed([settledAt(0)]);
    await inFlight;
    expect(queue.take()).toEqual([]);
  });

  test('fails when the record’s outcome is unknown to its caller', async () => {
    const unknown = add('a');
    queue.take();
    nowMs += 900;
    const behind = add('b', { after: 'a' });
    nowMs += 100;
    queue.expire();
    expect(await Promise.all([unknown, behind].map(codeOf))).toEqual(['unknown_outcome', 'overloaded']);
    expect(await codeOf(add('c', { after: 'a' }))).toBe('overloaded');
  });

  test('waits with a retry of the record', async () => {
    const unknown = add('a');
    queue.take();
    nowMs += 1_000;
    queue.expire();
    expect(await codeOf(unknown)).toBe('unknown_outcome');
    const retry = queue.attach('a', 1);
    void add('b', { after: 'a' });
    queue.succeed([settledAt(0)]);
    expect((await retry).duplicate).toBe(true);
    expect(idsOf(queue.take())).toEqual(['b']);
  });

  test('fails when the record was refused in the same turn, and not for that in a later one', async () => {
    const refused = queue.refuse('a', new CommandError('mid_conflict', 'used'));
    const behind = add('b', { after: 'a' });
    expect(await Promise.all([refused, behind].map(codeOf))).toEqual(['mid_conflict', 'overloaded']);
    await new Promise(setImmediate);
    void add('b', { after: 'a' });
    expect(idsOf(queue.take())).toEqual(['b']);
  });
});

function add(id: string, options: { after?: string; bytes?: number } = {}): Promise<Appended> {
  const value = Buffer.alloc(options.bytes ?? 1);
  const outcome = queue.add({ id, dataHash: 1, value }, options.after);
  // Some are settled before the test looks at them.
  outcome.catch(() => {});
  return outcome;
}

function at(offset: number): Appended {
  return { position: { epoch: 'e', offset }, duplicate: false };
}

/** A record's first one, with the data that `add` gives. */
function settledAt(offset: number, dataHash = 1): Settled {
  return { ...at(offset), dataHash };
}

function idsOf(batch: ReadonlyArray<{ readonly id: string }>): string[] {
  return batch.map(({ id }) => id);
}

async function errorOf(promise: Promise<unknown>): Promise<CommandError> {
  const error: unknown = await promise.then(
    () => new Error('no error'),
    (reason: unknown) => reason,
  );
  if (!(error instanceof CommandError)) throw error;
  return error;
}

async function codeOf(promise: Promise<unknown>): Promise<string> {
  return (await errorOf(promise)).code;
}
