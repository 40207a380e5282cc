import type { Framing } from '../protocol/dialect.ts';
import type { Gap, Position } from '../protocol/position.ts';
import type { Publication } from '../protocol/publication.ts';
import type { RecentPublications } from './recent-publications.ts';

/** Who hears a room: a session. */
export interface Subscriber {
  readonly framing: Framing;
  /** Bytes that its client has not taken yet. */
  readonly waitingBytes: number;
  /** Queues framed bytes that other subscribers share. Must not throw. */
  push(chunk: Buffer): void;
  /** Tells that the room could not be kept gapless and is suspended. */
  resync(room: string, position: Position, gap: Gap | undefined): void;
}

/**
 * - `joining`: the join's reply is not out yet;
 * - `live`: publications are pushed;
 * - `catching-up`: the client asks for pages, nothing is pushed;
 * - `suspended`: after a `resync`, until the client joins again.
 */
export type SubscriptionState = 'joining' | 'live' | 'catching-up' | 'suspended';

/** One subscriber in one room. */
export class Subscription {
  readonly subscriber: Subscriber;
  readonly room: Room;
  #state: SubscriptionState = 'joining';
  /** The offset up to which the subscriber has been given the room; not moved by pushes. */
  #offset = -1;

  constructor(subscriber: Subscriber, room: Room) {
    this.subscriber = subscriber;
    this.room = room;
  }

  get state(): SubscriptionState {
    return this.#state;
  }

  get offset(): number {
    return this.#offset;
  }

  /** From now on every publication above `offset` is pushed, beginning with the tick under way. */
  goLive(offset: number): void {
    this.#set('live', offset);
  }

  catchUp(offset: number): void {
    this.#set('catching-up', offset);
  }

  suspend(): void {
    this.#set('suspended', this.#offset);
  }

  #set(state: SubscriptionState, offset: number): void {
    this.#state = state;
    this.#offset = offset;
    if (state === 'live') this.room.live.add(this);
    else this.room.live.delete(this);
  }
}

/** A room with at least one local subscription or reading. */
export class Room {
  readonly name: string;
  readonly partition: number;
  readonly live = new Set<Subscription>();
  /** Subscriptions in whatever state, and readings: while there are any, the hub keeps the room. */
  references = 0;
  /** Subscriptions in whatever state. */
  subscriptions = 0;
  /** Publications of the tick under way, in offset order. */
  pending: Publication[] = [];
  pendingBytes = 0;
  /** When the first of them came, by the monotonic clock. */
  pendingSinceMs = 0;
  /** Recent publications, kept only while somebody reads the room's past. */
  recent: RecentPublications | null = null;
  /** How often the log's tail has broken here. */
  breaks = 0;

  constructor(name: string, partition: number) {
    this.name = name;
    this.partition = partition;
  }
}
