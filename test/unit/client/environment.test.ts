import { afterEach, describe, expect, it, vi } from 'vitest';
import { elapsedMs, globalEnvironment, momentOf } from '../../../src/client/environment.ts';
import { FakeEnvironment } from './fake-environment.ts';

afterEach(() => {
  vi.unstubAllGlobals();
  vi.useRealTimers();
});

/** A browser's WebSocket, as far as it is used. */
class StubSocket extends EventTarget {
  static last: StubSocket;
  readonly opened: readonly unknown[];

  constructor(...opened: readonly unknown[]) {
    super();
    this.opened = opened;
    StubSocket.last = this;
  }
}

describe('the global environment', () => {
  it('tells the time', () => {
    const before = { wallMs: Date.now(), monotonicMs: performance.now() };
    const moment = momentOf(globalEnvironment);
    expect(moment.wallMs).toBeGreaterThanOrEqual(before.wallMs);
    expect(moment.wallMs).toBeLessThanOrEqual(Date.now());
    expect(moment.monotonicMs).toBeGreaterThanOrEqual(before.monotonicMs);
    expect(moment.monotonicMs).toBeLessThanOrEqual(performance.now());
  });

  it('calls back once, after the time, unless it is called off', () => {
    vi.useFakeTimers();
    const called = vi.fn();
    const calledOff = vi.fn();
    globalEnvironment.schedule(called, 100);
    globalEnvironment.schedule(calledOff, 100)();
    vi.advanceTimersByTime(99);
    expect(called).not.toHaveBeenCalled();
    vi.advanceTimersByTime(1_000);
    expect(called).toHaveBeenCalledTimes(1);
    expect(calledOff).not.toHaveBeenCalled();
  });

  it('does not take a wait that no timer can count for none', () => {
    vi.useFakeTimers();
    const called = vi.fn();
    globalEnvironment.schedule(called, 2 ** 40);
    vi.advanceTimersByTime(2 ** 31 - 2);
    expect(called).not.toHaveBeenCalled();
    vi.advanceTimersByTime(1);
    expect(called).toHaveBeenCalledTimes(1);
  });

  it('has chance', () => {
    const rolls = Array.from({ length: 100 }, () => globalEnvironment.random());
    expect(new Set(rolls).size).toBeGreaterThan(90);
    for (const roll of rolls) expect(roll >= 0 && roll < 1).toBe(true);
  });

  it('makes ids that are UUIDs', () => {
    const [a, b] = [globalEnvironment.makeId(), globalEnvironment.makeId()];
    expect(a).toMatch(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
    expect(b).not.toBe(a);
  });

  it('makes ids also where a page has no UUIDs, as over plain HTTP', () => {
    vi.stubGlobal('crypto', {
      getRandomValues: (bytes: Uint8Array) => bytes.map((_, i) => (i === 0 ? 7 : 255 - i)),
    });
    expect(globalEnvironment.makeId()).toBe('07fefdfcfbfaf9f8f7f6f5f4f3f2f1f0');
  });

  it('opens a WebSocket and tells what comes of it', () => {
    vi.stubGlobal('WebSocket', StubSocket);
    const told: unknown[] = [];
    const socket = globalEnvironment.openSocket('ws://gateway/ws', ['tidegate.v1'], {
      onOpen: () => told.push('open'),
      onMessage: (data) => told.push(data),
      onClose: (code, reason) => told.push([code, reason]),
    });
    expect(socket).toBe(StubSocket.last);
    expect(StubSocket.last.opened).toEqual(['ws://gateway/ws', ['tidegate.v1']]);
    StubSocket.last.dispatchEvent(new Event('open'));
    StubSocket.last.dispatchEvent(Object.assign(new Event('message'), { data: '{}' }));
    StubSocket.last.dispatchEvent(new Event('error'));
    StubSocket.last.dispatchEvent(Object.assign(new Event('close'), { code: 3000, reason: 'drain' }));
    expect(told).toEqual(['open', '{}', [3000, 'drain']]);
  });

  it.each([['error'], ['error', 'close'], ['close', 'error'], ['close']])(
    'tells once of a WebSocket that never opened, by %s and %s',
    (...events) => {
      vi.stubGlobal('WebSocket', StubSocket);
      const onClose = vi.fn();
      globalEnvironment.openSocket('ws://gateway/ws', [], { onOpen: vi.fn(), onMessage: vi.fn(), onClose });
      for (const event of events)
        StubSocket.last.dispatchEvent(Object.assign(new Event(event), { code: 1006, reason: '' }));
      expect(onClose.mock.calls).toEqual([[1006, '']]);
    },
  );

  it('does not take an error of an open WebSocket for its end', () => {
    vi.stubGlobal('WebSocket', StubSocket);
    const onClose = vi.fn();
    globalEnvironment.openSocket('ws://gateway/ws', [], { onOpen: vi.fn(), onMessage: vi.fn(), onClose });
    StubSocket.last.dispatchEvent(new Event('open'));
    StubSocket.last.dispatchEvent(new Event('error'));
    expect(onClose).not.toHaveBeenCalled();
  });

  it('tells when there is a network again, until that is ended', () => {
    const target = new EventTarget();
    vi.stubGlobal('addEventListener', target.addEventListener.bind(target));
    vi.stubGlobal('removeEventListener', target.removeEventListener.bind(target));
    const heard = vi.fn();
    const end = globalEnvironment.onOnline(heard);
    target.dispatchEvent(new Event('online'));
    end();
    target.dispatchEvent(new Event('online'));
    expect(heard).toHaveBeenCalledTimes(1);
  });

  it('hears nothing of networks where there are no such events, as in Node', () => {
    expect(() => globalEnvironment.onOnline(() => {})()).not.toThrow();
  });
});

describe('what has passed since a moment', () => {
  it('counts a sleep, and not what the clock was set back', async () => {
    const environment = new FakeEnvironment();
    const begun = momentOf(environment);
    await environment.pass(100);
    expect(elapsedMs(environment, begun)).toBe(100);
    environment.sleep(1_000);
    expect(elapsedMs(environment, begun)).toBe(1_100);
    environment.setWallBack(5_000);
    expect(elapsedMs(environment, begun)).toBe(100);
  });
});
