import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { TimerWheel } from '../../../src/limits/timer-wheel.ts';
import { includes } from '../../../src/presence/few.ts';
import { MemoryPresence } from '../../../src/presence/memory-presence-store.ts';
import type { PresenceBatch, PresenceReplica, PresenceStore } from '../../../src/presence/presence-store.ts';
import { PresenceTracker } from '../../../src/presence/presence-tracker.ts';
import type { TrackedSession } from '../../../src/presence/tracked-session.ts';
import { aggregate } from '../../../src/presence/user-aggregate.ts';
import { CommandError } from '../../../src/protocol/errors.ts';
import { STATUSES } from '../../../src/protocol/presence-state.ts';
import { codeOf } from '../../contract/room-log-fixture.ts';

const LEASE_MS = 10_000;
const GRACE_MS = 15_000;
const SETTINGS = { graceMs: GRACE_MS, batchMs: 50, lingeringPerUserMax: 16, lingeringMax: 100 };

/** `deaf`: it takes effect, but nobody hears so. */
type Health = 'well' | 'slow' | 'down' | 'deaf';

/** A store that can be cut off, whose lease then lapses. */
class FaultyStore implements PresenceStore {
  health: Health = 'well';
  readonly batches: PresenceBatch[] = [];
  readonly #inner: PresenceStore;

  constructor(inner: PresenceStore) {
    this.#inner = inner;
  }

  async open(replica: PresenceReplica): Promise<void> {
    const begin = setInterval;
    const begun = vi.spyOn(globalThis, 'setInterval');
    begun.mockImplementation((renew, everyMs) => begin(() => this.health === 'down' || renew(), everyMs));
    await this.#inner.open(replica);
    begun.mockRestore();
  }

  async write(batch: PresenceBatch): Promise<void> {
    const { health } = this;
    if (health === 'slow') await new Promise((resolve) => setTimeout(resolve, 200));
    if (this.health === 'down') throw new CommandError('unavailable', 'cut off');
    await this.#inner.write(batch);
    this.batches.push(batch);
    if (health === 'slow') await new Promise((resolve) => setTimeout(resolve, 200));
    if (this.health === 'deaf') throw new CommandError('unavailable', 'not heard');
  }

  readRoom(room: string, after: string | undefined, limit: number) {
    return this.#inner.readRoom(room, after, limit);
  }

  readUsers(users: readonly string[], rooms: Iterable<string>) {
    return this.#inner.readUsers(users, rooms);
  }

  setInterest(): Promise<void> {
    return Promise.resolve();
  }

  close(): Promise<void> {
    return this.#inner.close();
  }
}

interface Replica {
  readonly tracker: PresenceTracker;
  readonly store: FaultyStore;
}

let presence: MemoryPresence;
let reader: PresenceStore;
let wheel: TimerWheel;
/** Told of each session that lost its place while it lived. */
let onReplaced: (lost: TrackedSession) => void;

async function openAll(): Promise<void> {
  presence = new MemoryPresence({ leaseMs: LEASE_MS, graceMs: GRACE_MS, lastSeenMax: 100 });
  wheel = new TimerWheel();
  onReplaced = () => {};
  reader = presence.replica();
  await reader.open({
    everything: () => ({ sessions: [], members: [] }),
    onRoomChange() {},
    onReplaced() {},
    onUserChange() {},
  });
}

async function replica(settings: Partial<typeof SETTINGS> = {}): Promise<Replica> {
  const store = new FaultyStore(presence.replica());
  const changes = { onRoomChange() {}, onUserChange() {} };
  const moves = {
    onReplaced(lost: TrackedSession) {
      onReplaced(lost);
      tracker.ended(lost, false);
    },
    onLeft() {},
  };
  const tracker = new PresenceTracker(store, changes, moves, { ...SETTINGS, ...settings }, wheel);
  await tracker.open();
  return { tracker, store };
}

beforeEach(async () => {
  vi.useFakeTimers();
  await openAll();
});
afterEach(() => {
  wheel.close();
  vi.useRealTimers();
});

const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms);
const namesIn = async (room: string) => (await reader.readRoom(room, undefined, 500)).users.map(({ user }) => user);
const userNow = async (user: string) => (await reader.readUsers([user], []))[0];

describe('a session', () => {
  test('goes on with the status of a device that lingers, and ends without it', async () => {
    const { tracker } = await replica();
    const first = tracker.connected('ann', 'phone', 's1');
    tracker.join(first, 'r');
    tracker.setStatus(first, 'dnd', 'busy');
    await pass(100);
    tracker.ended(first, false);
    const second = tracker.connected('ann', 'phone', 's2');
    expect([second.status, second.text, second.statusMs]).toEqual(['dnd', 'busy', first.statusMs]);
    tracker.join(second, 'r');
    await pass(GRACE_MS + 1_000);
    expect(tracker.lingeringCount).toBe(0);
    expect(await userNow('ann')).toMatchObject({ status: 'dnd', text: 'busy', devices: 1 });
    expect(await namesIn('r')).toEqual(['ann']);
    const desk = tracker.connected('ann', 'desk', 's3');
    expect([desk.status, desk.text]).toEqual(['online', undefined]);
  });

  test('that lives lends no status to another of its device', async () => {
    const { tracker } = await replica();
    tracker.setStatus(tracker.connected('ann', 'phone', 's1'), 'dnd', 'busy');
    expect(tracker.connected('ann', 'phone', 's2').status).toBe('online');
  });

  test('has the last word of its device, also within one ms and when the clock steps back', async () => {
    const { tracker } = await replica();
    const first = tracker.connected('ann', 'phone', 's1');
    tracker.setStatus(first, 'dnd', undefined);
    tracker.ended(first, false);
    const second = tracker.connected('ann', 'phone', 's2');
    tracker.setStatus(second, 'away', undefined);
    await pass(100);
    expect(await userNow('ann')).toMatchObject({ status: 'away', devices: 1 });
    vi.setSystemTime(Date.now() - 60_000);
    tracker.setStatus(second, 'online', 'back');
    await pass(100);
    expect(await userNow('ann')).toMatchObject({ status: 'online', text: 'back', devices: 1 });
  });

  test('that is left for good takes along what lingers of its device, and no other device', async () => {
    const { tracker } = await replica();
    for (const device of ['phone', 'desk']) {
      const before = tracker.connected('ann', device, `before-${device}`);
      tracker.join(before, 'r');
      tracker.join(before, device);
      tracker.ended(before, false);
    }
    const back = tracker.connected('ann', 'phone', 'back');
    await pass(100);
    tracker.ended(back, true);
    await pass(100);
    expect(await userNow('ann')).toMatchObject({ devices: 1 });
    expect(presence.sessionCount).toBe(1);
    expect([await namesIn('r'), await namesIn('phone'), await namesIn('desk')]).toEqual([['ann'], [], ['ann']]);
    await pass(GRACE_MS + 1_000);
    expect([presence.sessionCount, presence.roomCount, tracker.userCount]).toEqual([0, 0, 0]);
  });

  test('that has ended is heard no more', async () => {
    const { tracker } = await replica();
    const gone = tracker.connected('ann', 'phone', 's1');
    tracker.ended(gone, true);
    const living = tracker.connected('ann', 'phone', 's2');
    tracker.join(gone, 'r');
    tracker.setStatus(gone, 'dnd', undefined);
    tracker.ended(gone, false);
    tracker.ended(gone, true);
    await pass(GRACE_MS * 2);
    expect(await userNow('ann')).toMatchObject({ status: 'online', devices: 1 });
    expect(await namesIn('r')).toEqual([]);
    expect(tracker.everything().sessions.map(({ session }) => session)).toEqual([living.session]);
  });

  test('leaves its grace early where more than so many of a user linger, the first to end first', async () => {
    const { tracker } = await replica({ lingeringPerUserMax: 2, lingeringMax: 3 });
    const sessions = ['s1', 's2', 's3'].map((session) => tracker.connected('ann', session, session));
    const left = () => tracker.everything().sessions.map(({ session }) => session);
    for (const session of [sessions[2], sessions[0], sessions[1]]) {
      if (session !== undefined) tracker.ended(session, false);
      await pass(10);
    }
    expect(left()).toEqual(['s1', 's2']);
    for (const user of ['bob', 'cat']) tracker.ended(tracker.connected(user, 'phone', user), false);
    expect(left()).toEqual(['s2', 'bob', 'cat']);
    expect(tracker.lingeringCount).toBe(3);
  });

  test('is told by itself, also one that lingers, and a room once', async () => {
    const { tracker, store } = await replica();
    const first = tracker.connected('ann', 'phone', 's1');
    tracker.join(first, 'r');
    tracker.ended(first, false);
    tracker.join(tracker.connected('ann', 'phone', 's2'), 'r');
    await pass(100);
    const [batch] = store.batches;
    expect(batch?.sessions.map(({ session }) => session)).toEqual(['s1', 's2']);
    expect(batch?.members).toEqual([{ room: 'r', user: 'ann', present: true }]);
    expect(batch?.sessions.map(({ state, isNew }) => [state?.isCutOff, isNew])).toEqual([
      [true, undefined],
      [undefined, true],
    ]);
    const saidAgain = batch?.sessions.map(({ isNew: _, ...change }) => change);
    expect(tracker.everything()).toEqual({ ...batch, sessions: saidAgain });
  });
});

describe('closing', () => {
  test('writes what has changed, and leaves those in their grace and those it cuts off to the store', async () => {
    const { tracker, store } = await replica();
    const [lingering, cutOff, quitting] = ['ann', 'bob', 'cat'].map((user) => {
      const session = tracker.connected(user, 'phone', user);
      tracker.join(session, 'r');
      return session;
    }) as [TrackedSession, TrackedSession, TrackedSession];
    await pass(100);
    tracker.ended(lingering, false);
    tracker.join(tracker.connected('dan', 'phone', 'dan'), 'r');
    store.health = 'slow';
    await pass(10);
    const closed = tracker.close();
    tracker.ended(cutOff, false);
    tracker.join(tracker.connected('eve', 'phone', 'eve'), 'r');
    // By now dan is written, and eve on her way.
    await pass(450);
    tracker.ended(quitting, true);
    await pass(1_000);
    await closed;
    expect(await namesIn('r')).toEqual(['ann', 'bob', 'dan', 'eve']);
    await pass(GRACE_MS - 3_000);
    expect(await namesIn('r')).toEqual(['ann', 'bob', 'dan', 'eve']);
    await pass(LEASE_MS);
    expect(await namesIn('r')).toEqual([]);
  });

  test('leaves nobody waiting for what is not written any more', async () => {
    for (const health of ['well', 'down'] as const) {
      const { tracker, store } = await replica();
      const session = tracker.connected('ann', 'phone', health);
      store.health = health;
      const before = codeOf(tracker.written());
      await tracker.close();
      expect(await before).toBe(health === 'well' ? 'no error' : 'unavailable');
      tracker.ended(session, true);
      expect(await codeOf(tracker.written())).toBe('unavailable');
    }
  });
});

describe('what could not be written', () => {
  test('is written again with what has changed since, and who waits is told', async () => {
    const { tracker, store } = await replica();
    store.health = 'down';
    const [ann, bob] = ['ann', 'bob'].map((user) => tracker.connected(user, 'phone', user)) as [
      TrackedSession,
      TrackedSession,
    ];
    const refused = codeOf(tracker.written());
    await pass(10);
    expect(await refused).toBe('unavailable');
    tracker.ended(bob, true);
    tracker.setStatus(ann, 'away', undefined);
    const written = tracker.written();
    store.health = 'well';
    await pass(500);
    expect(store.batches).toEqual([]);
    await pass(600);
    await written;
    expect(store.batches).toHaveLength(1);
    expect(await userNow('ann')).toMatchObject({ status: 'away' });
    expect(await userNow('bob')).toMatchObject({ devices: 0 });
  });

  test('does not win over what has changed while it was tried', async () => {
    const { tracker, store } = await replica();
    store.health = 'slow';
    const session = tracker.connected('ann', 'phone', 's1');
    tracker.join(session, 'r');
    tracker.join(session, 's');
    const refused = codeOf(tracker.written());
    await pass(100);
    tracker.setStatus(session, 'away', 'out');
    tracker.leave(session, 's');
    store.health = 'down';
    await pass(150);
    expect(await refused).toBe('unavailable');
    store.health = 'well';
    await pass(1_100);
    expect(await userNow('ann')).toMatchObject({ status: 'away', text: 'out' });
    expect([await namesIn('r'), await namesIn('s')]).toEqual([['ann'], []]);
  });

  test('waits for what is under way, and then for all that was changed before', async () => {
    const { tracker, store } = await replica();
    store.health = 'slow';
    tracker.connected('ann', 'phone', 's1');
    await pass(1);
    const order: string[] = [];
    const first = tracker.written().then(() => order.push('first'));
    await pass(100);
    tracker.connected('bob', 'phone', 's2');
    const second = tracker.written().then(() => order.push('second'));
    await pass(350);
    expect(order).toEqual(['first']);
    await pass(500);
    expect(order).toEqual(['first', 'second']);
    await Promise.all([first, second]);
  });
});

describe('after whatever happened', () => {
  const USERS = ['ann', 'bob'];
  const ROOMS = ['r', 's'];
  const isLiving = ({ endedMs }: TrackedSession) => endedMs === 0;
  const nat = fc.nat({ max: 20 });
  const step = fc.record({
    on: fc.nat({ max: 2 }),
    kind: fc.constantFrom(
      'connect',
      'connect',
      'join',
      'join',
      'leave',
      'status',
      'cut',
      'cut',
      'quit',
      'health',
      'health',
    ),
    index: nat,
    user: fc.constantFrom(...USERS),
    device: fc.constantFrom('phone', 'desk'),
    room: fc.constantFrom(...ROOMS),
    status: fc.constantFrom(...STATUSES),
    health: fc.constantFrom<Health>('well', 'slow', 'down', 'down', 'deaf'),
    passMs: fc.constantFrom(0, 0, 1, 60, 60, 250, 250, 1_100, 1_100, 12_000, 30_000),
  });

  test('trackers of one store agree with their sessions, and nobody living is missing or ended in vain', async () => {
    let named = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 40, size: 'max' }), async (steps) => {
        await openAll();
        const connected: TrackedSession[] = [];
        const inVain: string[] = [];
        const replaced = new Set<TrackedSession>();
        onReplaced = (lost) => {
          const others = connected.filter((each) => each.user.name === lost.user.name && each.device === lost.device);
          if (others.every((each) => each === lost || replaced.has(each))) inVain.push(lost.session);
          replaced.add(lost);
        };
        const replicas: (Replica & { kept: TrackedSession[] })[] = [];
        for (let i = 0; i < 3; i += 1) replicas.push({ ...(await replica()), kept: [] });
        for (const { on, kind, index, user, device, room, status, health, passMs } of steps) {
          const each = replicas[on];
          if (each === undefined) throw new Error('no such replica');
          const { tracker, store } = each;
          const session = each.kept[index % each.kept.length];
          if (kind === 'health') store.health = health;
          else if (kind === 'connect') {
            named += 1;
            const session = tracker.connected(user, device, `session-${named}`);
            each.kept.push(session);
            connected.push(session);
          } else if (session === undefined) continue;
          else if (kind === 'join') tracker.join(session, room);
          else if (kind === 'leave') tracker.leave(session, room);
          else if (kind === 'status') tracker.setStatus(session, status, undefined);
          else {
            tracker.ended(session, kind === 'quit');
            each.kept = each.kept.filter((other) => other !== session);
          }
          await pass(passMs);
          // Written at the latest so long after it was mended: a slow write, the wait for the next try, and its batch.
          for (const { store, kept } of passMs > 2_000 ? replicas : []) {
            if (store.health !== 'well') continue;
            for (const { user, rooms } of kept.filter(isLiving)) {
              expect(await userNow(user.name)).not.toMatchObject({ status: 'offline' });
              for (const joined of rooms ?? []) expect(await namesIn(joined)).toContain(user.name);
            }
          }
        }
        for (const { store } of replicas) store.health = 'well';
        await pass(LEASE_MS + 2 * GRACE_MS + 5_000);
        const kept = replicas.flatMap((each) => each.kept);
        const living = kept.filter(isLiving);
        expect(inVain).toEqual([]);
        for (const user of USERS) {
          const sessions = living.filter((each) => each.user.name === user);
          const expected = aggregate(
            user,
            sessions.map(({ device, session, status, statusMs: atMs }) => ({ device, session, status, atMs })),
          );
          expect(await userNow(user)).toMatchObject(expected);
        }
        for (const room of ROOMS) {
          const present = living.filter(({ rooms }) => includes(rooms, room)).map(({ user }) => user.name);
          expect(await namesIn(room)).toEqual([...new Set(present)].sort());
        }
        expect(presence.sessionCount).toBe(living.length);
        for (const { tracker } of replicas) {
          expect(tracker.lingeringCount).toBe(0);
          await tracker.close();
        }
        wheel.close();
        vi.clearAllTimers();
      }),
      { numRuns: 120 },
    );
  });
});
