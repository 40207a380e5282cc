import { expect } from 'vitest';
import type { Room } from '../../../src/client/client.ts';
import { settled } from './fake-environment.ts';
import { GatewayModel } from './gateway-model.ts';
import { PublishesModel } from './publishes-model.ts';
import { RoomModel } from './room-model.ts';
import { VirtualLog } from './virtual-log.ts';
import { WELCOME, type World } from './virtual-server.ts';

const BASE_MS = 1_000;
const CAP_MS = 30_000;
const STABLE_MS = 60_000;
const CONNECT_TIMEOUT_MS = 15_000;
const PROBE_TIMEOUT_MS = 5_000;

export const ROOMS = ['r', 's'] as const;

/** So many times the client is left alone for a while until it has to be at rest. */
const RESTLESS_MAX = 100;
const REST_MS = 2_000;

/** Where a client stands. `token`: waits for one; `dialing`: for the socket; `introducing`: for the reply to `connect`. */
type Phase = 'closed' | 'token' | 'dialing' | 'introducing' | 'session' | 'waiting';

/** States that may follow another one. */
const SUCCESSORS: Readonly<Record<string, readonly string[]>> = {
  closed: ['connecting'],
  connecting: ['online', 'resyncing', 'waiting', 'closed'],
  online: ['resyncing', 'waiting', 'closed'],
  resyncing: ['online', 'waiting', 'closed'],
  waiting: ['connecting', 'closed'],
};

export interface TokenRequest {
  readonly resolve: (token: string) => void;
  readonly reject: (error: Error) => void;
}

export interface Greeting {
  readonly ticket: boolean;
  readonly retryWindowMs: number;
  readonly heartbeatMs: number;
  /** Of the token. */
  readonly lifeMs: number | null;
}

const GREETING: Greeting = { ticket: false, retryWindowMs: 5_000, heartbeatMs: 20_000, lifeMs: null };

/**
 * What a client has to be like after all that has happened to it, worked out from the protocol alone. Each step does
 * something to the client and says what is to come of it.
 */
export class ClientModel {
  readonly world: World;
  readonly rooms = new Map(ROOMS.map((name) => [name as string, new RoomModel(new VirtualLog(name))]));
  readonly gateway = new GatewayModel(this);
  readonly publishes: PublishesModel;
  phase: Phase = 'closed';
  /** Tokens that nobody has given yet; null: none are needed. */
  readonly #tokenRequests: TokenRequest[] | null;
  readonly #roomsSeen = new WeakSet<Room>();
  #tries = 0;
  #windowMs: number | null = null;
  #ticket: string | null = null;
  #tickets = 0;
  /** What each socket has to offer. */
  readonly #subprotocols: string[][] = [];
  #hasBegun = false;
  #isOrdered = false;
  /** When the phase ends by itself, by the monotonic clock. */
  #deadlineMs = Number.POSITIVE_INFINITY;
  #welcomedMs = 0;
  #heardMs = 0;
  #silenceMaxMs = 0;
  #probedMs = Number.NEGATIVE_INFINITY;

  constructor(world: World, tokenRequests: TokenRequest[] | null) {
    this.world = world;
    this.#tokenRequests = tokenRequests;
    this.publishes = new PublishesModel(world.environment);
    world.server.onCommand = (command) => {
      if (command.op === 'publish') this.publishes.sent(command);
    };
    let before = 'closed';
    world.client.on('state', ({ name }) => {
      expect(SUCCESSORS[before], `${name} after ${before}`).toContain(name);
      before = name;
    });
    world.client.on('error', (error) => {
      if (this.world.client.state.name === 'closed') throw new Error(`an error of a closed client: ${error.message}`);
    });
  }

  get isAsked(): boolean {
    return this.#tokenRequests !== null && this.#tokenRequests.length > 0;
  }

  /** There is a socket, and the server may say something by it. */
  get hasSocket(): boolean {
    return this.phase === 'introducing' || this.phase === 'session';
  }

  get #nowMs(): number {
    return this.world.environment.monotonicMs();
  }

  room(name: string): RoomModel {
    return this.rooms.get(name) as RoomModel;
  }

  get wanted(): RoomModel[] {
    return [...this.rooms.values()].filter(({ isWanted }) => isWanted);
  }

  async connect(): Promise<void> {
    this.world.client.connect().catch(() => {});
    this.#hasBegun = true;
    if (this.phase === 'closed') {
      this.#tries = 0;
      this.#opens();
    }
    await settled();
  }

  /** The connection is lost, if there is one, and the next one does not come to be. */
  async tryInVain(): Promise<void> {
    if (this.phase === 'session') {
      await this.world.server.end(1006);
      this.lost(null);
    }
    await this.pass(this.#deadlineMs - this.#nowMs);
    if (this.#tokenRequests !== null) await this.giveToken();
    this.check();
    await this.world.server.end(1006);
    this.lost(null);
  }

  /** Whatever it takes to have a session. */
  async comeOnline(greeting = GREETING): Promise<void> {
    while (this.phase !== 'session') {
      if (this.phase === 'closed') await this.connect();
      else if (this.phase === 'token') await this.giveToken();
      else if (this.phase === 'dialing') await this.openSocket();
      else if (this.phase === 'introducing' && this.gateway.hasCommands) await this.welcome(greeting);
      else await this.pass(this.#deadlineMs - this.#nowMs);
    }
  }

  /** All is answered, and nothing waits any more. */
  async comeToRest(): Promise<void> {
    await this.comeOnline();
    for (let i = 0; i < RESTLESS_MAX && !this.#isAtRest(); i += 1) {
      await this.gateway.answerAll();
      await this.hear({ push: 'heartbeat' });
      await this.pass(REST_MS);
      this.check();
    }
    expect(this.#isAtRest(), 'it comes to rest').toBe(true);
    for (const room of this.rooms.values()) room.checkAtRest();
  }

  async close(): Promise<void> {
    void this.world.client.close();
    this.#hasBegun = true;
    this.closed();
    await settled();
  }

  async giveToken(): Promise<void> {
    const request = this.#tokenRequests?.pop();
    if (this.phase === 'token') this.#dials();
    request?.resolve('token');
    await settled();
  }

  async refuseToken(): Promise<void> {
    const request = this.#tokenRequests?.pop();
    request?.reject(new Error('no token'));
    await settled();
    if (this.phase === 'token') this.lost(null);
  }

  async openSocket(): Promise<void> {
    await this.world.server.open();
    this.phase = 'introducing';
  }

  async welcome({ ticket, retryWindowMs, heartbeatMs, lifeMs }: Greeting): Promise<void> {
    this.#tickets += 1;
    this.#ticket = ticket ? `ticket-${this.#tickets}` : null;
    this.#windowMs = retryWindowMs;
    this.phase = 'session';
    this.#deadlineMs = Number.POSITIVE_INFINITY;
    this.#welcomedMs = this.#nowMs;
    this.#heardMs = this.#nowMs;
    this.#silenceMaxMs = heartbeatMs === 0 ? Number.POSITIVE_INFINITY : 1.5 * heartbeatMs + 10_000;
    this.#probedMs = Number.NEGATIVE_INFINITY;
    const more = {
      ...{ ...WELCOME, retryWindowMs, heartbeatMs },
      ...(this.#ticket !== null && { ticket: this.#ticket }),
      ...(lifeMs !== null && { expiresAtMs: this.world.environment.wallMs() + lifeMs }),
    };
    this.gateway.begin();
    await this.world.server.ok('connect', more);
    const [introduction, resume] = this.world.server.frames;
    expect(introduction?.map(({ op }) => op)).toEqual(['connect']);
    const joins = (resume ?? []).filter(({ op }) => op === 'join');
    expect(joins.map(({ room, since, history }) => ({ room, since, history }))).toEqual(
      // In the order in which they were joined.
      [...this.world.client.rooms.keys()].map((name) => this.room(name).joinMembers),
    );
  }

  /** The server has said something. */
  async hear(...lines: readonly object[]): Promise<void> {
    this.#heardMs = this.#nowMs;
    await this.world.server.say(...lines);
  }

  /** The connection is gone; the server wants the client back then, or did not say. */
  lost(afterMs: number | null): void {
    const { client, environment } = this.world;
    if (this.phase === 'session' && this.#nowMs - this.#welcomedMs >= STABLE_MS) this.#tries = 0;
    const { state } = client;
    if (state.name !== 'waiting') throw new Error(`${state.name} behind a lost connection`);
    const delayMs = state.retryAtMs - environment.wallMs();
    if (afterMs === null) {
      const isFirst = this.#tries === 0 && this.#windowMs !== null && this.#windowMs > 0;
      const boundMs = isFirst ? (this.#windowMs as number) : Math.min(CAP_MS, BASE_MS * 2 ** this.#tries);
      expect(delayMs).toBeGreaterThanOrEqual(0);
      expect(delayMs).toBeLessThan(boundMs);
      this.#tries += 1;
    } else {
      expect(delayMs).toBe(afterMs);
    }
    this.#isOrdered = afterMs !== null;
    this.phase = 'waiting';
    this.#deadlineMs = this.#nowMs + delayMs;
    for (const room of this.wanted) room.suspended();
  }

  closed(): void {
    this.phase = 'closed';
    this.#deadlineMs = Number.POSITIVE_INFINITY;
    for (const room of this.wanted) room.suspended();
  }

  async goOnline(): Promise<void> {
    this.world.environment.goOnline();
    if (this.phase === 'session') this.#probedMs = this.#nowMs;
    else if (this.phase === 'waiting' && !this.#isOrdered) this.#opens();
    await settled();
  }

  async pass(ms: number): Promise<void> {
    const endMs = this.#nowMs + ms;
    for (let dueMs = this.#dueMs(); dueMs <= endMs; dueMs = this.#dueMs()) {
      await this.world.environment.pass(dueMs - this.#nowMs);
      await this.#fallsDue();
    }
    await this.world.environment.pass(endMs - this.#nowMs);
  }

  /** The program stands still for a while, and all timers are late. */
  async freeze(ms: number): Promise<void> {
    await this.world.environment.freeze(ms);
    if (this.#dueMs() <= this.#nowMs) await this.#fallsDue();
  }

  async #fallsDue(): Promise<void> {
    if (this.phase === 'waiting') this.#opens();
    else this.lost(null);
    await settled();
    this.check();
  }

  /** As `join` of the room of that name. */
  async join(name: string, history: number): Promise<void> {
    const model = this.room(name);
    const room = this.world.client.room(name);
    if (!this.#roomsSeen.has(room)) {
      this.#roomsSeen.add(room);
      model.listenTo(room);
    }
    if (!this.#isClosed && !model.isWanted) model.joins(history);
    room.join({ history }).catch(() => {});
    await settled();
  }

  async leave(name: string): Promise<void> {
    this.gateway.forget(name);
    this.room(name).ends();
    void this.world.client.room(name).leave();
    await settled();
  }

  async publish(name: string): Promise<void> {
    this.publishes.add(this.world.client.room(name), this.#isClosed);
    await settled();
  }

  /** All that holds at any time. */
  check(): void {
    const { client, environment, server } = this.world;
    expect(client.state.name).toBe(this.#stateName());
    expect(environment.liveSockets).toHaveLength(this.hasSocket || this.phase === 'dialing' ? 1 : 0);
    expect(environment.sockets.map(({ subprotocols }) => subprotocols)).toEqual(this.#subprotocols);
    for (const [name, model] of this.rooms) {
      model.check(client.rooms.get(name));
      this.publishes.checkOrder(model.log.mids);
    }
    this.publishes.check(this.#isClosed);
    if (this.phase === 'dialing') expect(server.frames).toEqual([]);
    if (this.phase === 'introducing') expect(server.heard.map(({ op }) => op)).toEqual(['connect']);
    expect(environment.onlineListeners).toBe(this.phase === 'closed' ? 0 : 1);
    if (!this.#isClosed) return;
    // A goodbye may be waited for.
    const goodbyes = environment.sockets.filter(
      ({ state, closedWith }) => state === 'closing' && closedWith?.code === 1000,
    );
    expect(environment.timers.length).toBeLessThanOrEqual(goodbyes.length);
  }

  /** For good, or by its user: what is asked for is refused. */
  get #isClosed(): boolean {
    return this.phase === 'closed' && this.#hasBegun;
  }

  #isAtRest(): boolean {
    return !this.gateway.hasCommands && !this.publishes.isWaiting && this.wanted.every(({ state }) => state === 'live');
  }

  #stateName(): string {
    if (this.phase === 'closed' || this.phase === 'waiting') return this.phase;
    if (this.phase !== 'session') return 'connecting';
    return this.wanted.some(({ isBehind }) => isBehind) ? 'resyncing' : 'online';
  }

  #opens(): void {
    if (this.#tokenRequests === null) {
      this.#dials();
      return;
    }
    this.phase = 'token';
    this.#deadlineMs = this.#nowMs + CONNECT_TIMEOUT_MS;
  }

  #dials(): void {
    this.phase = 'dialing';
    this.#deadlineMs = this.#nowMs + CONNECT_TIMEOUT_MS;
    this.#subprotocols.push(['tidegate.v1', ...(this.#ticket === null ? [] : [`tidegate.ticket.${this.#ticket}`])]);
    // It is good for once.
    this.#ticket = null;
  }

  #dueMs(): number {
    if (this.phase !== 'session') return this.#deadlineMs;
    const silentMs = this.#heardMs + this.#silenceMaxMs;
    return this.#heardMs < this.#probedMs ? Math.min(silentMs, this.#probedMs + PROBE_TIMEOUT_MS) : silentMs;
  }
}
