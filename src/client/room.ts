import type { Gap, Position } from '../protocol/position.ts';
import type { UserState } from '../protocol/presence-state.ts';
import { ClientError } from './client-error.ts';
import type { Said } from './connection.ts';
import { Deferred } from './deferred.ts';
import { Emitter } from './emitter.ts';
import type { Environment } from './environment.ts';
import { Leaving } from './leaving.ts';
import type { Message, Page, RoomPresence } from './messages.ts';
import { Place } from './place.ts';
import type { Published } from './publishes.ts';
import { isRetryable, membersOf, retryAfterMs, type Send } from './questions.ts';
import type { JoinOptions, Publish, RoomEvents, RoomState } from './room-events.ts';
import { Roster, type RosterChange } from './roster.ts';
import { Stream } from './stream.ts';

/** Messages asked for at a time when there are more than one reply holds. */
const PAGE_MAX = 300;
/** Signals of one room without a reply; what is said in passing is not kept for later. */
const SIGNALS_UNANSWERED_MAX = 32;
/** A crowd reads its names anew so often that all of it together asks about a hundred times a second. */
const REREAD_MS_PER_USER = 20;
const REREAD_MIN_MS = 1_000;

/** @internal What a room needs of its client. */
export interface RoomHost {
  readonly environment: Environment;
  readonly iteratorMessagesMax: number;
  /** Sends once, in the session that there is. */
  readonly send: Send;
  /** Sends until there is an answer. */
  ask(op: string, members: Readonly<Record<string, unknown>>): Promise<Said>;
  publish(room: string, mid: string, data: unknown): Promise<Published>;
  /** The room is to be joined in every session from now on. @throws ClientError `already_joined`, `closed` */
  want(room: Room): void;
  /** It is not. */
  unwant(room: Room): void;
  /** Nothing of the room is left to do. */
  forget(room: Room): void;
  /** The room has come to be live, or isn't any more. */
  roomChanged(): void;
}

/** One room, whether joined or not. Its events begin when it is joined: add listeners before. */
export class Room extends Emitter<RoomEvents> implements AsyncIterable<Message> {
  readonly name: string;
  readonly #host: RoomHost;
  #state: RoomState = 'idle';
  #options: JoinOptions = {};
  #place = new Place(null);
  #roster = new Roster();
  readonly #streams = new Set<Stream<Message>>();
  /** Rises whenever answers to what was asked before are of no use any more. */
  #turn = 0;
  /** What is to be asked for when those who iterate have caught up. */
  #due: (() => void) | null = null;
  #isReadingNames = false;
  #joined = new Deferred<void>().unminded();
  readonly #leaving: Leaving;
  #signalsUnanswered = 0;

  /** @internal */
  constructor(name: string, host: RoomHost) {
    super();
    this.name = name;
    this.#host = host;
    this.#leaving = new Leaving(name, host.environment, host.send, () => {
      if (this.#state === 'idle') host.forget(this);
    });
  }

  get state(): RoomState {
    return this.#state;
  }

  /** Behind what was handed on last; kept after leaving. */
  get position(): Position | null {
    return this.#place.position;
  }

  /** How many are here, with `presence` `full` or `count`. */
  get count(): number {
    return this.#roster.count;
  }

  /** Who is here, with `presence: 'full'`; at most 500. */
  get users(): ReadonlyMap<string, UserState> {
    return this.#roster.users;
  }

  /** @internal Whether it is not yet where it was before the connection was lost. */
  get isBehind(): boolean {
    return this.#state !== 'idle' && this.#state !== 'live' && this.position !== null;
  }

  /**
   * Joins it in this session, or the next one, and in all that follow, from where it was. Resolves when all that is
   * there already was handed on. The first call's options count until it is left.
   *
   * @throws ClientError `left`, or why the join was refused
   */
  join(options: JoinOptions = {}): Promise<void> {
    if (this.#state === 'idle') {
      this.#leaving.end();
      try {
        membersOf({ ...options });
        this.#host.want(this);
      } catch (error) {
        return Promise.reject(error);
      }
      this.#begin(options);
    }
    return this.#joined.promise;
  }

  /** Leaves it at once: nothing of it is handed on any more. Resolves when the server knows, or the session is over. */
  leave(): Promise<void> {
    if (this.#state !== 'idle') {
      const left = this.#leaving.begin();
      this.#end(null);
      return left;
    }
    if (this.#leaving.left === null) this.#host.forget(this);
    return this.#leaving.left ?? Promise.resolve();
  }

  /**
   * Publishes `data`, any JSON value; needs no join. Resolves when it is durable. Messages come to stand in the order
   * of the calls.
   *
   * @throws ClientError an error of the server's, `timed_out`, `queue_full` or `closed`
   */
  publish(data: unknown, mid = this.#host.environment.makeId()): Publish {
    return Object.assign(this.#host.publish(this.name, mid, data), { mid });
  }

  /** Says something in passing, at most once. @throws ClientError `offline` without a session, `queue_full` behind 32 unanswered */
  signal(data: unknown): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.#signalsUnanswered >= SIGNALS_UNANSWERED_MAX) throw new ClientError('queue_full', 'too many signals');
      const isSent = this.#host.send(membersOf({ op: 'signal', room: this.name, data }), (outcome) => {
        this.#signalsUnanswered -= 1;
        if (outcome === null) reject(new ClientError('offline', 'the session ended', true));
        else if ('error' in outcome) reject(outcome.error);
        else resolve();
      });
      if (isSent) this.#signalsUnanswered += 1;
      else reject(new ClientError('offline', 'no session'));
    });
  }

  /** A page of history, whether joined or not: at most `limit` (1–300) messages before or after a position, or the last. */
  async history(page: {
    readonly before?: Position;
    readonly after?: Position;
    readonly limit: number;
  }): Promise<Page> {
    return (await this.#host.ask('history', { room: this.name, ...page })) as unknown as Page;
  }

  /** A page of who is here: the first 500, or those behind the user `after`. */
  async presence(after?: string): Promise<RoomPresence> {
    return (await this.#host.ask('presence', { room: this.name, after })) as unknown as RoomPresence;
  }

  /**
   * Messages from now on, for `for await`. A reader that is slow at catching up is waited for; one that falls behind what
   * is said meanwhile gets `overflow`. It ends when the room is left, and throws where the server ended it.
   */
  [Symbol.asyncIterator](): AsyncIterableIterator<Message> {
    const stream = new Stream<Message>(this.#host.iteratorMessagesMax, ({ hasEnded }) => {
      if (hasEnded) this.#streams.delete(stream);
      this.#readOn();
    });
    this.#streams.add(stream);
    return stream;
  }

  /** @internal Joins in the session that there is. */
  resume(): void {
    if (this.#state === 'idle') return;
    this.#renew();
    this.#sendJoin(this.#turn);
  }

  /** @internal There is no session any more. */
  suspend(): void {
    this.#leaving.end();
    if (this.#state !== 'idle') this.#renew();
  }

  /** @internal The client is closed: ends what waits, not what is wanted. `isOwn`: its user closed it. */
  close(error: ClientError, isOwn: boolean): void {
    this.suspend();
    this.#joined.reject(error);
    this.#joined = new Deferred<void>().unminded();
    this.#endStreams(isOwn ? null : error);
  }

  /** @internal Takes a push of this room. @throws where it cannot be one */
  hear(push: string, said: Said): void {
    // What comes before the reply to a leave, or to the join behind it, is of the visit before.
    if (this.#state === 'idle' || (this.#state === 'joining' && this.#leaving.isUnanswered)) return;
    switch (push) {
      case 'message':
        // While catching up, the pages have it.
        if (this.#state === 'live') this.#handOn(said as unknown as Message);
        break;
      case 'signal':
        this.emit('signal', { from: said.from as string, data: said.data });
        break;
      case 'presence':
        this.#hearPresence(this.#roster.hear(said as unknown as Parameters<Roster['hear']>[0]));
        break;
      case 'resync':
        this.#resync(said.gap as Gap | undefined);
        break;
      case 'left':
        this.#end(new ClientError('left', said.code as string), said.code as string);
    }
  }

  #begin(options: JoinOptions): void {
    this.#joined = new Deferred<void>().unminded();
    this.#options = options;
    this.#place = new Place(options.since ?? null);
    this.#roster = new Roster();
    this.#setState('joining');
    this.resume();
  }

  #sendJoin(turn: number): void {
    if (turn !== this.#turn) return;
    const { presence, visible, history } = this.#options;
    const since = this.position;
    const from = since === null ? { history } : { since };
    this.#host.send(membersOf({ op: 'join', room: this.name, presence, visible, ...from }), (outcome) => {
      if (turn !== this.#turn || outcome === null) return;
      if ('ok' in outcome) this.#hasJoined(outcome.ok, since !== null);
      else if (outcome.error.code === 'already_joined') this.#later(outcome.error, () => this.#joinAnew(turn));
      else if (isRetryable(outcome.error)) this.#later(outcome.error, () => this.#sendJoin(turn));
      else this.#end(outcome.error);
    });
  }

  /** A `leave` of ours did not come through. */
  #joinAnew(turn: number): void {
    if (turn !== this.#turn) return;
    this.#leaving.tell();
    this.#sendJoin(turn);
  }

  #hasJoined(reply: Said, wasResumed: boolean): void {
    const turn = this.#turn;
    const { presence } = reply as { presence?: RoomPresence };
    if (presence !== undefined) this.#hearPresence(this.#roster.read(presence, false));
    if (wasResumed && !reply.recovered) this.#place.lose();
    if (turn === this.#turn) this.#take(reply as unknown as Page);
  }

  #take(page: Page): void {
    const turn = this.#turn;
    for (const item of this.#place.read(page)) {
      if ('to' in item) this.emit('gap', item);
      else this.#tell(item);
      // A listener may have left, or closed the client.
      if (turn !== this.#turn) return;
    }
    this.#setState(page.more ? 'catching_up' : 'live');
    if (turn !== this.#turn) return;
    if (page.more) this.#askWhenRead(() => this.#askPage());
    else this.#joined.resolve();
  }

  #askPage(): void {
    const turn = this.#turn;
    const members = membersOf({ op: 'history', room: this.name, after: this.position, limit: PAGE_MAX });
    this.#host.send(members, (outcome) => {
      if (turn !== this.#turn || outcome === null) return;
      if ('ok' in outcome) this.#take(outcome.ok as unknown as Page);
      else if (isRetryable(outcome.error)) this.#later(outcome.error, () => turn === this.#turn && this.#askPage());
      else this.#end(outcome.error);
    });
  }

  /** The server lets go of the room: it is to be joined again, behind what it says cannot be had. */
  #resync(gap: Gap | undefined): void {
    const before = this.#turn;
    // A gap that does not begin here says nothing of what lies between; the join's reply will.
    const isHere = gap !== undefined && this.#state !== 'joining' && this.#place.reaches(gap.from);
    if (isHere && this.#place.skip(gap)) this.emit('gap', gap);
    if (before !== this.#turn) return;
    this.#renew();
    const turn = this.#turn;
    this.#askWhenRead(() => this.#sendJoin(turn));
  }

  #askWhenRead(ask: () => void): void {
    this.#due = ask;
    this.#readOn();
  }

  /** Asks for what is due once there is room for it. */
  #readOn(): void {
    for (const stream of this.#streams) if (!stream.hasRoom) return;
    const ask = this.#due;
    this.#due = null;
    ask?.();
  }

  #handOn(message: Message): void {
    if (this.#place.passes(message)) this.#tell(message);
  }

  #tell(message: Message): void {
    for (const stream of this.#streams) stream.push(message);
    this.emit('message', message);
  }

  #hearPresence(change: RosterChange | null): void {
    if (change === null) return;
    this.emit('presence', change);
    if (this.#roster.isStale && this.#options.presence === 'full') this.#readNames();
  }

  /** Names were not told: reads them after a while, which is the longer the more there are to ask. */
  #readNames(): void {
    if (this.#isReadingNames) return;
    this.#isReadingNames = true;
    const turn = this.#turn;
    const delayMs = this.#host.environment.random() * Math.max(REREAD_MIN_MS, this.count * REREAD_MS_PER_USER);
    this.#host.environment.schedule(() => {
      if (turn !== this.#turn) return;
      this.#host.send(membersOf({ op: 'presence', room: this.name }), (outcome) => {
        if (turn !== this.#turn) return;
        this.#isReadingNames = false;
        if (outcome === null) return;
        if ('ok' in outcome) this.#hearPresence(this.#roster.read(outcome.ok as unknown as RoomPresence, true));
        // More may have changed meanwhile.
        if ('ok' in outcome ? this.#roster.isStale : isRetryable(outcome.error)) this.#readNames();
      });
    }, delayMs);
  }

  #later(error: ClientError, callback: () => void): void {
    this.#host.environment.schedule(callback, retryAfterMs(this.#host.environment, error));
  }

  /** It is not wanted any more: null, by its user, or for the server's reason. */
  #end(error: ClientError | null, code: string = error?.code ?? 'left'): void {
    if (this.#state === 'idle') return;
    this.#turn += 1;
    this.#due = null;
    this.#host.unwant(this);
    if (this.#leaving.left === null) this.#host.forget(this);
    this.#joined.reject(error ?? new ClientError('left', 'the room was left'));
    this.#endStreams(error);
    this.#setState('idle');
    if (error !== null) this.emit('left', { code, message: error.message });
  }

  /** What was asked before is of no use any more. */
  #renew(): void {
    this.#turn += 1;
    this.#due = null;
    this.#isReadingNames = false;
    this.#setState('joining');
  }

  #endStreams(error: ClientError | null): void {
    for (const stream of this.#streams) stream.end(error);
    this.#streams.clear();
  }

  #setState(state: RoomState): void {
    if (state === this.#state) return;
    this.#state = state;
    this.emit('state', state);
    this.#host.roomChanged();
  }
}
