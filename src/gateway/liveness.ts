import { Timed, type TimerWheel } from '../limits/timer-wheel.ts';
import type { DisconnectReason } from '../protocol/disconnects.ts';

export interface LivenessSettings {
  /** Milliseconds for a JSON client's `connect`. */
  readonly connectTimeoutMs: number;
  /** Milliseconds of silence, give or take a fifth, after which a client is asked for a sign of life. */
  readonly heartbeatMs: number;
  /** Milliseconds that it has to answer. */
  readonly heartbeatTimeoutMs: number;
}

const DAY_MS = 86_400_000;
/** Within the time for an answer a client that is stalled is looked at so often. */
const LOOKS = 10;

/**
 * - `reading`: whatever the client sends is read;
 * - `stalled`: it does not read its replies, so we don't read its commands: only what it takes shows that it lives;
 * - `withheld`: it is not read, and that is not its doing.
 */
export type Reading = 'reading' | 'stalled' | 'withheld';

/** The session that is watched over. */
export interface Living {
  readonly reading: Reading;
  /** Bytes that its kernel and ours have taken so far. */
  readonly takenBytes: number;
  askForSign(): void;
  disconnect(reason: DisconnectReason): void;
}

/**
 * Ends a session whose time is over: no `connect` came, its heartbeat is not answered, its token has expired. The
 * heartbeat's clock stands still while the server itself does not read, or is not running.
 */
export class Liveness extends Timed {
  readonly #living: Living;
  readonly #wheel: TimerWheel;
  readonly #settings: LivenessSettings;
  #isConnected = false;
  #isStopped = false;
  #hasHeartbeats = false;
  /** Milliseconds since 1970; null: never. */
  #expiresAtMs: number | null = null;
  /** By the wheel's time, rounded up. */
  #heardMs = 0;
  #askedMs = -1;
  /** What a stalled client had taken when it was looked at last; -1 while it is not stalled. */
  #takenBytes = -1;
  /** Until the client is asked, counted from when it was heard. */
  #silenceMs = 0;

  constructor(living: Living, wheel: TimerWheel, settings: LivenessSettings) {
    super();
    this.#living = living;
    this.#wheel = wheel;
    this.#settings = settings;
  }

  /** Gives the client its time to say `connect`. */
  awaitConnect(): void {
    this.#wheel.set(this, this.#settings.connectTimeoutMs);
  }

  connected(hasHeartbeats: boolean): void {
    this.#isConnected = true;
    this.#hasHeartbeats = hasHeartbeats;
    this.heard();
    this.#silenceMs = this.#randomSilenceMs();
    this.#setNext();
  }

  /** The session ends then, unless it is told otherwise. */
  expiresAt(ms: number): void {
    this.#expiresAtMs = ms;
    if (this.#isConnected) this.#setNext();
  }

  /** A byte came. */
  heard(): void {
    // Whole numbers, which V8 keeps in the object; others are an object each.
    this.#heardMs = Math.ceil(this.#wheel.nowMs);
    if (this.#askedMs < 0) return;
    this.#askedMs = -1;
    this.#silenceMs = this.#randomSilenceMs();
    this.#setNext();
  }

  /** The session is `stalled` now. Nobody tells when its client takes a little, so that is looked at again and again. */
  stalled(): void {
    if (!this.#hasHeartbeats || this.#takenBytes >= 0) return;
    this.#takenBytes = this.#living.takenBytes;
    this.#setNext();
  }

  stop(): void {
    this.#isStopped = true;
    this.#wheel.clear(this);
  }

  onDue(): void {
    if (this.#expiresAtMs !== null && Date.now() >= this.#expiresAtMs) {
      this.#living.disconnect('token_expired');
    } else if (this.#isConnected && (!this.#hasHeartbeats || this.#isAlive())) {
      this.#setNext();
    } else {
      // What came while the process was busy or stopped is read first: it may be the sign that was waited for.
      setImmediate(() => this.#end());
    }
  }

  #end(): void {
    if (this.#isStopped || this.#wheel.has(this)) return;
    this.#living.disconnect(this.#isConnected ? 'heartbeat_timeout' : 'connect_timeout');
  }

  #isAlive(): boolean {
    const nowMs = this.#wheel.nowMs;
    const { reading, takenBytes } = this.#living;
    const hasTaken = this.#takenBytes >= 0 && takenBytes > this.#takenBytes;
    if (reading === 'withheld' || (reading === 'stalled' && hasTaken)) this.heard();
    this.#takenBytes = reading === 'stalled' ? takenBytes : -1;
    if (this.#askedMs >= 0) return nowMs - this.#askedMs < this.#settings.heartbeatTimeoutMs;
    if (nowMs - this.#heardMs >= this.#silenceMs) {
      this.#askedMs = nowMs;
      this.#living.askForSign();
    }
    return true;
  }

  #setNext(): void {
    // Asking for a sign may itself have ended a session that doesn't read.
    if (this.#isStopped) return;
    const nowMs = this.#wheel.nowMs;
    let dueMs = this.#expiresAtMs === null ? Number.POSITIVE_INFINITY : this.#expiresAtMs - Date.now();
    if (this.#hasHeartbeats) {
      const { heartbeatTimeoutMs } = this.#settings;
      const heartbeatMs =
        this.#askedMs >= 0 ? this.#askedMs + heartbeatTimeoutMs - nowMs : this.#heardMs + this.#silenceMs - nowMs;
      dueMs = Math.min(dueMs, heartbeatMs);
      if (this.#takenBytes >= 0) dueMs = Math.min(dueMs, heartbeatTimeoutMs / LOOKS);
    }
    // A token may be good for years, and a wheel's delay is a small number: it is looked at again each day.
    if (dueMs < Number.POSITIVE_INFINITY) this.#wheel.set(this, Math.min(Math.max(dueMs, 0), DAY_MS));
    else this.#wheel.clear(this);
  }

  #randomSilenceMs(): number {
    return Math.round(this.#settings.heartbeatMs * (0.8 + 0.4 * Math.random()));
  }
}
