import { describe, expect, it } from 'vitest';
import { ClientError } from '../../../src/client/client-error.ts';
import type { Outcome } from '../../../src/client/connection.ts';
import { membersOf, Questions, retryAfterMs } from '../../../src/client/questions.ts';
import { FakeEnvironment, settled } from './fake-environment.ts';

interface Sent {
  readonly members: string;
  readonly answer: (outcome: Outcome) => void;
}

interface Case {
  readonly environment: FakeEnvironment;
  readonly questions: Questions;
  readonly sent: Sent[];
  /** Asks, and writes down what comes of it. */
  readonly ask: (members: string, isOwn?: boolean) => void;
  readonly outcomes: string[];
  /** Whether there is a session. */
  connected: boolean;
}

function begin(waitingMax = 3): Case {
  const environment = new FakeEnvironment();
  const sent: Sent[] = [];
  const outcomes: string[] = [];
  const questions = new Questions(environment, { waitingMax, retryForMs: 60_000 }, (members, answer) => {
    if (!world.connected) return false;
    sent.push({ members, answer });
    return true;
  });
  const ask = (members: string, isOwn?: boolean) => {
    questions
      .ask(() => members, isOwn)
      .then(
        (ok) => outcomes.push(`${members}: ${JSON.stringify(ok)}`),
        ({ code, wasSent }) => outcomes.push(`${members}: ${code}, ${wasSent ? 'sent' : 'not sent'}`),
      );
  };
  const world: Case = { environment, questions, sent, ask, outcomes, connected: true };
  return world;
}

function refusal(code: 'overloaded' | 'forbidden', retryAfterMs?: number): Outcome {
  return { error: new ClientError(code, 'no', true, retryAfterMs) };
}

describe('a question', () => {
  it('is asked at once, and answered once', async () => {
    const { sent, ask, outcomes, questions } = begin();
    ask('a');
    expect(sent.map(({ members }) => members)).toEqual(['a']);
    sent[0]?.answer({ ok: { n: 1 } });
    questions.resume();
    await settled();
    expect(outcomes).toEqual(['a: {"n":1}']);
    expect(sent).toHaveLength(1);
  });

  it('waits for a session, and is asked in it', async () => {
    const world = begin();
    world.connected = false;
    world.ask('a');
    world.ask('b');
    expect(world.sent).toEqual([]);
    world.connected = true;
    world.questions.resume();
    expect(world.sent.map(({ members }) => members)).toEqual(['a', 'b']);
    await settled();
    expect(world.outcomes).toEqual([]);
  });

  it('is asked again in the next session, but not twice in one', () => {
    const { sent, ask, questions } = begin();
    ask('a');
    questions.resume();
    expect(sent).toHaveLength(1);
    sent[0]?.answer(null);
    expect(sent).toHaveLength(1);
    questions.resume();
    expect(sent).toHaveLength(2);
  });

  it('fails with an error that is not to be tried again', async () => {
    const { sent, ask, outcomes, environment } = begin();
    ask('a');
    sent[0]?.answer(refusal('forbidden'));
    await environment.pass(60_000);
    expect(outcomes).toEqual(['a: forbidden, sent']);
    expect(sent).toHaveLength(1);
  });

  it('is asked again after the time that the server names', async () => {
    const { sent, ask, environment, outcomes } = begin();
    ask('a');
    sent[0]?.answer(refusal('overloaded', 700));
    await environment.pass(699);
    expect(sent).toHaveLength(1);
    await environment.pass(1);
    expect(sent).toHaveLength(2);
    sent[1]?.answer({ ok: {} });
    await settled();
    expect(outcomes).toEqual(['a: {}']);
  });

  it('is asked again within 500 to 1500 ms where the server names no time', () => {
    const environment = new FakeEnvironment();
    const error = new ClientError('overloaded', 'no');
    environment.rolls.push(0, 0.5, 1 - 2 ** -32);
    expect(retryAfterMs(environment, error)).toBe(500);
    expect(retryAfterMs(environment, error)).toBe(1_000);
    expect(retryAfterMs(environment, error)).toBeCloseTo(1_500, 3);
    expect(retryAfterMs(environment, new ClientError('overloaded', 'no', true, 0))).toBe(0);
  });

  it('is asked once only where a new session comes before the time that the server named', async () => {
    const { sent, ask, environment, questions } = begin();
    ask('a');
    sent[0]?.answer(refusal('overloaded', 700));
    questions.resume();
    expect(sent).toHaveLength(2);
    await environment.pass(700);
    expect(sent).toHaveLength(2);
  });

  it('says in each try what is to be said then', () => {
    const { sent, questions } = begin();
    let word = 'one';
    questions.ask(() => word).catch(() => {});
    word = 'two';
    sent[0]?.answer(null);
    questions.resume();
    expect(sent.map(({ members }) => members)).toEqual(['one', 'two']);
  });

  it('is given up after its time, and not asked any more', async () => {
    const { sent, ask, environment, questions, outcomes } = begin();
    ask('a');
    sent[0]?.answer(null);
    environment.sleep(60_000);
    questions.resume();
    await settled();
    expect(outcomes).toEqual(['a: timed_out, sent']);
    expect(sent).toHaveLength(1);
  });

  it('that was not sent says so', async () => {
    const world = begin();
    world.connected = false;
    world.ask('a');
    await world.environment.pass(60_000);
    expect(world.outcomes).toEqual(['a: timed_out, not sent']);
  });

  it('is answered by nobody once all is closed', async () => {
    const { sent, ask, questions, outcomes, environment } = begin();
    ask('a');
    ask('b');
    sent[0]?.answer({ ok: {} });
    questions.close('goodbye');
    sent[1]?.answer({ ok: {} });
    await settled();
    expect(outcomes).toEqual(['a: {}', 'b: closed, sent']);
    expect(environment.timers).toEqual([]);
  });
});

describe('the line of questions', () => {
  it('refuses what is too much, and takes more when one is answered', async () => {
    const { sent, ask, outcomes } = begin(2);
    ask('a');
    ask('b');
    ask('c');
    await settled();
    expect(outcomes).toEqual(['c: queue_full, not sent']);
    sent[0]?.answer({ ok: {} });
    ask('d');
    expect(sent.map(({ members }) => members)).toEqual(['a', 'b', 'd']);
  });

  it("always takes the client's own", async () => {
    const { sent, ask, outcomes } = begin(1);
    ask('a');
    ask('own', true);
    await settled();
    expect(outcomes).toEqual([]);
    expect(sent.map(({ members }) => members)).toEqual(['a', 'own']);
  });
});

describe('the members of a command', () => {
  it('are those of its object, without the absent ones', () => {
    expect(membersOf({ op: 'join', room: 'tea', since: undefined, n: [1] })).toBe('"op":"join","room":"tea","n":[1]');
  });

  it('cannot be what is no JSON', () => {
    expect(() => membersOf({ n: 1n })).toThrow();
  });
});
