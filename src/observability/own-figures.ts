import { type EventLoopUtilization, type IntervalHistogram, monitorEventLoopDelay, performance } from 'node:perf_hooks';
import { VERSION } from '../version.ts';
import { BUCKETS, type Figures, LABELLED, NUMBERS } from './figures.ts';
import { lagging, NAME_CHARACTERS_MAX } from './figures-text.ts';
import type { Labelled, Metrics } from './metrics.ts';
import type { TopRooms } from './top-rooms.ts';

/** How often the loop's lateness is sampled while figures are taken. */
const LAG_RESOLUTION_MS = 10;

export type Identity = Pick<Figures, 'id' | 'node' | 'hasRedis' | 'hasKafka' | 'partitions'>;

/** Takes this replica's figures. What has to be measured for them alone is, from the first taking until `stop`. */
export class OwnFigures {
  readonly #identity: Identity;
  readonly #metrics: Pick<Metrics, 'read' | 'counts'>;
  readonly #rooms: TopRooms;
  #lag: IntervalHistogram | null = null;
  #loop: EventLoopUtilization | null = null;

  constructor(identity: Identity, metrics: Pick<Metrics, 'read' | 'counts'>, rooms: TopRooms) {
    this.#identity = { ...identity, node: identity.node.slice(0, NAME_CHARACTERS_MAX) };
    this.#metrics = metrics;
    this.#rooms = rooms;
  }

  /** All of one moment. */
  take(): Figures {
    const upMs = performance.now();
    const { user, system } = process.cpuUsage();
    return {
      ...this.#identity,
      version: VERSION,
      upMs: Math.round(upMs),
      numbers: byKey(NUMBERS, (key) => this.#metrics.read(key)[0]?.value ?? 0),
      labelled: byKey(LABELLED, (key) => byLabel(this.#metrics.read(key))),
      buckets: byKey(BUCKETS, (key) => [...this.#metrics.counts(key)]),
      lag: lagging(
        this.#metrics
          .read('logLag')
          .map(({ labels, value }) => ({ partition: labels.partition ?? '', records: value })),
      ),
      process: {
        cpuSeconds: (user + system) / 1e6,
        residentBytes: process.memoryUsage.rss(),
        loopLagMs: this.#lagMs(),
        loopBusy: this.#busy(),
      },
      rooms: this.#rooms.read(upMs),
    };
  }

  stop(): void {
    this.#lag?.disable();
    this.#lag = null;
    this.#loop = null;
    this.#rooms.stop();
  }

  #lagMs(): number {
    if (this.#lag === null) {
      this.#lag = monitorEventLoopDelay({ resolution: LAG_RESOLUTION_MS });
      this.#lag.enable();
      return 0;
    }
    // It tells how far its own timer's turns are apart.
    const lateMs = this.#lag.percentile(99) / 1e6 - LAG_RESOLUTION_MS;
    this.#lag.reset();
    return rounded(Math.max(lateMs, 0));
  }

  #busy(): number {
    const now = performance.eventLoopUtilization();
    const busy = this.#loop === null ? 0 : performance.eventLoopUtilization(now, this.#loop).utilization;
    this.#loop = now;
    return rounded(busy);
  }
}

function byKey<Key extends string, Value>(keys: readonly Key[], read: (key: Key) => Value): Record<Key, Value> {
  return Object.fromEntries(keys.map((key) => [key, read(key)])) as Record<Key, Value>;
}

/** Of metrics with one label. */
function byLabel(values: readonly Labelled[]): Record<string, number> {
  return Object.fromEntries(values.map(({ labels, value }) => [Object.values(labels)[0] ?? '', value]));
}

/** To three digits behind the point. */
function rounded(value: number): number {
  return Math.round(value * 1_000) / 1_000;
}
