import type { Status } from '../protocol/presence-state.ts';
import { Backoff } from './backoff.ts';
import { ClientError } from './client-error.ts';
import { Connection, type End, type Said, utf8Bytes } from './connection.ts';
import { Deferred } from './deferred.ts';
import { Emitter } from './emitter.ts';
import { type Environment, globalEnvironment } from './environment.ts';
import type { UserPresence } from './messages.ts';
import type { ClientOptions } from './options.ts';
import { type Published, Publishes } from './publishes.ts';
import { isRetryable, membersOf, Questions, type WaitingSettings } from './questions.ts';
import { Room, type RoomHost } from './room.ts';
import type { Session, Welcome } from './session.ts';
import { type Ask, Standing } from './standing.ts';
import type { ClientState } from './state.ts';
import { Timers } from './timers.ts';
import { Tokens } from './tokens.ts';

export type { PresenceMode } from '../protocol/commands.ts';
export type { Limits, Rate } from '../protocol/limits.ts';
export type { Gap, Position } from '../protocol/position.ts';
export type { Status, UserState } from '../protocol/presence-state.ts';
export type { ClientErrorCode } from './client-error.ts';
export type { Environment, Socket, SocketEvents } from './environment.ts';
export type { Message, Page, RoomPresence, Signal, UserPresence } from './messages.ts';
export type { ClientOptions } from './options.ts';
export type { Published } from './publishes.ts';
export type { Room } from './room.ts';
export type { JoinOptions, Publish, RoomEvents, RoomState } from './room-events.ts';
export type { RosterChange } from './roster.ts';
export type { Session } from './session.ts';
export type { ClientState } from './state.ts';
export { tabDevice } from './tab-device.ts';
export type { TokenSource } from './tokens.ts';
export { ClientError };

/** A publish may be repeated for so long and is still delivered once. */
const RETRY_FOR_MS_MAX = 60_000;
const WAITING_MAX = 256;
/** Of one publish, as long as the server has not said it. */
const DATA_BYTES_MAX = 16_384;
/** Close code for a server that did not accept us, and does not close by itself. */
const REFUSED_CODE = 4003;
const CONNECT_TIMEOUT_MS = 15_000;
const ITERATOR_MESSAGES_MAX = 4_096;
/** A page and what is said until it is read have to fit. */
const ITERATOR_MESSAGES_MIN = 1_000;

export interface ClientEvents {
  state: ClientState;
  /** A watched user has changed, or was read anew. */
  presence: UserPresence;
  /** What failed without anybody to wait for it. The client goes on. */
  error: ClientError;
}

/** A gateway's client: a session that comes back by itself, and rooms that never lose their place. */
export class Client extends Emitter<ClientEvents> {
  readonly #options: ClientOptions;
  readonly #environment: Timers;
  /** Whose waits go on when the client is closed. */
  readonly #outerEnvironment: Environment;
  readonly #connectTimeoutMs: number;
  readonly #backoff: Backoff;
  readonly #tokens: Tokens;
  readonly #questions: Questions;
  readonly #publishes: Publishes;
  readonly #host: RoomHost;
  readonly #rooms = new Map<string, Room>();
  readonly #wanted = new Map<string, Room>();
  readonly #standing: Standing;
  #state: ClientState = { name: 'closed', reason: 'not connected', code: null };
  #connection: Connection | null = null;
  /** The server has answered `connect` on this connection. */
  #isWelcome = false;
  #welcome: Welcome | null = null;
  #welcomedMs = 0;
  #ticket: string | null = null;
  #ready = new Deferred<Session>().unminded();
  /** Rises with every try, and when there are to be no more. */
  #turn = 0;
  #cancelRetry: () => void = () => {};
  /** The server has said when to come back. */
  #isOrdered = false;
  #endOnline: () => void = () => {};
  /** The last socket that was said goodbye to has closed. */
  #closed: Promise<void> = Promise.resolve();

  constructor(options: ClientOptions) {
    super();
    this.#options = options;
    this.#outerEnvironment = options.environment ?? globalEnvironment;
    const environment = new Timers(this.#outerEnvironment);
    this.#environment = environment;
    this.#connectTimeoutMs = options.connectTimeoutMs ?? CONNECT_TIMEOUT_MS;
    this.#backoff = new Backoff(environment.random);
    const send: RoomHost['send'] = (members, onOutcome) =>
      this.#isWelcome && (this.#connection?.call(members, onOutcome) ?? false);
    const settings: WaitingSettings = {
      waitingMax: options.waitingMax ?? WAITING_MAX,
      retryForMs: Math.min(options.retryForMs ?? RETRY_FOR_MS_MAX, RETRY_FOR_MS_MAX),
    };
    this.#questions = new Questions(environment, settings, send);
    this.#publishes = new Publishes(environment, settings, send);
    this.#standing = new Standing(this.#ask, {
      onPresence: (presence) => this.#hearUser(presence),
      onError: (error) => this.emit('error', error),
    });
    this.#tokens = new Tokens(options.token, environment, this.#connectTimeoutMs, {
      refresh: (token) => this.#refresh(token),
      onError: (error) => this.emit('error', error),
    });
    this.#host = {
      environment,
      iteratorMessagesMax: Math.max(options.iteratorMessagesMax ?? ITERATOR_MESSAGES_MAX, ITERATOR_MESSAGES_MIN),
      send,
      ask: (op, members) => this.#ask(op, () => members),
      publish: (room, mid, data) => this.#publish(room, mid, data),
      want: (room) => this.#want(room),
      unwant: (room) => this.#wanted.delete(room.name),
      forget: (room) => this.#rooms.get(room.name) === room && this.#rooms.delete(room.name),
      roomChanged: () => this.#settleState(),
    };
  }

  get state(): ClientState {
    return this.#state;
  }

  /** The session that there is, or was last; null before the first one. */
  get session(): Session | null {
    return this.#welcome;
  }

  /** The rooms that are joined, or are to be. */
  get rooms(): ReadonlyMap<string, Room> {
    return this.#wanted;
  }

  /**
   * Connects, and from then on comes back whenever the connection is lost. Resolves with the first session.
   *
   * @throws ClientError `closed`, when the client is closed or the server does not want it
   */
  connect(): Promise<Session> {
    if (this.#state.name === 'closed') {
      this.#ready = new Deferred<Session>().unminded();
      this.#backoff.reset();
      this.#endOnline = this.#environment.onOnline(() => this.#online());
      this.#open();
    }
    return this.#ready.promise;
  }

  /**
   * Says goodbye: others see the user leave. What waits is rejected with `closed`. Resolves when the socket has closed.
   * `connect` begins anew, in the same rooms and from the same places.
   */
  close(): Promise<void> {
    const connection = this.#connection;
    this.#connection = null;
    this.#stop('closed', null, true);
    if (connection !== null) this.#closed = connection.close();
    return this.#closed;
  }

  /** The room of that name, always the same one. It is not joined by this. */
  room(name: string): Room {
    let room = this.#rooms.get(name);
    if (room === undefined) {
      room = new Room(name, this.#host);
      this.#rooms.set(name, room);
    }
    return room;
  }

  /** Tells how these users are, and from now on, in this session and the following ones, of their changes as `presence`. */
  watch(users: readonly string[]): Promise<readonly UserPresence[]> {
    return this.#standing.watch(users);
  }

  unwatch(users: readonly string[]): Promise<void> {
    return this.#standing.unwatch(users);
  }

  /** Says how the user of this device is: now, and again in every session that follows. `text`: at most 140 bytes. */
  status(status: Status, text?: string): Promise<void> {
    return this.#standing.status(status, text);
  }

  async presence(user: string): Promise<UserPresence> {
    return (await this.#ask('presence', () => ({ user }))) as unknown as UserPresence;
  }

  /** The server's clock, in milliseconds since 1970. */
  async ping(): Promise<number> {
    return (await this.#ask('ping', () => ({}))).serverMs as number;
  }

  readonly #ask: Ask = async (op, members, isOwn) => {
    this.#requireOpen();
    const line = () => {
      const known = members();
      return known && membersOf({ op, ...known });
    };
    return this.#questions.ask(line, isOwn);
  };

  /** Once, in the session whose token it is about. */
  #refresh(token: string): Promise<number | null> {
    return new Promise((resolve, reject) => {
      const isSent = this.#host.send(membersOf({ op: 'refresh', token }), (outcome) => {
        if (outcome === null) resolve(null);
        else if ('error' in outcome) reject(outcome.error);
        else resolve(outcome.ok.expiresAtMs as number);
      });
      if (!isSent) resolve(null);
    });
  }

  async #publish(room: string, mid: string, data: unknown): Promise<Published> {
    this.#requireOpen();
    const text = JSON.stringify(data) as string | undefined;
    if (text === undefined) throw new ClientError('bad_request', 'data: this is no JSON value');
    const { dataBytesMax } = this.#welcome?.limits ?? { dataBytesMax: DATA_BYTES_MAX };
    if (utf8Bytes(text) > dataBytesMax) throw new ClientError('bad_request', `data: more than ${dataBytesMax} bytes`);
    return this.#publishes.add(room, mid, text);
  }

  /** Who is closed for good would wait for ever. */
  #requireOpen(): void {
    if (this.#turn > 0 && this.#state.name === 'closed') throw new ClientError('closed', this.#state.reason);
  }

  #want(room: Room): void {
    this.#requireOpen();
    const { name } = room;
    if (this.#wanted.has(name)) throw new ClientError('already_joined', `room: there is another one of ${name}`);
    this.#wanted.set(name, room);
    this.#rooms.set(name, room);
  }

  #open(): void {
    this.#turn += 1;
    const turn = this.#turn;
    this.#cancelRetry();
    this.#setState({ name: 'connecting' });
    this.#tokens.take(
      (token) => turn === this.#turn && this.#dial(token),
      (error) => {
        if (turn !== this.#turn) return;
        this.#ended({ reason: error.message, code: 0, afterMs: null, isFinal: false });
        this.emit('error', error);
      },
    );
  }

  #dial(token: string | undefined): void {
    const ticket = this.#ticket;
    this.#ticket = null;
    const listener = {
      onOpen: () => this.#introduce(token),
      onPush: (push: Said) => this.#hear(push),
      onEnd: (end: End) => this.#ended(end),
    };
    const url = String(this.#options.url);
    try {
      this.#connection = new Connection(this.#outerEnvironment, url, ticket, this.#connectTimeoutMs, listener);
    } catch (error) {
      // What is wrong with a ticket is no reason to stay away.
      if (ticket !== null) this.#dial(token);
      else this.#stop((error as Error).message, null);
    }
  }

  #introduce(token: string | undefined): void {
    const { user, device, client } = this.#options;
    const known = this.#welcome;
    const members = {
      op: 'connect',
      token,
      // A guest stays who they are; a token says it by itself.
      user: user ?? (token === undefined ? known?.user : undefined),
      device: device ?? known?.device,
      client,
    };
    this.#connection?.call(membersOf(members), (outcome) => {
      if (outcome === null) return;
      if ('ok' in outcome) this.#welcomed(outcome.ok as unknown as Welcome);
      else this.#refused(outcome.error);
    });
  }

  #welcomed(welcome: Welcome): void {
    const { heartbeatMs, limits, ticket, expiresAtMs } = welcome;
    this.#welcome = welcome;
    this.#welcomedMs = this.#environment.monotonicMs();
    this.#isWelcome = true;
    this.#ticket = ticket ?? null;
    const connection = this.#connection as Connection;
    connection.frameBytesMax = limits.frameBytesMax;
    connection.expectHeartbeats(heartbeatMs);
    this.#tokens.expiresAt(expiresAtMs);
    for (const room of [...this.#wanted.values()]) room.resume();
    this.#standing.resume();
    this.#questions.resume();
    this.#publishes.resume(limits.publishesUnansweredMax);
    this.#settleState();
    this.#ready.resolve(welcome);
  }

  /** A refusal for which the server sends the client away is followed by a `disconnect`. */
  #refused(error: ClientError): void {
    if (isRetryable(error)) {
      const afterMs = error.retryAfterMs ?? null;
      this.#connection?.abandon({ reason: error.message, code: REFUSED_CODE, afterMs, isFinal: false });
    } else if (error.code !== 'unauthorized' && error.code !== 'limit_exceeded') {
      this.#connection?.abandon({ reason: error.message, code: REFUSED_CODE, afterMs: null, isFinal: true });
    }
  }

  #hear({ push, ...said }: Said): void {
    if (said.room !== undefined) this.#wanted.get(said.room as string)?.hear(push as string, said);
    else if (push === 'presence') this.#hearUser(said as unknown as UserPresence);
  }

  #hearUser(presence: UserPresence): void {
    if (this.#standing.watches(presence.user)) this.emit('presence', presence);
  }

  #ended({ reason, code, afterMs, isFinal }: End): void {
    this.#tokens.stop();
    if (this.#isWelcome) this.#backoff.sessionEnded(this.#environment.monotonicMs() - this.#welcomedMs);
    this.#isWelcome = false;
    this.#connection = null;
    if (isFinal) {
      this.#stop(reason, code >= 4000 ? null : code);
      return;
    }
    const delayMs = afterMs ?? this.#backoff.nextMs(this.#welcome?.retryWindowMs ?? null);
    this.#isOrdered = afterMs !== null;
    this.#cancelRetry = this.#environment.schedule(() => this.#open(), delayMs);
    this.#setState({ name: 'waiting', reason, retryAtMs: this.#environment.wallMs() + delayMs });
    for (const room of [...this.#rooms.values()]) room.suspend();
  }

  /** There is a network again: what was a guess may be tried at once, and what seems to work may not. */
  #online(): void {
    if (this.#isWelcome) this.#connection?.probe();
    else if (this.#state.name === 'waiting' && !this.#isOrdered) this.#open();
  }

  #stop(reason: string, code: number | null, isOwn = false): void {
    this.#turn += 1;
    this.#cancelRetry();
    this.#endOnline();
    this.#tokens.stop();
    this.#environment.cancelAll();
    this.#isWelcome = false;
    const error = new ClientError('closed', reason);
    this.#ready.reject(error);
    this.#setState({ name: 'closed', reason, code });
    this.#questions.close(reason);
    this.#publishes.close(reason);
    for (const room of [...this.#rooms.values()]) room.close(error, isOwn);
  }

  #settleState(): void {
    if (!this.#isWelcome) return;
    const name = [...this.#wanted.values()].some(({ isBehind }) => isBehind) ? 'resyncing' : 'online';
    if (name !== this.#state.name) this.#setState({ name });
  }

  #setState(state: ClientState): void {
    if (state.name === 'closed' && this.#state.name === 'closed') return;
    this.#state = state;
    this.emit('state', state);
  }
}
