import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { RoomChange } from '../../src/presence/presence-store.ts';
import { STATUSES, type Status, type UserState } from '../../src/protocol/presence-state.ts';
import {
  batchOf,
  type Change,
  everybodyIn,
  namesIn,
  type PresenceStoreUnderTest,
  type ReplicaUnderTest,
} from './presence-store-fixture.ts';
import {
  type Changes,
  changesOf,
  difference,
  keyOf,
  memberKey,
  type Session,
  sessionKey,
  stateOf,
} from './presence-truth.ts';

const USERS = ['ann', 'bob', 'cat'];
const DEVICES = ['desk', 'phone'];
const ROOMS = ['r', 's', 't'];
const REPLICAS = 3;

type Operation =
  | { readonly kind: 'connect'; readonly user: string; readonly device: string; readonly rooms: readonly string[] }
  | { readonly kind: 'status'; readonly index: number; readonly status: Status; readonly text: string | undefined }
  | { readonly kind: 'move'; readonly index: number; readonly room: string }
  | { readonly kind: 'end'; readonly index: number };

/**
 * What becomes of a batch. `lost`: it is written, but the replica doesn't know, and writes it again together with
 * what has changed since; `late`: it does so behind what has changed since. `unsent`: it waits for the next one.
 */
const FATES = ['heard', 'lost', 'late', 'unsent'] as const;

interface Write {
  readonly fate: (typeof FATES)[number];
  /** What happens once the batch is made: before it is given to the store, or while the store writes it. */
  readonly meanwhile: readonly Operation[];
  readonly isUnderWay: boolean;
}

type Step =
  | { readonly kind: 'batch'; readonly on: number; readonly operations: readonly Operation[]; readonly write: Write }
  | { readonly kind: 'crash' | 'pause' | 'watch'; readonly on: number }
  | { readonly kind: 'resume'; readonly on: number; readonly isWriteFirst: boolean; readonly write: Write }
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
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('end'), index }) },
);

const write: fc.Arbitrary<Write> = fc.record({
  fate: fc.constantFrom('heard', ...FATES),
  meanwhile: fc.oneof({ weight: 2, arbitrary: fc.constant([]) }, fc.array(operation, { maxLength: 3 })),
  isUnderWay: fc.boolean(),
});

const on = fc.nat({ max: REPLICAS - 1 });
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 10,
    arbitrary: fc.record({
      kind: fc.constant('batch'),
      on,
      operations: fc.array(operation, { minLength: 1, maxLength: 4 }),
      write,
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('crash'), on }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('pause'), on }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('resume'), on, isWriteFirst: fc.boolean(), write }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('watch'), on }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('advance'), leases: fc.constantFrom(0.1, 0.4, 1.1, 2.8) }) },
);

/** By how much the replicas' clocks are off. */
const skews = fc.array(fc.constantFrom(-5_000, -1, 0, 3_000), { minLength: REPLICAS, maxLength: REPLICAS });

/** A replica's process, with its sessions and what of them it has written. */
class Process {
  readonly replica: ReplicaUnderTest;
  readonly #skewMs: number;
  sessions: Session[] = [];
  /** For how many milliseconds it has been paused. */
  pausedMs: number | null = null;
  #happened: Changes = new Map();
  /** To be written with the next batch. */
  #gathered: Changes = new Map();
  /** To be written behind the next batch. */
  #late: Changes = new Map();
  /** What is there that the store has surely been told. */
  readonly #told = new Set<string>();
  #asked = 0;

  constructor(replica: ReplicaUnderTest, skewMs: number) {
    this.replica = replica;
    this.#skewMs = skewMs;
  }

  get nowMs(): number {
    return Date.now() + this.#skewMs;
  }

  get isWritten(): boolean {
    return this.#gathered.size === 0 && this.#late.size === 0;
  }

  /** The sessions that others must see while the replica runs. */
  get shown(): Session[] {
    return this.sessions.filter(({ session }) => this.#told.has(sessionKey(session)));
  }

  /** Whether others must see the session's user in a room. */
  isShownIn({ user }: Session, room: string): boolean {
    return this.#told.has(memberKey(room, user));
  }

  /** What the sessions come to becomes so on the replica. */
  happen(): void {
    const now = changesOf(this.sessions);
    const changes = difference(this.#happened, now, this.nowMs);
    this.replica.happen(...changes.values());
    this.#happened = now;
    for (const [key, change] of changes) {
      this.#gathered.set(key, change);
      // What is newer may be asked for and written any time.
      this.#late.delete(key);
    }
  }

  /** Writes what is gathered; `operate` makes the meanwhile happen. */
  async write({ fate, isUnderWay }: Pick<Write, 'fate' | 'isUnderWay'>, operate: () => void): Promise<void> {
    if (fate === 'unsent') {
      operate();
      return;
    }
    const batch = this.#gathered;
    const late = this.#late;
    this.#gathered = new Map();
    this.#late = new Map();
    if (!isUnderWay) operate();
    const writing = this.#put(batch);
    if (isUnderWay) operate();
    await writing;
    for (const key of [...batch.keys(), ...this.#gathered.keys()]) late.delete(key);
    if (late.size > 0) await this.#put(late);
    if (fate === 'lost') this.#gathered = new Map([...batch, ...this.#gathered]);
    if (fate === 'late') this.#late = new Map([...batch].filter(([key]) => !this.#gathered.has(key)));
  }

  /** Takes note of what the store has asked for. */
  listen(): void {
    if (this.replica.asked === this.#asked) return;
    this.#asked = this.replica.asked;
    this.#told.clear();
    this.#note(this.replica.given);
  }

  async #put(batch: Changes): Promise<void> {
    this.listen();
    await this.replica.store.write(batchOf([...batch.values()]));
    // What was asked for since is newer.
    if (this.replica.asked === this.#asked) this.#note([...batch.values()]);
    this.listen();
  }

  #note(changes: readonly Change[]): void {
    for (const change of changes) {
      const isThere = 'session' in change ? change.state !== null : change.present;
      if (isThere) this.#told.add(keyOf(change));
      else this.#told.delete(keyOf(change));
    }
  }
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
  readonly #skews: readonly number[];
  readonly #processes: Process[] = [];
  readonly #watcher: ReplicaUnderTest;
  readonly #rooms = new Map<string, WatchedRoom>();
  /** For how many milliseconds what crashed may be seen still. */
  #hauntedMs = 0;
  #connected = 0;

  private constructor(subject: PresenceStoreUnderTest, skews: readonly number[], watcher: ReplicaUnderTest) {
    this.#subject = subject;
    this.#skews = skews;
    this.#watcher = watcher;
  }

  static async begin(subject: PresenceStoreUnderTest, skews: readonly number[]): Promise<History> {
    const history = new History(subject, skews, await subject.replica());
    for (let i = 0; i < REPLICAS; i += 1) await history.#start(i);
    return history;
  }

  async play(step: Step): Promise<void> {
    if (step.kind === 'advance') await this.#advance(step.leases * this.#subject.leaseMs);
    else if (step.kind === 'watch') await this.#watch(ROOMS[step.on] ?? 'r');
    else {
      const process = this.#processes[step.on];
      if (process === undefined) throw new Error('no such replica');
      if (step.kind === 'batch') await this.#change(process, step.operations, step.write);
      else if (step.kind === 'resume') await this.#resume(process, step.isWriteFirst, step.write);
      else if (step.kind === 'crash') {
        await this.#subject.crash(process.replica);
        await this.#start(step.on);
        this.#hauntedMs = this.#goneMs;
      } else if (process.pausedMs === null) {
        process.pausedMs = 0;
        await this.#subject.pause(process.replica);
      }
    }
    await this.#subject.settle();
    this.#hear();
    await this.#expectNobodyMissing();
    const isQuiet = this.#processes.every(({ pausedMs, isWritten }) => pausedMs === null && isWritten);
    if (isQuiet && this.#hauntedMs <= 0) await this.#expectTheTruth();
  }

  /** Everybody finishes, what died is gone, and all agree. */
  async end(): Promise<void> {
    const last: Write = { fate: 'heard', meanwhile: [], isUnderWay: false };
    for (const process of this.#processes) {
      if (process.pausedMs !== null) await this.#resume(process, true, last);
      else await this.#write(process, last);
    }
    await this.#advance(this.#goneMs);
    await this.#subject.settle();
    this.#hear();
    await this.#expectNobodyMissing();
    await this.#expectTheTruth();
  }

  get #goneMs(): number {
    return 2 * this.#subject.leaseMs + this.#subject.graceMs;
  }

  async #start(i: number): Promise<void> {
    this.#processes[i] = new Process(await this.#subject.replica(), this.#skews[i] ?? 0);
  }

  async #expectTheTruth(): Promise<void> {
    const { store } = this.#watcher;
    const sessions = this.#processes.flatMap((process) => process.sessions);
    const users = await store.readUsers(USERS, ROOMS);
    const states = users.map(
      ({ lastSeenMs: _, version: __, isTogether: ___, partial: ____, deviceStates: _____, ...state }) => state,
    );
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

  async #change(process: Process, operations: readonly Operation[], write: Write): Promise<void> {
    this.#operate(process, operations);
    if (process.pausedMs === null) await this.#write(process, write);
    else this.#operate(process, write.meanwhile);
  }

  async #write(process: Process, write: Write): Promise<void> {
    await process.write(write, () => this.#operate(process, write.meanwhile));
  }

  #operate(process: Process, operations: readonly Operation[]): void {
    for (const operation of operations) {
      if (operation.kind === 'connect') this.#connect(process, operation);
      else this.#operateOn(process, operation, process.sessions[operation.index % process.sessions.length]);
      process.happen();
    }
  }

  #operateOn(
    process: Process,
    operation: Exclude<Operation, { readonly kind: 'connect' }>,
    session: Session | undefined,
  ): void {
    if (session === undefined) return;
    if (operation.kind === 'end') {
      process.sessions = process.sessions.filter((each) => each !== session);
    } else if (operation.kind === 'move') {
      if (!session.rooms.delete(operation.room)) session.rooms.add(operation.room);
    } else {
      session.status = operation.status;
      session.text = operation.text;
      session.atMs = process.nowMs;
    }
  }

  #connect(process: Process, { user, device, rooms }: Extract<Operation, { readonly kind: 'connect' }>): void {
    this.#connected += 1;
    const session = `session-${this.#connected}`;
    const atMs = process.nowMs;
    process.sessions.push({ session, user, device, rooms: new Set(rooms), status: 'online', text: undefined, atMs });
  }

  async #resume(process: Process, isWriteFirst: boolean, write: Write): Promise<void> {
    if (process.pausedMs === null) return;
    const { leaseMs } = this.#subject;
    if (process.pausedMs <= leaseMs) await this.#advance(1.1 * leaseMs - process.pausedMs);
    await this.#subject.resume(process.replica);
    process.pausedMs = null;
    // If it isn't by a write, it is by a renewal that the store hears of the replica.
    if (!isWriteFirst || write.fate === 'unsent') await this.#advance(leaseMs / 2);
    await this.#write(process, write);
  }

  async #advance(ms: number): Promise<void> {
    await this.#subject.advance(ms);
    this.#hauntedMs -= ms;
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
  async #expectNobodyMissing(): Promise<void> {
    const { store } = this.#watcher;
    const read = new Map<string, ReadonlySet<string>>();
    for (const room of ROOMS) read.set(room, new Set((await everybodyIn(store, room)).map(({ user }) => user)));
    const users = new Map((await store.readUsers(USERS, [])).map((user) => [user.user, user]));
    const devices = new Map<string, Set<string>>(USERS.map((user) => [user, new Set()]));
    for (const process of this.#processes) {
      process.listen();
      if (process.pausedMs !== null) continue;
      for (const session of process.shown) devices.get(session.user)?.add(session.device);
      for (const session of process.sessions) {
        for (const room of session.rooms) {
          if (!process.isShownIn(session, room)) continue;
          expect(read.get(room), `${session.user} in ${room}`).toContain(session.user);
          const seen = this.#rooms.get(room)?.users;
          expect(seen === undefined || seen.has(session.user), `${session.user} in ${room} as told`).toBe(true);
        }
      }
    }
    for (const [user, { size }] of devices) {
      expect(users.get(user)?.devices, `devices of ${user}`).toBeGreaterThanOrEqual(size);
      if (size === 0) continue;
      expect(users.get(user)?.status, user).not.toBe('offline');
      for (const { users: seen } of this.#rooms.values()) expect(seen.get(user)?.status).not.toBe('offline');
    }
  }
}

/** The part of the contract that is about everything together. */
export function describeModel(open: () => Promise<PresenceStoreUnderTest>, runs: number): void {
  describe('after whatever happened', () => {
    test('nobody is a ghost, and nobody missing', { timeout: 600_000 }, async () => {
      const steps = fc.array(step, { minLength: 5, maxLength: 40, size: 'max' });
      await fc.assert(
        fc.asyncProperty(steps, skews, async (history, clocks) => {
          const subject = await open();
          try {
            const played = await History.begin(subject, clocks);
            for (const each of history) await played.play(each);
            await played.end();
          } finally {
            await subject.dispose();
          }
        }),
        { numRuns: runs },
      );
    });
  });
}
