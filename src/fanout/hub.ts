import { Tally } from '../observability/tally.ts';
import type { TraceIds, Tracing } from '../observability/tracing.ts';
import { BOUNDS } from '../protocol/bounds.ts';
import type { Framing } from '../protocol/dialect.ts';
import type { Publication } from '../protocol/publication.ts';
import { partitionOf } from './partition.ts';
import type { Signal } from './peers.ts';
import { RecentPublications } from './recent-publications.ts';
import type { RoomLog } from './room-log.ts';
import { Room, type Subscriber, Subscription } from './subscription.ts';

/** A reading of a room's past under way. Between `end` and `close`, nothing that arrives is forgotten silently. */
export interface Reading {
  /** The room's end when the reading began: read the log up to here. */
  readonly through: number;
  /** The room's end now. */
  readonly end: number;
  /** The log's tail has broken since: what was read, and what arrived, is not to be told. */
  readonly isBroken: boolean;
  /** What arrived behind `through`, oldest first; not `complete` if it was more than is kept: the newest are. */
  arrived(): { readonly publications: readonly Publication[]; readonly complete: boolean };
  /** Idempotent. */
  close(): void;
}

export interface HubSettings {
  /** Milliseconds that a tick may last when the node is busy; when it is idle a tick lasts none. 0–1000. */
  readonly tickMaxMs: number;
  /** Bytes of publications of one room that end its tick at once; must be below the outbox's bound. */
  readonly tickBytesMax: number;
  /** Bytes of recent publications kept for a room while its past is read. */
  readonly recentBytesMax: number;
}

/** What a hub counts: an addition or an observation for a room's tick or a publication, never for a delivery. */
export interface HubCounts {
  publications: number;
  deliveries: number;
  signalPushes: number;
  signalsShed: number;
  readonly appendDeliver: { observeMs(ms: number, exemplar?: TraceIds): void };
  readonly tailDeliver: { observeMs(ms: number): void };
}

/**
 * Hands publications from the log's tail to the local subscribers. A publication is encoded once for each kind
 * of message, a room's tick is framed once for each framing, and every session gets references to those bytes.
 */
export class Hub {
  readonly #rooms = new Map<string, Room>();
  readonly #log: Pick<RoomLog, 'ends' | 'epoch' | 'partitions'>;
  readonly #settings: HubSettings;
  /** Called at the end of a tick, when every push of it is queued. */
  readonly #onTick: () => void;
  readonly #counts: HubCounts;
  /** Called when a room gets its first subscription, and when it has lost its last one. */
  readonly #onAudience: (room: string, isThere: boolean) => void;
  /** undefined: nothing is traced. */
  readonly #tracing: Pick<Tracing, 'delivered'> | undefined;
  #dirty: Room[] = [];
  #timer: NodeJS.Timeout | NodeJS.Immediate | null = null;
  #lastTickEndedMs = 0;
  #lastTickTookMs = 0;

  constructor(
    log: Pick<RoomLog, 'ends' | 'epoch' | 'partitions'>,
    settings: HubSettings,
    onTick: () => void,
    counts: HubCounts = new Tally(),
    onAudience: (room: string, isThere: boolean) => void = () => {},
    tracing?: Pick<Tracing, 'delivered'>,
  ) {
    this.#log = log;
    this.#settings = settings;
    this.#onTick = onTick;
    this.#counts = counts;
    this.#onAudience = onAudience;
    this.#tracing = tracing;
  }

  get roomCount(): number {
    return this.#rooms.size;
  }

  /** Whether a tick is to end within `tickMaxMs`. */
  get isTickDue(): boolean {
    return this.#timer !== null;
  }

  /** The offset of the newest publication that any room of this room's partition has seen. */
  end(room: string): number {
    return this.#endOf(partitionOf(room, this.#log.partitions));
  }

  /** Local subscriptions of a room. */
  subscriptionCount(room: string): number {
    return this.#rooms.get(room)?.subscriptions ?? 0;
  }

  subscribe(subscriber: Subscriber, roomName: string): Subscription {
    const room = this.#reference(roomName);
    room.subscriptions += 1;
    if (room.subscriptions === 1) this.#onAudience(roomName, true);
    return new Subscription(subscriber, room);
  }

  unsubscribe(subscription: Subscription): void {
    const { room } = subscription;
    room.live.delete(subscription);
    room.subscriptions -= 1;
    if (room.subscriptions === 0) this.#onAudience(room.name, false);
    this.#release(room);
  }

  /** Begins a reading of a room's past, which must be closed. */
  read(roomName: string): Reading {
    const room = this.#reference(roomName);
    const through = this.#endOf(room.partition);
    room.recent ??= new RecentPublications(through, this.#settings.recentBytesMax);
    const recent = room.recent;
    const { breaks } = room;
    recent.readers += 1;
    let closed = false;
    const endOf = () => this.#endOf(room.partition);
    const release = () => this.#release(room);
    return {
      through,
      get end() {
        return endOf();
      },
      get isBroken() {
        return room.breaks > breaks;
      },
      arrived: () => ({
        publications: recent.publications.filter(({ offset }) => offset > through),
        complete: recent.lostThrough <= through,
      }),
      close() {
        if (closed) return;
        closed = true;
        recent.readers -= 1;
        if (recent.readers === 0) room.recent = null;
        release();
      },
    };
  }

  /** The log's tail: publications in offset order within a partition. */
  receive(publications: readonly Publication[]): void {
    const nowMs = performance.now();
    for (const publication of publications) {
      const room = this.#rooms.get(publication.room);
      if (room === undefined) continue;
      room.recent?.add(publication);
      if (room.live.size === 0) continue;
      if (room.pending.length === 0) {
        this.#dirty.push(room);
        room.pendingSinceMs = nowMs;
      }
      room.pending.push(publication);
      room.pendingBytes += publication.value.length;
      if (room.pendingBytes >= this.#settings.tickBytesMax) this.#tick();
    }
    if (this.#dirty.length > 0) this.#schedule();
  }

  /**
   * The log's tail has broken in a partition: whoever is live there is told to find its place anew, which tells it what
   * it has missed.
   */
  break(partition: number): void {
    this.flush();
    const position = { epoch: this.#log.epoch, offset: this.#endOf(partition) };
    for (const room of this.#rooms.values()) {
      if (room.partition !== partition) continue;
      room.breaks += 1;
      for (const subscription of [...room.live]) {
        subscription.suspend();
        subscription.subscriber.resync(room.name, position, undefined);
      }
    }
  }

  /**
   * Gives a signal to a room's live subscribers, now or never: it has no place in the log. Who lags behind goes
   * without, so that signals never cost anybody a message or the session.
   */
  signal({ room, from, data }: Signal): void {
    const chunks = new Map<Framing, Buffer | null>();
    for (const { subscriber } of this.#rooms.get(room)?.live ?? []) {
      const { framing } = subscriber;
      let chunk = chunks.get(framing);
      if (chunk === undefined) {
        const payload = framing.signal(room, from, data);
        chunk = payload === null ? null : framing.frame([payload]);
        chunks.set(framing, chunk);
      }
      if (chunk === null) continue;
      if (subscriber.waitingBytes > BOUNDS.signalWaitingBytesMax) {
        this.#counts.signalsShed += 1;
        continue;
      }
      subscriber.push(chunk);
      this.#counts.signalPushes += 1;
    }
  }

  /** Ends the tick under way now. */
  flush(): void {
    if (this.#dirty.length > 0) this.#tick();
  }

  /**
   * The next tick ends as long after the last one as that one took, but `tickMaxMs` at most: an idle node adds
   * no latency, and a busy one spends at least half of its time on something else than delivering.
   */
  #schedule(): void {
    if (this.#timer !== null) return;
    const restMs = Math.min(this.#settings.tickMaxMs, this.#lastTickTookMs);
    const waitMs = this.#lastTickEndedMs + restMs - performance.now();
    // At the earliest when this turn of the loop has ended, so that the acks of the same batch leave with it.
    if (waitMs < 1) this.#timer = setImmediate(() => this.#tick());
    else this.#timer = setTimeout(() => this.#tick(), waitMs);
  }

  #tick(): void {
    if (this.#timer !== null) {
      // One of the two is the wrong kind, and ignored.
      clearTimeout(this.#timer as NodeJS.Timeout);
      clearImmediate(this.#timer as NodeJS.Immediate);
      this.#timer = null;
    }
    const startedMs = performance.now();
    const rooms = this.#dirty;
    this.#dirty = [];
    const delivered = rooms.map(deliver);
    this.#onTick();
    this.#lastTickEndedMs = performance.now();
    this.#lastTickTookMs = this.#lastTickEndedMs - startedMs;
    this.#count(delivered);
  }

  #count(delivered: readonly Delivered[]): void {
    const { appendDeliver, tailDeliver } = this.#counts;
    const nowMs = Date.now();
    for (const { publications, deliveries, sinceMs, sessions } of delivered) {
      this.#counts.publications += publications.length;
      this.#counts.deliveries += deliveries;
      tailDeliver.observeMs(this.#lastTickEndedMs - sinceMs);
      for (const publication of publications) {
        const { trace } = publication;
        const traced = trace === undefined ? undefined : this.#tracing?.delivered(publication, trace, sessions);
        appendDeliver.observeMs(nowMs - publication.ts, traced);
      }
    }
  }

  #endOf(partition: number): number {
    return this.#log.ends()[partition] ?? -1;
  }

  #reference(name: string): Room {
    let room = this.#rooms.get(name);
    if (room === undefined) {
      room = new Room(name, partitionOf(name, this.#log.partitions));
      this.#rooms.set(name, room);
    }
    room.references += 1;
    return room;
  }

  #release(room: Room): void {
    room.references -= 1;
    if (room.references === 0) this.#rooms.delete(room.name);
  }
}

/** A room's tick that its live subscribers have been given. */
interface Delivered {
  readonly publications: readonly Publication[];
  readonly deliveries: number;
  /** Live subscribers. */
  readonly sessions: number;
  /** When the first of the publications came, by the monotonic clock. */
  readonly sinceMs: number;
}

/** Gives a room's tick to its live subscribers. */
function deliver(room: Room): Delivered {
  const publications = room.pending;
  const sinceMs = room.pendingSinceMs;
  room.pending = [];
  room.pendingBytes = 0;
  const first = publications[0];
  const sessions = room.live.size;
  if (first === undefined) return { publications, deliveries: 0, sessions, sinceMs };
  let deliveries = sessions * publications.length;
  const batches: Batch[] = [];
  let batch: Batch | undefined;
  for (const subscription of room.live) {
    const { framing } = subscription.subscriber;
    // Neighbours mostly speak alike.
    if (batch?.framing !== framing) batch = batches.find((known) => known.framing === framing);
    if (batch === undefined) {
      // Framings that say a message alike share its bytes.
      const alike = batches.find((known) => known.framing.message === framing.message);
      batch = new Batch(framing, alike?.payloads ?? publications.map(framing.message));
      batches.push(batch);
    }
    if (subscription.offset < first.offset) {
      subscription.subscriber.push(batch.framed);
    } else {
      // It went live within this tick: what it was given already must not come again.
      const rest = batch.payloads.filter((_, i) => (publications[i]?.offset ?? -1) > subscription.offset);
      if (rest.length > 0) subscription.subscriber.push(framing.frame(rest));
      deliveries -= publications.length - rest.length;
    }
  }
  return { publications, deliveries, sessions, sinceMs };
}

/** One room's tick in one framing; framed when the first subscriber wants it. */
class Batch {
  readonly framing: Framing;
  readonly payloads: readonly Buffer[];
  #framed: Buffer | null = null;

  constructor(framing: Framing, payloads: readonly Buffer[]) {
    this.framing = framing;
    this.payloads = payloads;
  }

  get framed(): Buffer {
    this.#framed ??= this.framing.frame(this.payloads);
    return this.#framed;
  }
}
