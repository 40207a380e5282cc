import type { Subscriber, Subscription } from '../fanout/hub.ts';
import { BOUNDS } from '../protocol/bounds.ts';
import type { Command } from '../protocol/commands.ts';
import type { Dialect, Framing, Input } from '../protocol/dialect.ts';
import { DISCONNECTS, type DisconnectReason, reconnects } from '../protocol/disconnects.ts';
import { CommandError } from '../protocol/errors.ts';
import { OVERSIZE } from '../protocol/line-splitter.ts';
import type { Gap, Position } from '../protocol/position.ts';
import type { RepliedOp, Replies } from '../protocol/replies.ts';
import { Outbox, type OutboxFlusher, type UnsharedBytes } from './outbox.ts';
import type { Transport, TransportListener } from './transport.ts';

const NOTHING: readonly Input[] = [];

/** What a session needs of the node that it lives on. */
export interface SessionHost {
  readonly flusher: OutboxFlusher;
  readonly unshared: UnsharedBytes;
  /** Bytes that may wait for one session; above it a push ends the session. */
  readonly outboxBytesMax: number;
  /** Milliseconds after which a client that is sent away comes back. */
  afterMs(): number;
  /** Executes a command: replies now or later, exactly once, through the session. */
  dispatch(session: Session, command: Command): void;
  /** The session has ended: whatever knows it lets it go. Called once. */
  ended(session: Session): void;
}

/**
 * - `unconnected`: only `connect` and `quit` are understood;
 * - `connected`: until the end;
 * - `ended`: nothing is executed or sent any more.
 */
export type SessionState = 'unconnected' | 'connected' | 'ended';

/**
 * One client on one connection: reads its commands in order, sees to it that each gets one reply, and ends it
 * for good or bad. What the commands mean is the handlers' business.
 */
export class Session implements TransportListener, Subscriber {
  readonly id: string;
  readonly #transport: Transport;
  /** By room. Made when the first room is joined. */
  subscriptions: Map<string, Subscription> | null = null;
  /** Mids of publishes that failed, as far as a later `after` may name them; newest last, by room. */
  failedMids: Set<string> | null = null;
  readonly #host: SessionHost;
  readonly #dialect: Dialect;
  readonly #outbox: Outbox;
  #state: SessionState = 'unconnected';
  #user = '';
  #device = '';
  /** Inputs of the line under way that could not be executed yet. */
  #held: readonly Input[] = NOTHING;
  /** Ids of commands without a reply. */
  #unanswered: Set<number> | null = null;
  #publishesUnanswered = 0;
  #readsUnanswered = 0;
  /** Rooms in which a join or history is under way: the next join, leave or history there waits. */
  #busyRooms: Set<string> | null = null;
  #unreadableInARow = 0;
  #pumping = false;
  /** The first of the held inputs may not be executed yet. */
  #isHeld = false;
  /** No more commands are executed; replies still go out. */
  #draining = false;
  #inputEnded = false;

  constructor(id: string, transport: Transport, dialect: Dialect, host: SessionHost) {
    this.id = id;
    this.#transport = transport;
    this.#dialect = dialect;
    this.#host = host;
    this.#outbox = new Outbox(transport, host.flusher, host.unshared, () => this.#goOn());
  }

  get state(): SessionState {
    return this.#state;
  }

  /** Empty until connected. */
  get user(): string {
    return this.#user;
  }

  get device(): string {
    return this.#device;
  }

  get framing(): Framing {
    return this.#dialect.framing;
  }

  get unansweredCount(): number {
    return this.#unanswered?.size ?? 0;
  }

  connected(user: string, device: string): void {
    this.#user = user;
    this.#device = device;
    this.#state = 'connected';
  }

  /** Answers a command. A session that has ended meanwhile hears nothing. */
  reply<Op extends RepliedOp>(op: Op, id: number, ok: Replies[Op]): void {
    if (this.#state === 'ended') return;
    this.#unanswered?.delete(id);
    this.#send(this.#dialect.reply(op, id, ok));
  }

  /** Answers a command, or with `id` null a line that was none, with what went wrong. */
  fail(id: number | null, error: CommandError): void {
    if (this.#state === 'ended') return;
    if (id !== null) this.#unanswered?.delete(id);
    this.#send(this.#dialect.error(id, error));
  }

  push(chunk: Buffer): void {
    if (this.#state === 'ended') return;
    if (this.#outbox.bytes + chunk.length > this.#host.outboxBytesMax) {
      this.disconnect('slow_consumer');
      return;
    }
    this.#outbox.addShared(chunk);
  }

  resync(room: string, position: Position, gap: Gap | undefined): void {
    for (const payload of this.#dialect.resync(room, position, gap)) this.push(this.framing.frame([payload]));
  }

  /** Counts a publish as unanswered until the returned function is called. */
  publishBegun(): () => void {
    this.#publishesUnanswered += 1;
    return () => {
      this.#publishesUnanswered -= 1;
      this.#goOn();
    };
  }

  /** Counts a read as unanswered, and its room as busy, until the returned function is called. */
  readBegun(room: string): () => void {
    this.#readsUnanswered += 1;
    this.#busyRooms ??= new Set();
    this.#busyRooms.add(room);
    return () => {
      this.#readsUnanswered -= 1;
      this.#busyRooms?.delete(room);
      this.#goOn();
    };
  }

  /** Executes no more commands; those under way are still answered. */
  stopReading(): void {
    this.#draining = true;
  }

  /** Ends the session with a last push, which says whether and when the client comes back. */
  disconnect(reason: DisconnectReason): void {
    if (this.#state === 'ended') return;
    this.#send(this.#dialect.disconnect(reason, reconnects(reason) ? this.#host.afterMs() : null));
    this.#end(DISCONNECTS[reason].code, reason);
  }

  /** Ends the session at the client's wish, without a word. */
  quit(): void {
    if (this.#state !== 'ended') this.#end(1000, '');
  }

  onReadable(): void {
    this.#pump();
  }

  onDrained(): void {
    this.#outbox.drained();
    this.#goOn();
  }

  onInputEnd(): void {
    this.#inputEnded = true;
    this.#pump();
  }

  onClosed(): void {
    this.#outbox.close();
    if (this.#state !== 'ended') this.#leave();
  }

  #end(code: number, reason: string): void {
    // First of all it has ended: flushing lets held commands go on.
    this.#leave();
    this.#outbox.flush();
    this.#transport.close(code, reason);
  }

  #leave(): void {
    this.#state = 'ended';
    this.#held = NOTHING;
    this.#host.ended(this);
  }

  /** Something has happened that a held command, or the end of the input, may have waited for. */
  #goOn(): void {
    if (this.#isHeld || this.#inputEnded) this.#pump();
  }

  /** Executes what has come, as far as it may be executed now. */
  #pump(): void {
    // Executing may flush, and flushing pumps: one loop is enough.
    if (this.#pumping) return;
    this.#pumping = true;
    this.#isHeld = false;
    while (this.#state !== 'ended' && !this.#draining) {
      const input = this.#held[0];
      if (input !== undefined) {
        if (!this.#mayExecute(input)) {
          this.#isHeld = true;
          break;
        }
        this.#held = this.#held.length === 1 ? NOTHING : this.#held.slice(1);
        this.#execute(input);
        continue;
      }
      const line = this.#transport.read();
      if (line === OVERSIZE) {
        this.#unreadable(new CommandError('bad_request', `a line is longer than ${BOUNDS.frameBytesMax} bytes`));
        this.disconnect('protocol_error');
      } else if (line !== null) {
        this.#held = this.#dialect.read(line);
      } else {
        // Behind the tick that brings back what the client has published last.
        if (this.#inputEnded && this.unansweredCount === 0) setImmediate(() => this.quit());
        break;
      }
    }
    this.#pumping = false;
  }

  /** Replies never overflow: a command waits while its reply might. */
  #mayExecute(input: Input): boolean {
    if (this.#outbox.bytes > BOUNDS.repliesBytesMax) return false;
    if (!('command' in input)) return true;
    const { command } = input;
    switch (command.op) {
      case 'publish':
        return this.#publishesUnanswered < BOUNDS.publishesUnansweredMax;
      case 'join':
      case 'history':
        return this.#readsUnanswered < BOUNDS.readsUnansweredMax && !this.#busyRooms?.has(command.room);
      case 'leave':
        return !this.#busyRooms?.has(command.room);
      default:
        return true;
    }
  }

  #execute(input: Input): void {
    if ('words' in input) {
      this.#unreadableInARow = 0;
      this.#send(input.words);
      return;
    }
    if ('refusal' in input) {
      const { id, error } = input.refusal;
      if (id === null || this.#unanswered?.has(id)) this.#unreadable(error);
      else {
        this.#unreadableInARow = 0;
        this.fail(id, error);
      }
      return;
    }
    const { command } = input;
    if ('id' in command) {
      this.#unanswered ??= new Set();
      if (this.#unanswered.has(command.id)) {
        this.#unreadable(new CommandError('bad_request', `id: ${command.id} is still unanswered`));
        return;
      }
      this.#unanswered.add(command.id);
    }
    this.#unreadableInARow = 0;
    this.#host.dispatch(this, command);
  }

  #unreadable(error: CommandError): void {
    this.fail(null, error);
    this.#unreadableInARow += 1;
    if (this.#unreadableInARow >= BOUNDS.unreadableLinesMax) this.disconnect('protocol_error');
  }

  #send(payloads: readonly Buffer[]): void {
    for (const payload of payloads) this.#outbox.addUnshared(this.framing.frame([payload]));
  }
}
