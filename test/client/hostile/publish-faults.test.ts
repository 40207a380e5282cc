import { describe, expect, it } from 'vitest';
import type { Fault } from './faults.ts';
import { OneFault, offsetsOf } from './one-fault.ts';
import type { PublishRecord } from './participant.ts';

const RETRYABLE = ['rate_limited', 'overloaded', 'unknown_outcome', 'unavailable', 'internal'] as const;
const REFUSALS = RETRYABLE.flatMap((code): Fault[] => [
  { do: 'refuse', code },
  { do: 'refuse', code, retryAfterMs: 400 },
]);
/** Longer than anything is sent again. */
const HOUR_MS = 3_600_000;

function publishes(one: OneFault, count: number): PublishRecord[] {
  return Array.from({ length: count }, () => one.ann.publish('tea', one.stage.words('ann')));
}

/** The mids of the log, as they stand there. */
function midsOf(one: OneFault): string[] {
  return one.tea.log.entries.map(({ mid }) => mid);
}

function sendsOf(one: OneFault, record: PublishRecord | undefined): number {
  return one.ann.watch.publishSends.get(record?.mid ?? '') ?? 0;
}

describe('a publish', () => {
  it.concurrent.for(REFUSALS)('that is refused for a while by %o keeps its place', async (fault, context) => {
    const one = await OneFault.open(context);
    await one.live();
    one.script.on('ann', 'publish', 2, fault).on('ann', 'publish', 7, fault);
    const records = publishes(one, 6);
    expect(await one.settle()).toEqual([]);
    expect(midsOf(one).slice(0, 6)).toEqual(records.map(({ mid }) => mid));
    expect(sendsOf(one, records[0])).toBe(1);
    expect(sendsOf(one, records[1])).toBeGreaterThan(1);
  });

  it.concurrent('whose outcome was not known stands in the log once', async (context) => {
    const one = await OneFault.open(context);
    await one.live();
    one.script.on('ann', 'appended', 2, { do: 'refuse', code: 'unknown_outcome' });
    const records = publishes(one, 4);
    expect(await one.settle()).toEqual([]);
    expect(midsOf(one).slice(0, 4)).toEqual(records.map(({ mid }) => mid));
    expect(records.map(({ outcome }) => outcome)).toMatchObject([
      { duplicate: false },
      { duplicate: true },
      { duplicate: false },
      { duplicate: false },
    ]);
  });

  it.concurrent('that is answered only in the next session resolves with its first place', async (context) => {
    const one = await OneFault.open(context);
    await one.live();
    one.script.on('ann', 'appended', 2, { do: 'end', ending: { by: 'reset' } });
    const records = publishes(one, 4);
    expect(await one.settle()).toEqual([]);
    expect(records[1]?.outcome).toMatchObject({ duplicate: true, offset: offsetsOf(one.tea.log.entries)[1] });
    expect(midsOf(one).slice(0, 4)).toEqual(records.map(({ mid }) => mid));
  });

  it.concurrent('that comes into the log when its connection is gone is there once', async (context) => {
    const one = await OneFault.open(context);
    await one.live();
    one.script.on('ann', 'publish', 2, { do: 'append_late', ms: 15 });
    const records = publishes(one, 4);
    expect(await one.settle()).toEqual([]);
    expect(midsOf(one).slice(0, 4)).toEqual(records.map(({ mid }) => mid));
  });

  it.concurrent('that is refused for good takes nobody else with it', async (context) => {
    const one = await OneFault.open(context);
    await one.live();
    one.script.on('ann', 'publish', 2, { do: 'refuse', code: 'forbidden' });
    const records = publishes(one, 5);
    expect(await one.settle()).toEqual([]);
    expect(records[1]?.outcome).toMatchObject({ code: 'forbidden' });
    expect(midsOf(one).slice(0, 4)).toEqual(records.filter((_, i) => i !== 1).map(({ mid }) => mid));
  });

  it.concurrent('may be answered behind later ones, and twice', async (context) => {
    const one = await OneFault.open(context);
    await one.live();
    one.script.on('ann', 'appended', 1, { do: 'delay', ms: 300 }).on('ann', 'appended', 2, { do: 'twice' });
    const records = publishes(one, 4);
    await one.stage.until('the last outcome', () => records[3]?.outcome !== null);
    expect(records[0]?.outcome).toBeNull();
    expect(await one.settle()).toEqual([]);
    expect(one.ann.watch.socketCount).toBe(1);
  });

  it.concurrent('before there is a session goes out behind the joins, and needs none', async (context) => {
    const one = await OneFault.open(context);
    const records = [...publishes(one, 3), one.ann.publish('elsewhere', 1)];
    await one.live();
    expect(await one.settle()).toEqual([]);
    expect(midsOf(one).slice(0, 3)).toEqual(records.slice(0, 3).map(({ mid }) => mid));
    expect(one.server.room('elsewhere').log.entries).toHaveLength(1);
  });

  it.concurrent('waits where the server takes no more at a time', async (context) => {
    const one = await OneFault.open(context, { publishesUnansweredMax: 2 });
    await one.live();
    for (let turn = 1; turn <= 6; turn += 1) one.script.on('ann', 'appended', turn, { do: 'delay', ms: 2 });
    publishes(one, 10);
    // More at a time are among what is wrong.
    expect(await one.settle()).toEqual([]);
  });
});

describe('a publish whose time is over', () => {
  it.concurrent('while the computer was asleep is not sent again', async (context) => {
    const one = await OneFault.open(context);
    const { ann, script } = one;
    await one.live();
    script.on('ann', 'publish', 1, { do: 'end', ending: { by: 'disconnect', code: 3000, afterMs: 2_000 } });
    const cutOff = one.cutOff();
    const [sent] = publishes(one, 1);
    await cutOff;
    const [unsent] = publishes(one, 1);
    expect([sent?.outcome, unsent?.outcome]).toEqual([null, null]);
    ann.environment.shiftWall(HOUR_MS);
    expect(await one.settle()).toEqual([]);
    expect(sent?.outcome).toMatchObject({ code: 'timed_out', wasSent: true });
    expect(unsent?.outcome).toMatchObject({ code: 'timed_out', wasSent: false });
    expect([sendsOf(one, sent), sendsOf(one, unsent)]).toEqual([1, 0]);
  });

  it.concurrent('is not sent again when the server says later that it may be', async (context) => {
    const one = await OneFault.open(context);
    const { ann, script, stage } = one;
    await one.live();
    script.on('ann', 'publish', 1, { do: 'refuse', code: 'overloaded', retryAfterMs: 10_000 });
    const [first, second] = publishes(one, 2);
    await stage.until('the publish to be refused', () => script.turns('ann', 'publish') === 1);
    ann.environment.shiftWall(HOUR_MS);
    const [third] = publishes(one, 1);
    expect(await one.settle()).toEqual([]);
    expect([first?.outcome, second?.outcome]).toMatchObject([{ code: 'timed_out' }, { code: 'timed_out' }]);
    expect(third?.outcome).toMatchObject({ duplicate: false });
    expect(sendsOf(one, first)).toBe(1);
  });

  it.concurrent('has no more of it when the clock is set back', async (context) => {
    const one = await OneFault.open(context, { speed: 30 });
    const { ann, script } = one;
    await one.live();
    // A minute is 2 s here; the server wants nobody before that.
    script.on('ann', 'publish', 1, { do: 'end', ending: { by: 'disconnect', code: 3000, afterMs: 70_000 } });
    const cutOff = one.cutOff();
    const [record] = publishes(one, 1);
    await cutOff;
    ann.environment.shiftWall(-HOUR_MS);
    expect(await one.settle()).toEqual([]);
    expect(record?.outcome).toMatchObject({ code: 'timed_out', wasSent: true });
    expect(sendsOf(one, record)).toBe(1);
  });

  it.concurrent('fails in time, though nothing else happens', async (context) => {
    const one = await OneFault.open(context, { speed: 30 });
    await one.live();
    one.script.on('ann', 'publish', 1, { do: 'end', ending: { by: 'disconnect', code: 3000, afterMs: 600_000 } });
    const cutOff = one.cutOff();
    const promise = one.ann.client.room('tea').publish(1);
    await cutOff;
    one.ann.environment.shiftWall(-HOUR_MS);
    await expect(promise).rejects.toMatchObject({ code: 'timed_out', wasSent: true });
    expect(one.ann.client.state.name).toBe('waiting');
  });
});
