import { describe, expect, it } from 'vitest';
import { Pending } from '../../../src/client/pending.ts';
import { FakeEnvironment, settled } from './fake-environment.ts';

const RETRY_FOR_MS = 60_000;

interface Case {
  readonly environment: FakeEnvironment;
  readonly pending: Pending<string>;
  /** What `onEnd` was called with. */
  readonly ends: Pending<string>[];
  /** What became of the promise. */
  readonly outcomes: unknown[];
}

function begin(): Case {
  const environment = new FakeEnvironment();
  const ends: Pending<string>[] = [];
  const pending = new Pending<string>(environment, RETRY_FOR_MS, (ended) => ends.push(ended));
  const outcomes: unknown[] = [];
  pending.promise.then(
    (ok) => outcomes.push(ok),
    ({ code, message, wasSent }) => outcomes.push({ code, message, wasSent }),
  );
  return { environment, pending, ends, outcomes };
}

const NEVER_SENT = { code: 'timed_out', message: 'timed_out: never sent within 60000 ms', wasSent: false };

describe('a pending command', () => {
  it('succeeds once, and is over then', async () => {
    const { environment, pending, ends, outcomes } = begin();
    expect(pending.isDue()).toBe(true);
    expect(pending.hasEnded).toBe(false);
    pending.succeed('one');
    expect(ends).toEqual([pending]);
    pending.succeed('two');
    pending.close('late');
    await settled();
    expect(outcomes).toEqual(['one']);
    expect(ends).toHaveLength(1);
    expect(pending.hasEnded).toBe(true);
    expect(pending.isDue()).toBe(false);
    expect(environment.timers).toEqual([]);
  });

  it.each([false, true])('is closed, and says whether it was sent: %s', async (wasSent) => {
    const { environment, pending, ends, outcomes } = begin();
    pending.wasSent = wasSent;
    pending.close('goodbye');
    pending.succeed('late');
    await settled();
    expect(outcomes).toEqual([{ code: 'closed', message: 'closed: goodbye', wasSent }]);
    expect(ends).toHaveLength(1);
    expect(environment.timers).toEqual([]);
  });

  it('is given up when its time is over, not before', async () => {
    const { environment, outcomes, pending } = begin();
    await environment.pass(RETRY_FOR_MS - 1);
    expect(pending.isDue()).toBe(true);
    expect(outcomes).toEqual([]);
    await environment.pass(1);
    expect(outcomes).toEqual([NEVER_SENT]);
    expect(pending.isDue()).toBe(false);
  });

  it('tells that it may have been done', async () => {
    const { environment, pending, outcomes } = begin();
    pending.wasSent = true;
    await environment.pass(RETRY_FOR_MS);
    const message = 'timed_out: no answer, and it may have been done within 60000 ms';
    expect(outcomes).toEqual([{ code: 'timed_out', message, wasSent: true }]);
  });
});

describe('the time of a pending command', () => {
  it('is over after a sleep, although no timer has fired', async () => {
    const { environment, pending, outcomes } = begin();
    environment.sleep(RETRY_FOR_MS - 1);
    expect(pending.isDue()).toBe(true);
    environment.sleep(1);
    expect(pending.isDue()).toBe(false);
    expect(pending.isDue()).toBe(false);
    await settled();
    expect(outcomes).toEqual([NEVER_SENT]);
  });

  it('counts what passes before and behind a sleep', async () => {
    const { environment, pending } = begin();
    await environment.pass(20_000);
    environment.sleep(20_000);
    await environment.pass(19_999);
    expect(pending.isDue()).toBe(true);
    await environment.pass(1);
    expect(pending.isDue()).toBe(false);
  });

  it('is not made longer by a clock that is set back', async () => {
    const { environment, outcomes, pending } = begin();
    await environment.pass(30_000);
    environment.setWallBack(3_600_000);
    await environment.pass(29_999);
    expect(pending.isDue()).toBe(true);
    await environment.pass(1);
    expect(outcomes).toEqual([NEVER_SENT]);
  });
});
