import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { DeadlineQueue } from '../../../src/gateway/deadline-queue.ts';

const TIMEOUT_MS = 100;
/** Timers may be a millisecond or two late, and never early. */
const LATE_MS = 2;

let expired: string[] = [];
let queue: DeadlineQueue<string>;

beforeEach(() => {
  vi.useFakeTimers();
  expired = [];
  queue = new DeadlineQueue(TIMEOUT_MS, (item) => expired.push(item));
});

afterEach(() => {
  vi.useRealTimers();
});

describe('DeadlineQueue', () => {
  it('lets items expire in the order of their deadlines, with one timer', () => {
    queue.set('a');
    vi.advanceTimersByTime(40);
    queue.set('b');
    queue.set('c');
    expect([...queue]).toEqual(['a', 'b', 'c']);
    expect(vi.getTimerCount()).toBe(1);
    vi.advanceTimersByTime(59);
    expect(expired).toEqual([]);
    vi.advanceTimersByTime(1 + LATE_MS);
    expect(expired).toEqual(['a']);
    expect(queue.size).toBe(2);
    vi.advanceTimersByTime(40 - 1 - LATE_MS);
    expect(expired).toEqual(['a']);
    vi.advanceTimersByTime(1 + LATE_MS);
    expect(expired).toEqual(['a', 'b', 'c']);
    expect(queue.size).toBe(0);
    expect(vi.getTimerCount()).toBe(0);
  });

  it('sets a deadline anew, and moves the item to the end', () => {
    queue.set('a');
    queue.set('b');
    vi.advanceTimersByTime(50);
    queue.set('a');
    expect([...queue]).toEqual(['b', 'a']);
    vi.advanceTimersByTime(50 + LATE_MS);
    expect(expired).toEqual(['b']);
    vi.advanceTimersByTime(50);
    expect(expired).toEqual(['b', 'a']);
  });

  it('forgets an item, and ones that it does not have', () => {
    queue.set('a');
    queue.set('b');
    queue.delete('a');
    queue.delete('x');
    expect(queue.size).toBe(1);
    vi.advanceTimersByTime(TIMEOUT_MS + LATE_MS);
    expect(expired).toEqual(['b']);
  });

  it('goes on when the item of the timer was forgotten', () => {
    queue.set('a');
    vi.advanceTimersByTime(60);
    queue.set('b');
    queue.delete('a');
    vi.advanceTimersByTime(60);
    expect(expired).toEqual([]);
    vi.advanceTimersByTime(40 + LATE_MS);
    expect(expired).toEqual(['b']);
    queue.set('c');
    vi.advanceTimersByTime(TIMEOUT_MS + LATE_MS);
    expect(expired).toEqual(['b', 'c']);
  });

  it('forgets everything when it closes, and can be used again', () => {
    queue.set('a');
    queue.set('b');
    queue.close();
    expect(queue.size).toBe(0);
    expect(vi.getTimerCount()).toBe(0);
    vi.advanceTimersByTime(10 * TIMEOUT_MS);
    expect(expired).toEqual([]);
    queue.set('c');
    vi.advanceTimersByTime(TIMEOUT_MS + LATE_MS);
    expect(expired).toEqual(['c']);
  });

  it('lets callbacks set deadlines again', () => {
    const times: number[] = [];
    const begun = performance.now();
    const again: DeadlineQueue<string> = new DeadlineQueue(TIMEOUT_MS, (item) => {
      times.push(Math.round(performance.now() - begun));
      if (times.length < 3) again.set(item);
    });
    again.set('a');
    vi.advanceTimersByTime(10 * TIMEOUT_MS);
    expect(times).toHaveLength(3);
    for (const [i, time] of times.entries()) {
      expect(time).toBeGreaterThanOrEqual((i + 1) * TIMEOUT_MS);
      expect(time).toBeLessThanOrEqual((i + 1) * (TIMEOUT_MS + LATE_MS));
    }
    expect(again.size).toBe(0);
  });

  it('lets a callback set another item while later ones still wait', () => {
    const order: string[] = [];
    const other: DeadlineQueue<string> = new DeadlineQueue(TIMEOUT_MS, (item) => {
      order.push(item);
      if (item === 'a') other.set('a2');
    });
    other.set('a');
    vi.advanceTimersByTime(50);
    other.set('b');
    vi.advanceTimersByTime(50 + LATE_MS);
    expect([...other]).toEqual(['b', 'a2']);
    vi.advanceTimersByTime(TIMEOUT_MS + LATE_MS);
    expect(order).toEqual(['a', 'b', 'a2']);
    expect(vi.getTimerCount()).toBe(0);
  });

  it('keeps its order over many items set at random', () => {
    const set = new Map<string, number>();
    const wrong: string[] = [];
    const many: DeadlineQueue<string> = new DeadlineQueue(TIMEOUT_MS, (item) => {
      const late = performance.now() - (set.get(item) ?? Number.NaN) - TIMEOUT_MS;
      if (!(late >= 0 && late <= LATE_MS)) wrong.push(`${item} was ${late} ms late`);
      set.delete(item);
    });
    let random = 12_345;
    for (let i = 0; i < 2_000; i += 1) {
      random = (random * 1_103_515_245 + 12_345) % 2 ** 31;
      const item = `item-${random % 97}`;
      if (random % 5 === 0) {
        many.delete(item);
        set.delete(item);
      } else {
        many.set(item);
        set.set(item, performance.now());
      }
      vi.advanceTimersByTime(random % 4);
      expect(many.size).toBe(set.size);
    }
    vi.advanceTimersByTime(TIMEOUT_MS + LATE_MS);
    expect(wrong).toEqual([]);
    expect(set.size).toBe(0);
  });
});
