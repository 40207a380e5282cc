import type { Subscriber } from '../fanout/subscription.ts';
import type { Grants } from '../identity/grants.ts';
import { SessionLimits, type SessionRates, type Shortage } from '../limits/session-limits.ts';
import { Timeout, type TimerWheel } from '../limits/timer-wheel.ts';
import type { SessionEnd, Tally } from '../observability/tally.ts';
import type { PresenceReader } from '../presence/feed.ts';
import type { TrackedSession } from '../presence/tracked-session.ts';
import type { UserWatch } from '../presence/user-feed.ts';
import { BOUNDS } from '../protocol/bounds.ts';
import type { Command } from '../protocol/commands.ts';
import type { Dialect, Framing, Input } from '../protocol/dialect.ts';
import { DISCONNECTS, type DisconnectReason, reconnects } from '../protocol/disconnects.ts';
import { CommandError } from '../protocol/errors.ts';
import { OVERSIZE } from '../protocol/line-splitter.ts';
import type { Gap, Position } from '../protocol/position.ts';
import type { LeftCode } from '../protocol/presence-push.ts';
import type { RepliedOp, Replies } from '../protocol/replies.ts';
import { CommandGate, type Waiting } from './command-gate.ts';
import { Liveness, type LivenessSettings, type Living, type Reading } from './liveness.ts';
import type { Memberships } from './membership.ts';
import { Outbox, type OutboxFlusher, type UnsharedBytes } from './outbox.ts';
import type { SessionIdentity } from './session-identity.ts';
import type { Transport, TransportListener } from './transport.ts';

const NOTHING: readonly Input[] = [];
/** An empty line: nothing to say, but it has its price. */
const SILENCE: readonly Input[] = [{ words: [] }];

/** What a session needs of the node that it lives on. */
export interface SessionHost {
  readonly flusher: OutboxFlusher;
  readonly unshared: UnsharedBytes;
  /** Bytes that may wait for one session; above it a push ends the session. */
  readonly outboxBytesMax: number;
  readonly wheel: TimerWheel;
  readonly liveness: LivenessSettings;
  readonly rates: SessionRates;
  readonly tally: Tally;
  /** Milliseconds after which a client that is sent away comes back. */
  afterMs(): number;
  /**
   * Executes a command: replies now or later, exactly once, through the session. `limited`: it is beyond the
   * session's rate, and fails with that.
   */
  dispatch(session: Session, command: Command, limited: CommandError | null): void;
  /** The session has ended as `end` says, `isLeaving`: for good. Whatever knows it lets it go. Called once. */
  ended(session: Session, isLeaving: boolean, end: SessionEnd): void;
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
export class Session implements TransportListener, Subscriber, PresenceReader, Living, Waiting {
  readonly id: string;
  readonly #transport: Transport;
  readonly liveness: Liveness;
  readonly gate: CommandGate;
  memberships: Memberships = null;
  /** By user. Made when the first one is watched. */
  watches: Map<string, UserWatch> | null = null;
  /** How others see this session, once it is connected. */
  tracked: TrackedSession | null = null;
  /** Mids of publishes that failed, as far as a later `after` may name them; newest last, by room. */
  failedMids: Set<string> | null = null;
  readonly #host: SessionHost;
  readonly #dialect: Dialect;
  readonly #outbox: Outbox;
  #state: SessionState = 'unconnected';
  #identity: SessionIdentity | null = null;
  /** null while it would let through what a new one does. */
  #limits: SessionLimits | null = null;
  /** Bytes of the line under way that its commands have not paid for. */
  #unpaidBytes = 0;
  /** Set while the client has used up even its refusals. */
  #flood: Timeout | null = null;
  /** Inputs of the line under way that could not be executed yet. */
  #held: readonly Input[] = NOTHING;
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
    this.liveness = new Liveness(this, host.wheel, host.liveness);
    this.gate = new CommandGate(this);
    this.#outbox = new Outbox(transport, host.flusher, host.unshared, this);
  }

  get state(): SessionState {
    return this.#state;
  }

  /** Of a session that has connected, even if it has ended since. */
  get identity(): SessionIdentity {
    if (this.#identity === null) throw new Error(`session ${this.id} is not connected`);
    return this.#identity;
  }

  get wasConnected(): boolean {
    return this.#identity !== null;
  }

  get user(): string {
    return this.identity.user;
  }

  get remoteAddress(): string {
    return this.#transport.remoteAddress;
  }

  get hasHeartbeats(): boolean {
    return this.#dialect.hasHeartbeats;
  }

  get reading(): Reading {
    if (this.#draining) return 'withheld';
    if (!this.#isHeld) return 'reading';
    return this.#outbox.bytes > BOUNDS.repliesBytesMax ? 'stalled' : 'withheld';
  }

  get waitingBytes(): number {
    return this.#outbox.bytes;
  }

  get takenBytes(): number {
    return this.#outbox.takenBytes;
  }

  get framing(): Framing {
    return this.#dialect.framing;
  }

  connected(identity: SessionIdentity, heartbeats: boolean): void {
    this.#identity = identity;
    this.#state = 'connected';
    this.liveness.connected(heartbeats);
    if (!heartbeats) this.#transport.watchPeer();
  }

  /** The same user has shown a newer token. */
  refreshed(grants: Grants): void {
    this.#identity = { ...this.identity, grants };
  }

  /** Answers a command. A session that has ended meanwhile hears nothing. */
  reply<Op extends RepliedOp>(op: Op, id: number, ok: Replies[Op]): void {
    if (this.#state === 'ended') return;
    this.gate.answered(id);
    this.#send(this.#dialect.reply(op, id, ok));
  }

  /** Answers a command, or with `id` null a line that was none, with what went wrong. */
  fail(id: number | null, error: CommandError): void {
    if (this.#state === 'ended') return;
    if (id !== null) this.gate.answered(id);
    this.#sendError(id, error);
  }

  push(chunk: Buffer): void {
    if (this.#state === 'ended') return;
    if (this.#outbox.bytes + chunk.length > this.#host.outboxBytesMax) {
      this.disconnect('slow_consumer');
      return;
    }
    this.#outbox.addShared(chunk);
  }

  askForSign(): void {
    // Who has been silent for so long needs no memory of what it has spent.
    if (this.#limits?.areFull(performance.now())) this.#limits = null;
    for (const payload of this.#dialect.heartbeat()) this.push(this.framing.frame([payload]));
  }

  /** Tells that the session is no longer in a room. */
  left(room: string, code: LeftCode): void {
    for (const payload of this.#dialect.left(room, code)) this.push(this.framing.frame([payload]));
  }

  resync(room: string, position: Position, gap: Gap | undefined): void {
    for (const payload of this.#dialect.resync(room, position, gap)) this.push(this.framing.frame([payload]));
  }

  /** Executes no more commands; those under way are still answered. */
  stopReading(): void {
    this.#draining = true;
  }

  /**
   * Ends the session with a last push, which says whether and when the client comes back. `words`, printable ASCII,
   * are said in place of the reason's name.
   */
  disconnect(reason: DisconnectReason, words: string = reason): void {
    if (this.#state === 'ended') return;
    this.#send(this.#dialect.disconnect(reason, reconnects(reason) ? this.#host.afterMs() : null, words));
    // Who is replaced has come back already, on another connection.
    this.#end(reason, !reconnects(reason) && reason !== 'replaced', DISCONNECTS[reason].code, words);
  }

  /** Ends the session at the client's wish, without a word. */
  quit(): void {
    if (this.#state !== 'ended') this.#end('left', true);
  }

  onBytes(): void {
    this.liveness.heard();
  }

  onReadable(): void {
    this.#pump();
  }

  onOverrun(): void {
    this.disconnect('overloaded', 'too many commands wait');
  }

  onDrained(): void {
    this.#outbox.drained();
    this.goOn();
  }

  onInputEnd(): void {
    this.#inputEnded = true;
    this.#pump();
  }

  onClosed(isLeaving: boolean): void {
    this.#outbox.close();
    if (this.#state !== 'ended') this.#leave(isLeaving ? 'left' : 'lost', isLeaving);
  }

  /** Something has happened that a held command, or the end of the input, may have waited for. */
  goOn(): void {
    if (this.#isHeld || this.#inputEnded) this.#pump();
  }

  #end(end: SessionEnd, isLeaving: boolean, code = 1000, words = ''): void {
    // First of all it has ended: flushing lets held commands go on.
    this.#leave(end, isLeaving);
    this.#outbox.flush();
    this.#transport.close(code, words);
  }

  #leave(end: SessionEnd, isLeaving: boolean): void {
    this.#state = 'ended';
    this.#held = NOTHING;
    this.liveness.stop();
    this.#endFlood();
    this.#host.ended(this, isLeaving, end);
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
          if (this.reading === 'stalled') this.liveness.stalled();
          break;
        }
        const shortage = this.#pay(input);
        if (shortage !== null && this.#isFlooding()) {
          this.#isHeld = true;
          break;
        }
        this.#held = this.#held.length === 1 ? NOTHING : this.#held.slice(1);
        this.#execute(input, shortage === null ? null : this.#limited(shortage));
        continue;
      }
      const line = this.#transport.read();
      if (line === OVERSIZE) {
        this.#unreadable(new CommandError('bad_request', `a line is longer than ${BOUNDS.frameBytesMax} bytes`));
        this.disconnect('protocol_error');
      } else if (line !== null) {
        const inputs = this.#dialect.read(line);
        this.#held = inputs.length === 0 ? SILENCE : inputs;
        this.#unpaidBytes = line.length + 1;
        this.#host.tally.bytesReceived += line.length + 1;
      } else {
        // Behind the tick that brings back what the client has published last.
        if (this.#inputEnded && this.gate.unansweredCount === 0) setImmediate(() => this.#inputOver());
        break;
      }
    }
    this.#pumping = false;
  }

  /** The client has ended its side, and everything is answered: it may come back, and is not taken to have left. */
  #inputOver(): void {
    if (this.#state !== 'ended') this.#end('input_ended', false);
  }

  /** What keeps an input from being executed, if it is too much; else it is paid for. */
  #pay(input: Input): Shortage | null {
    const op = 'command' in input ? input.command.op : null;
    this.#limits ??= new SessionLimits(this.#host.rates);
    const shortage = this.#limits.take(op, this.#unpaidBytes, performance.now());
    if (shortage === null) this.#unpaidBytes = 0;
    return shortage;
  }

  #limited({ of, waitMs }: Shortage): CommandError {
    this.#host.tally.rateLimited[of] += 1;
    return new CommandError('rate_limited', `too many ${of}`, waitMs);
  }

  /** Whether the client has had as many refusals as it is given: then it is read again when it may have another. */
  #isFlooding(): boolean {
    const waitMs = this.#limits?.takeRefusal(performance.now()) ?? 0;
    if (waitMs === 0) return false;
    this.#endFlood();
    this.#flood = new Timeout(() => {
      this.#endFlood();
      this.goOn();
    });
    this.#host.wheel.set(this.#flood, waitMs);
    this.#host.tally.floodHeld += 1;
    return true;
  }

  #endFlood(): void {
    if (this.#flood === null) return;
    this.#host.wheel.clear(this.#flood);
    this.#host.tally.floodHeld -= 1;
    this.#flood = null;
  }

  /** Replies never overflow: a command waits while its reply might. */
  #mayExecute(input: Input): boolean {
    if (this.#outbox.bytes > BOUNDS.repliesBytesMax) return false;
    return this.gate.mayBegin('command' in input ? input.command : null);
  }

  #execute(input: Input, limited: CommandError | null): void {
    if ('words' in input) {
      // Who has said nothing is not answered, whatever else is wrong.
      if (input.words.length === 0) return;
      this.#unreadableInARow = 0;
      if (limited === null) this.#send(input.words);
      else this.#sendError(null, limited);
      return;
    }
    if ('refusal' in input) {
      const { id } = input.refusal;
      const error = limited ?? input.refusal.error;
      if (id === null || this.gate.isUnanswered(id)) this.#unreadable(error);
      else {
        this.#unreadableInARow = 0;
        this.fail(id, error);
      }
      return;
    }
    const { command } = input;
    if ('id' in command) {
      if (this.gate.isUnanswered(command.id)) {
        this.#unreadable(new CommandError('bad_request', `id: ${command.id} is still unanswered`));
        return;
      }
      this.gate.asked(command.id);
    }
    this.#unreadableInARow = 0;
    this.#host.dispatch(this, command, limited);
  }

  #unreadable(error: CommandError): void {
    this.fail(null, error);
    this.#unreadableInARow += 1;
    if (this.#unreadableInARow >= BOUNDS.unreadableLinesMax) this.disconnect('protocol_error');
  }

  #sendError(id: number | null, error: CommandError): void {
    this.#host.tally.errors[error.code] += 1;
    this.#send(this.#dialect.error(id, error));
  }

  #send(payloads: readonly Buffer[]): void {
    for (const payload of payloads) this.#outbox.addUnshared(this.framing.frame([payload]));
  }
}
