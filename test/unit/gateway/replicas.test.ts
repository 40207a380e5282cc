import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { PeerListener, Peers, Removal, Removed, Signal } from '../../../src/fanout/peers.ts';
import { Gateway, type GatewaySettings } from '../../../src/gateway/gateway.ts';
import { TimerWheel } from '../../../src/limits/timer-wheel.ts';
import { MemoryPresence } from '../../../src/presence/memory-presence-store.ts';
import type { KnownUser, PresenceBatch, PresenceStore } from '../../../src/presence/presence-store.ts';
import { CommandError } from '../../../src/protocol/errors.ts';
import { ndjsonDialect } from '../../../src/protocol/json-dialect.ts';
import { PlayedLog } from '../hub/played-log.ts';
import { endOfTurn, FakeTransport, type Said } from './fake-transport.ts';
import { SETTINGS } from './gateway-settings.ts';

/** Peers in one process, which hear one another at once. */
class NearPeers implements Peers {
  readonly #all: Set<NearPeers>;
  readonly rooms = new Set<string>();
  #listener: PeerListener | null = null;

  constructor(all: Set<NearPeers>) {
    this.#all = all;
    all.add(this);
  }

  async open(listener: PeerListener): Promise<void> {
    this.#listener = listener;
  }

  setInterest(room: string, isInterested: boolean): void {
    if (isInterested) this.rooms.add(room);
    else this.rooms.delete(room);
  }

  signal(signal: Signal): void {
    for (const each of this.#others()) if (each.rooms.has(signal.room)) each.#listener?.onSignal(signal);
  }

  async remove(removal: Removal): Promise<Removed> {
    const counts = this.#others().map((each) => each.#listener?.onRemoval(removal) ?? 0);
    return { sessions: counts.reduce((sum, count) => sum + count, 0), partial: false };
  }

  close(): void {
    this.#all.delete(this);
  }

  #others(): NearPeers[] {
    return [...this.#all].filter((each) => each !== this);
  }
}

/** A store of several, whose reads can be held up or fail, and whose writes can be held up. */
class HeldStore implements PresenceStore {
  readonly #inner: PresenceStore;
  /** Users of each read. */
  readonly reads: (readonly string[])[] = [];
  held: Promise<void> | null = null;
  heldWrites: Promise<void> | null = null;
  fault: 'none' | 'unavailable' | 'partial' = 'none';

  constructor(inner: PresenceStore) {
    this.#inner = inner;
  }

  open: PresenceStore['open'] = (replica) => this.#inner.open(replica);
  readRoom: PresenceStore['readRoom'] = (room, after, limit) => this.#inner.readRoom(room, after, limit);
  setInterest: PresenceStore['setInterest'] = (subject, isInterested) => this.#inner.setInterest(subject, isInterested);
  close: PresenceStore['close'] = () => this.#inner.close();

  async write(batch: PresenceBatch): Promise<void> {
    await this.heldWrites;
    await this.#inner.write(batch);
  }

  async readUsers(users: readonly string[], rooms: Iterable<string>): Promise<readonly KnownUser[]> {
    this.reads.push(users);
    await this.held;
    if (this.fault === 'unavailable') throw new CommandError('unavailable', 'down');
    const known = await this.#inner.readUsers(users, rooms);
    return known.map((user) => ({ ...user, partial: this.fault === 'partial' }));
  }
}

interface Replica {
  readonly gateway: Gateway;
  readonly store: HeldStore;
  readonly peers: NearPeers;
}

const GRACE_MS = 15_000;
let all: Set<NearPeers>;
let presence: MemoryPresence;
let wheel: TimerWheel;
let replicas: Replica[];

beforeEach(() => {
  all = new Set();
  presence = new MemoryPresence({ leaseMs: 10_000, graceMs: GRACE_MS, lastSeenMax: 10 });
  wheel = new TimerWheel({ tickMs: 5 });
  replicas = [];
});

afterEach(async () => {
  for (const { gateway } of replicas) await gateway.drain(0);
  wheel.close();
});

async function replica(settings: Partial<GatewaySettings> = {}): Promise<Replica> {
  const store = new HeldStore(presence.replica());
  const peers = new NearPeers(all);
  const tracker = { ...SETTINGS.tracker, graceMs: GRACE_MS };
  const ports = { log: new PlayedLog(), presence: store, isPresenceShared: true, peers };
  const logger = pino({ level: 'silent' });
  const gateway = new Gateway(ports, wheel, { ...SETTINGS, tracker, ...settings }, logger);
  await gateway.open();
  const made = { gateway, store, peers };
  replicas.push(made);
  return made;
}

function open({ gateway }: Replica): FakeTransport {
  const transport = new FakeTransport();
  transport.attach(gateway.openSession(transport, ndjsonDialect, true));
  return transport;
}

/** Connected, and joined with its presence. */
async function client(at: Replica, user: string, device: string, ...rooms: readonly string[]): Promise<FakeTransport> {
  const transport = open(at);
  const joins = rooms.map((room, i) => ({ op: 'join', id: i + 1, room, presence: 'full' }));
  transport.send({ op: 'connect', id: 0, user, device }, ...joins);
  await vi.waitFor(() => expect(transport.said.filter(({ id }) => id !== undefined)).toHaveLength(1 + rooms.length));
  return transport;
}

const answer = (transport: FakeTransport, id: number) => transport.said.find((said) => said.id === id);
const pushes = (transport: FakeTransport, push: string) => transport.said.filter((said) => said.push === push);

async function answered(transport: FakeTransport, id: number): Promise<Said> {
  return vi.waitFor(() => {
    const said = answer(transport, id);
    if (said === undefined) throw new Error(`no reply to ${id}`);
    return said;
  });
}

describe('a signal', () => {
  it('is heard on every replica with members of its room, once, and nowhere else', async () => {
    const [one, two] = [await replica(), await replica()];
    const ann = await client(one, 'ann', 'd', 'tea');
    const bob = await client(one, 'bob', 'd', 'tea');
    const cy = await client(two, 'cy', 'd', 'tea');
    const dan = await client(two, 'dan', 'd', 'lobby');
    ann.send({ op: 'signal', id: 5, room: 'tea', data: { n: 1 } });
    const push = { push: 'signal', room: 'tea', from: 'ann', data: { n: 1 } };
    await endOfTurn();
    expect([ann, bob, cy].map((each) => pushes(each, 'signal'))).toEqual([[push], [push], [push]]);
    expect(pushes(dan, 'signal')).toEqual([]);
  });

  it('is of interest from the first member of a room to the last', async () => {
    const one = await replica();
    const ann = await client(one, 'ann', 'd', 'tea', 'lobby');
    const bob = await client(one, 'bob', 'd', 'tea');
    expect([...one.peers.rooms]).toEqual(['tea', 'lobby']);
    ann.send({ op: 'leave', id: 5, room: 'tea' });
    await answered(ann, 5);
    expect(one.peers.rooms.has('tea')).toBe(true);
    bob.vanish();
    expect([...one.peers.rooms]).toEqual(['lobby']);
  });
});

describe('removing a user', () => {
  it('ends its sessions on every replica, or takes them out of a room, and counts them', async () => {
    const [one, two] = [await replica(), await replica()];
    const here = await client(one, 'ann', 'a', 'tea');
    const there = await client(two, 'ann', 'b', 'tea');
    const other = await client(two, 'bob', 'a', 'tea');
    const kick = { op: 'kick', user: 'ann', room: 'tea' } as const;
    expect(await one.gateway.remove(kick)).toEqual({ sessions: 2, partial: false });
    expect(await two.gateway.remove(kick)).toEqual({ sessions: 0, partial: false });
    await endOfTurn();
    expect([here, there].map((each) => pushes(each, 'left'))).toEqual(
      [1, 2].map(() => [{ push: 'left', room: 'tea', code: 'kicked' }]),
    );
    const disconnect = { op: 'disconnect', user: 'ann', reason: 'drain', words: 'moved' } as const;
    expect(await two.gateway.remove(disconnect)).toEqual({ sessions: 2, partial: false });
    for (const { closes } of [here, there]) expect(closes).toEqual([{ code: 3000, reason: 'moved' }]);
    expect([other.closes, pushes(other, 'left')]).toEqual([[], []]);
  });
});

describe('a device that moves', () => {
  it('is answered when the others know of it, so that who comes there next takes its place', async () => {
    const [one, two] = [await replica(), await replica()];
    const held = Promise.withResolvers<void>();
    one.store.heldWrites = held.promise;
    const older = open(one);
    older.send({ op: 'connect', id: 0, user: 'ann', device: 'phone' }, { op: 'ping', id: 1 });
    await vi.waitFor(() => expect(one.gateway.sessions.connectedCount).toBe(1));
    for (let turn = 0; turn < 5; turn += 1) await endOfTurn();
    expect(older.said).toEqual([]);
    held.resolve();
    await answered(older, 1);
    expect(older.order).toEqual([0, 1]);
    const newer = await client(two, 'ann', 'phone');
    await vi.waitFor(() => expect(older.closes).toEqual([{ code: 3504, reason: 'replaced' }]));
    expect(newer.closes).toEqual([]);
  });

  it('is answered after a second at the latest where nobody can be told', async () => {
    const one = await replica();
    const held = Promise.withResolvers<void>();
    one.store.heldWrites = held.promise;
    const ann = open(one);
    ann.send({ op: 'connect', id: 0, user: 'ann', device: 'phone' });
    await vi.waitFor(() => expect(answer(ann, 0)).toHaveProperty('ok'), 5_000);
    held.resolve();
  });

  it('ends its session on the other replica, and nobody sees it go', async () => {
    const [one, two] = [await replica(), await replica()];
    const watcher = await client(two, 'bob', 'd', 'tea', 'lobby');
    const old = await client(one, 'ann', 'phone', 'tea', 'lobby');
    await vi.waitFor(() => expect(pushes(watcher, 'presence')).toHaveLength(2));
    const moved = await client(two, 'ann', 'phone', 'tea');
    await vi.waitFor(() => expect(old.closes).toEqual([{ code: 3504, reason: 'replaced' }]));
    expect(pushes(old, 'disconnect')).toEqual([
      { push: 'disconnect', code: 3504, reason: 'replaced', reconnect: null },
    ]);
    await new Promise((resolve) => setTimeout(resolve, 2 * SETTINGS.feed.intervalMs));
    // It has the grace to join its rooms again, or to leave them.
    moved.send({ op: 'join', id: 9, room: 'lobby' });
    await answered(moved, 9);
    expect(pushes(watcher, 'presence')).toHaveLength(2);
    expect([one.gateway.tracker.lingeringCount, moved.closes]).toEqual([1, []]);
    moved.send({ op: 'leave', id: 10, room: 'lobby' });
    await vi.waitFor(() => expect(pushes(watcher, 'presence').at(-1)).toMatchObject({ room: 'lobby', left: [{}] }));
    expect(one.gateway.tracker.lingeringCount).toBe(1);
  });

  it.each([
    ['was cut off before', true, false],
    ['lived there', false, false],
    ['lived there, in one breath', false, true],
    ['was cut off before, in one breath', true, true],
  ])('is gone when it says goodbye, where it %s', async (_, isCutOff, inOneBreath) => {
    const [one, two] = [await replica(), await replica()];
    const watcher = await client(two, 'bob', 'd', 'tea');
    const old = await client(one, 'ann', 'phone', 'tea');
    await vi.waitFor(() => expect(pushes(watcher, 'presence')).toHaveLength(1));
    if (isCutOff) old.vanish();
    if (inOneBreath) open(two).send({ op: 'connect', id: 0, user: 'ann', device: 'phone' }, { op: 'quit', id: 1 });
    else (await client(two, 'ann', 'phone', 'tea')).send({ op: 'quit', id: 9 });
    const told = () => pushes(watcher, 'presence').at(-1);
    await vi.waitFor(() => expect(told()).toMatchObject({ left: [{ user: 'ann', status: 'offline' }] }));
    expect(one.gateway.tracker.userCount).toBe(0);
    expect(old.closes).toEqual(isCutOff ? [] : [{ code: 3504, reason: 'replaced' }]);
  });
});

describe('the status of a device that moves', () => {
  it.each([false, true])('goes along, and that of another one does not; cut off before: %s', async (isCutOff) => {
    const [one, two] = [await replica(), await replica()];
    const watcher = await client(two, 'bob', 'd');
    watcher.send({ op: 'watch', id: 1, users: ['ann'] });
    const statesOf = async () => (await two.store.readUsers(['ann'], []))[0]?.deviceStates ?? [];
    const old = await client(one, 'ann', 'phone');
    old.send({ op: 'status', id: 1, status: 'dnd', text: 'busy' });
    const state = { device: 'phone', status: 'dnd', text: 'busy' };
    await vi.waitFor(async () => expect(await statesOf()).toMatchObject([{ ...state, isConnected: true }]));
    if (isCutOff) old.vanish();
    const told = () => pushes(watcher, 'presence').at(-1);
    await vi.waitFor(() => expect(told()).toMatchObject({ status: 'dnd', text: 'busy' }));
    const pushCount = pushes(watcher, 'presence').length;
    await client(two, 'ann', 'phone');
    if (!isCutOff) await vi.waitFor(() => expect(old.closes).toHaveLength(1));
    await new Promise((resolve) => setTimeout(resolve, 2 * SETTINGS.feed.intervalMs));
    expect(await statesOf()).toMatchObject([state]);
    expect(pushes(watcher, 'presence')).toHaveLength(pushCount);
    await client(one, 'ann', 'tablet');
    await vi.waitFor(async () =>
      expect(await statesOf()).toMatchObject([state, { device: 'tablet', status: 'online' }]),
    );
  });
});

describe('a cap on the sessions of a user', () => {
  const capped = () => replica({ sessionsPerUserMax: 2 });

  it('counts those of all replicas, and a device once', async () => {
    const [one, two] = [await capped(), await capped()];
    await client(one, 'ann', 'a');
    await client(two, 'ann', 'b');
    const third = await client(two, 'ann', 'c');
    expect(answer(third, 0)).toMatchObject({ error: { code: 'limit_exceeded' } });
    expect(third.closes).toEqual([{ code: 3505, reason: 'connection_limit' }]);
    // Another connection of a device takes its place.
    const moved = await client(two, 'ann', 'a');
    expect(answer(moved, 0)).toHaveProperty('ok');
    expect(answer(await client(two, 'bob', 'a'), 0)).toHaveProperty('ok');
  });

  it('does not count who is cut off', async () => {
    const [one, two] = [await capped(), await capped()];
    const cut = await client(one, 'ann', 'a');
    await client(two, 'ann', 'b');
    await vi.waitFor(() => expect(presence.sessionCount).toBe(2));
    cut.vanish();
    await endOfTurn();
    expect(answer(await client(two, 'ann', 'c'), 0)).toHaveProperty('ok');
  });

  it('does not count who has just gone from here, though others don’t know yet', async () => {
    const tracker = { ...SETTINGS.tracker, graceMs: GRACE_MS, batchMs: 200 };
    const one = await replica({ sessionsPerUserMax: 2, tracker });
    const [left] = [await client(one, 'ann', 'a'), await client(one, 'ann', 'b')];
    await vi.waitFor(() => expect(presence.sessionCount).toBe(2));
    left.send({ op: 'quit', id: 1 });
    expect(answer(await client(one, 'ann', 'c'), 0)).toHaveProperty('ok');
  });

  it.each(['unavailable', 'partial'] as const)('is of this replica alone where the store is %s', async (fault) => {
    const [one, two] = [await capped(), await capped()];
    for (const device of ['a', 'b']) await client(one, 'ann', device);
    await endOfTurn();
    two.store.fault = fault;
    for (const device of ['c', 'd']) expect(answer(await client(two, 'ann', device), 0)).toHaveProperty('ok');
    expect(answer(await client(two, 'ann', 'e'), 0)).toMatchObject({ error: { code: 'limit_exceeded' } });
  });

  it('is asked for once for all who come in a turn, and not for who has just been named', async () => {
    const one = await capped();
    const clients = ['ann', 'bob', undefined].map((user) => {
      const transport = open(one);
      transport.send({ op: 'connect', id: 0, ...(user !== undefined && { user }) });
      return transport;
    });
    for (const transport of clients) expect(await answered(transport, 0)).toHaveProperty('ok');
    expect(one.store.reads).toEqual([['ann', 'bob']]);
  });

  it('holds up the commands behind connect, and one that ends meanwhile connects no more', async () => {
    const one = await capped();
    const held = Promise.withResolvers<void>();
    one.store.held = held.promise;
    const [ann, bob] = [open(one), open(one)];
    ann.send({ op: 'connect', id: 0, user: 'ann' }, { op: 'join', id: 1, room: 'tea' }, { op: 'connect', id: 2 });
    bob.send({ op: 'connect', id: 0, user: 'bob' });
    await endOfTurn();
    expect(one.store.reads).toHaveLength(1);
    bob.vanish();
    expect(ann.said).toEqual([]);
    held.resolve();
    await answered(ann, 2);
    expect(ann.order).toEqual([0, 1, 2]);
    expect(answer(ann, 2)).toMatchObject({ error: { code: 'bad_request' } });
    await endOfTurn();
    expect([one.gateway.sessions.connectedCount, one.gateway.tracker.userCount]).toEqual([1, 1]);
  });
});
