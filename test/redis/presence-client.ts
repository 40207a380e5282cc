import type { PresenceStore, RoomChange } from '../../src/presence/presence-store.ts';
import { CommandError } from '../../src/protocol/errors.ts';
import type { UserPresence } from '../../src/protocol/presence-state.ts';
import type { PresenceScripts } from '../../src/redis/presence-scripts.ts';
import { PRESENCE_DEFAULTS, type RedisPresenceSettings } from '../../src/redis/presence-settings.ts';
import { RedisLink } from '../../src/redis/redis-link.ts';
import { RedisPresenceStore } from '../../src/redis/redis-presence-store.ts';
import { REDIS_DEFAULTS } from '../../src/redis/redis-settings.ts';
import { batchOf, ReplicaUnderTest } from '../contract/presence-store-fixture.ts';
import { type Changes, changesOf, difference, type Session } from '../contract/presence-truth.ts';
import { HeldTimers } from './held-timers.ts';
import type { Journal } from './journal.ts';
import { WatchedRoom, WatchedUser } from './presence-watch.ts';
import { RedisProxy } from './redis-proxy.ts';

export const PREFIX = 'test';

const REWRITE_MS = 20;

export interface ClientOptions {
  readonly name: string;
  /** Of the Redis that it is led to first. */
  readonly port: number;
  /** By how much its clock is off. */
  readonly skewMs: number;
  readonly settings: Partial<RedisPresenceSettings>;
  readonly scripts: PresenceScripts;
  readonly rooms: readonly string[];
  readonly users: readonly string[];
  readonly journal: Journal;
  /** Single keys are lost, which no server tells of. */
  readonly losesKeys: boolean;
}

const LINK = {
  ...REDIS_DEFAULTS,
  commandTimeoutMs: 150,
  connectTimeoutMs: 300,
  reconnectMsMax: 60,
  breakAfter: 3,
  retryMs: 60,
} as const;

/** A replica with its sessions and its own way to Redis, that can stop and end as a process does. */
export class PresenceClient {
  readonly name: string;
  readonly proxy: RedisProxy;
  readonly rooms: readonly WatchedRoom[];
  readonly users: readonly WatchedUser[];
  readonly store: RedisPresenceStore;
  sessions: Session[] = [];
  isPaused = false;
  readonly #timers = new HeldTimers();
  readonly #link: RedisLink;
  readonly #replica: ReplicaUnderTest;
  readonly #options: ClientOptions;
  #happened: Changes = new Map();
  /** To be written. */
  #gathered: Changes = new Map();
  #isWriting = false;
  #isReading = false;

  private constructor(options: ClientOptions, proxy: RedisProxy) {
    const { name, journal, scripts, settings } = options;
    this.#options = options;
    this.name = name;
    this.proxy = proxy;
    const logger = journal.logOf(name);
    const url = `redis://127.0.0.1:${proxy.port}`;
    this.#link = new RedisLink({ ...LINK, url, prefix: PREFIX, node: name }, logger);
    this.store = new RedisPresenceStore(this.#link, { ...PRESENCE_DEFAULTS, ...settings }, logger, scripts);
    this.#replica = new Told(this.store, this);
    this.rooms = options.rooms.map((room) => new WatchedRoom(name, room, this.store, journal, options.losesKeys));
    this.users = options.users.map((user) => new WatchedUser(name, user, this.store, journal));
  }

  static async begin(options: ClientOptions): Promise<PresenceClient> {
    return new PresenceClient(options, await RedisProxy.open(options.port));
  }

  /** Once, first. @throws Error where Redis can't be reached or does not answer in time */
  open(): Promise<void> {
    return this.run(() => this.#open());
  }

  /** As a part of its process: what comes of it stops and ends with it. */
  run<T>(act: () => T): T {
    return this.#timers.run(act);
  }

  get nowMs(): number {
    return Date.now() + this.#options.skewMs;
  }

  /** What it has come to, for whoever looks into a failure. */
  get figures(): string {
    return JSON.stringify({ ...this.store.figures, ...this.#link.figures() });
  }

  /** All is written, and what is watched has been read. */
  get isSettled(): boolean {
    const isRead = [...this.rooms, ...this.users].every(({ isStale }) => !isStale);
    return !this.isPaused && !this.#isWriting && this.#gathered.size === 0 && isRead;
  }

  /** The sessions are what they are now; `newcomer` has just connected, and takes its device's place. */
  happen(newcomer?: Session): void {
    const now = changesOf(this.sessions);
    const changes = difference(this.#happened, now, this.nowMs);
    this.#replica.happen(...changes.values());
    this.#happened = now;
    for (const [key, change] of changes) {
      const isNew = 'session' in change && change.session === newcomer?.session;
      this.#gathered.set(key, isNew ? { ...change, isNew } : change);
    }
    this.run(() => void this.#write());
  }

  /** The process stands still: neither does it say or hear anything, nor does anything come due. */
  pause(): void {
    this.isPaused = true;
    this.#timers.hold();
    this.proxy.hold();
  }

  /** It goes on, and what was under way arrives. */
  resume(): void {
    this.isPaused = false;
    this.#timers.release();
    this.proxy.release();
  }

  /** The process is no more. What it had said last arrives if its proxy is released. */
  crash(): void {
    this.isPaused = true;
    this.#timers.discard();
    this.proxy.hold();
    this.run(() => this.#link.close());
  }

  /** Gives the lease back, and ends. */
  async close(): Promise<void> {
    this.isPaused = true;
    await this.run(() => this.store.close());
    this.crash();
  }

  /** Lets go of its connections. */
  async dispose(): Promise<void> {
    this.crash();
    await this.proxy.close();
  }

  /** Ends what was told to have lost its place. */
  replaced(session: string): void {
    this.#options.journal.note(`${this.name}: ${session} has lost its place`);
    this.sessions = this.sessions.filter((each) => each.session !== session);
    this.happen();
  }

  tellRoom(change: RoomChange): void {
    this.rooms.find(({ room }) => room === change.room)?.tell(change);
    void this.#read();
  }

  tellUser(user: UserPresence): void {
    this.users.find((each) => each.user === user.user)?.tell(user);
  }

  async #open(): Promise<void> {
    await this.#link.open();
    await this.store.open(this.#replica);
    void this.#watch();
  }

  async #watch(): Promise<void> {
    for (const watched of this.rooms) {
      await this.#insist(() => this.store.setInterest({ room: watched.room }, true));
      watched.isHeard = true;
    }
    for (const { user } of this.users) await this.#insist(() => this.store.setInterest({ user }, true));
    await this.#read();
    for (const each of this.users) await this.#insist(() => each.read());
  }

  async #read(): Promise<void> {
    if (this.#isReading) return;
    this.#isReading = true;
    for (let each = this.#stale; each !== undefined; each = this.#stale) await this.#insist(() => each?.read());
    this.#isReading = false;
  }

  get #stale(): WatchedRoom | undefined {
    return this.rooms.find(({ isStale, isHeard }) => isStale && isHeard);
  }

  async #write(): Promise<void> {
    if (this.#isWriting) return;
    this.#isWriting = true;
    while (this.#gathered.size > 0) {
      const batch = this.#gathered;
      this.#gathered = new Map();
      try {
        await this.store.write(batchOf([...batch.values()]));
      } catch (error) {
        this.#expectUnavailable(error);
        this.#gathered = new Map([...batch, ...this.#gathered]);
        await this.#delay();
      }
    }
    this.#isWriting = false;
  }

  /** Until it is done, though Redis is not available. */
  async #insist(act: () => Promise<void> | undefined): Promise<void> {
    for (;;) {
      try {
        await act();
        return;
      } catch (error) {
        this.#expectUnavailable(error);
        await this.#delay();
      }
    }
  }

  #expectUnavailable(error: unknown): void {
    if (error instanceof CommandError && error.code === 'unavailable') return;
    this.#options.journal.violate(`${this.name} failed: ${(error as Error).stack ?? error}`);
  }

  /** As a timer of its own. */
  #delay(): Promise<void> {
    return new Promise((resolve) => setTimeout(resolve, REWRITE_MS));
  }
}

/** Hands on what is told at once. */
class Told extends ReplicaUnderTest {
  readonly #client: PresenceClient;

  constructor(store: PresenceStore, client: PresenceClient) {
    super(store);
    this.#client = client;
  }

  override onRoomChange(change: RoomChange): void {
    this.#client.tellRoom(change);
  }

  override onUserChange(user: UserPresence): void {
    this.#client.tellUser(user);
  }

  override onReplaced(_: string, session: string): void {
    this.#client.replaced(session);
  }
}
