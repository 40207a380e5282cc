import { afterEach, expect, it, vi } from 'vitest';
import { Emitter } from '../../../src/client/emitter.ts';

class Bell extends Emitter<{ ring: number; stop: string }> {
  ring(times: number): void {
    this.emit('ring', times);
  }
}

afterEach(() => {
  vi.restoreAllMocks();
});

it('tells each listener of its event, in the order in which they came', () => {
  const bell = new Bell();
  const heard: string[] = [];
  bell.on('ring', (times) => heard.push(`a${times}`));
  bell.on('stop', () => heard.push('stop'));
  bell.on('ring', (times) => heard.push(`b${times}`));
  bell.ring(1);
  bell.ring(2);
  expect(heard).toEqual(['a1', 'b1', 'a2', 'b2']);
});

it('forgets one listener at a time', () => {
  const bell = new Bell();
  const listener = vi.fn();
  const off = bell.on('ring', listener);
  bell.on('ring', listener);
  bell.ring(1);
  expect(listener).toHaveBeenCalledTimes(2);
  off();
  bell.ring(2);
  expect(listener).toHaveBeenCalledTimes(3);
  bell.off('ring', listener);
  bell.off('ring', listener);
  bell.off('stop', listener);
  bell.ring(3);
  expect(listener).toHaveBeenCalledTimes(3);
});

it('leaves the others when one that it does not have is to be forgotten', () => {
  const bell = new Bell();
  const listener = vi.fn();
  bell.on('ring', listener);
  bell.off('ring', () => {});
  bell.ring(1);
  expect(listener).toHaveBeenCalledTimes(1);
});

it('tells those who were there when the telling began', () => {
  const bell = new Bell();
  const heard: string[] = [];
  const late = () => heard.push('late');
  const second = () => heard.push('second');
  bell.on('ring', () => {
    heard.push('first');
    bell.off('ring', second);
    bell.on('ring', late);
  });
  bell.on('ring', second);
  bell.ring(1);
  expect(heard).toEqual(['first', 'second']);
  bell.ring(2);
  expect(heard).toEqual(['first', 'second', 'first', 'late']);
});

it('reports what a listener throws, and goes on', () => {
  const bell = new Bell();
  const reports: (() => void)[] = [];
  vi.spyOn(globalThis, 'queueMicrotask').mockImplementation((report) => {
    reports.push(report);
  });
  const behind = vi.fn();
  bell.on('ring', () => {
    throw new Error('a broken listener');
  });
  bell.on('ring', behind);
  expect(() => bell.ring(1)).not.toThrow();
  expect(behind).toHaveBeenCalledWith(1);
  expect(reports).toHaveLength(1);
  expect(reports[0]).toThrow('a broken listener');
});
