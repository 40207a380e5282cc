import type { Position } from '../../../src/client/client.ts';
import { elapsedMs, type Moment, momentOf } from '../../../src/client/environment.ts';
import type { TestEnvironment, Wire } from './test-environment.ts';

/** How much later than it was decided something may be seen to go out, in a slow process; ms of the client's. */
const SLACK_MS = 50_000;

interface Owner {
  /** Rooms that the client is to be in. */
  wanted(): readonly string[];
  onJoin(room: string, since: Position | undefined): void;
}

interface Said {
  readonly id?: number;
  readonly ok?: { readonly session?: string };
  readonly error?: { readonly retryAfterMs?: number };
  readonly push?: string;
  readonly reconnect?: { readonly afterMs?: number } | null;
}

/** Looks at all that a client says and hears, for what it must not do. */
export class WireWatch implements Wire {
  /** What it did nevertheless. */
  readonly breaches: string[] = [];
  /** All that was said, in order. */
  readonly transcript: string[] = [];
  /** How many joins went out in each frame that had any. */
  readonly joinsByFrame: number[] = [];
  /** How often each message was sent. */
  readonly publishSends = new Map<string, number>();
  readonly #environment: TestEnvironment;
  readonly #retryForMs: number;
  readonly #owner: Owner;
  readonly #calls = new Map<string, Moment>();
  /** By socket, the id of its `connect`. */
  readonly #connects = new Map<number, number>();
  /** Sockets whose `connect` was answered. */
  readonly #welcome = new Set<number>();
  /** Rooms to be joined in the next frame. */
  #joinsDue: readonly string[] = [];
  /** By the id of a publish of the newest socket, its message. */
  readonly #publishes = new Map<number, string>();
  /** By message, when the server wants it again, by its monotonic clock. */
  readonly #againAtMs = new Map<string, number>();
  /** The server wants the client back not before this, by its monotonic clock. */
  #backAtMs = 0;
  /** The sockets that were opened. */
  socketCount = 0;

  constructor(environment: TestEnvironment, retryForMs: number, owner: Owner) {
    this.#environment = environment;
    this.#retryForMs = retryForMs;
    this.#owner = owner;
  }

  /** A message is being published. */
  called(mid: string): void {
    this.#calls.set(mid, momentOf(this.#environment));
  }

  onOpening(socket: number): void {
    this.socketCount = socket + 1;
    this.transcript.push(`${socket} opens`);
    const earlyMs = this.#backAtMs - this.#environment.monotonicMs();
    if (earlyMs > 0) this.breaches.push(`socket ${socket}: ${earlyMs} ms before the server wants it back`);
    this.#joinsDue = [];
    this.#backAtMs = 0;
    this.#publishes.clear();
    // Another session does not know how busy this one was.
    this.#againAtMs.clear();
  }

  onHeard(socket: number, data: unknown, isLeft: boolean): void {
    this.transcript.push(`${socket} ${isLeft ? 'is left and ' : ''}hears ${data}`);
    // Of several lines in a frame, an earlier one may end it.
    if (isLeft || typeof data !== 'string' || data.includes('\n')) return;
    const said = parsed(data);
    if (said === null) return;
    if (said.push === 'disconnect') this.#comeBack(said.reconnect?.afterMs);
    const mid = this.#publishes.get(said.id ?? -1);
    const retryAfterMs = said.error?.retryAfterMs;
    if (mid !== undefined && retryAfterMs !== undefined) {
      this.#againAtMs.set(mid, this.#environment.monotonicMs() + retryAfterMs);
    }
    if (this.#welcome.has(socket) || said.id === undefined || said.id !== this.#connects.get(socket)) return;
    if (said.ok === undefined) {
      this.#comeBack(retryAfterMs);
    } else {
      this.#welcome.add(socket);
      this.#joinsDue = this.#owner.wanted();
    }
  }

  onSent(socket: number, text: string): void {
    this.transcript.push(`${socket} says ${text}`);
    const commands = text.split('\n').map((line) => JSON.parse(line) as Readonly<Record<string, unknown>>);
    const joins = commands.filter(({ op }) => op === 'join');
    if (joins.length > 0) this.joinsByFrame.push(joins.length);
    const missing = this.#joinsDue.filter((room) => !joins.some((join) => join.room === room));
    if (missing.length > 0) this.breaches.push(`socket ${socket}: the first frame does not join ${missing}: ${text}`);
    this.#joinsDue = [];
    for (const { op, id, room, since, mid } of commands) {
      if (op === 'connect') this.#connects.set(socket, id as number);
      if (!this.#welcome.has(socket) && op !== 'connect') this.breaches.push(`socket ${socket}: too early: ${text}`);
      if (op === 'join') this.#owner.onJoin(room as string, since as Position | undefined);
      if (op === 'publish') this.#published(id as number, mid as string);
    }
  }

  #comeBack(afterMs: number | undefined): void {
    if (afterMs !== undefined) this.#backAtMs = this.#environment.monotonicMs() + afterMs;
  }

  #published(id: number, mid: string): void {
    this.#publishes.set(id, mid);
    const earlyMs = (this.#againAtMs.get(mid) ?? 0) - this.#environment.monotonicMs();
    if (earlyMs > 0) this.breaches.push(`${mid} was sent ${earlyMs} ms before the server wants it again`);
    this.publishSends.set(mid, (this.publishSends.get(mid) ?? 0) + 1);
    // One that goes out within the call was not noted yet.
    const called = this.#calls.get(mid);
    if (called === undefined) return;
    const ageMs = elapsedMs(this.#environment, called);
    if (ageMs > this.#retryForMs + SLACK_MS) this.breaches.push(`${mid} was sent ${ageMs} ms after the call`);
  }
}

function parsed(text: string): Said | null {
  try {
    return JSON.parse(text) as Said | null;
  } catch {
    return null;
  }
}
