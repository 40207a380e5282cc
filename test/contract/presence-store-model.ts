import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { STATUSES, type Status, type UserState } from '../../src/presence/presence-state.ts';
import type { DeviceChange, MemberChange, RoomChange } from '../../src/presence/presence-store.ts';
import {
  everybodyIn,
  namesIn,
  type PresenceStoreUnderTest,
  type ReplicaUnderTest,
  tickMs,
} from './presence-store-fixture.ts';

const USERS = ['ann', 'bob', 'cat'];
const DEVICES = ['desk', 'phone'];
const ROOMS = ['r', 's', 't'];
const REPLICAS = 3;

type Operation =
  | { readonly kind: 'connect'; readonly user: string; readonly device: string; readonly rooms: readonly string[] }
  | { readonly kind: 'status'; readonly index: number; readonly status: Status; readonly text: string | undefined }
  | { readonly kind: 'move'; readonly index: number; readonly room: string }
  | { readonly kind: 'end'; readonly index: number };

type Step =
  | { readonly kind: 'batch'; readonly on: number; readonly operations: readonly Operation[] }
  | { readonly kind: 'crash' | 'pause' | 'watch'; readonly on: number }
  | { readonly kind: 'resume'; readonly on: number; readonly isWriteFirst: boolean }
  | { readonly kind: 'advance'; readonly leases: number };

const index = fc.nat({ max: 20 });
const operation: fc.Arbitrary<Operation> = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant('connect'),
      user: fc.constantFrom(...USERS),
      device: fc.constantFrom(...DEVICES),
      rooms: fc.subarray(ROOMS),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('status'),
      index,
      status: fc.constantFrom(...STATUSES),
      text: fc.constantFrom(undefined, 'x', 'y'),
    }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('move'), index, room: fc.constantFrom(...ROOMS) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('end'), index }) },
);

const on = fc.nat({ max: REPLICAS - 1 });
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 10,
    arbitrary: fc.record({
      kind: fc.constant('batch'),
      on,
      operations: fc.array(operation, { minLength: 1, maxLength: 4 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('crash'), on }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('pause'), on }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('resume'), on, isWriteFirst: fc.boolean() }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('watch'), on }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('advance'), leases: fc.constantFrom(0.1, 0.4, 1.1, 2.8) }) },
);

/** The truth: who is connected where. */
interface Session {
  readonly session: string;
  readonly user: string;
  readonly device: string;
  readonly rooms: Set<string>;
  status: Status;
  text: string | undefined;
  atMs: number;
}

type Changes = Map<string, DeviceChange | MemberChange>;

/** A replica's process, with its sessions and what of them it has written. */
class Process {
  readonly replica: ReplicaUnderTest;
  sessions: Session[] = [];
  /** For how many milliseconds it has been paused. */
  pausedMs: number | null = null;
  #written: Changes = new Map();
  #happened: Changes = new Map();
  #asked = 0;

  constructor(replica: ReplicaUnderTest) {
    this.replica = replica;
  }

  /** What the sessions come to becomes so on the replica. */
  happen(): void {
    const now = this.#changes();
    this.replica.happen(...difference(this.#happened, now));
    this.#happened = now;
  }

  async write(): Promise<void> {
    // What was asked for is written. Written once more it might take a device from a session that came later.
    if (this.replica.asked > this.#asked) this.#written = this.#happened;
    const changes = difference(this.#written, this.#happened);
    this.#written = this.#happened;
    await this.replica.write(...changes);
    this.#asked = this.replica.asked;
  }

  #changes(): Changes {
    const changes: Changes = new Map();
    for (const { user, device, session, status, text, atMs, rooms } of this.sessions) {
      const state = text === undefined ? { status } : { status, text };
      changes.set(`device ${user} ${device}`, { user, device, session, state, atMs });
      for (const room of rooms) changes.set(`member ${room} ${user}`, { room, user, present: true });
    }
    return changes;
  }
}

/** The changes that lead from one to the other. */
function difference(from: Changes, to: Changes): (DeviceChange | MemberChange)[] {
  const changes = [...to].filter(([key, change]) => !isSame(from.get(key), change)).map(([, change]) => change);
  for (const [key, change] of from) {
    if (to.has(key)) continue;
    changes.push('device' in change ? { ...change, state: null, atMs: tickMs() } : { ...change, present: false });
  }
  return changes;
}

function isSame(a: DeviceChange | MemberChange | undefined, b: DeviceChange | MemberChange): boolean {
  if (a === undefined || 'room' in a || 'room' in b) return a !== undefined;
  return a.session === b.session && a.atMs === b.atMs;
}

/** A room as a watcher knows it: what was read once, and every change told with a later version. */
class WatchedRoom {
  readonly users: Map<string, UserState>;
  version: number;

  constructor(users: readonly UserState[], version: number) {
    this.users = new Map(users.map((user) => [user.user, user]));
    this.version = version;
  }

  apply(change: RoomChange): void {
    if (change.version <= this.version) return;
    this.version = change.version;
    const { joined, left, changed } = namesIn(change);
    const all = [...joined, ...left, ...changed];
    expect(new Set(all).size, 'nobody is in two lists').toBe(all.length);
    expect(all.length, 'something changed').toBeGreaterThan(0);
    expect(joined.filter((user) => this.users.has(user))).toEqual([]);
    expect([...left, ...changed].filter((user) => !this.users.has(user))).toEqual([]);
    for (const user of left) this.users.delete(user);
    for (const state of [...(change.names?.joined ?? []), ...(change.names?.changed ?? [])]) {
      this.users.set(state.user, state);
    }
    expect(change.count).toBe(this.users.size);
  }
}

/** Replays a history against a store and a model of it, which is no more than the sessions themselves. */
class History {
  readonly #subject: PresenceStoreUnderTest;
  readonly #processes: Process[] = [];
  readonly #watcher: ReplicaUnderTest;
  readonly #rooms = new Map<string, WatchedRoom>();
  /** The session that a device has connected with last. */
  readonly #current = new Map<string, Session>();
  #connected = 0;

  private constructor(subject: PresenceStoreUnderTest, watcher: ReplicaUnderTest) {
    this.#subject = subject;
    this.#watcher = watcher;
  }

  static async begin(subject: PresenceStoreUnderTest): Promise<History> {
    const history = new History(subject, await subject.replica());
    for (let i = 0; i < REPLICAS; i += 1) history.#processes.push(new Process(await subject.replica()));
    return history;
  }

  async play(step: Step): Promise<void> {
    if (step.kind === 'advance') await this.#advance(step.leases * this.#subject.leaseMs);
    else if (step.kind === 'watch') await this.#watch(ROOMS[step.on] ?? 'r');
    else {
      const process = this.#processes[step.on];
      if (process === undefined) throw new Error('no such replica');
      if (step.kind === 'batch') await this.#change(process, step.operations);
      else if (step.kind === 'resume') await this.#resume(process, step.isWriteFirst);
      else if (step.kind === 'crash') {
        await this.#subject.crash(process.replica);
        this.#processes[step.on] = new Process(await this.#subject.replica());
      } else if (process.pausedMs === null) {
        process.pausedMs = 0;
        await this.#subject.pause(process.replica);
      }
    }
    await this.#subject.settle();
    this.#hear();
    this.#expectNobodyMissing();
  }

  /** Everybody finishes, what died is gone, and all agree. */
  async end(): Promise<void> {
    for (const process of this.#processes) {
      // The older connections of devices that have come back end at last.
      process.sessions = process.sessions.filter((session) => this.#isCurrent(session));
      process.happen();
      if (process.pausedMs !== null) await this.#resume(process, true);
      else await process.write();
    }
    await this.#advance(2 * this.#subject.leaseMs + this.#subject.graceMs);
    await this.#subject.settle();
    this.#hear();
    const { store } = this.#watcher;
    const sessions = this.#processes.flatMap((process) => process.sessions);
    const users = await store.readUsers(USERS, ROOMS);
    const states = users.map(({ lastSeenMs: _, version: __, isTogether: ___, partial: ____, ...state }) => state);
    expect(states).toEqual(USERS.map((user) => stateOf(user, sessions)));
    for (const room of ROOMS) {
      const present = USERS.filter((user) => sessions.some((each) => each.user === user && each.rooms.has(room)));
      const expected = present.map((user) => stateOf(user, sessions));
      expect(await everybodyIn(store, room, 2)).toEqual(expected);
      const { count, version } = await store.readRoom(room, undefined, 1);
      expect(count).toBe(expected.length);
      const watched = this.#rooms.get(room);
      if (watched === undefined) continue;
      expect([...watched.users.values()].sort((x, y) => (x.user < y.user ? -1 : 1))).toEqual(expected);
      expect(version).toBeGreaterThanOrEqual(watched.version);
    }
  }

  async #change(process: Process, operations: readonly Operation[]): Promise<void> {
    for (const operation of operations) this.#operate(process, operation);
    process.happen();
    if (process.pausedMs === null) await process.write();
  }

  #operate(process: Process, operation: Operation): void {
    if (operation.kind === 'connect') {
      this.#connect(process, operation.user, operation.device, operation.rooms);
      return;
    }
    const session = process.sessions[operation.index % process.sessions.length];
    if (session === undefined) return;
    if (operation.kind === 'end') {
      process.sessions = process.sessions.filter((each) => each !== session);
    } else if (operation.kind === 'move') {
      if (!session.rooms.delete(operation.room)) session.rooms.add(operation.room);
    } else if (this.#isCurrent(session)) {
      session.status = operation.status;
      session.text = operation.text;
      session.atMs = tickMs();
    }
  }

  #connect(process: Process, user: string, device: string, rooms: readonly string[]): void {
    this.#connected += 1;
    const session: Session = {
      session: `session-${this.#connected}`,
      user,
      device,
      rooms: new Set(rooms),
      status: 'online',
      text: undefined,
      atMs: tickMs(),
    };
    // One replica knows when its own device comes back; another's older session lingers.
    const others = process.sessions.filter((each) => each.user !== user || each.device !== device);
    process.sessions = [...others, session];
    this.#current.set(`${user} ${device}`, session);
  }

  async #resume(process: Process, isWriteFirst: boolean): Promise<void> {
    if (process.pausedMs === null) return;
    const { leaseMs } = this.#subject;
    if (process.pausedMs <= leaseMs) await this.#advance(1.1 * leaseMs - process.pausedMs);
    await this.#subject.resume(process.replica);
    process.pausedMs = null;
    if (!isWriteFirst) await this.#advance(leaseMs / 2);
    await process.write();
  }

  async #advance(ms: number): Promise<void> {
    await this.#subject.advance(ms);
    for (const process of this.#processes) if (process.pausedMs !== null) process.pausedMs += ms;
  }

  async #watch(room: string): Promise<void> {
    if (this.#rooms.has(room)) return;
    await this.#watcher.watchRooms(room);
    const users = await everybodyIn(this.#watcher.store, room);
    const { version } = await this.#watcher.store.readRoom(room, undefined, 1);
    this.#rooms.set(room, new WatchedRoom(users, version));
  }

  #hear(): void {
    for (const change of this.#watcher.told()) this.#rooms.get(change.room)?.apply(change);
  }

  /** Whatever befalls the others, those whose replica runs are seen. */
  #expectNobodyMissing(): void {
    for (const { sessions, pausedMs } of this.#processes) {
      if (pausedMs !== null) continue;
      for (const session of sessions) {
        for (const room of session.rooms) {
          const watched = this.#rooms.get(room);
          if (watched === undefined) continue;
          const seen = watched.users.get(session.user);
          expect(seen, `${session.user} in ${room}`).toBeDefined();
          if (this.#isCurrent(session)) expect(seen?.status, `${session.user} in ${room}`).not.toBe('offline');
        }
      }
    }
  }

  #isCurrent(session: Session): boolean {
    return this.#current.get(`${session.user} ${session.device}`) === session;
  }
}

function stateOf(user: string, all: readonly Session[]): UserState {
  const sessions = all.filter((each) => each.user === user);
  for (const status of ['dnd', 'online', 'away'] as const) {
    const [latest] = sessions.filter((each) => each.status === status).sort((x, y) => y.atMs - x.atMs);
    if (latest === undefined) continue;
    const { text } = latest;
    const state = { user, status, devices: sessions.length };
    return text === undefined ? state : { ...state, text };
  }
  return { user, status: 'offline', devices: 0 };
}

/** The part of the contract that is about everything together. */
export function describeModel(open: () => Promise<PresenceStoreUnderTest>, runs: number): void {
  describe('after whatever happened', () => {
    test('nobody is a ghost, and nobody missing', { timeout: 600_000 }, async () => {
      await fc.assert(
        fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 40, size: 'max' }), async (steps) => {
          const subject = await open();
          try {
            const history = await History.begin(subject);
            for (const each of steps) await history.play(each);
            await history.end();
          } finally {
            await subject.dispose();
          }
        }),
        { numRuns: runs },
      );
    });
  });
}
