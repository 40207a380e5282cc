import { expect, it, vi } from 'vitest';
import { Timers } from '../../../src/client/timers.ts';
import { FakeEnvironment } from './fake-environment.ts';

it('calls back once, and is called off one by one', async () => {
  const environment = new FakeEnvironment();
  const timers = new Timers(environment);
  const called = vi.fn();
  const calledOff = vi.fn();
  const cancel = timers.schedule(called, 100);
  timers.schedule(calledOff, 100)();
  await environment.pass(99);
  expect(called).not.toHaveBeenCalled();
  await environment.pass(1);
  cancel();
  timers.cancelAll();
  await environment.pass(1_000);
  expect(called).toHaveBeenCalledTimes(1);
  expect(calledOff).not.toHaveBeenCalled();
});

it('is called off as a whole, and used again', async () => {
  const environment = new FakeEnvironment();
  const timers = new Timers(environment);
  const before = vi.fn();
  const after = vi.fn();
  timers.schedule(before, 100);
  timers.schedule(before, 200);
  timers.cancelAll();
  expect(environment.timers).toEqual([]);
  timers.schedule(after, 300);
  await environment.pass(1_000);
  expect(before).not.toHaveBeenCalled();
  expect(after).toHaveBeenCalledTimes(1);
});

it('holds nothing of what is over', async () => {
  const environment = new FakeEnvironment();
  const cancels: ReturnType<typeof vi.fn>[] = [];
  const schedule = environment.schedule.bind(environment);
  environment.schedule = (callback, ms) => {
    const cancel = vi.fn(schedule(callback, ms));
    cancels.push(cancel);
    return cancel;
  };
  const timers = new Timers(environment);
  timers.schedule(() => {}, 100);
  timers.schedule(() => {}, 100)();
  await environment.pass(100);
  timers.cancelAll();
  expect(cancels.map(({ mock }) => mock.calls.length)).toEqual([0, 1]);
});

it('is the environment otherwise', () => {
  const environment = new FakeEnvironment();
  const timers = new Timers(environment);
  environment.rolls.push(0.25);
  environment.setWallBack(5);
  expect(timers.wallMs()).toBe(environment.wallMs());
  expect(timers.monotonicMs()).toBe(environment.monotonicMs());
  expect(timers.random()).toBe(0.25);
  expect(timers.makeId()).not.toBe(environment.makeId());
  const events = { onOpen: vi.fn(), onMessage: vi.fn(), onClose: vi.fn() };
  expect(timers.openSocket('ws://gateway/ws', ['a'], events)).toBe(environment.socket);
  expect(environment.socket).toMatchObject({ url: 'ws://gateway/ws', subprotocols: ['a'] });
  environment.socket.opens();
  expect(events.onOpen).toHaveBeenCalled();
  const online = vi.fn();
  const end = timers.onOnline(online);
  environment.goOnline();
  end();
  environment.goOnline();
  expect(online).toHaveBeenCalledTimes(1);
});
