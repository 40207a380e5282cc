import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { Drain } from '../../../src/gateway/drain.ts';
import type { Session } from '../../../src/gateway/session.ts';
import type { SessionRegistry } from '../../../src/gateway/session-registry.ts';

/** What a drain knows of a session. */
class FakeSession {
  readonly name: string;
  readonly gate = { unansweredCount: 0 };
  state = 'connected';
  readsNoMore = false;

  constructor(name: string) {
    this.name = name;
  }

  stopReading(): void {
    this.readsNoMore = true;
  }

  disconnect(reason: string): void {
    if (this.state === 'ended') return;
    told.push([this.name, reason, Date.now() - beganMs]);
    ended(this);
  }
}

let told: [string, string, number][];
let sessions: Set<FakeSession>;
let flushes: number;
let drain: Drain;
let beganMs: number;

function ended(session: FakeSession): void {
  session.state = 'ended';
  sessions.delete(session);
  drain.changed(session as unknown as Session);
}

function answered(session: FakeSession): void {
  session.gate.unansweredCount -= 1;
  drain.changed(session as unknown as Session);
}

function open(...names: string[]): FakeSession[] {
  const opened = names.map((name) => new FakeSession(name));
  for (const each of opened) sessions.add(each);
  return opened;
}

function run(spreadMs: number, timeoutMs: number): () => boolean {
  beganMs = Date.now();
  let isOver = false;
  void drain.run(spreadMs, timeoutMs).then(() => {
    isOver = true;
  });
  return () => isOver;
}

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'Date', 'performance'] });
  [told, sessions, flushes] = [[], new Set(), 0];
  drain = new Drain(sessions as unknown as SessionRegistry, () => {
    flushes += 1;
  });
});

afterEach(() => {
  vi.useRealTimers();
});

it('ends sessions one by one, spread evenly, and lets each go on until its moment', async () => {
  const [, , third] = open('a', 'b', 'c', 'd');
  const isOver = run(1_000, 2_000);
  await vi.advanceTimersByTimeAsync(490);
  expect(third?.readsNoMore).toBe(false);
  await vi.advanceTimersByTimeAsync(510);
  const reasons = told.map(([name, reason]) => [name, reason]);
  expect(reasons).toEqual(['a', 'b', 'c', 'd'].map((name) => [name, 'drain']));
  for (const [index, [, , atMs]] of told.entries()) expect(Math.abs(atMs - index * 250)).toBeLessThanOrEqual(5);
  expect(isOver()).toBe(true);
});

it('answers what is under way before it tells a session, and others meanwhile', async () => {
  const [slow, next] = open('slow', 'next') as [FakeSession, FakeSession];
  slow.gate.unansweredCount = 2;
  const isOver = run(100, 2_000);
  await vi.advanceTimersByTimeAsync(60);
  expect([slow.readsNoMore, told.map(([name]) => name)]).toEqual([true, ['next']]);
  expect(next.state).toBe('ended');
  answered(slow);
  expect(slow.state).toBe('connected');
  const before = flushes;
  answered(slow);
  expect([slow.state, flushes > before]).toEqual(['ended', true]);
  await vi.advanceTimersByTimeAsync(0);
  expect(isOver()).toBe(true);
});

it('does not wait for answers for ever', async () => {
  const [stuck] = open('stuck') as [FakeSession];
  stuck.gate.unansweredCount = 1;
  const isOver = run(100, 500);
  await vi.advanceTimersByTimeAsync(490);
  expect([stuck.state, isOver()]).toEqual(['connected', false]);
  await vi.advanceTimersByTimeAsync(10);
  expect([stuck.state, isOver()]).toEqual(['ended', true]);
});

it('is over as soon as nobody is left, however far off the next moment is', async () => {
  const [, b, c] = open('a', 'b', 'c') as [FakeSession, FakeSession, FakeSession];
  const isOver = run(60_000, 90_000);
  await vi.advanceTimersByTimeAsync(10);
  ended(b);
  await vi.advanceTimersByTimeAsync(0);
  expect(isOver()).toBe(false);
  ended(c);
  await vi.advanceTimersByTimeAsync(0);
  expect([isOver(), told.map(([name]) => name)]).toEqual([true, ['a']]);
});

it('without a spread lets all go together, when the last of them is answered', async () => {
  const [slow, idle] = open('slow', 'idle') as [FakeSession, FakeSession];
  slow.gate.unansweredCount = 1;
  const isOver = run(0, 1_000);
  await vi.advanceTimersByTimeAsync(200);
  expect([slow.readsNoMore, idle.readsNoMore, told]).toEqual([true, true, []]);
  answered(slow);
  await vi.advanceTimersByTimeAsync(0);
  expect(told.map(([name]) => name)).toEqual(['slow', 'idle']);
  expect(isOver()).toBe(true);
});

it('has nothing to do without sessions', async () => {
  const isOver = run(60_000, 90_000);
  await vi.advanceTimersByTimeAsync(0);
  expect(isOver()).toBe(true);
});
