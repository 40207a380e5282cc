import { randomBytes } from 'node:crypto';
import type { Logger } from 'pino';
import { Hub, type HubSettings, type Subscription } from '../fanout/hub.ts';
import type { RoomLog } from '../fanout/room-log.ts';
import type { Command } from '../protocol/commands.ts';
import type { Dialect } from '../protocol/dialect.ts';
import type { DisconnectReason } from '../protocol/disconnects.ts';
import { CommandError } from '../protocol/errors.ts';
import { DeadlineQueue } from './deadline-queue.ts';
import { connect, type NodeFacts } from './handlers/connect.ts';
import { publish } from './handlers/publish.ts';
import { history, join, leave, leaveAll, type RoomsContext } from './handlers/rooms.ts';
import { OutboxFlusher, UnsharedBytes } from './outbox.ts';
import { Session, type SessionHost } from './session.ts';
import { SessionRegistry } from './session-registry.ts';
import type { Transport } from './transport.ts';

export interface GatewaySettings {
  readonly hub: HubSettings;
  /** Bytes that may wait for one session before a push ends it with `slow_consumer`. */
  readonly outboxBytesMax: number;
  /** Bytes on their way to single sessions, over the whole node; above it reads are `overloaded`. */
  readonly unsharedBytesMax: number;
  /** Connections that may be open at a time, connected or not; more are refused with `overloaded`. */
  readonly connectionsMax: number;
  /** Milliseconds for a JSON client's `connect`. */
  readonly connectTimeoutMs: number;
  /** Milliseconds for a client that catches up to ask for its next page. */
  readonly catchUpTimeoutMs: number;
  /** What `connect`'s reply says of this node. */
  readonly facts: NodeFacts;
}

/** The node's sessions and what their commands do: the middle of the server, whatever the transports. */
export class Gateway implements SessionHost {
  readonly flusher = new OutboxFlusher();
  readonly unshared: UnsharedBytes;
  readonly outboxBytesMax: number;
  readonly sessions = new SessionRegistry();
  readonly #settings: GatewaySettings;
  readonly #logger: Logger;
  readonly #log: RoomLog;
  readonly #rooms: RoomsContext;
  readonly #unconnected: DeadlineQueue<Session>;
  #connections = 0;
  #draining = false;
  /** Resolved when no session has an unanswered command, while draining. */
  #settled: (() => void) | null = null;
  /** Resolved when the last connection is gone. */
  #emptied: (() => void) | null = null;

  constructor(log: RoomLog, settings: GatewaySettings, logger: Logger) {
    this.#log = log;
    this.#settings = settings;
    this.#logger = logger;
    this.outboxBytesMax = settings.outboxBytesMax;
    this.unshared = new UnsharedBytes(settings.unsharedBytesMax);
    const hub = new Hub(log, settings.hub, () => this.flusher.flush());
    const catchingUp = new DeadlineQueue<Subscription>(settings.catchUpTimeoutMs, (subscription) => {
      subscription.suspend();
      const position = { epoch: log.epoch, offset: subscription.offset };
      subscription.subscriber.resync(subscription.room.name, position, undefined);
    });
    this.#rooms = { log, hub, unshared: this.unshared, catchingUp };
    this.#unconnected = new DeadlineQueue(settings.connectTimeoutMs, (session) => {
      session.disconnect('connect_timeout');
    });
    log.tail((publications) => hub.receive(publications));
  }

  get draining(): boolean {
    return this.#draining;
  }

  /**
   * Counts a new connection, or says why it must be refused. Every admitted one is given back with
   * {@link released} when it is gone.
   */
  admit(): DisconnectReason | null {
    if (this.#draining) return 'drain';
    if (this.#connections >= this.#settings.connectionsMax) return 'overloaded';
    this.#connections += 1;
    return null;
  }

  released(): void {
    this.#connections -= 1;
    if (this.#connections === 0) this.#emptied?.();
  }

  /** Resolves when every admitted connection is gone, at the latest after `timeoutMs`. */
  async whenEmpty(timeoutMs: number): Promise<void> {
    if (this.#connections > 0) await this.#waitFor(timeoutMs, (done) => (this.#emptied = done));
  }

  /** Milliseconds after which a client that was refused or sent away comes back, spread evenly at random. */
  afterMs(): number {
    return Math.round(Math.random() * this.#settings.facts.retryWindowMs);
  }

  /** Makes the session of an admitted connection. `connectTimeout` false: its first command may take its time. */
  open(transport: Transport, dialect: Dialect, connectTimeout: boolean): Session {
    const session = new Session(randomBytes(12).toString('base64url'), transport, dialect, this);
    this.sessions.add(session);
    if (connectTimeout) this.#unconnected.set(session);
    return session;
  }

  dispatch(session: Session, command: Command): void {
    if (command.op === 'pong') return;
    try {
      this.#handle(session, command)?.then(
        () => this.#checkSettled(),
        (error: unknown) => {
          this.#fail(session, command.id, error);
          this.#checkSettled();
        },
      );
    } catch (error) {
      this.#fail(session, command.id, error);
    }
  }

  ended(session: Session): void {
    leaveAll(session, this.#rooms);
    this.#unconnected.delete(session);
    this.sessions.delete(session);
    this.#checkSettled();
  }

  /**
   * Ends every session in good order: no new commands, what is under way is answered, then `drain`. Resolves
   * when all are told, at the latest after `timeoutMs`.
   */
  async drain(timeoutMs: number): Promise<void> {
    this.#draining = true;
    for (const session of this.sessions) session.stopReading();
    if (this.#unanswered()) await this.#waitFor(timeoutMs, (done) => (this.#settled = done));
    // What was published last is still pushed.
    this.#rooms.hub.flush();
    for (const session of this.sessions) session.disconnect('drain');
    this.#unconnected.close();
    this.#rooms.catchingUp.close();
  }

  #handle(session: Session, command: Exclude<Command, { op: 'pong' }>): Promise<void> | undefined {
    if (session.state === 'unconnected' && command.op !== 'connect' && command.op !== 'quit') {
      throw new CommandError('bad_request', 'op: the first command must be connect');
    }
    switch (command.op) {
      case 'connect':
        this.#unconnected.delete(session);
        connect(session, command, this.sessions, this.#settings.facts);
        return undefined;
      case 'join':
        return join(session, command, this.#rooms);
      case 'leave':
        leave(session, command, this.#rooms);
        return undefined;
      case 'publish':
        return publish(session, command, this.#log);
      case 'history':
        return history(session, command, this.#rooms);
      case 'ping':
        session.reply('ping', command.id, { serverMs: Date.now() });
        return undefined;
      case 'quit':
        session.quit();
        return undefined;
    }
  }

  #fail(session: Session, id: number, error: unknown): void {
    if (error instanceof CommandError) {
      session.fail(id, error);
      return;
    }
    const traceId = randomBytes(8).toString('hex');
    this.#logger.error({ err: error, traceId, session: session.id }, 'a command failed by our fault');
    session.fail(id, new CommandError('internal', `our fault; trace ${traceId}`));
  }

  #unanswered(): boolean {
    for (const session of this.sessions) if (session.unansweredCount > 0) return true;
    return false;
  }

  #checkSettled(): void {
    if (this.#settled !== null && !this.#unanswered()) this.#settled();
  }

  #waitFor(timeoutMs: number, subscribe: (done: () => void) => void): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, timeoutMs);
      subscribe(() => {
        clearTimeout(timer);
        resolve();
      });
    });
  }
}
