import { describe, expect, it } from 'vitest';
import { settled } from './fake-environment.ts';
import { PublishLine } from './publish-line.ts';

describe('publishes', () => {
  it('are sent at once, each behind the one before it in its room', () => {
    const line = new PublishLine();
    line.add('a/1', 'a/2', 'b/1', 'a/3', 'b/2');
    expect(line.taken()).toEqual(['a/1', 'a/2<a/1', 'b/1', 'a/3<a/2', 'b/2<b/1']);
    expect(line.sent[1]?.members).toBe('"op":"publish","room":"a","mid":"a/2","after":"a/1","data":{"n":"a/2"}');
  });

  it('are told of one by one', async () => {
    const line = new PublishLine();
    line.add('a/1', 'a/2');
    line.ok('a/2');
    await settled();
    expect(line.outcomes).toEqual(['a/2: ok']);
    line.ok('a/1');
    await settled();
    expect(line.outcomes).toEqual(['a/2: ok', 'a/1: ok']);
    expect(line.environment.timers).toEqual([]);
  });

  it('name only one that has no answer yet', () => {
    const line = new PublishLine();
    line.add('a/1', 'a/2');
    line.ok('a/1', 'a/2');
    line.add('a/3');
    expect(line.taken()).toEqual(['a/1', 'a/2<a/1', 'a/3']);
  });

  it('are no more in flight than the server takes', () => {
    const line = new PublishLine({ windowMax: 2 });
    line.add('a/1', 'b/1', 'a/2', 'b/2');
    expect(line.taken()).toEqual(['a/1', 'b/1']);
    line.ok('b/1');
    expect(line.taken()).toEqual(['a/2<a/1']);
    line.ok('a/1');
    expect(line.taken()).toEqual(['b/2']);
  });

  it('are no more than may wait', async () => {
    const line = new PublishLine({ waitingMax: 2 });
    line.add('a/1', 'a/2', 'a/3');
    await settled();
    expect(line.outcomes).toEqual(['a/3: queue_full, not sent']);
    line.ok('a/1');
    line.add('a/4');
    expect(line.taken()).toEqual(['a/1', 'a/2<a/1', 'a/4<a/2']);
  });

  it('end when the client is closed', async () => {
    const line = new PublishLine({ windowMax: 1 });
    line.add('a/1', 'a/2');
    line.publishes.close('goodbye');
    line.lose('a/1');
    await settled();
    expect(line.outcomes).toEqual(['a/1: closed, sent', 'a/2: closed, not sent']);
    expect(line.environment.timers).toEqual([]);
  });
});

describe('a failure that may be tried again', () => {
  it('stops its room until all in flight are answered and the longest time has passed', async () => {
    const line = new PublishLine();
    line.add('a/1', 'a/2', 'a/3');
    line.taken();
    line.fail('a/2', 'overloaded', 700);
    line.add('a/4');
    line.fail('a/3', 'overloaded', 100);
    await line.environment.pass(10_000);
    expect(line.taken()).toEqual([]);
    line.ok('a/1');
    await line.environment.pass(699);
    expect(line.taken()).toEqual([]);
    await line.environment.pass(1);
    // After a failure one, and one more with each success, of which there was one.
    expect(line.taken()).toEqual(['a/2', 'a/3<a/2']);
    line.ok('a/2');
    expect(line.taken()).toEqual(['a/4<a/3']);
    line.ok('a/3', 'a/4');
    await settled();
    expect(line.outcomes).toEqual(['a/1: ok', 'a/2: ok', 'a/3: ok', 'a/4: ok']);
    expect(line.environment.timers).toEqual([]);
  });

  it('leaves other rooms alone, but for the pace', async () => {
    const line = new PublishLine({ windowMax: 3 });
    line.add('a/1', 'b/1');
    line.taken();
    line.fail('a/1', 'unknown_outcome', 500);
    line.add('b/2', 'b/3');
    // One is in flight.
    expect(line.taken()).toEqual([]);
    line.ok('b/1');
    expect(line.taken()).toEqual(['b/2', 'b/3<b/2']);
    await line.environment.pass(500);
    expect(line.taken()).toEqual([]);
    line.ok('b/2');
    expect(line.taken()).toEqual(['a/1']);
  });

  it('is not in the way of what comes later elsewhere', async () => {
    const line = new PublishLine();
    line.add('a/1');
    line.fail('a/1', 'overloaded', 5_000);
    line.taken();
    line.add('b/1');
    expect(line.taken()).toEqual(['b/1']);
    line.ok('b/1');
    await line.environment.pass(5_000);
    expect(line.taken()).toEqual(['a/1']);
  });

  it('waits where the server names no time', async () => {
    const line = new PublishLine();
    line.environment.rolls.push(0.25);
    line.add('a/1');
    line.taken();
    line.fail('a/1', 'internal');
    await line.environment.pass(749);
    expect(line.taken()).toEqual([]);
    await line.environment.pass(1);
    expect(line.taken()).toEqual(['a/1']);
  });

  it('is tried again at once where the server names no wait', () => {
    const line = new PublishLine();
    line.add('a/1');
    line.taken();
    line.fail('a/1', 'rate_limited', 0);
    expect(line.taken()).toEqual(['a/1']);
  });

  it('of a rate limit fails those behind it, which come again in their order', async () => {
    const line = new PublishLine();
    line.add('a/1', 'a/2', 'a/3');
    line.ok('a/1');
    line.taken();
    line.fail('a/2', 'rate_limited', 300);
    line.fail('a/3', 'overloaded', 100);
    await line.environment.pass(300);
    line.ok('a/2');
    line.ok('a/3');
    await settled();
    expect(line.taken()).toEqual(['a/2', 'a/3']);
    expect(line.outcomes).toEqual(['a/1: ok', 'a/2: ok', 'a/3: ok']);
  });

  it('is sent with the same bytes each time', async () => {
    const line = new PublishLine();
    line.add('a/1');
    line.fail('a/1', 'overloaded', 1);
    await line.environment.pass(1);
    expect(line.sent.map(({ members }) => members)).toEqual(Array(2).fill(line.sent[0]?.members));
  });

  it('in several rooms keeps the order in each of them', async () => {
    const line = new PublishLine();
    line.add('a/1', 'b/1', 'a/2', 'b/2');
    line.taken();
    line.fail('a/1', 'overloaded', 400);
    line.fail('b/1', 'overloaded', 200);
    line.fail('a/2', 'overloaded', 100);
    line.fail('b/2', 'overloaded', 100);
    await line.environment.pass(200);
    expect(line.taken()).toEqual(['b/1']);
    line.ok('b/1');
    expect(line.taken()).toEqual(['b/2']);
    await line.environment.pass(200);
    expect(line.taken()).toEqual(['a/1']);
    line.ok('b/2');
    expect(line.taken()).toEqual(['a/2<a/1']);
  });
});

describe('a failure that may not be tried again', () => {
  it('is told, and what came after it goes on without it', async () => {
    const line = new PublishLine();
    line.add('a/1', 'a/2', 'a/3');
    line.taken();
    line.fail('a/2', 'mid_conflict');
    await settled();
    expect(line.outcomes).toEqual(['a/2: mid_conflict, sent']);
    line.ok('a/1');
    line.fail('a/3', 'overloaded', 100);
    await line.environment.pass(100);
    expect(line.taken()).toEqual(['a/3']);
  });

  it('alone does not make its room wait', () => {
    const line = new PublishLine();
    line.add('a/1');
    line.fail('a/1', 'forbidden');
    line.add('a/2');
    expect(line.taken()).toEqual(['a/1', 'a/2']);
    expect(line.environment.timers).toHaveLength(1);
  });

  it('holds back what is new until those behind it are answered', async () => {
    const line = new PublishLine();
    line.add('a/1', 'a/2');
    line.taken();
    line.fail('a/1', 'bad_request');
    line.add('a/3');
    expect(line.taken()).toEqual([]);
    line.fail('a/2', 'overloaded', 100);
    await line.environment.pass(100);
    expect(line.taken()).toEqual(['a/2']);
    line.ok('a/2');
    expect(line.taken()).toEqual(['a/3']);
  });

  it('does not slow the others down', () => {
    const line = new PublishLine();
    line.add('a/1', 'b/1', 'b/2');
    line.fail('a/1', 'forbidden');
    line.add('c/1', 'c/2');
    expect(line.taken()).toEqual(['a/1', 'b/1', 'b/2<b/1', 'c/1', 'c/2<c/1']);
  });
});

describe('without a session', () => {
  it('publishes wait for one, and all go out then', () => {
    const line = new PublishLine();
    line.isConnected = false;
    line.add('a/1', 'a/2');
    expect(line.taken()).toEqual([]);
    line.reconnect();
    expect(line.taken()).toEqual(['a/1', 'a/2<a/1']);
  });

  it('what was in flight goes out again, in order and with the same mids', async () => {
    const line = new PublishLine();
    line.add('a/1', 'a/2', 'b/1', 'a/3');
    line.ok('a/2');
    line.taken();
    line.lose('a/1', 'b/1', 'a/3');
    line.add('a/4');
    line.reconnect();
    expect(line.taken()).toEqual(['a/1', 'b/1', 'a/3<a/1', 'a/4<a/3']);
    line.ok('a/1', 'b/1', 'a/3', 'a/4');
    await settled();
    expect(line.outcomes).toHaveLength(5);
  });

  it('nothing of a room overtakes what is still in flight there', () => {
    const line = new PublishLine();
    line.add('a/1', 'a/2');
    line.taken();
    // The end of the session is told one by one.
    line.sent[0]?.answer(null);
    expect(line.taken()).toEqual([]);
    line.lose('a/2');
    line.reconnect();
    expect(line.taken()).toEqual(['a/1', 'a/2<a/1']);
  });

  it('the next session begins at full pace', () => {
    const line = new PublishLine();
    line.add('a/1');
    line.fail('a/1', 'overloaded', 0);
    line.taken();
    line.lose('a/1');
    line.add('b/1', 'b/2');
    line.reconnect(3);
    expect(line.taken()).toEqual(['a/1', 'b/1', 'b/2<b/1']);
    line.add('b/3');
    expect(line.taken()).toEqual([]);
  });

  it('a failure from before the end is not waited out', () => {
    const line = new PublishLine();
    line.add('a/1', 'a/2');
    line.fail('a/1', 'overloaded', 9_000);
    line.taken();
    line.lose('a/2');
    line.reconnect();
    expect(line.taken()).toEqual(['a/1', 'a/2<a/1']);
  });
});

describe('the time of a publish', () => {
  it('is over while the computer sleeps: it is not sent again', async () => {
    const line = new PublishLine();
    line.add('a/1');
    line.lose('a/1');
    line.taken();
    line.environment.sleep(60_000);
    line.add('a/2');
    line.reconnect();
    await settled();
    expect(line.taken()).toEqual(['a/2']);
    expect(line.outcomes).toEqual(['a/1: timed_out, sent']);
  });

  it('is over for the first of two, and the second one names it no more', async () => {
    const line = new PublishLine();
    line.add('a/1');
    await line.environment.pass(30_000);
    line.add('a/2');
    line.lose('a/1', 'a/2');
    line.taken();
    line.environment.sleep(30_000);
    line.reconnect();
    expect(line.taken()).toEqual(['a/2']);
  });

  it('is over while others are waited for', async () => {
    const line = new PublishLine();
    line.add('a/1');
    await line.environment.pass(30_000);
    line.add('a/2');
    await line.environment.pass(30_000);
    expect(line.outcomes).toEqual(['a/1: timed_out, sent']);
    // A late answer says nothing any more.
    line.ok('a/1');
    line.ok('a/2');
    await settled();
    expect(line.outcomes).toEqual(['a/1: timed_out, sent', 'a/2: ok']);
    expect(line.environment.timers).toEqual([]);
  });

  it('is not longer where the clock is set back', async () => {
    const line = new PublishLine();
    line.add('a/1');
    line.lose('a/1');
    line.environment.setWallBack(86_400_000);
    await line.environment.pass(60_000);
    line.reconnect();
    expect(line.outcomes).toEqual(['a/1: timed_out, sent']);
    expect(line.taken()).toEqual(['a/1']);
  });

  it('runs also for what was never sent', async () => {
    const line = new PublishLine({ windowMax: 1 });
    line.add('a/1', 'a/2');
    await line.environment.pass(60_000);
    expect(line.outcomes).toEqual(['a/1: timed_out, sent', 'a/2: timed_out, not sent']);
    expect(line.taken()).toEqual(['a/1']);
  });

  it('over for the one before, what comes next names it no more', async () => {
    const line = new PublishLine();
    line.add('a/1');
    await line.environment.pass(60_000);
    line.add('a/2');
    expect(line.taken()).toEqual(['a/1', 'a/2']);
  });
});
