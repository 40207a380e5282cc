import { describe, expect, it } from 'vitest';
import { ClientError } from '../../../src/client/client-error.ts';
import { Deferred } from '../../../src/client/deferred.ts';
import { type TokenSource, Tokens } from '../../../src/client/tokens.ts';
import { FakeEnvironment, settled } from './fake-environment.ts';

const TIMEOUT_MS = 15_000;

interface Case {
  readonly environment: FakeEnvironment;
  readonly tokens: Tokens;
  /** Tokens that were to take the place of the session's, and who says when they expire. */
  readonly refreshes: { readonly token: string; readonly outcome: Deferred<number | null> }[];
  readonly errors: string[];
  /** Takes a token, and writes down what comes of it. */
  readonly take: () => void;
  readonly taken: (string | undefined)[];
}

function begin(source: TokenSource | undefined): Case {
  const environment = new FakeEnvironment();
  const refreshes: Case['refreshes'] = [];
  const errors: string[] = [];
  const taken: (string | undefined)[] = [];
  const tokens = new Tokens(source, environment, TIMEOUT_MS, {
    refresh: (token) => {
      const outcome = new Deferred<number | null>();
      refreshes.push({ token, outcome });
      return outcome.promise;
    },
    onError: ({ message }) => errors.push(message),
  });
  const take = () =>
    tokens.take(
      (token) => taken.push(token),
      ({ message }) => taken.push(message),
    );
  return { environment, tokens, refreshes, errors, take, taken };
}

/** Gives t1, t2, … */
function counted(): { readonly source: () => Promise<string>; calls: number } {
  const counter = {
    calls: 0,
    source: async () => {
      counter.calls += 1;
      return `t${counter.calls}`;
    },
  };
  return counter;
}

describe('a token', () => {
  it.each(['fixed', undefined])('that is %s is there at once', (token) => {
    const { take, taken, environment } = begin(token);
    take();
    expect(taken).toEqual([token]);
    expect(environment.timers).toEqual([]);
  });

  it('is asked for each time', async () => {
    const { take, taken, environment } = begin(counted().source);
    take();
    expect(taken).toEqual([]);
    await settled();
    take();
    await settled();
    expect(taken).toEqual(['t1', 't2']);
    expect(environment.timers).toEqual([]);
  });

  it('may be given without a promise', async () => {
    const { take, taken } = begin(() => 't');
    take();
    await settled();
    expect(taken).toEqual(['t']);
  });

  it.each([
    () => Promise.reject(new Error('who are you')),
    () => {
      throw new Error('who are you');
    },
    () => Promise.reject('who are you'),
  ])('that is refused is an error', async (source) => {
    const { take, taken, environment } = begin(source);
    take();
    await settled();
    expect(taken).toEqual(['token_failed: who are you']);
    expect(environment.timers).toEqual([]);
  });

  it('that does not come in time is an error, and too late then', async () => {
    const late = new Deferred<string>();
    const { take, taken, environment } = begin(() => late.promise);
    take();
    await environment.pass(TIMEOUT_MS - 1);
    expect(taken).toEqual([]);
    await environment.pass(1);
    expect(taken).toEqual(['token_failed: none within 15000 ms']);
    late.resolve('late');
    await settled();
    expect(taken).toHaveLength(1);
  });
});

describe('a refresh', () => {
  it('comes when four fifths of the time have passed', async () => {
    const { environment, tokens, refreshes } = begin(counted().source);
    tokens.expiresAt(environment.wallMs() + 100_000);
    await environment.pass(79_999);
    expect(refreshes).toEqual([]);
    await environment.pass(1);
    expect(refreshes.map(({ token }) => token)).toEqual(['t1']);
    refreshes[0]?.outcome.resolve(environment.wallMs() + 50_000);
    await environment.pass(39_999);
    expect(refreshes).toHaveLength(1);
    await environment.pass(1);
    expect(refreshes.map(({ token }) => token)).toEqual(['t1', 't2']);
  });

  it.each([undefined, 'fixed'])('does not come where the token is %s', (source) => {
    const { environment, tokens } = begin(source);
    tokens.expiresAt(environment.wallMs() + 100_000);
    expect(environment.timers).toEqual([]);
  });

  it('does not come where the token does not expire', () => {
    const { environment, tokens } = begin(counted().source);
    tokens.expiresAt(environment.wallMs() + 100_000);
    tokens.expiresAt(undefined);
    expect(environment.timers).toEqual([]);
  });

  it('comes no sooner than in a second', () => {
    const { environment, tokens } = begin(counted().source);
    tokens.expiresAt(environment.wallMs() + 1_249);
    expect(environment.timers).toEqual([1_000]);
    tokens.expiresAt(environment.wallMs() + 1_251);
    expect(environment.timers[0]).toBeCloseTo(1_000.8);
    tokens.expiresAt(environment.wallMs() + 1);
    expect(environment.timers).toEqual([1_000]);
  });

  it.each([0, -1, -3_600_000])('comes in 30 s where the token expires in %i ms by our clock', (leftMs) => {
    const { environment, tokens } = begin(counted().source);
    tokens.expiresAt(environment.wallMs() + leftMs);
    expect(environment.timers).toEqual([30_000]);
  });

  it('that the provider fails is told, and tried again in the time that is left', async () => {
    let calls = 0;
    const { environment, tokens, refreshes, errors } = begin(() => {
      calls += 1;
      return calls === 1 ? Promise.reject(new Error('down')) : 'again';
    });
    tokens.expiresAt(environment.wallMs() + 100_000);
    await environment.pass(80_000);
    expect(errors).toEqual(['token_failed: down']);
    await environment.pass(15_999);
    expect(refreshes).toEqual([]);
    await environment.pass(1);
    expect(refreshes.map(({ token }) => token)).toEqual(['again']);
    expect(errors).toHaveLength(1);
  });

  it('that the server refuses is told, and tried again in the time that is left', async () => {
    const { environment, tokens, refreshes, errors } = begin(counted().source);
    tokens.expiresAt(environment.wallMs() + 100_000);
    await environment.pass(80_000);
    refreshes[0]?.outcome.reject(new ClientError('unauthorized', 'no'));
    await environment.pass(16_000);
    expect(errors).toEqual(['unauthorized: no']);
    expect(refreshes.map(({ token }) => token)).toEqual(['t1', 't2']);
  });

  it('that ends with its session is over', async () => {
    const { environment, tokens, refreshes, errors } = begin(counted().source);
    tokens.expiresAt(environment.wallMs() + 100_000);
    await environment.pass(80_000);
    refreshes[0]?.outcome.resolve(null);
    await settled();
    expect(environment.timers).toEqual([]);
    expect(errors).toEqual([]);
  });

  it('does not come when there is no session any more', async () => {
    const { environment, tokens, refreshes } = begin(counted().source);
    tokens.expiresAt(environment.wallMs() + 100_000);
    tokens.stop();
    expect(environment.timers).toEqual([]);
    await environment.pass(100_000);
    expect(refreshes).toEqual([]);
  });

  it('whose token comes when there is no session any more is not made', async () => {
    const token = new Deferred<string>();
    const { environment, tokens, refreshes } = begin(() => token.promise);
    tokens.expiresAt(environment.wallMs() + 100_000);
    await environment.pass(80_000);
    tokens.stop();
    token.resolve('late');
    await settled();
    expect(refreshes).toEqual([]);
  });

  it('of an earlier session says nothing of a later one', async () => {
    const { environment, tokens, refreshes, errors } = begin(counted().source);
    tokens.expiresAt(environment.wallMs() + 100_000);
    await environment.pass(80_000);
    tokens.stop();
    tokens.expiresAt(environment.wallMs() + 1_000_000);
    refreshes[0]?.outcome.resolve(environment.wallMs() + 10_000);
    await settled();
    expect(environment.timers).toEqual([800_000]);
    expect(errors).toEqual([]);
  });

  it('that fails when there is no session any more fails silently', async () => {
    const { environment, tokens, refreshes, errors } = begin(counted().source);
    tokens.expiresAt(environment.wallMs() + 100_000);
    await environment.pass(80_000);
    tokens.stop();
    refreshes[0]?.outcome.reject(new ClientError('closed', 'closed'));
    await settled();
    expect(errors).toEqual([]);
    expect(environment.timers).toEqual([]);
  });
});
