import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { TimerWheel } from '../../../src/limits/timer-wheel.ts';
import type { PresenceReader } from '../../../src/presence/feed.ts';
import { type FeedSettings, PresenceFeed } from '../../../src/presence/presence-feed.ts';
import type { RoomChange, Subject } from '../../../src/presence/presence-store.ts';
import type { RoomWatch } from '../../../src/presence/room-feed.ts';
import { BOUNDS } from '../../../src/protocol/bounds.ts';
import type { Framing } from '../../../src/protocol/dialect.ts';
import type { RoomPresencePush, UserPresencePush } from '../../../src/protocol/presence-push.ts';
import type { UserPresence, UserState } from '../../../src/protocol/presence-state.ts';

const SETTINGS: FeedSettings = { intervalMs: 250, namesReadersMax: 3, fastReadersMax: 5, slowIntervalMs: 2_000 };
/** How late a wheel's timer may be. */
const LATE_MS = 101;

const encode = (push: RoomPresencePush | UserPresencePush) => [Buffer.from(JSON.stringify(push))];
const pushes = { roomPresence: vi.fn(encode), userPresence: vi.fn(encode) };

/** A framing that says presence as `says` does; by default as other JSON does. */
function newFraming(name: Framing['name'], says: Pick<Framing, 'roomPresence' | 'userPresence'> = pushes) {
  const frame = vi.fn((payloads: readonly Buffer[]) => Buffer.concat(payloads));
  return { name, ...says, frame, message: vi.fn(), signal: vi.fn() } satisfies Framing;
}

const json = newFraming('ndjson');
const websocket = newFraming('websocket');
/** Like text mode: a count without names is not worth a word. */
const words = newFraming('text', {
  roomPresence: (push) => (push.joined ?? []).map(({ user }) => Buffer.from(user)),
  userPresence: ({ user }) => [Buffer.from(user)],
});

class FakeReader implements PresenceReader {
  readonly framing: Framing;
  readonly chunks: Buffer[] = [];
  onPush = () => {};

  constructor(framing: Framing = json) {
    this.framing = framing;
  }

  push(chunk: Buffer): void {
    this.chunks.push(chunk);
    this.onPush();
  }

  /** What was pushed since the last call, the names in short. */
  take(): object[] {
    return this.chunks.splice(0).map((chunk) => {
      const { room: _, partial: __, joined, left, changed, ...rest } = JSON.parse(chunk.toString()) as RoomPresencePush;
      const lists = Object.entries({ joined, left, changed }).filter(([, states]) => states !== undefined);
      return { ...rest, ...Object.fromEntries(lists.map(([list, states]) => [list, states?.map(({ user }) => user)])) };
    });
  }
}

let wheel: TimerWheel;
let feed: PresenceFeed;
let flushes = 0;
/** Users that each push of a room named. */
let named: number[] = [];
/** Interests set and ended, in order: `+lobby`, `-lobby`, `+@ann`. */
let interests: string[] = [];
let onInterest: () => Promise<void>;

beforeEach(() => {
  vi.useFakeTimers();
  wheel = new TimerWheel();
  onInterest = async () => {};
  named = [];
  feed = newFeed();
});

afterEach(() => {
  vi.useRealTimers();
  vi.clearAllMocks();
});

function newFeed(settings: Partial<FeedSettings> = {}): PresenceFeed {
  flushes = 0;
  interests = [];
  const store = {
    setInterest(subject: Subject, isInterested: boolean) {
      interests.push(`${isInterested ? '+' : '-'}${'room' in subject ? subject.room : `@${subject.user}`}`);
      return onInterest();
    },
  };
  const onFlush = () => {
    flushes += 1;
  };
  return new PresenceFeed(store, { ...SETTINGS, ...settings }, wheel, onFlush, {
    observe: (users) => named.push(users),
  });
}

/** A watch that has its snapshot already. */
async function begun(reader: PresenceReader, mode: 'full' | 'count' = 'full', version = 0, count = 0) {
  const watch = await feed.watchRoom(reader, 'lobby', mode);
  watch.begin({ version, count });
  return watch;
}

const state = (user: string): UserState => ({ user, status: 'online', devices: 1 });

interface Names {
  readonly joined?: readonly string[];
  readonly left?: readonly string[];
  readonly changed?: readonly string[];
}

function change(version: number, count: number, names: Names | null = {}, room = 'lobby'): RoomChange {
  const { joined = [], left = [], changed = [] } = names ?? {};
  const states = { joined: joined.map(state), left: left.map(state), changed: changed.map(state) };
  return { room, version, count, partial: false, names: names === null ? null : states };
}

/** The end of this turn of the loop. */
function turn(): void {
  vi.advanceTimersByTime(0);
}

/** Long enough for the next push, where there is one. */
function interval(ms = SETTINGS.intervalMs): void {
  vi.advanceTimersByTime(ms + LATE_MS);
}

describe('a room’s reader', () => {
  it('is told at the end of the turn, then once an interval, of what has changed in sum', async () => {
    const reader = new FakeReader();
    await begun(reader);
    feed.onRoomChange(change(1, 1, { joined: ['ann'] }));
    feed.onRoomChange(change(2, 2, { joined: ['bob'] }));
    expect(reader.chunks).toEqual([]);
    turn();
    expect(reader.take()).toEqual([{ version: 2, count: 2, joined: ['ann', 'bob'] }]);
    expect(flushes).toBe(1);
    feed.onRoomChange(change(3, 1, { left: ['ann'] }));
    feed.onRoomChange(change(4, 1, { changed: ['bob'] }));
    vi.advanceTimersByTime(SETTINGS.intervalMs - 1);
    feed.onRoomChange(change(5, 2, { joined: ['cy'] }));
    expect(reader.chunks).toEqual([]);
    interval(1);
    expect(reader.take()).toEqual([{ version: 5, count: 2, joined: ['cy'], left: ['ann'], changed: ['bob'] }]);
    expect(flushes).toBe(2);
    interval();
    interval();
    // Nothing has changed for an interval: the next change is told at once.
    expect(wheel.size).toBe(0);
    feed.onRoomChange(change(6, 3, { joined: ['dee'] }));
    turn();
    expect(reader.take()).toHaveLength(1);
    expect(feed.pushCount).toBe(3);
  });

  it('is told nothing before it has begun, and then what came behind its snapshot', async () => {
    const reader = new FakeReader();
    const watch = await feed.watchRoom(reader, 'lobby', 'full');
    for (const [version, user] of [
      [1, 'ann'],
      [2, 'bob'],
      [3, 'cy'],
    ] as const) {
      feed.onRoomChange(change(version, version, { joined: [user] }));
      turn();
      interval();
    }
    expect(reader.chunks).toEqual([]);
    watch.begin({ version: 2, count: 2 });
    expect(reader.take()).toEqual([{ version: 3, count: 3, joined: ['cy'] }]);
    feed.onRoomChange(change(4, 4, { joined: ['dee'] }));
    turn();
    expect(reader.take()).toEqual([{ version: 4, count: 4, joined: ['dee'] }]);
  });

  it('is not told what its snapshot had', async () => {
    const reader = new FakeReader();
    const watch = await feed.watchRoom(reader, 'lobby', 'full');
    feed.onRoomChange(change(7, 1, { joined: ['ann'] }));
    watch.begin({ version: 7, count: 1 });
    turn();
    interval();
    expect(reader.chunks).toEqual([]);
    // Ahead of what was told here: read from a store that others write to.
    const ahead = new FakeReader();
    await begun(ahead, 'full', 9, 3);
    feed.onRoomChange(change(8, 2, { joined: ['bob'] }));
    turn();
    expect(ahead.chunks).toEqual([]);
    expect(reader.take()).toHaveLength(1);
    feed.onRoomChange(change(10, 4, { joined: ['cy'] }));
    interval();
    expect(ahead.take()).toHaveLength(1);
  });

  it('is not told who came and went between two pushes', async () => {
    const reader = new FakeReader();
    await begun(reader, 'full', 1, 1);
    feed.onRoomChange(change(2, 1, { changed: ['bob'] }));
    turn();
    reader.take();
    feed.onRoomChange(change(3, 2, { joined: ['ann'] }));
    feed.onRoomChange(change(4, 1, { left: ['ann'] }));
    interval();
    expect(reader.take()).toEqual([]);
    // Nor that somebody was away in between, only that they may have changed.
    feed.onRoomChange(change(5, 0, { left: ['bob'] }));
    feed.onRoomChange(change(6, 1, { joined: ['bob'] }));
    interval();
    interval();
    expect(reader.take()).toEqual([{ version: 6, count: 1, changed: ['bob'] }]);
  });

  it('whose snapshot fell between two pushes is told also who came and went', async () => {
    const [old, fresh] = [new FakeReader(), new FakeReader()];
    await begun(old, 'full', 1, 1);
    feed.onRoomChange(change(2, 1, { changed: ['bob'] }));
    turn();
    feed.onRoomChange(change(3, 2, { joined: ['ann'] }));
    // It knows of ann.
    await begun(fresh, 'full', 3, 2);
    feed.onRoomChange(change(4, 1, { left: ['ann'] }));
    old.take();
    interval();
    expect(old.take()).toEqual([]);
    expect(fresh.take()).toEqual([{ version: 4, count: 1, left: ['ann'] }]);
    // And from then on no more than others.
    feed.onRoomChange(change(5, 2, { joined: ['cy'] }));
    feed.onRoomChange(change(6, 1, { left: ['cy'] }));
    interval();
    interval();
    expect(fresh.take()).toEqual([]);
  });

  it('who has looked since the last push is told also who came and went', async () => {
    const [looked, other] = [new FakeReader(), new FakeReader()];
    const watch = await begun(looked);
    await begun(other);
    feed.onRoomChange(change(1, 1, { joined: ['bob'] }));
    turn();
    for (const reader of [looked, other]) reader.take();
    feed.onRoomChange(change(2, 2, { joined: ['ann'] }));
    watch.lookedVersion = 2;
    feed.onRoomChange(change(3, 1, { left: ['ann'] }));
    interval();
    expect(looked.take()).toEqual([{ version: 3, count: 1, left: ['ann'] }]);
    expect(other.take()).toEqual([]);
  });

  it('who has looked at what is not told here yet knows that all the same', async () => {
    const reader = new FakeReader();
    const watch = await begun(reader);
    feed.onRoomChange(change(1, 1, { joined: ['bob'] }));
    turn();
    reader.take();
    feed.onRoomChange(change(2, 2, { joined: ['cy'] }));
    // The store, which others write to, is at version 3 by now: ann is there. So the reader knows, and we don't.
    watch.lookedVersion = 3;
    interval();
    reader.take();
    feed.onRoomChange(change(3, 3, { joined: ['ann'] }));
    feed.onRoomChange(change(4, 2, { left: ['ann'] }));
    interval();
    interval();
    expect(reader.take()).toEqual([{ version: 4, count: 2, left: ['ann'] }]);
  });

  it('hears of no other room', async () => {
    const reader = new FakeReader();
    await begun(reader);
    feed.onRoomChange(change(1, 1, { joined: ['ann'] }, 'tea'));
    feed.onUserChange({ ...state('ann'), lastSeenMs: 1, version: 1 });
    turn();
    expect(reader.chunks).toEqual([]);
    expect(flushes).toBe(0);
    expect(wheel.size).toBe(0);
  });

  it('is told by a part of the cluster only that it is so', async () => {
    const reader = new FakeReader();
    await begun(reader);
    feed.onRoomChange({ ...change(1, 1, { joined: ['ann'] }), partial: true });
    turn();
    feed.onRoomChange({ ...change(2, 2, { joined: ['bob'] }), partial: true });
    feed.onRoomChange(change(3, 3, { joined: ['cy'] }));
    interval();
    expect(reader.chunks.map((chunk) => (JSON.parse(chunk.toString()) as RoomPresencePush).partial)).toEqual([
      true,
      false,
    ]);
  });
});

describe('names', () => {
  it('that are lost leave the count, until the next push', async () => {
    const reader = new FakeReader();
    await begun(reader);
    feed.onRoomChange(change(1, 1, { joined: ['ann'] }));
    feed.onRoomChange(change(5, 3, null));
    feed.onRoomChange(change(6, 4, { joined: ['bob'] }));
    turn();
    expect(reader.take()).toEqual([{ version: 6, count: 4 }]);
    feed.onRoomChange(change(7, 5, { joined: ['cy'] }));
    interval();
    expect(reader.take()).toEqual([{ version: 7, count: 5, joined: ['cy'] }]);
  });

  it(`are told up to ${BOUNDS.presencePageMax} of them`, async () => {
    const reader = new FakeReader();
    await begun(reader);
    const users = Array.from({ length: BOUNDS.presencePageMax + 1 }, (_, i) => `u${i}`);
    feed.onRoomChange(change(1, users.length, { joined: users.slice(1) }));
    feed.onRoomChange(change(2, users.length, { changed: users.slice(1) }));
    turn();
    expect(reader.take()).toEqual([{ version: 2, count: users.length, joined: users.slice(1) }]);
    for (const [i, user] of users.entries()) feed.onRoomChange(change(3 + i, users.length, { changed: [user] }));
    interval();
    expect(reader.take()).toEqual([{ version: 2 + users.length, count: users.length }]);
    feed.onRoomChange(change(1_000, 1, { left: ['u1'] }));
    interval();
    expect(reader.take()).toEqual([{ version: 1_000, count: 1, left: ['u1'] }]);
  });

  it('are not told above so many readers, whichever readers these are', async () => {
    const readers = Array.from({ length: SETTINGS.namesReadersMax + 1 }, () => new FakeReader());
    const watches = [];
    for (const reader of readers) watches.push(await begun(reader));
    feed.onRoomChange(change(1, 1, { joined: ['ann'] }));
    turn();
    for (const reader of readers) expect(reader.take()).toEqual([{ version: 1, count: 1 }]);
    feed.unwatchRoom('lobby', watches[0] as RoomWatch);
    feed.onRoomChange(change(2, 2, { joined: ['bob'] }));
    interval();
    for (const reader of readers.slice(1)) expect(reader.take()).toEqual([{ version: 2, count: 2, joined: ['bob'] }]);
    expect(readers[0]?.chunks).toEqual([]);
    expect(named).toEqual([0, 1]);
  });

  it('are told more slowly above so many readers', async () => {
    const readers = Array.from({ length: SETTINGS.fastReadersMax + 1 }, () => new FakeReader());
    for (const reader of readers) await begun(reader);
    feed.onRoomChange(change(1, 1, { joined: ['ann'] }));
    turn();
    feed.onRoomChange(change(2, 2, { joined: ['bob'] }));
    vi.advanceTimersByTime(SETTINGS.slowIntervalMs - 1);
    for (const reader of readers) expect(reader.take()).toHaveLength(1);
    interval(1);
    for (const reader of readers) expect(reader.take()).toEqual([{ version: 2, count: 2 }]);
  });

  it('are nothing to who counts only', async () => {
    const reader = new FakeReader();
    await begun(reader, 'count', 1, 1);
    feed.onRoomChange(change(2, 1, { changed: ['ann'] }));
    turn();
    feed.onRoomChange(change(3, 2, { joined: ['bob'] }));
    feed.onRoomChange(change(4, 1, { left: ['bob'] }));
    interval();
    expect(reader.take()).toEqual([]);
    feed.onRoomChange(change(5, 2, { joined: ['bob'] }));
    interval();
    expect(reader.take()).toEqual([{ version: 5, count: 2 }]);
    feed.onRoomChange(change(6, 2, null));
    interval();
    expect(reader.take()).toEqual([]);
  });

  it('count for who counts only, and whose snapshot had another count', async () => {
    const reader = new FakeReader();
    const watch = await feed.watchRoom(reader, 'lobby', 'count');
    feed.onRoomChange(change(2, 2, { joined: ['ann'] }));
    turn();
    feed.onRoomChange(change(3, 1, { left: ['ann'] }));
    interval();
    watch.begin({ version: 1, count: 1 });
    // Two pushes were held; what they come to is right in the end.
    expect(reader.take().at(-1)).toEqual({ version: 3, count: 1 });
    feed.onRoomChange(change(4, 1, { changed: ['bob'] }));
    interval();
    expect(reader.take()).toEqual([]);
  });
});

describe('what is held for a reader', () => {
  it('becomes a count when it is too much', async () => {
    const reader = new FakeReader();
    const watch = await feed.watchRoom(reader, 'lobby', 'full');
    for (let version = 1; version <= 17; version += 1) {
      feed.onRoomChange(change(version, version, { joined: [`u${version}`] }));
      turn();
      interval();
    }
    feed.onRoomChange(change(18, 18, { joined: ['u18'] }));
    turn();
    watch.begin({ version: 3, count: 3 });
    expect(reader.take()).toEqual([
      { version: 17, count: 17 },
      { version: 18, count: 18, joined: ['u18'] },
    ]);
  });

  it('is nothing that framings have no words for', async () => {
    const reader = new FakeReader(words);
    const watch = await feed.watchRoom(reader, 'lobby', 'full');
    for (let version = 1; version <= 20; version += 1) {
      feed.onRoomChange(change(version, 0, null));
      turn();
      interval();
    }
    feed.onRoomChange(change(21, 1, { joined: ['ann'] }));
    turn();
    watch.begin({ version: 0, count: 0 });
    expect(reader.chunks.map(String)).toEqual(['ann']);
  });
});

describe('bytes', () => {
  it('are the same for two readers of a framing, and made once; other framings share what they frame', async () => {
    const readers = [json, json, websocket].map((framing) => new FakeReader(framing));
    for (const reader of readers) await begun(reader);
    feed.onRoomChange(change(1, 1, { joined: ['ann'] }));
    turn();
    const [first, second, third] = readers.map(({ chunks }) => chunks[0]);
    expect(first).toBe(second);
    expect(third).not.toBe(first);
    expect(pushes.roomPresence).toHaveBeenCalledTimes(1);
    expect([json, websocket].map(({ frame }) => frame.mock.calls.length)).toEqual([1, 1]);
    const [[framed], [shared]] = [json.frame.mock.calls[0] ?? [], websocket.frame.mock.calls[0] ?? []];
    expect(framed?.[0]).toBe(shared?.[0]);
  });

  it('are made once for each way of telling, whoever needs which', async () => {
    const readers = [new FakeReader(), new FakeReader(), new FakeReader()];
    await begun(readers[0] as FakeReader, 'count');
    await begun(readers[1] as FakeReader);
    feed.onRoomChange(change(1, 1, { joined: ['ann'] }));
    turn();
    feed.onRoomChange(change(2, 2, { joined: ['bob'] }));
    await begun(readers[2] as FakeReader, 'full', 2, 2);
    feed.onRoomChange(change(3, 1, { left: ['bob'] }));
    feed.onRoomChange(change(4, 0, { left: ['ann'] }));
    vi.clearAllMocks();
    for (const reader of readers) reader.take();
    interval();
    expect(readers.map((reader) => reader.take())).toEqual([
      [{ version: 4, count: 0 }],
      [{ version: 4, count: 0, left: ['ann'] }],
      [{ version: 4, count: 0, left: ['bob', 'ann'] }],
    ]);
    expect(pushes.roomPresence).toHaveBeenCalledTimes(3);
  });

  it('are not made for nobody', async () => {
    const reader = new FakeReader();
    await begun(reader, 'full', 9, 1);
    feed.onRoomChange(change(9, 1, { joined: ['ann'] }));
    turn();
    expect(pushes.roomPresence).not.toHaveBeenCalled();
    expect(feed.pushCount).toBe(0);
  });
});

describe('interest', () => {
  it('begins with the first watch and ends with the last', async () => {
    const watches = [
      await feed.watchRoom(new FakeReader(), 'lobby', 'full'),
      await feed.watchRoom(new FakeReader(), 'lobby', 'count'),
    ];
    const users = [await feed.watchUser(new FakeReader(), 'ann'), await feed.watchUser(new FakeReader(), 'ann')];
    expect(interests).toEqual(['+lobby', '+@ann']);
    expect([feed.roomCount, feed.userCount, feed.roomWatchCount, feed.userWatchCount]).toEqual([1, 1, 2, 2]);
    for (const watch of watches) {
      feed.unwatchRoom('lobby', watch);
      feed.unwatchRoom('lobby', watch);
    }
    for (const watch of users) {
      feed.unwatchUser('ann', watch);
      feed.unwatchUser('ann', watch);
    }
    expect(interests).toEqual(['+lobby', '+@ann', '-lobby', '-@ann']);
    expect([feed.roomCount, feed.userCount, feed.roomWatchCount, feed.userWatchCount]).toEqual([0, 0, 0, 0]);
    await feed.watchRoom(new FakeReader(), 'lobby', 'full');
    expect(interests.at(-1)).toBe('+lobby');
  });

  it('is waited for by everybody who watches', async () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    onInterest = () => promise;
    let count = 0;
    for (let i = 0; i < 2; i += 1) void feed.watchRoom(new FakeReader(), 'lobby', 'full').then(() => (count += 1));
    await vi.advanceTimersByTimeAsync(0);
    expect(count).toBe(0);
    resolve();
    await vi.advanceTimersByTimeAsync(0);
    expect(count).toBe(2);
    expect(interests).toEqual(['+lobby']);
  });

  it('that fails is refused to everybody who waits for it, and tried anew', async () => {
    onInterest = () => Promise.reject(new Error('down'));
    const both = [1, 2].map(() => feed.watchRoom(new FakeReader(), 'lobby', 'full'));
    const user = feed.watchUser(new FakeReader(), 'ann');
    for (const watching of [...both, user]) await expect(watching).rejects.toThrow('down');
    expect([feed.roomCount, feed.userCount, feed.roomWatchCount, feed.userWatchCount]).toEqual([0, 0, 0, 0]);
    onInterest = async () => {};
    const reader = new FakeReader();
    await begun(reader);
    expect(interests.filter((interest) => interest === '+lobby')).toHaveLength(2);
    feed.onRoomChange(change(1, 1, { joined: ['ann'] }));
    turn();
    expect(reader.take()).toHaveLength(1);
  });

  it('that fails for those before does not end it for who comes meanwhile', async () => {
    const first = Promise.withResolvers<void>();
    onInterest = () => first.promise;
    const reader = new FakeReader();
    // Who is refused comes again at once, while others still wait to be refused.
    const again = feed.watchRoom(reader, 'lobby', 'full').catch(() => feed.watchRoom(reader, 'lobby', 'full'));
    const others = [1, 2, 3].map(() => feed.watchRoom(new FakeReader(), 'lobby', 'full').catch(() => null));
    onInterest = async () => {};
    first.reject(new Error('down'));
    const watch = await again;
    expect(await Promise.all(others)).toEqual([null, null, null]);
    watch.begin({ version: 0, count: 0 });
    expect(feed.roomWatchCount).toBe(1);
    // In the end it is on.
    expect(interests.at(-1)).toBe('+lobby');
    feed.onRoomChange(change(1, 1, { joined: ['ann'] }));
    turn();
    expect(reader.take()).toHaveLength(1);
  });

  it('that cannot be ended is nobody’s uncaught rejection', async () => {
    const watch = await feed.watchRoom(new FakeReader(), 'lobby', 'full');
    onInterest = () => Promise.reject(new Error('down'));
    feed.unwatchRoom('lobby', watch);
    await vi.advanceTimersByTimeAsync(0);
    expect(feed.roomCount).toBe(0);
  });

  it('leaves no timer, and nobody is told who has gone', async () => {
    const reader = new FakeReader();
    const watch = await begun(reader);
    feed.onRoomChange(change(1, 1, { joined: ['ann'] }));
    turn();
    feed.onRoomChange(change(2, 2, { joined: ['bob'] }));
    expect(wheel.size).toBe(1);
    reader.take();
    feed.unwatchRoom('lobby', watch);
    expect(wheel.size).toBe(0);
    interval();
    // Nor in the turn in which it goes.
    const other = await begun(reader);
    feed.onRoomChange(change(3, 2, { changed: ['bob'] }));
    feed.unwatchRoom('lobby', other);
    turn();
    expect(reader.chunks).toEqual([]);
    expect(wheel.size).toBe(0);
  });

  it('ends also where a reader goes while it is told', async () => {
    const [first, second, third] = [new FakeReader(), new FakeReader(), new FakeReader()];
    const watches: RoomWatch[] = [];
    for (const reader of [first, second, third]) watches.push(await begun(reader));
    first.onPush = () => {
      for (const watch of watches) feed.unwatchRoom('lobby', watch);
    };
    feed.onRoomChange(change(1, 1, { joined: ['ann'] }));
    turn();
    expect([first, second, third].map(({ chunks }) => chunks.length)).toEqual([1, 0, 0]);
    expect(interests).toEqual(['+lobby', '-lobby']);
    expect(wheel.size).toBe(0);
  });
});

describe('a user’s reader', () => {
  const user = (version: number, devices = 1): UserPresence => ({ ...state('ann'), devices, lastSeenMs: 5, version });

  it('is told once it has begun, at once and then once an interval, of the latest', async () => {
    const reader = new FakeReader();
    const watch = await feed.watchUser(reader, 'ann');
    feed.onUserChange(user(1));
    turn();
    interval();
    expect(reader.chunks).toEqual([]);
    watch.begin({ version: 0 });
    expect(reader.chunks.splice(0).map(String)).toEqual([
      '{"user":"ann","status":"online","devices":1,"lastSeenMs":5}',
    ]);
    feed.onUserChange(user(2, 2));
    turn();
    expect(reader.take()).toMatchObject([{ devices: 2 }]);
    feed.onUserChange(user(3, 3));
    feed.onUserChange(user(4, 4));
    turn();
    expect(reader.chunks).toEqual([]);
    interval();
    expect(reader.take()).toMatchObject([{ devices: 4 }]);
    interval();
    interval();
    expect(reader.chunks).toEqual([]);
    expect(wheel.size).toBe(0);
  });

  it('is not told what its snapshot had', async () => {
    const reader = new FakeReader();
    const watch = await feed.watchUser(reader, 'ann');
    feed.onUserChange(user(3));
    watch.begin({ version: 3 });
    turn();
    interval();
    feed.onUserChange(user(4, 2));
    const late = new FakeReader();
    (await feed.watchUser(late, 'ann')).begin({ version: 4 });
    turn();
    interval();
    expect(reader.take()).toMatchObject([{ devices: 2 }]);
    expect(late.chunks).toEqual([]);
  });

  it('that begins while a change waits is told with the others', async () => {
    const [first, second] = [new FakeReader(), new FakeReader()];
    (await feed.watchUser(first, 'ann')).begin({ version: 0 });
    feed.onUserChange(user(1));
    turn();
    feed.onUserChange(user(2, 2));
    (await feed.watchUser(second, 'ann')).begin({ version: 1 });
    expect(second.chunks).toEqual([]);
    interval();
    expect(second.take()).toMatchObject([{ devices: 2 }]);
    expect(first.take()).toMatchObject([{ devices: 1 }, { devices: 2 }]);
  });

  it('shares its bytes with others of its framing', async () => {
    const readers = [json, json, websocket].map((framing) => new FakeReader(framing));
    for (const reader of readers) (await feed.watchUser(reader, 'ann')).begin({ version: 0 });
    feed.onUserChange(user(1));
    turn();
    expect(readers[0]?.chunks[0]).toBe(readers[1]?.chunks[0]);
    expect(json.frame).toHaveBeenCalledTimes(1);
    expect(feed.pushCount).toBe(3);
  });

  it('knows the user in the end, whatever came when', async () => {
    const step = fc.constantFrom('change', 'deliver', 'read', 'begin', 'wait', 'turn');
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 30 }), async (steps) => {
        wheel = new TimerWheel();
        feed = newFeed();
        const reader = new FakeReader();
        const watch = await feed.watchUser(reader, 'ann');
        let version = 1;
        let delivered = 1;
        let snapshot: number | null = null;
        let isBegun = false;
        const deliver = () => {
          if (delivered >= version) return;
          delivered += 1;
          feed.onUserChange(user(delivered, delivered));
        };
        const begin = () => {
          snapshot ??= version;
          if (!isBegun) watch.begin({ version: snapshot });
          isBegun = true;
        };
        for (const what of steps) {
          if (what === 'change') version += 1;
          else if (what === 'deliver') deliver();
          else if (what === 'read') snapshot ??= version;
          else if (what === 'begin') begin();
          else if (what === 'wait') interval();
          else turn();
        }
        begin();
        while (delivered < version) deliver();
        turn();
        interval();
        interval();
        const told = reader.take() as { devices: number }[];
        expect(told.at(-1)?.devices ?? snapshot).toBe(version);
        const numbers = told.map(({ devices }) => devices);
        expect(numbers).toEqual([...new Set(numbers)].sort((a, b) => a - b));
      }),
      { numRuns: 300 },
    );
  });
});

/** A client as docs/PROTOCOL.md has it: it keeps a room's users by snapshot and pushes. */
class Client {
  readonly reader = new FakeReader();
  watch: RoomWatch | null = null;
  snapshot: Snapshot | null = null;
  isBegun = false;
  version = 0;
  users = new Map<string, string>();
  count = 0;
  hasLooked = false;
  /** It was told that names could not be told. */
  isUnsure = false;

  stop(): void {
    Object.assign(this, { watch: null, snapshot: null, isBegun: false, hasLooked: false });
  }

  know({ version, users }: Snapshot): void {
    this.version = version;
    this.users = new Map(users);
    this.count = users.size;
    this.isUnsure = false;
  }

  hear(): void {
    for (const chunk of this.reader.chunks.splice(0)) {
      const push = JSON.parse(chunk.toString()) as RoomPresencePush;
      if (push.version <= this.version) {
        // Of what it has seen for itself it may be told once more.
        expect(this.hasLooked, `told ${push.version} behind ${this.version}`).toBe(true);
        continue;
      }
      this.version = push.version;
      this.count = push.count;
      const { joined = [], left = [], changed = [] } = push;
      if (joined.length + left.length + changed.length === 0) this.isUnsure = true;
      for (const { user, text = '' } of [...joined, ...changed]) this.users.set(user, text);
      for (const { user } of left) this.users.delete(user);
    }
  }
}

interface Snapshot {
  readonly version: number;
  readonly users: ReadonlyMap<string, string>;
}

/** A room as the store has it; what has changed is told later, where `isDelayed`. */
class Truth {
  version = 10;
  readonly users = new Map<string, string>();
  readonly untold: RoomChange[] = [];

  change(user: string, what: 'toggle' | 'say'): void {
    const isHere = this.users.has(user);
    if (what === 'say' && !isHere) return;
    this.version += 1;
    const text = `t${this.version}`;
    if (what === 'toggle' && isHere) this.users.delete(user);
    else this.users.set(user, text);
    const list = what === 'say' ? 'changed' : isHere ? 'left' : 'joined';
    const names = { joined: [], left: [], changed: [], [list]: [{ ...state(user), text }] };
    this.untold.push({ room: 'lobby', version: this.version, count: this.users.size, partial: false, names });
  }

  tell(withNames = true): void {
    const next = this.untold.shift();
    if (next !== undefined) feed.onRoomChange(withNames ? next : { ...next, names: null });
  }

  read(): Snapshot {
    return { version: this.version, users: new Map(this.users) };
  }
}

describe('a reader that starts from any snapshot', () => {
  // Few users and readers, so that the same ones come and go again and again.
  const step = fc.oneof(
    {
      weight: 5,
      arbitrary: fc.record({ op: fc.constantFrom('toggle', 'toggle', 'say'), user: fc.constantFrom('a', 'b') }),
    },
    {
      weight: 4,
      arbitrary: fc.record({
        op: fc.constantFrom('enter', 'enter', 'watch', 'read', 'begin', 'look', 'look', 'leave'),
        client: fc.nat(2),
      }),
    },
    { weight: 4, arbitrary: fc.record({ op: fc.constantFrom('turn', 'turn', 'wait', 'tell', 'tell', 'lose') }) },
  );
  type Step = { readonly op: string; readonly user?: string; readonly client?: number };

  async function play(steps: readonly Step[], isDelayed: boolean): Promise<void> {
    wheel = new TimerWheel();
    feed = newFeed();
    const truth = new Truth();
    const clients = [new Client(), new Client(), new Client()] as const;
    const tell = (count = Number.POSITIVE_INFINITY, withNames = true) => {
      for (let i = 0; i < count && truth.untold.length > 0; i += 1) truth.tell(withNames);
    };
    const begin = (client: Client) => {
      if (client.watch === null || client.isBegun) return;
      client.snapshot ??= truth.read();
      client.know(client.snapshot);
      client.isBegun = true;
      client.watch.begin({ version: client.snapshot.version, count: client.snapshot.users.size });
    };
    const look = (client: Client) => {
      client.hear();
      client.know(truth.read());
      client.hasLooked = true;
      if (client.watch !== null) client.watch.lookedVersion = client.version;
    };
    for (const { op, user = '', client: at = 0 } of steps) {
      const client = clients[at];
      if (op === 'toggle' || op === 'say') {
        truth.change(user, op);
        if (!isDelayed) tell();
      } else if (op === 'turn') turn();
      else if (op === 'wait') interval();
      else if (op === 'tell') tell(1);
      else if (op === 'lose') {
        if (!isDelayed) truth.change('d', 'toggle');
        tell(1, false);
      } else if (client === undefined) continue;
      else if (op === 'watch' || op === 'enter') {
        client.watch ??= await feed.watchRoom(client.reader, 'lobby', 'full');
        if (op === 'enter') begin(client);
      } else if (client.watch === null) continue;
      else if (op === 'read') client.snapshot ??= truth.read();
      else if (op === 'begin') begin(client);
      else if (op === 'look') {
        if (client.isBegun && !isDelayed) look(client);
      } else {
        feed.unwatchRoom('lobby', client.watch);
        client.stop();
      }
      for (const each of clients) each.hear();
    }
    const listening = clients.filter(({ watch }) => watch !== null);
    for (const client of listening) begin(client);
    tell();
    turn();
    interval();
    interval();
    for (const client of listening) {
      client.hear();
      // Nothing changes any more, so that what it asks for now is right; whoever is sure must be right without.
      if (client.isUnsure) client.know(truth.read());
      expect(client.count).toBe(truth.users.size);
      expect([...client.users].sort()).toEqual([...truth.users].sort());
    }
    for (const client of listening) feed.unwatchRoom('lobby', client.watch as RoomWatch);
    expect(wheel.size).toBe(0);
  }

  it('knows in the end who is there, whatever changes, snapshots, looks and pushes come when', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 40, size: 'max' }), (steps) => play(steps, false)),
      { numRuns: 1_500 },
    );
  });

  it('knows it also where the store tells later than it can be read', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 40, size: 'max' }), (steps) => play(steps, true)),
      { numRuns: 1_500 },
    );
  });
});
