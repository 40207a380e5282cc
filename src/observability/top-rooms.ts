import type { Hub, RoomCounts } from '../fanout/hub.ts';
import { PROBE_ROOMS } from './delivery-probe.ts';
import type { TopRoom } from './figures.ts';

/** Rooms of each kind in a reading: those with the most members, and those with the most publications. */
const TOP = 12;
/** Rooms that a reading looks at; where there are more, several readings make one pass over them. */
const LOOKED_AT_MAX = 20_000;
/** Rooms counted between two readings; one that is first heard of beyond is not counted until the next. */
const COUNTED_MAX = 10_000;

/** The most of many by a number, in bounded space. */
class Ranking {
  readonly #ranked: { readonly room: string; readonly value: number }[] = [];

  offer(room: string, value: number): void {
    const ranked = this.#ranked;
    const least = ranked.length < TOP ? 0 : (ranked[TOP - 1]?.value ?? 0);
    // What we have rooms for ourselves is nobody's.
    if (value <= least || room.startsWith(PROBE_ROOMS)) return;
    const at = ranked.findIndex((each) => each.value < value);
    ranked.splice(at === -1 ? ranked.length : at, 0, { room, value });
    if (ranked.length > TOP) ranked.pop();
  }

  get rooms(): readonly string[] {
    return this.#ranked.map(({ room }) => room);
  }
}

/**
 * The busiest rooms here. Nothing is counted before the first reading and after `stop`; between readings a room's tick costs
 * an addition.
 */
export class TopRooms implements RoomCounts {
  readonly #hub: Pick<Hub, 'rooms' | 'subscriptionCount' | 'roomCounts'>;
  readonly #counts = new Map<string, number>();
  #countedSinceMs = 0;
  /** The pass under way, and what the last whole one has found. */
  #pass: ReturnType<Hub['rooms']> | null = null;
  #found = new Ranking();
  #largest: readonly string[] = [];

  constructor(hub: Pick<Hub, 'rooms' | 'subscriptionCount' | 'roomCounts'>) {
    this.#hub = hub;
  }

  count(room: string, publications: number): void {
    const before = this.#counts.get(room);
    if (before === undefined && this.#counts.size >= COUNTED_MAX) return;
    this.#counts.set(room, (before ?? 0) + publications);
  }

  /** At most 24 rooms, in no order. */
  read(nowMs = performance.now()): readonly TopRoom[] {
    const isFirst = this.#hub.roomCounts !== this;
    this.#hub.roomCounts = this;
    const busiest = new Ranking();
    for (const [room, publications] of this.#counts) busiest.offer(room, publications);
    this.#lookAtSome();
    const seconds = (nowMs - this.#countedSinceMs) / 1_000;
    const read = [...new Set([...this.#largest, ...busiest.rooms])].map((room) => ({
      room,
      members: this.#hub.subscriptionCount(room),
      perSecond: isFirst || seconds <= 0 ? 0 : Math.round((10 * (this.#counts.get(room) ?? 0)) / seconds) / 10,
    }));
    this.#counts.clear();
    this.#countedSinceMs = nowMs;
    return read.filter(({ members, perSecond }) => members > 0 || perSecond > 0);
  }

  /** Counts no more, until the next reading. */
  stop(): void {
    if (this.#hub.roomCounts === this) this.#hub.roomCounts = null;
    this.#counts.clear();
    this.#pass = null;
    this.#found = new Ranking();
    this.#largest = [];
  }

  #lookAtSome(): void {
    const pass = this.#pass ?? this.#hub.rooms();
    this.#pass = pass;
    for (let i = 0; i < LOOKED_AT_MAX; i += 1) {
      const next = pass.next();
      if (next.done === true) {
        this.#largest = this.#found.rooms;
        this.#found = new Ranking();
        this.#pass = null;
        return;
      }
      this.#found.offer(next.value.name, next.value.subscriptions);
    }
    // Until the first pass is over, what it has found so far.
    if (this.#largest.length === 0) this.#largest = this.#found.rooms;
  }
}
