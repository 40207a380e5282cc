import type { Logger } from 'pino';
import { Hub, type HubSettings } from '../fanout/hub.ts';
import type { Peers, Removal, Removed } from '../fanout/peers.ts';
import type { RoomLog } from '../fanout/room-log.ts';
import type { SessionRates } from '../limits/session-limits.ts';
import type { TimerWheel } from '../limits/timer-wheel.ts';
import { type SessionEnd, Tally } from '../observability/tally.ts';
import type { TraceIds, Tracing } from '../observability/tracing.ts';
import { type FeedSettings, PresenceFeed } from '../presence/presence-feed.ts';
import type { PresenceStore } from '../presence/presence-store.ts';
import { type DeviceMoves, PresenceTracker, type TrackerSettings } from '../presence/presence-tracker.ts';
import type { Command, ConnectCommand, JoinCommand } from '../protocol/commands.ts';
import type { Dialect } from '../protocol/dialect.ts';
import { type DisconnectReason, reconnects } from '../protocol/disconnects.ts';
import { CommandError } from '../protocol/errors.ts';
import { randomName } from '../random-name.ts';
import { Drain } from './drain.ts';
import { commandErrorOf } from './fault.ts';
import { type ConnectContext, connect, refresh } from './handlers/connect.ts';
import { presence, recheckWatches, status, unwatch, unwatchAll, watch } from './handlers/presence.ts';
import { type PublishContext, publish } from './handlers/publish.ts';
import { endAll, history, join, leave, type RoomsContext, recheckRooms } from './handlers/rooms.ts';
import { signal } from './handlers/signal.ts';
import { InboxBytes } from './inbox.ts';
import type { LivenessSettings } from './liveness.ts';
import { OutboxFlusher, UnsharedBytes } from './outbox.ts';
import { removeHere } from './removals.ts';
import { Session, type SessionHost } from './session.ts';
import { addressKey, SessionRegistry } from './session-registry.ts';
import type { Transport } from './transport.ts';
import { UserDevices } from './user-devices.ts';

export interface GatewaySettings {
  readonly hub: HubSettings;
  /** Bytes that may wait for one session before a push ends it with `slow_consumer`. */
  readonly outboxBytesMax: number;
  /** Bytes on their way to single sessions, over the whole node; above it reads are `overloaded`. */
  readonly unsharedBytesMax: number;
  /** Bytes of commands that may wait for one session, and for all of them, where the transport cannot stop reading. */
  readonly inboxBytesMax: number;
  readonly inboxesBytesMax: number;
  /** Connections that may be open at a time, connected or not; more are refused with `overloaded`. */
  readonly connectionsMax: number;
  /** Of these, those that have not said `connect`; more are refused in the same way. */
  readonly handshakesMax: number;
  /** Sessions of this node that may join one room. */
  readonly roomMembersMax: number;
  readonly liveness: LivenessSettings;
  readonly rates: SessionRates;
  readonly tracker: TrackerSettings;
  readonly feed: FeedSettings;
  /** Milliseconds for a client that catches up to ask for its next page. */
  readonly catchUpTimeoutMs: number;
  /** Who may connect, and what is told of this node. */
  readonly access: Omit<ConnectContext, 'registry' | 'tracker' | 'devices'>;
  /** Sessions of one user; 0: as many as come. */
  readonly sessionsPerUserMax: number;
}

/** What a gateway has of the world, and may share with other replicas. */
export interface GatewayPorts {
  readonly log: RoomLog;
  readonly presence: PresenceStore;
  /** Others write to the same store: it knows sessions that this process does not. */
  readonly isPresenceShared: boolean;
  readonly peers: Peers;
  /** Absent: nothing is traced. */
  readonly tracing?: Tracing | undefined;
}

/** Milliseconds within which who is sent to another replica at a moment of their own comes back. */
const RETURNS_AT_ONCE_MS = 1_000;

/** The node's sessions and what their commands do: the middle of the server, whatever the transports. */
export class Gateway implements SessionHost {
  readonly flusher = new OutboxFlusher(() => this.hub.isTickDue);
  readonly unshared: UnsharedBytes;
  readonly inboxBytes: InboxBytes;
  readonly outboxBytesMax: number;
  readonly liveness: LivenessSettings;
  readonly rates: SessionRates;
  readonly wheel: TimerWheel;
  readonly tally: Tally;
  readonly sessions = new SessionRegistry();
  readonly hub: Hub;
  readonly feed: PresenceFeed;
  readonly tracker: PresenceTracker;
  /** What the handlers of rooms and presence work on; the server API shares them. */
  readonly rooms: RoomsContext;
  readonly #peers: Peers;
  readonly #settings: GatewaySettings;
  readonly #logger: Logger;
  readonly #connect: ConnectContext;
  readonly #publishing: PublishContext;
  /** Admitted connections of which nobody knows yet what they speak, so that they have no session. */
  modeless = 0;
  #connections = 0;
  readonly #moves: DeviceMoves = {
    onReplaced: ({ user, device, session: id }) => {
      const session = this.sessions.get(user.name, device);
      if (session?.id === id) session.disconnect('replaced');
    },
    onLeft: (user, device, room) => void this.#peers.remove({ op: 'forget', user, device, room }),
  };
  readonly #connectionsByAddress = new Map<string, number>();
  readonly #drain = new Drain(this.sessions, () => this.hub.flush());
  #phase: 'serving' | 'leaving' | 'draining' | 'drained' = 'serving';
  /** Milliseconds within which who is refused or sent away comes back. */
  #returnsMs: number;
  /** Resolved when the last connection is gone. */
  #emptied: (() => void) | null = null;

  constructor(
    { log, presence: store, isPresenceShared, peers, tracing }: GatewayPorts,
    wheel: TimerWheel,
    settings: GatewaySettings,
    logger: Logger,
    tally = new Tally(),
  ) {
    this.#peers = peers;
    this.#settings = settings;
    this.#logger = logger;
    this.#returnsMs = settings.access.facts.retryWindowMs;
    this.wheel = wheel;
    this.tally = tally;
    this.outboxBytesMax = settings.outboxBytesMax;
    this.liveness = settings.liveness;
    this.rates = settings.rates;
    this.unshared = new UnsharedBytes(settings.unsharedBytesMax);
    this.inboxBytes = new InboxBytes(settings.inboxBytesMax, settings.inboxesBytesMax);
    const onAudience = (room: string, isThere: boolean) => peers.setInterest(room, isThere);
    this.hub = new Hub(log, settings.hub, () => this.flusher.flush(), tally, onAudience, tracing);
    this.feed = new PresenceFeed(store, settings.feed, wheel, () => this.flusher.flush(), tally.presenceChanges);
    this.tracker = new PresenceTracker(store, this.feed, this.#moves, settings.tracker, wheel);
    const { hub, feed, tracker, unshared } = this;
    const { catchUpTimeoutMs, roomMembersMax } = settings;
    const failureOf = (error: unknown, trace: TraceIds) => commandErrorOf(error, logger, {}, trace);
    const appending = { log, tally, tracing, failureOf };
    this.rooms = { ...appending, hub, feed, tracker, store, unshared, wheel, catchUpTimeoutMs, roomMembersMax };
    this.#publishing = {
      ...appending,
      failed: (session, id, error, trace) => this.#fail(session, id, error, trace),
      ended: (session) => this.#drain.changed(session),
    };
    const sharedStore = isPresenceShared ? store : null;
    const devices = new UserDevices(settings.sessionsPerUserMax, this.sessions, tracker, sharedStore);
    this.#connect = { ...settings.access, registry: this.sessions, tracker, devices };
    log.tail(
      (publications) => hub.receive(publications),
      (partition) => hub.break(partition),
    );
  }

  /** Takes part in what replicas share. To be called before sessions come. */
  async open(): Promise<void> {
    await this.tracker.open();
    await this.#peers.open({
      onSignal: (signal) => this.hub.signal(signal),
      onRemoval: (removal) => removeHere(removal, this.sessions, this.rooms),
    });
  }

  /** Ends a user's sessions, or takes them out of a room, on whichever replica they are. */
  async remove(removal: Removal): Promise<Removed> {
    const here = removeHere(removal, this.sessions, this.rooms);
    const { sessions, partial } = await this.#peers.remove(removal);
    return { sessions: here + sessions, partial };
  }

  /** It is to end, and should get no new sessions, though it serves those that it has. */
  get draining(): boolean {
    return this.#phase !== 'serving';
  }

  /** Nothing more is done for anybody. */
  get drained(): boolean {
    return this.#phase === 'drained';
  }

  /** Connections that were admitted and are not gone yet. */
  get connectionCount(): number {
    return this.#connections;
  }

  /** Connections that were admitted and have not said `connect`. */
  get handshakeCount(): number {
    return this.modeless + this.sessions.size - this.sessions.connectedCount;
  }

  /**
   * Counts a new connection, or says why it must be refused. Every admitted one is given back with
   * {@link released} when it is gone. `address` null: that of its client is still to come; then it is given back, and
   * admitted with it.
   */
  admit(address: string | null): DisconnectReason | null {
    const refused = this.#refusal(address);
    if (refused !== null) {
      this.tally.refusals[refused] += 1;
      return refused;
    }
    if (address !== null) this.#countAddress(address, 1);
    this.#connections += 1;
    return null;
  }

  released(address: string | null): void {
    if (address !== null) this.#countAddress(address, -1);
    this.#connections -= 1;
    if (this.#connections === 0) this.#emptied?.();
  }

  /** Resolves when every admitted connection is gone, at the latest after `timeoutMs`. */
  async whenEmpty(timeoutMs: number): Promise<void> {
    if (this.#connections === 0) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, timeoutMs);
      this.#emptied = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  /** What a connection that is refused is told of coming back: after so many milliseconds, or null: never. */
  comeBackMs(reason: DisconnectReason): number | null {
    return reconnects(reason) ? this.afterMs() : null;
  }

  /** Milliseconds after which a client that was refused or sent away comes back, spread evenly at random. */
  afterMs(): number {
    return Math.round(Math.random() * this.#returnsMs);
  }

  /** Makes the session of an admitted connection. `connectTimeout` false: its first command may take its time. */
  openSession(transport: Transport, dialect: Dialect, connectTimeout: boolean): Session {
    const session = new Session(randomName(12, 'base64url'), transport, dialect, this);
    this.sessions.add(session);
    if (connectTimeout) session.liveness.awaitConnect();
    return session;
  }

  dispatch(session: Session, command: Command, limited: CommandError | null): void {
    this.tally.commands[command.op] += 1;
    if (command.op === 'pong') return;
    const startedMs = isTimed(command) ? performance.now() : 0;
    try {
      const handled = this.#handle(session, command, limited);
      if (handled === undefined) {
        if (isTimed(command)) this.#succeeded(session, command, startedMs);
        return;
      }
      handled.then(
        () => {
          if (isTimed(command)) this.#succeeded(session, command, startedMs);
          this.#drain.changed(session);
        },
        (error: unknown) => {
          this.#fail(session, command.id, error);
          this.#drain.changed(session);
        },
      );
    } catch (error) {
      this.#fail(session, command.id, error);
    }
  }

  ended(session: Session, isLeaving: boolean, end: SessionEnd): void {
    this.tally.ends[end] += 1;
    this.#logger.debug({ session: session.id, transport: session.framing.name, reason: end }, 'session ended');
    endAll(session, this.rooms);
    unwatchAll(session, this.rooms);
    if (session.tracked !== null) this.tracker.ended(session.tracked, isLeaving);
    this.sessions.delete(session);
    this.#drain.changed(session);
  }

  /** Says of itself that it is to end, and goes on for as long as balancers need to notice. */
  leave(): void {
    this.#phase = 'leaving';
  }

  /**
   * Admits nobody any more, and ends every session in good order: see {@link Drain}. Where the moments are spread there are
   * others to serve them, so each is to come back at once. Resolves when all are told, and the last changes of presence.
   */
  async drain(timeoutMs: number, spreadMs = 0): Promise<void> {
    this.#phase = 'draining';
    const { retryWindowMs } = this.#settings.access.facts;
    if (spreadMs > 0) this.#returnsMs = Math.min(retryWindowMs, RETURNS_AT_ONCE_MS);
    await this.#drain.run(spreadMs, timeoutMs);
    this.#phase = 'drained';
    await this.tracker.close();
    this.#peers.close();
  }

  #handle(
    session: Session,
    command: Exclude<Command, { op: 'pong' }>,
    limited: CommandError | null,
  ): Promise<void> | undefined {
    if (session.state === 'unconnected' && command.op !== 'connect' && command.op !== 'quit') {
      throw new CommandError('bad_request', 'op: the first command must be connect');
    }
    // A publish that fails so counts among those that others may have to come after; who goes may go.
    if (limited !== null && command.op !== 'publish' && command.op !== 'quit') throw limited;
    const { rooms } = this;
    switch (command.op) {
      case 'connect':
        return connect(session, command, this.#connect);
      case 'refresh':
        return refresh(session, command, this.#connect, (refreshed) => this.#recheck(refreshed));
      case 'join':
        return join(session, command, rooms);
      case 'leave':
        leave(session, command, rooms);
        return undefined;
      case 'publish':
        publish(session, command, this.#publishing, limited);
        return undefined;
      case 'history':
        return history(session, command, rooms);
      case 'signal':
        signal(session, command, this.hub, this.#peers);
        return undefined;
      case 'presence':
        return presence(session, command, rooms);
      case 'watch':
        return watch(session, command, rooms);
      case 'unwatch':
        unwatch(session, command, rooms);
        return undefined;
      case 'status':
        status(session, command, rooms);
        return undefined;
      case 'ping':
        session.reply('ping', command.id, { serverMs: Date.now() });
        return undefined;
      case 'quit':
        session.quit();
        return undefined;
    }
  }

  /** A session's grants have changed: what they no longer cover ends. */
  #recheck(session: Session): Promise<void> {
    recheckRooms(session, this.rooms);
    return recheckWatches(session, this.rooms);
  }

  #countAddress(address: string, by: 1 | -1): void {
    const key = addressKey(address);
    const count = (this.#connectionsByAddress.get(key) ?? 0) + by;
    if (count > 0) this.#connectionsByAddress.set(key, count);
    else this.#connectionsByAddress.delete(key);
  }

  /** Why a connection is not to be admitted, or null. */
  #refusal(address: string | null): 'drain' | 'overloaded' | 'connection_limit' | null {
    if (this.#phase === 'draining' || this.#phase === 'drained') return 'drain';
    const { connectionsMax, handshakesMax } = this.#settings;
    if (this.#connections >= connectionsMax || this.handshakeCount >= handshakesMax) return 'overloaded';
    if (address === null) return null;
    const { sessionsPerAddressMax } = this.#settings.access;
    const ofAddress = this.#connectionsByAddress.get(addressKey(address)) ?? 0;
    // Who has as many sessions as allowed is told so at `connect`; this is for who never says it.
    return sessionsPerAddressMax > 0 && ofAddress >= 2 * sessionsPerAddressMax ? 'connection_limit' : null;
  }

  #succeeded(session: Session, { op }: TimedCommand, startedMs: number): void {
    // Whose connect was refused has ended, and nothing was thrown.
    if (session.state !== 'connected') return;
    this.tally[op].observeMs(performance.now() - startedMs);
    if (op === 'connect') {
      this.#logger.debug({ session: session.id, transport: session.framing.name }, 'session connected');
    }
  }

  #fail(session: Session, id: number, error: unknown, trace?: TraceIds): void {
    session.fail(id, commandErrorOf(error, this.#logger, { session: session.id }, trace));
  }
}

type TimedCommand = ConnectCommand | JoinCommand;

/** Whether the time that a command takes is measured here. */
function isTimed(command: Command): command is TimedCommand {
  return command.op === 'connect' || command.op === 'join';
}
