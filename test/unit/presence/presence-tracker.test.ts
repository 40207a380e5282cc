import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it, test, vi } from 'vitest';
import { TimerWheel } from '../../../src/limits/timer-wheel.ts';
import type {
  PresenceBatch,
  PresenceReplica,
  PresenceStore,
  SessionChange,
} from '../../../src/presence/presence-store.ts';
import { PresenceTracker, type TrackerSettings } from '../../../src/presence/presence-tracker.ts';
import type { TrackedSession } from '../../../src/presence/tracked-session.ts';

const SETTINGS: TrackerSettings = {
  graceMs: 10_000,
  batchMs: 100,
  lingeringPerUserMax: 4,
  lingeringMax: 100,
};
/** How late a wheel's timer may be. */
const LATE_MS = 101;
const REWRITE_MS = 1_000;

interface Write {
  readonly batch: PresenceBatch;
  readonly done: PromiseWithResolvers<void>;
}

/** Records what is written; the test says when and how each write ends, unless `isPrompt`. */
class FakeStore implements PresenceStore {
  readonly writes: Write[] = [];
  isPrompt = true;
  replica: PresenceReplica | null = null;
  closedAfter: number | null = null;

  async open(replica: PresenceReplica): Promise<void> {
    this.replica = replica;
  }

  write(batch: PresenceBatch): Promise<void> {
    const done = Promise.withResolvers<void>();
    this.writes.push({ batch, done });
    if (this.isPrompt) done.resolve();
    return done.promise;
  }

  readRoom(): never {
    throw new Error('not read');
  }

  readUsers(): never {
    throw new Error('not read');
  }

  async setInterest(): Promise<void> {}

  async close(): Promise<void> {
    this.closedAfter = this.writes.length;
  }

  taken = 0;

  /** What was written since the last call: `+session status`, `~session status` (cut off), `-session`, `user>room`, `user<room`. */
  get news(): string[] {
    const news = this.writes.slice(this.taken).flatMap(({ batch }) => words(batch));
    this.taken = this.writes.length;
    return news;
  }
}

const NOTHING: PresenceBatch = { sessions: [], members: [] };

function words({ sessions, members }: PresenceBatch): string[] {
  return [
    ...sessions.map(({ session, state }) => {
      if (state === null) return `-${session}`;
      return `${state.isCutOff ? '~' : '+'}${session} ${state.status}${state.text === undefined ? '' : ` ${state.text}`}`;
    }),
    ...members.map(({ room, user, present }) => `${user}${present ? '>' : '<'}${room}`),
  ];
}

let store: FakeStore;
let wheel: TimerWheel;
let onReplaced: (tracked: TrackedSession) => void;
/** What was told of devices that have moved and left. */
let left: string[];

beforeEach(() => {
  vi.useFakeTimers();
  store = new FakeStore();
  wheel = new TimerWheel();
  onReplaced = () => {};
  left = [];
});

afterEach(() => {
  vi.useRealTimers();
});

function newTracker(settings: Partial<TrackerSettings> = {}): PresenceTracker {
  const changes = { onRoomChange: vi.fn(), onUserChange: vi.fn() };
  const moves = {
    onReplaced: (lost: TrackedSession) => onReplaced(lost),
    onLeft: (user: string, device: string, room: string | undefined) =>
      left.push(`${user} ${device} ${room ?? 'for good'}`),
  };
  return new PresenceTracker(store, changes, moves, { ...SETTINGS, ...settings }, wheel);
}

/** Lets time pass, and whatever was put off by it be done. */
async function pass(ms = SETTINGS.batchMs): Promise<void> {
  await vi.advanceTimersByTimeAsync(ms);
}

/** How a promise stands. */
async function outcomeOf(promise: Promise<void>): Promise<string> {
  const outcome = promise.then(
    () => 'resolved',
    (error: Error) => error.message,
  );
  await vi.advanceTimersByTimeAsync(0);
  return Promise.race([outcome, Promise.resolve().then(() => Promise.resolve().then(() => 'pending'))]);
}

describe('a room', () => {
  it('hears of the first and the last session of a user only', async () => {
    const tracker = newTracker();
    const phone = tracker.connected('ann', 'phone', 's1');
    const tv = tracker.connected('ann', 'tv', 's2');
    tracker.join(phone, 'lobby');
    await pass();
    expect(store.news).toEqual(['+s1 online', '+s2 online', 'ann>lobby']);
    tracker.join(tv, 'lobby');
    tracker.join(phone, 'lobby');
    await pass();
    tracker.leave(phone, 'lobby');
    tracker.leave(phone, 'lobby');
    await pass();
    expect(store.news).toEqual([]);
    tracker.leave(tv, 'lobby');
    await pass();
    expect(store.news).toEqual(['ann<lobby']);
    tracker.leave(tv, 'lobby');
    tracker.leave(tv, 'never joined');
    await pass();
    expect(store.news).toEqual([]);
  });

  it('is each user’s own', async () => {
    const tracker = newTracker();
    const ann = tracker.connected('ann', 'd', 's1');
    const bob = tracker.connected('bob', 'd', 's2');
    tracker.join(ann, 'lobby');
    tracker.join(bob, 'lobby');
    tracker.join(bob, 'tea');
    tracker.leave(ann, 'lobby');
    await pass();
    expect(store.news).toEqual(['+s1 online', '+s2 online', 'ann<lobby', 'bob>lobby', 'bob>tea']);
  });
});

it('counts whom it has: users, their devices once each, and rooms in which somebody is seen', async () => {
  const tracker = newTracker();
  const counts = () => [tracker.userCount, tracker.deviceCount, tracker.roomCount];
  const phone = tracker.connected('ann', 'phone', 's1');
  const again = tracker.connected('ann', 'phone', 's2');
  const tv = tracker.connected('ann', 'tv', 's3');
  const ben = tracker.connected('ben', 'phone', 's4');
  expect(counts()).toEqual([2, 3, 0]);
  for (const session of [phone, again, ben]) tracker.join(session, 'a');
  tracker.join(tv, 'b');
  expect(counts()).toEqual([2, 3, 2]);
  tracker.leave(phone, 'a');
  tracker.leave(phone, 'a');
  tracker.ended(phone, true);
  tracker.ended(ben, true);
  expect(counts()).toEqual([1, 2, 2]);
  tracker.ended(again, false);
  tracker.ended(tv, true);
  // One lingers.
  expect(counts()).toEqual([1, 1, 1]);
  await pass(SETTINGS.graceMs + LATE_MS);
  expect(counts()).toEqual([0, 0, 0]);
});

describe('who quits', () => {
  it('is gone at once, from every room', async () => {
    const tracker = newTracker();
    const phone = tracker.connected('ann', 'phone', 's1');
    for (const room of ['a', 'b']) tracker.join(phone, room);
    await pass();
    store.taken = store.writes.length;
    tracker.ended(phone, true);
    expect(tracker.userCount).toBe(0);
    await pass();
    expect(store.news).toEqual(['-s1', 'ann<a', 'ann<b']);
    const [gone] = store.writes.at(-1)?.batch.sessions ?? [];
    const { endedMs: atMs } = phone;
    expect(gone).toEqual({ user: 'ann', device: 'phone', session: 's1', state: null, atMs, isLeaving: true });
    expect(wheel.size).toBe(0);
  });

  it('stays where another device of theirs is', async () => {
    const tracker = newTracker();
    const phone = tracker.connected('ann', 'phone', 's1');
    const tv = tracker.connected('ann', 'tv', 's2');
    for (const room of ['a', 'b']) tracker.join(phone, room);
    tracker.join(tv, 'b');
    await pass();
    store.taken = store.writes.length;
    tracker.ended(phone, true);
    await pass();
    expect(store.news).toEqual(['-s1', 'ann<a']);
    expect(tracker.userCount).toBe(1);
  });

  it('takes along what of the same device still lingers, and of no other', async () => {
    const tracker = newTracker();
    const [first, second, tv] = [
      tracker.connected('ann', 'phone', 's1'),
      tracker.connected('ann', 'phone', 's2'),
      tracker.connected('ann', 'tv', 's3'),
    ];
    tracker.join(first, 'a');
    tracker.join(second, 'b');
    tracker.join(tv, 'c');
    tracker.ended(first, false);
    tracker.ended(tv, false);
    await pass();
    store.taken = store.writes.length;
    tracker.ended(second, true);
    expect(tracker.lingeringCount).toBe(1);
    await pass();
    expect(store.news).toEqual(['-s1', '-s2', 'ann<a', 'ann<b']);
    await pass(SETTINGS.graceMs + LATE_MS);
    expect(store.news).toEqual(['-s3', 'ann<c']);
    expect(wheel.size).toBe(0);
  });
});

describe('who is cut off', () => {
  it('is seen until the grace has passed', async () => {
    const tracker = newTracker();
    const phone = tracker.connected('ann', 'phone', 's1');
    tracker.join(phone, 'lobby');
    await pass();
    store.taken = store.writes.length;
    const endedMs = Date.now();
    tracker.ended(phone, false);
    expect(tracker.lingeringCount).toBe(1);
    await pass(SETTINGS.graceMs - 1);
    expect(store.news).toEqual(['~s1 online']);
    await pass(LATE_MS + SETTINGS.batchMs);
    expect(store.news).toEqual(['-s1', 'ann<lobby']);
    // It was heard last when it was cut off.
    expect(store.writes.at(-1)?.batch.sessions[0]?.atMs).toBe(endedMs);
    expect([tracker.lingeringCount, tracker.userCount, wheel.size]).toEqual([0, 0, 0]);
  });

  it('is gone at once where there is no grace', async () => {
    const tracker = newTracker({ graceMs: 0 });
    const phone = tracker.connected('ann', 'phone', 's1');
    tracker.ended(phone, false);
    await pass();
    expect(store.news).toEqual(['-s1']);
    expect(tracker.lingeringCount).toBe(0);
  });

  it('and comes back in time keeps rooms and status without a word', async () => {
    const tracker = newTracker();
    const first = tracker.connected('ann', 'phone', 's1');
    tracker.setStatus(first, 'away', 'on the train');
    tracker.join(first, 'lobby');
    await pass();
    store.taken = store.writes.length;
    const { statusMs } = first;
    tracker.ended(first, false);
    await pass(5_000);
    expect(store.news).toEqual(['~s1 away on the train']);
    const second = tracker.connected('ann', 'phone', 's2');
    expect(second).toMatchObject({ status: 'away', text: 'on the train', statusMs, session: 's2' });
    tracker.join(second, 'lobby');
    await pass();
    // The store hears of the new session, in the old one's words.
    expect(store.news).toEqual(['+s2 away on the train']);
    expect(store.writes.at(-1)?.batch.sessions[0]).toMatchObject({ session: 's2', atMs: statusMs });
    await pass(SETTINGS.graceMs + LATE_MS);
    // The old one goes for itself, and nobody sees it.
    expect(store.news).toEqual(['-s1']);
    expect(tracker.lingeringCount).toBe(0);
    tracker.ended(second, true);
    await pass();
    expect(store.news).toEqual(['-s2', 'ann<lobby']);
  });

  it('and comes back on another device has a status of its own there', () => {
    const tracker = newTracker();
    const first = tracker.connected('ann', 'phone', 's1');
    tracker.setStatus(first, 'dnd', undefined);
    tracker.ended(first, false);
    expect(tracker.connected('ann', 'tv', 's2')).toMatchObject({ status: 'online', text: undefined });
    expect(tracker.connected('bob', 'phone', 's3')).toMatchObject({ status: 'online' });
  });

  it('and comes back leaves the rooms that it doesn’t join again when the grace is over', async () => {
    const tracker = newTracker();
    const first = tracker.connected('ann', 'phone', 's1');
    for (const room of ['a', 'b']) tracker.join(first, room);
    tracker.ended(first, false);
    const second = tracker.connected('ann', 'phone', 's2');
    tracker.join(second, 'a');
    await pass();
    store.taken = store.writes.length;
    await pass(SETTINGS.graceMs + LATE_MS + SETTINGS.batchMs);
    expect(store.news).toEqual(['-s1', 'ann<b']);
  });

  it('and comes back to leave a room has left it', async () => {
    const tracker = newTracker();
    const first = tracker.connected('ann', 'phone', 's1');
    tracker.join(first, 'a');
    tracker.ended(first, false);
    const second = tracker.connected('ann', 'phone', 's2');
    tracker.join(second, 'a');
    await pass();
    store.taken = store.writes.length;
    tracker.leave(second, 'a');
    await pass();
    expect(store.news).toEqual(['ann<a']);
    await pass(SETTINGS.graceMs + LATE_MS);
    expect(store.news).toEqual(['-s1']);
  });

  it('again and again lingers so often and no more: the oldest goes first', async () => {
    const tracker = newTracker({ lingeringPerUserMax: 2 });
    for (const device of ['a', 'b', 'c']) tracker.ended(tracker.connected('ann', device, device), false);
    expect(tracker.lingeringCount).toBe(2);
    await pass();
    expect(store.news).toEqual(['-a', '~b online', '~c online']);
    tracker.ended(tracker.connected('bob', 'a', 's'), false);
    expect(tracker.lingeringCount).toBe(3);
  });

  it('by one device lingers at that device’s cost, not at another’s', async () => {
    const tracker = newTracker({ lingeringPerUserMax: 2 });
    tracker.ended(tracker.connected('ann', 'tv', 's1'), false);
    for (const session of ['s2', 's3', 's4']) tracker.ended(tracker.connected('ann', 'phone', session), false);
    await pass();
    expect(store.news).toEqual(['~s1 online', '-s2', '-s3', '~s4 online']);
    expect(tracker.lingeringCount).toBe(2);
  });

  it('cannot be changed any more, and ends once', async () => {
    const tracker = newTracker();
    const phone = tracker.connected('ann', 'phone', 's1');
    tracker.ended(phone, false);
    tracker.join(phone, 'lobby');
    tracker.setStatus(phone, 'dnd', 'x');
    tracker.ended(phone, true);
    await pass();
    expect(store.news).toEqual(['~s1 online']);
    expect(tracker.lingeringCount).toBe(1);
    await pass(SETTINGS.graceMs + LATE_MS);
    tracker.ended(phone, false);
    await pass();
    expect(store.news).toEqual(['-s1']);
    expect([tracker.lingeringCount, tracker.userCount, wheel.size]).toEqual([0, 0, 0]);
  });

  it('with many others lingers while there is room for all', async () => {
    const tracker = newTracker({ lingeringMax: 3 });
    for (const user of ['a', 'b', 'c', 'd', 'e']) tracker.ended(tracker.connected(user, 'd', user), false);
    expect([tracker.lingeringCount, tracker.userCount, wheel.size]).toEqual([3, 3, 3]);
    await pass();
    expect(store.news).toEqual(['-a', '-b', '~c online', '~d online', '~e online']);
    await pass(SETTINGS.graceMs + LATE_MS);
    expect([tracker.lingeringCount, tracker.userCount, wheel.size]).toEqual([0, 0, 0]);
  });
});

describe('a write', () => {
  it('of one change is at once, and the next ones are gathered', async () => {
    const tracker = newTracker();
    const ann = tracker.connected('ann', 'd', 's1');
    expect(store.writes).toHaveLength(0);
    await pass(0);
    expect(store.writes).toHaveLength(1);
    tracker.setStatus(ann, 'away', undefined);
    await pass(50);
    tracker.join(ann, 'lobby');
    await pass(SETTINGS.batchMs - 51);
    expect(store.writes).toHaveLength(1);
    await pass(1);
    expect(store.writes.map(({ batch }) => words(batch))).toEqual([['+s1 online'], ['+s1 away', 'ann>lobby']]);
  });

  it('is one at a time, and of what concerns the same the latest counts', async () => {
    store.isPrompt = false;
    const tracker = newTracker();
    const ann = tracker.connected('ann', 'd', 's1');
    await pass(0);
    tracker.setStatus(ann, 'away', 'x');
    tracker.join(ann, 'a');
    tracker.join(ann, 'b');
    await pass(10_000);
    expect(store.writes).toHaveLength(1);
    tracker.setStatus(ann, 'dnd', undefined);
    tracker.leave(ann, 'b');
    store.writes[0]?.done.resolve();
    await pass();
    expect(store.writes.map(({ batch }) => words(batch)).slice(1)).toEqual([['+s1 dnd', 'ann>a', 'ann<b']]);
    await pass(10_000);
    expect(store.writes).toHaveLength(2);
  });

  it('says when it is done', async () => {
    store.isPrompt = false;
    const tracker = newTracker();
    expect(await outcomeOf(tracker.written())).toBe('resolved');
    const ann = tracker.connected('ann', 'd', 's1');
    const first = tracker.written();
    await pass(0);
    const alsoFirst = tracker.written();
    tracker.join(ann, 'lobby');
    const second = tracker.written();
    await pass(1_000);
    expect(await outcomeOf(first)).toBe('pending');
    store.writes[0]?.done.resolve();
    expect(await outcomeOf(first)).toBe('resolved');
    expect(await outcomeOf(alsoFirst)).toBe('resolved');
    expect(await outcomeOf(second)).toBe('pending');
    await pass();
    store.writes[1]?.done.resolve();
    expect(await outcomeOf(second)).toBe('resolved');
    expect(await outcomeOf(tracker.written())).toBe('resolved');
  });

  it('that fails says so, and is tried again with what has changed since', async () => {
    store.isPrompt = false;
    const tracker = newTracker();
    const ann = tracker.connected('ann', 'd', 's1');
    tracker.join(ann, 'a');
    tracker.join(ann, 'b');
    await pass(0);
    const first = tracker.written();
    tracker.leave(ann, 'a');
    tracker.connected('bob', 'd', 's2');
    const second = tracker.written();
    store.writes[0]?.done.reject(new Error('down'));
    expect(await outcomeOf(first)).toBe('down');
    expect(await outcomeOf(second)).toBe('pending');
    await pass(REWRITE_MS - 1);
    expect(store.writes).toHaveLength(1);
    await pass(1);
    expect(words(store.writes[1]?.batch ?? NOTHING).sort()).toEqual(
      ['+s1 online', '+s2 online', 'ann<a', 'ann>b'].sort(),
    );
    store.writes[1]?.done.resolve();
    expect(await outcomeOf(second)).toBe('resolved');
    await pass(10_000);
    expect(store.writes).toHaveLength(2);
  });

  it('that fails is tried again where nothing has changed since, and whoever asks then waits for that', async () => {
    store.isPrompt = false;
    const tracker = newTracker();
    tracker.connected('ann', 'd', 's1');
    for (let i = 0; i < 3; i += 1) {
      await pass(REWRITE_MS);
      expect(store.writes).toHaveLength(i + 1);
      store.writes[i]?.done.reject(new Error('down'));
      await pass(0);
    }
    const later = tracker.written();
    expect(await outcomeOf(later)).toBe('pending');
    await pass(REWRITE_MS);
    store.writes[3]?.done.resolve();
    expect(await outcomeOf(later)).toBe('resolved');
    expect(words(store.writes[3]?.batch ?? NOTHING)).toEqual(['+s1 online']);
  });

  it('that fails and has nobody waiting is nobody’s uncaught rejection', async () => {
    store.isPrompt = false;
    const tracker = newTracker();
    tracker.connected('ann', 'd', 's1');
    await pass(0);
    store.writes[0]?.done.reject(new Error('down'));
    await pass(REWRITE_MS);
    expect(store.writes).toHaveLength(2);
  });
});

describe('everything', () => {
  it('is each session that is seen, and each room of each user once', () => {
    const tracker = newTracker();
    const first = tracker.connected('ann', 'phone', 's1');
    const tv = tracker.connected('ann', 'tv', 's2');
    const bob = tracker.connected('bob', 'd', 's3');
    for (const session of [first, tv]) tracker.join(session, 'lobby');
    tracker.join(first, 'tea');
    tracker.ended(first, false);
    const second = tracker.connected('ann', 'phone', 's4');
    tracker.setStatus(second, 'dnd', 'x');
    tracker.join(second, 'lobby');
    tracker.setStatus(bob, 'away', undefined);
    const gone = tracker.connected('cy', 'd', 's5');
    tracker.ended(gone, true);
    const batch = tracker.everything();
    expect(words(batch).sort()).toEqual(
      ['~s1 online', '+s2 online', '+s3 away', '+s4 dnd x', 'ann>lobby', 'ann>tea'].sort(),
    );
    expect(batch.sessions[0]).toMatchObject({ user: 'ann', device: 'phone', atMs: first.statusMs });
  });

  it('is what the writes add up to, whatever has happened', async () => {
    const step = fc.record({
      op: fc.constantFrom('connect', 'join', 'leave', 'status', 'cut', 'quit', 'wait', 'fail'),
      user: fc.constantFrom('ann', 'bob'),
      device: fc.constantFrom('d', 'e'),
      room: fc.constantFrom('a', 'b'),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
        store = new FakeStore();
        wheel = new TimerWheel();
        const tracker = newTracker({ graceMs: 1_000, lingeringPerUserMax: 2, lingeringMax: 3 });
        const live = new Map<string, TrackedSession>();
        let next = 0;
        for (const { op, user, device, room } of steps) {
          const key = `${user} ${device}`;
          const session = live.get(key);
          if (op === 'connect') {
            if (session !== undefined) tracker.ended(session, false);
            next += 1;
            live.set(key, tracker.connected(user, device, `s${next}`));
          } else if (op === 'wait') await pass(500);
          else if (op === 'fail') {
            store.isPrompt = false;
            await pass(150);
            store.isPrompt = true;
            for (const { done } of store.writes) done.reject(new Error('down'));
          } else if (session === undefined) continue;
          else if (op === 'join') tracker.join(session, room);
          else if (op === 'leave') tracker.leave(session, room);
          else if (op === 'status') tracker.setStatus(session, 'away', room);
          else {
            tracker.ended(session, op === 'quit');
            live.delete(key);
          }
        }
        await pass(REWRITE_MS + 300);
        const sessions = new Map<string, SessionChange>();
        const members = new Map<string, boolean>();
        for (const { batch } of store.writes) {
          for (const change of batch.sessions) {
            const { isNew: _, ...written } = change;
            if (change.state === null) sessions.delete(change.session);
            else sessions.set(change.session, written);
          }
          for (const { room, user, present } of batch.members) members.set(`${user}>${room}`, present);
        }
        const all = tracker.everything();
        expect(sessions).toEqual(new Map(all.sessions.map((change) => [change.session, change])));
        const present = [...members].filter(([, isPresent]) => isPresent).map(([key]) => key);
        expect(present.sort()).toEqual(all.members.map(({ user, room }) => `${user}>${room}`).sort());
        // Who lives is seen, and when every grace has passed nobody else is.
        await pass(3_000);
        expect(tracker.lingeringCount).toBe(0);
        expect(tracker.everything().sessions).toHaveLength(live.size);
        expect(wheel.size).toBe(0);
      }),
      { numRuns: 200 },
    );
  });
});

describe('a session whose device was elsewhere', () => {
  const elsewhere = (atMs: number) =>
    ({ device: 'phone', status: 'dnd', text: 'busy', atMs, isConnected: true }) as const;

  it('goes on with the status that it had there', async () => {
    const tracker = newTracker();
    const phone = tracker.connected('ann', 'phone', 's1', elsewhere(Date.now() + 5_000));
    await pass();
    expect(store.news).toEqual(['+s1 dnd busy']);
    expect(phone.statusMs).toBe(Date.now() - SETTINGS.batchMs + 5_000);
    tracker.setStatus(phone, 'away', undefined);
    expect(phone.statusMs).toBe(Date.now() - SETTINGS.batchMs + 5_001);
  });

  it('goes on with what was set later, there or here', () => {
    for (const [atMs, status] of [
      [-1, 'away'],
      [0, 'away'],
      [1, 'dnd'],
    ] as const) {
      const tracker = newTracker();
      const before = tracker.connected('ann', 'phone', 's1');
      tracker.setStatus(before, 'away', undefined);
      tracker.ended(before, false);
      const phone = tracker.connected('ann', 'phone', 's2', elsewhere(before.statusMs + atMs));
      expect([phone.status, phone.statusMs]).toEqual([status, before.statusMs + Math.max(0, atMs)]);
    }
  });
});

describe('a new session', () => {
  const saidNew = () => store.writes.flatMap(({ batch }) => batch.sessions.map(({ isNew }) => isNew));

  it('is said to be new with its first write, and never again', async () => {
    const tracker = newTracker();
    const phone = tracker.connected('ann', 'phone', 's1');
    await pass();
    tracker.setStatus(phone, 'away', undefined);
    await pass();
    tracker.ended(phone, false);
    await pass();
    expect(saidNew()).toEqual([true, undefined, undefined]);
    expect(tracker.everything().sessions[0]).not.toHaveProperty('isNew');
  });

  it('is not said to be new again where the write has failed, as others may have come since', async () => {
    store.isPrompt = false;
    const tracker = newTracker();
    const phone = tracker.connected('ann', 'phone', 's1');
    await pass(0);
    tracker.setStatus(phone, 'away', undefined);
    expect(tracker.everything().sessions[0]).toMatchObject({ isNew: true });
    store.writes[0]?.done.reject(new Error('down'));
    await pass(REWRITE_MS);
    tracker.setStatus(phone, 'dnd', undefined);
    store.writes[1]?.done.resolve();
    await pass();
    expect(saidNew()).toEqual([true, undefined, undefined]);
  });

  it('that was cut off before it was written takes nobody’s place', async () => {
    const tracker = newTracker();
    tracker.ended(tracker.connected('ann', 'phone', 's1'), false);
    await pass();
    expect([store.news, saidNew()]).toEqual([['~s1 online'], [undefined]]);
  });
});

describe('a session that has lost its place to another replica’s', () => {
  it('is ended where it lives, and is seen for the grace, in which its device may join its rooms elsewhere', async () => {
    const tracker = newTracker();
    const ended: string[] = [];
    onReplaced = (lost) => {
      ended.push(lost.session);
      tracker.ended(lost, false);
    };
    const phone = tracker.connected('ann', 'phone', 's1');
    const tv = tracker.connected('ann', 'tv', 's2');
    for (const session of [phone, tv]) tracker.join(session, 'lobby');
    tracker.join(phone, 'tea');
    await pass();
    store.taken = store.writes.length;
    for (let i = 0; i < 2; i += 1) tracker.onReplaced('ann', 's1');
    expect(ended).toEqual(['s1']);
    await pass(SETTINGS.graceMs - 1);
    expect(store.news).toEqual(['~s1 online']);
    tracker.onReplaced('ann', 's1');
    await pass(LATE_MS + SETTINGS.batchMs);
    expect(store.news).toEqual(['-s1', 'ann<tea']);
    tracker.onReplaced('ann', 's1');
    expect([ended, tracker.lingeringCount, tracker.userCount]).toEqual([['s1'], 0, 1]);
  });

  it('and was replaced here before costs the newer one nothing', async () => {
    const tracker = newTracker();
    const ended: string[] = [];
    onReplaced = (lost) => ended.push(lost.session);
    tracker.ended(tracker.connected('ann', 'phone', 's1'), false);
    const second = tracker.connected('ann', 'phone', 's2');
    tracker.onReplaced('ann', 's1');
    await pass(SETTINGS.graceMs + LATE_MS);
    expect([ended, second.phase]).toEqual([[], 'connected']);
  });

  it('is nobody’s matter once it is gone', async () => {
    const tracker = newTracker();
    const ended: string[] = [];
    onReplaced = (lost) => ended.push(lost.session);
    tracker.ended(tracker.connected('ann', 'phone', 's1'), true);
    for (const [user, session] of [
      ['ann', 's1'],
      ['cy', 's3'],
    ] as const) {
      tracker.onReplaced(user, session);
    }
    expect(ended).toEqual([]);
  });
});

describe('a device that comes from another replica', () => {
  const there = { device: 'phone', status: 'online', atMs: 1, isConnected: true } as const;

  it('and leaves, for good or a room, is to be forgotten there, once that is written', async () => {
    store.isPrompt = false;
    const tracker = newTracker();
    const phone = tracker.connected('ann', 'phone', 's1', there);
    for (const room of ['tea', 'lobby']) tracker.join(phone, room);
    tracker.leave(phone, 'tea');
    await pass();
    expect(left).toEqual([]);
    store.writes[0]?.done.resolve();
    await pass();
    expect(left).toEqual(['ann phone tea']);
    tracker.ended(phone, true);
    await pass();
    expect(left).toEqual(['ann phone tea']);
    store.writes[1]?.done.resolve();
    await pass(0);
    expect([store.news, left]).toEqual([
      ['+s1 online', 'ann<tea', 'ann>lobby', '-s1', 'ann<lobby'],
      ['ann phone tea', 'ann phone for good'],
    ]);
  });

  it('and leaves at once has come before', async () => {
    const tracker = newTracker();
    tracker.ended(tracker.connected('ann', 'phone', 's1', there), true);
    await pass();
    expect(store.writes.flatMap(({ batch }) => batch.sessions)).toMatchObject([
      { session: 's1', isNew: true },
      { session: 's1', state: null },
    ]);
    expect([left, tracker.userCount]).toEqual([['ann phone for good'], 0]);
  });

  it('and leaves at once is gone also where nothing can be written', async () => {
    store.isPrompt = false;
    const tracker = newTracker();
    tracker.ended(tracker.connected('ann', 'phone', 's1', there), true);
    await pass(0);
    store.writes[0]?.done.reject(new Error('down'));
    await pass(0);
    expect(tracker.userCount).toBe(0);
  });

  it('is nobody’s there any more once its grace must be over, nor is one that comes from nowhere, or is cut off', async () => {
    const tracker = newTracker();
    const phone = tracker.connected('ann', 'phone', 's1', there);
    tracker.join(phone, 'tea');
    await pass(SETTINGS.graceMs + 1);
    tracker.leave(phone, 'tea');
    tracker.ended(phone, true);
    const other = tracker.connected('ann', 'phone', 's2');
    tracker.join(other, 'tea');
    tracker.leave(other, 'tea');
    tracker.ended(other, true);
    tracker.ended(tracker.connected('ann', 'phone', 's3', there), false);
    await pass(SETTINGS.graceMs + LATE_MS + SETTINGS.batchMs);
    expect(left).toEqual([]);
  });
});

describe('what is to be forgotten', () => {
  it('is what lingers of the device, in all rooms or in one, and nothing that lives', async () => {
    const tracker = newTracker();
    const [phone, tv, living] = [
      tracker.connected('ann', 'phone', 's1'),
      tracker.connected('ann', 'tv', 's2'),
      tracker.connected('ann', 'phone', 's3'),
    ];
    for (const room of ['tea', 'lobby']) tracker.join(phone, room);
    for (const session of [tv, living]) tracker.join(session, 'lobby');
    for (const session of [phone, tv]) tracker.ended(session, false);
    await pass();
    store.taken = store.writes.length;
    for (const room of ['tea', 'tea', 'lobby', 'none']) tracker.forget('ann', 'phone', room);
    await pass();
    expect([store.news, tracker.lingeringCount, tracker.roomCount]).toEqual([['ann<tea'], 2, 1]);
    for (let i = 0; i < 2; i += 1) tracker.forget('ann', 'phone', undefined);
    tracker.forget('bob', 'phone', undefined);
    await pass();
    expect([store.news, tracker.lingeringCount, living.phase]).toEqual([['-s1'], 1, 'connected']);
  });
});

describe('a status', () => {
  it('is later than the one before, whatever the clock says', async () => {
    const tracker = newTracker();
    const phone = tracker.connected('ann', 'phone', 's1');
    const before = phone.statusMs;
    vi.setSystemTime(Date.now() - 60_000);
    tracker.setStatus(phone, 'away', undefined);
    expect(phone.statusMs).toBe(before + 1);
    tracker.ended(phone, false);
    const again = tracker.connected('ann', 'phone', 's2');
    tracker.setStatus(again, 'dnd', undefined);
    expect(again.statusMs).toBe(before + 2);
  });
});

describe('close', () => {
  it('writes what is gathered, then gives the lease back', async () => {
    const tracker = newTracker();
    await tracker.open();
    expect(store.replica).toBe(tracker);
    tracker.connected('ann', 'd', 's1');
    await tracker.close();
    expect(store.news).toEqual(['+s1 online']);
    expect(store.closedAfter).toBe(1);
    await pass(10_000);
    expect(store.writes).toHaveLength(1);
  });

  it('waits for the write under way, and writes once more what came behind it', async () => {
    store.isPrompt = false;
    const tracker = newTracker();
    const ann = tracker.connected('ann', 'd', 's1');
    await pass(0);
    tracker.join(ann, 'a');
    const closing = tracker.close();
    expect(await outcomeOf(closing)).toBe('pending');
    expect(store.writes).toHaveLength(1);
    store.isPrompt = true;
    store.writes[0]?.done.resolve();
    await closing;
    expect(store.news).toEqual(['+s1 online', 'ann>a']);
    expect(store.closedAfter).toBe(2);
  });

  it('closes where the store is down as well, and nobody waits for ever', async () => {
    store.isPrompt = false;
    const tracker = newTracker();
    tracker.connected('ann', 'd', 's1');
    await pass(0);
    const closing = tracker.close();
    store.writes[0]?.done.reject(new Error('down'));
    await pass(0);
    store.writes[1]?.done.reject(new Error('still down'));
    await closing;
    expect(store.closedAfter).toBe(2);
    expect(await outcomeOf(tracker.written())).toContain('closed');
    tracker.connected('bob', 'd', 's2');
    expect(await outcomeOf(tracker.written())).toContain('closed');
    await pass(10_000);
    expect(store.writes).toHaveLength(2);
  });

  it('leaves no timer', async () => {
    const tracker = newTracker();
    tracker.ended(tracker.connected('ann', 'd', 's1'), false);
    tracker.connected('bob', 'd', 's2');
    await tracker.close();
    expect(wheel.size).toBe(0);
    wheel.close();
    expect(vi.getTimerCount()).toBe(0);
  });
});

test('sessions are counted by their status for as long as they are connected', async () => {
  const tracker = newTracker();
  const counts = () => ({ ...tracker.statusCounts });
  const phone = tracker.connected('ann', 'phone', 's1');
  const tv = tracker.connected('ann', 'tv', 's2');
  expect(counts()).toEqual({ online: 2, away: 0, dnd: 0 });
  tracker.setStatus(phone, 'dnd', 'busy');
  tracker.setStatus(phone, 'dnd', undefined);
  tracker.setStatus(tv, 'away', undefined);
  expect(counts()).toEqual({ online: 0, away: 1, dnd: 1 });
  tracker.ended(phone, false);
  tracker.ended(phone, true);
  tracker.setStatus(phone, 'online', undefined);
  expect(counts()).toEqual({ online: 0, away: 1, dnd: 0 });
  // It goes on with the status that it had.
  const again = tracker.connected('ann', 'phone', 's3');
  tracker.connected('bob', 'desk', 's4', { device: 'desk', status: 'away', atMs: Date.now(), isConnected: false });
  expect(counts()).toEqual({ online: 0, away: 2, dnd: 1 });
  tracker.ended(again, true);
  tracker.ended(tv, false);
  await pass(SETTINGS.graceMs + LATE_MS);
  expect(counts()).toEqual({ online: 0, away: 1, dnd: 0 });
});
