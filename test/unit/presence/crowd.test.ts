import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { TimerWheel } from '../../../src/limits/timer-wheel.ts';
import type { PresenceReader } from '../../../src/presence/feed.ts';
import { MemoryPresence } from '../../../src/presence/memory-presence-store.ts';
import { PresenceFeed } from '../../../src/presence/presence-feed.ts';
import type { PresenceStore } from '../../../src/presence/presence-store.ts';
import { PresenceTracker } from '../../../src/presence/presence-tracker.ts';
import type { RoomWatch } from '../../../src/presence/room-feed.ts';
import type { TrackedSession } from '../../../src/presence/tracked-session.ts';
import { ndjsonDialect } from '../../../src/protocol/json-dialect.ts';

const INTERVAL_MS = 250;
const SLOW_INTERVAL_MS = 5_000;

beforeEach(() => {
  const timers = [
    'setTimeout',
    'clearTimeout',
    'setInterval',
    'clearInterval',
    'setImmediate',
    'clearImmediate',
  ] as const;
  vi.useFakeTimers({ toFake: [...timers, 'Date', 'performance'] });
});

afterEach(() => {
  vi.useRealTimers();
});

/** What it took: counted, since time would say more about the machine. */
interface Work {
  /** Pushes framed, each once for all its readers. */
  encoded: number;
  encodedBytes: number;
  /** Pushes queued for readers. */
  pushed: number;
  /** Changes written to the store. */
  written: number;
}

/** Everybody joins one room wanting to hear of all, `perSecond` of them, and leaves it again. */
async function comeAndGo(people: number, perSecond: number): Promise<Work> {
  const work: Work = { encoded: 0, encodedBytes: 0, pushed: 0, written: 0 };
  const memory = new MemoryPresence({ leaseMs: 10_000, graceMs: 0, lastSeenMax: people }).replica();
  const store: PresenceStore = {
    open: (replica) => memory.open(replica),
    write(batch) {
      for (const changes of Object.values(batch)) work.written += changes.length;
      return memory.write(batch);
    },
    readRoom: (room, after, limit) => memory.readRoom(room, after, limit),
    readUsers: (users, rooms) => memory.readUsers(users, rooms),
    setInterest: (subject, isInterested) => memory.setInterest(subject, isInterested),
    close: () => memory.close(),
  };
  const wheel = new TimerWheel({ tickMs: 25 });
  const feedSettings = {
    intervalMs: INTERVAL_MS,
    namesReadersMax: 250,
    fastReadersMax: 10_000,
    slowIntervalMs: SLOW_INTERVAL_MS,
  };
  const feed = new PresenceFeed(store, feedSettings, wheel, () => {}, { observe() {} });
  const NO_MOVES = { onReplaced() {}, onLeft() {} };
  const trackerSettings = { graceMs: 0, batchMs: 50, lingeringPerUserMax: 16, lingeringMax: people };
  const tracker = new PresenceTracker(store, feed, NO_MOVES, trackerSettings, wheel);
  await tracker.open();
  const { framing } = ndjsonDialect;
  const reader = (): PresenceReader => ({
    framing: counted,
    push() {
      work.pushed += 1;
    },
  });
  const counted = {
    ...framing,
    roomPresence(push: Parameters<typeof framing.roomPresence>[0]) {
      const payloads = framing.roomPresence(push);
      work.encoded += 1;
      for (const { length } of payloads) work.encodedBytes += length;
      return payloads;
    },
  };

  const sessions: { tracked: TrackedSession; watch: RoomWatch }[] = [];
  for (let i = 0; i < people; i += 1) {
    const tracked = tracker.connected(`user-${i}`, 'd', `s${i}`);
    tracker.join(tracked, 'hall');
    const watch = await feed.watchRoom(reader(), 'hall', 'full');
    watch.begin(await store.readRoom('hall', undefined, 1));
    sessions.push({ tracked, watch });
    await vi.advanceTimersByTimeAsync(1_000 / perSecond);
  }
  await vi.advanceTimersByTimeAsync(2 * SLOW_INTERVAL_MS);
  expect(await store.readRoom('hall', undefined, 1)).toMatchObject({ count: people });
  for (const { tracked, watch } of sessions) {
    feed.unwatchRoom('hall', watch);
    tracker.leave(tracked, 'hall');
    tracker.ended(tracked, true);
    await vi.advanceTimersByTimeAsync(1_000 / perSecond);
  }
  await vi.advanceTimersByTimeAsync(2 * SLOW_INTERVAL_MS);
  expect(await store.readRoom('hall', undefined, 1)).toMatchObject({ count: 0 });
  await tracker.close();
  wheel.close();
  return work;
}

describe('a crowd that comes to one room and goes', () => {
  it('costs work in proportion to its size, not to the square of it', async () => {
    const small = await comeAndGo(1_000, 2_000);
    const big = await comeAndGo(10_000, 20_000);
    // Both come within half a second: the same number of pushes, each with a number instead of names, to ten times
    // as many readers.
    for (const work of [small, big]) {
      expect(work.encoded).toBeLessThan(30);
      expect(work.encodedBytes).toBeLessThan(100_000);
    }
    expect(small.written).toBe(4 * 1_000);
    expect(big.written).toBe(4 * 10_000);
    expect(big.pushed).toBeLessThan(11 * small.pushed);
    expect(big.pushed).toBeLessThan(10 * 10_000);
  });
});
