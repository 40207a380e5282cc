import { Redis } from 'ioredis';
import type { Status } from '../src/protocol/presence-state.ts';
import type { PresencePace } from './presence-plan.ts';
import type { SchemeReplica, SimulatedSession } from './presence-scheme.ts';

/** A heartbeat comes after this share of its interval less or more. */
const JITTER = 0.2;
/** Heartbeats that are due within it go out in one write, so that each costs as little as it can. */
const TICK_MS = 100;

interface SessionValue extends Pick<SimulatedSession, 'user' | 'device' | 'room'> {
  readonly status: Status;
  readonly atMs: number;
}

/**
 * Presence with a time to live for each session, the plain way: `SET p:s:<session> <json> EX` at each heartbeat, and a hash
 * of a room's sessions. Who is in a room are those of its sessions that still have a key; who reads it takes out the others.
 * Nobody is told of anything, a user can't be asked for, and a room that nobody reads keeps its dead.
 */
export class TtlReplica implements SchemeReplica {
  readonly #redis: Redis;
  readonly #pace: PresencePace;
  readonly #fail: (error: Error) => void;
  /** Sessions by the tick at which their next heartbeat is due, in turn. */
  readonly #ticks: SimulatedSession[][];
  #tick = 0;
  readonly #timer: NodeJS.Timeout;
  #isCrashed = false;

  private constructor(redis: Redis, pace: PresencePace, fail: (error: Error) => void) {
    this.#redis = redis;
    this.#pace = pace;
    this.#fail = fail;
    const longestMs = pace.heartbeatMs * (1 + JITTER);
    this.#ticks = Array.from({ length: Math.ceil(longestMs / TICK_MS) + 1 }, () => []);
    this.#timer = setInterval(() => this.#beat(), TICK_MS);
  }

  static async open(url: string, pace: PresencePace, fail: (error: Error) => void): Promise<TtlReplica> {
    const redis = new Redis(url, { lazyConnect: true });
    redis.on('error', fail);
    await redis.connect();
    return new TtlReplica(redis, pace, fail);
  }

  /** Their first heartbeats are spread as those of sessions that have been there for long. */
  async join(sessions: readonly SimulatedSession[]): Promise<void> {
    await this.#add(sessions, () => this.#pace.ttlMs);
    for (const session of sessions) this.#schedule(session, Math.random() * this.#pace.heartbeatMs);
  }

  /**
   * They have no heartbeats, and of their time to live is left what is when a replica crashes in the midst of them.
   * Returns when the last one's is over, by `performance.now()`.
   */
  async joinLast(sessions: readonly SimulatedSession[]): Promise<number> {
    let longestMs = 0;
    await this.#add(sessions, () => {
      const leftMs = this.#pace.ttlMs - Math.floor(Math.random() * this.#pace.heartbeatMs);
      longestMs = Math.max(longestMs, leftMs);
      return leftMs;
    });
    return performance.now() + longestMs;
  }

  async setStatus(session: SimulatedSession, status: Status): Promise<void> {
    await this.#redis.set(keyOf(session.session), jsonOf(session, status), 'PX', this.#pace.ttlMs);
  }

  async readRoom(room: string): Promise<readonly string[]> {
    const roomKey = roomKeyOf(room);
    const sessions = await this.#redis.hkeys(roomKey);
    if (sessions.length === 0) return [];
    const values = await this.#redis.mget(sessions.map(keyOf));
    const dead = sessions.filter((_, index) => values[index] === null);
    if (dead.length > 0) {
      await this.#redis.hdel(roomKey, ...dead);
    }
    const users = values.flatMap((value) => (value === null ? [] : [(JSON.parse(value) as SessionValue).user]));
    return [...new Set(users)].sort();
  }

  async watch(): Promise<void> {}

  crash(): void {
    this.#isCrashed = true;
    clearInterval(this.#timer);
    this.#redis.disconnect();
  }

  async #add(sessions: readonly SimulatedSession[], ttlMsOf: () => number): Promise<void> {
    const pipeline = this.#redis.pipeline();
    for (const session of sessions) {
      pipeline.set(keyOf(session.session), jsonOf(session, 'online'), 'PX', ttlMsOf());
      pipeline.hset(roomKeyOf(session.room), session.session, session.user);
    }
    await pipeline.exec();
  }

  #schedule(session: SimulatedSession, inMs: number): void {
    const ticks = Math.max(1, Math.round(inMs / TICK_MS));
    this.#ticks[(this.#tick + ticks) % this.#ticks.length]?.push(session);
  }

  #beat(): void {
    this.#tick = (this.#tick + 1) % this.#ticks.length;
    const due = this.#ticks[this.#tick] ?? [];
    if (due.length === 0) return;
    this.#ticks[this.#tick] = [];
    const pipeline = this.#redis.pipeline();
    for (const session of due) {
      pipeline.set(keyOf(session.session), jsonOf(session, 'online'), 'PX', this.#pace.ttlMs);
      this.#schedule(session, this.#pace.heartbeatMs * (1 - JITTER + 2 * JITTER * Math.random()));
    }
    pipeline.exec().catch((error: Error) => {
      if (!this.#isCrashed) this.#fail(error);
    });
  }
}

function keyOf(session: string): string {
  return `p:s:${session}`;
}

function roomKeyOf(room: string): string {
  return `p:r:${room}`;
}

function jsonOf({ user, device, room }: SimulatedSession, status: Status): string {
  return JSON.stringify({ user, device, room, status, atMs: Date.now() } satisfies SessionValue);
}
