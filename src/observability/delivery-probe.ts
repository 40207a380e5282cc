import { randomBytes } from 'node:crypto';
import type { Hub } from '../fanout/hub.ts';
import { partitionOf } from '../fanout/partition.ts';
import type { RoomLog } from '../fanout/room-log.ts';
import type { Subscriber, Subscription } from '../fanout/subscription.ts';
import type { Delivery } from '../gateway/internal-server.ts';
import { Timeout, type TimerWheel } from '../limits/timer-wheel.ts';
import { CommandError } from '../protocol/errors.ts';
import { ndjsonDialect } from '../protocol/json-dialect.ts';
import type { Tally } from './tally.ts';

/** Who the probe records are from. */
export const PROBE_USER = '@probe';
/** What the names of its rooms begin with. */
export const PROBE_ROOMS = '@probe/';

export interface ProbeSettings {
  /** Milliseconds between two turns. */
  readonly intervalMs: number;
  /** Milliseconds after which a record that was not delivered counts as lost. */
  readonly timeoutMs: number;
}

export interface ProbeReport {
  /** false while the last probe of any partition has failed. */
  readonly delivering: boolean;
  readonly partitions: number;
  /** Milliseconds since the last record came through; null: none has yet. */
  readonly lastDeliveredMs: number | null;
  /** Milliseconds since the last proof of the partition that has waited longest for its next; null: none has any. */
  readonly oldestProofMs: number | null;
  readonly failing: readonly { readonly partition: number; readonly reason: string; readonly sinceMs: number }[];
  /** Milliseconds that the last record took that came through. */
  readonly lastLatencyMs: number | null;
}

interface Failure {
  readonly reason: string;
  readonly firstMs: number;
  readonly latestMs: number;
}

/**
 * Proves that messages get through, on the way that they all go: a record is appended to a room of its own, and must
 * come out of the log's tail, through the hub's tick, to a subscription. At each turn one partition is probed, and
 * again every one that failed. One probe runs at a time.
 */
export class DeliveryProbe implements Delivery {
  readonly #log: RoomLog;
  readonly #hub: Hub;
  readonly #wheel: TimerWheel;
  readonly #tally: Tally;
  readonly #settings: ProbeSettings;
  /** A room in each partition. */
  readonly #rooms: readonly string[];
  /** By partition: when it was proved last, by the monotonic clock. */
  readonly #provedMs = new Map<number, number>();
  readonly #failures = new Map<number, Failure>();
  #next = 0;
  #timer: NodeJS.Timeout | null = null;
  #isProbing = false;
  #lastLatencyMs: number | null = null;

  constructor(log: RoomLog, hub: Hub, wheel: TimerWheel, tally: Tally, settings: ProbeSettings) {
    this.#log = log;
    this.#hub = hub;
    this.#wheel = wheel;
    this.#tally = tally;
    this.#settings = settings;
    this.#rooms = probeRooms(log.partitions);
  }

  /** The first turn comes an interval later. */
  start(): void {
    this.#timer ??= setInterval(() => void this.#turn(), this.#settings.intervalMs).unref();
  }

  /** What is under way has no consequences any more. Idempotent. */
  stop(): void {
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#timer = null;
  }

  report(): ProbeReport {
    const nowMs = performance.now();
    const age = (thenMs: number) => Math.round(nowMs - thenMs);
    const proofs = [...this.#provedMs.values()];
    return {
      delivering: this.#failures.size === 0,
      partitions: this.#rooms.length,
      lastDeliveredMs: proofs.length === 0 ? null : age(Math.max(...proofs)),
      oldestProofMs: proofs.length === 0 ? null : age(Math.min(...proofs)),
      failing: [...this.#failures]
        .map(([partition, { reason, firstMs }]) => ({ partition, reason, sinceMs: age(firstMs) }))
        .sort((a, b) => a.partition - b.partition),
      lastLatencyMs: this.#lastLatencyMs === null ? null : Math.round(this.#lastLatencyMs * 1_000) / 1_000,
    };
  }

  async #turn(): Promise<void> {
    if (this.#isProbing) return;
    this.#isProbing = true;
    const next = this.#next;
    this.#next = (next + 1) % this.#rooms.length;
    await this.#probe(next);
    // Those that failed longest ago first: where they time out, a turn's time is up before all were tried again.
    const again = [...this.#failures].sort(([, a], [, b]) => a.latestMs - b.latestMs).map(([partition]) => partition);
    const endMs = performance.now() + this.#settings.intervalMs;
    for (const partition of again) {
      if (partition === next) continue;
      if (this.#timer === null || performance.now() > endMs) break;
      await this.#probe(partition);
    }
    this.#isProbing = false;
  }

  async #probe(partition: number): Promise<void> {
    const room = this.#rooms[partition] as string;
    const startedMs = performance.now();
    const attempt = new Attempt(this.#hub, room);
    const timeout = new Timeout(() => attempt.fail(`not delivered within ${this.#settings.timeoutMs} ms`));
    // The wheel's time stands still while the process does, so that a suspended one has not failed when it wakes.
    this.#wheel.set(timeout, this.#settings.timeoutMs);
    attempt.append(this.#log);
    const reason = await attempt.outcome;
    this.#wheel.clear(timeout);
    if (this.#timer === null) return;
    const nowMs = performance.now();
    if (reason === null) {
      this.#failures.delete(partition);
      this.#provedMs.set(partition, nowMs);
      this.#lastLatencyMs = nowMs - startedMs;
      this.#tally.probe.observeMs(nowMs - startedMs);
    } else {
      this.#tally.probeFailures += 1;
      const firstMs = this.#failures.get(partition)?.firstMs ?? nowMs;
      this.#failures.set(partition, { reason, firstMs, latestMs: nowMs });
    }
  }
}

/** One record on its way, as a member of its room. */
class Attempt implements Subscriber {
  readonly framing = ndjsonDialect.framing;
  readonly waitingBytes = 0;
  /** null: it was delivered; else what went wrong. */
  readonly outcome: Promise<string | null>;
  readonly #hub: Hub;
  readonly #room: string;
  readonly #mid = randomBytes(12).toString('base64url');
  readonly #subscription: Subscription;
  readonly #settle: (reason: string | null) => void;
  #isOver = false;

  constructor(hub: Hub, room: string) {
    const { promise, resolve } = Promise.withResolvers<string | null>();
    this.outcome = promise;
    this.#settle = resolve;
    this.#hub = hub;
    this.#room = room;
    this.#subscription = hub.subscribe(this, room);
    this.#subscription.goLive(hub.end(room));
  }

  append(log: RoomLog): void {
    log.append({ room: this.#room, from: PROBE_USER, mid: this.#mid, data: 'null' }).catch((error: unknown) => {
      this.fail(error instanceof CommandError ? `${error.code}: ${error.message}` : 'the append failed by our fault');
    });
  }

  push(chunk: Buffer): void {
    // Others may publish to the room too; nobody else knows the mid.
    for (const line of chunk.toString().split('\n')) {
      if (line !== '' && (JSON.parse(line) as { mid?: unknown }).mid === this.#mid) this.#end(null);
    }
  }

  resync(): void {}

  fail(reason: string): void {
    this.#end(reason);
  }

  #end(reason: string | null): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#hub.unsubscribe(this.#subscription);
    this.#settle(reason);
  }
}

/** For each partition the first of `@probe/0`, `@probe/1` … that lies in it. */
export function probeRooms(partitions: number): readonly string[] {
  const rooms = new Array<string>(partitions);
  let missing = partitions;
  for (let n = 0; missing > 0; n += 1) {
    const room = `${PROBE_ROOMS}${n}`;
    const partition = partitionOf(room, partitions);
    if (rooms[partition] !== undefined) continue;
    rooms[partition] = room;
    missing -= 1;
  }
  return rooms;
}
