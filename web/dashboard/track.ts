import type { BucketsKey, Figures, LabelledKey, NumberKey } from '../../src/observability/figures.ts';

/** Milliseconds over which rates are taken, and over which latencies are, so that there are enough of them. */
const RATE_MS = 2_500;
const LATENCY_MS = 10_000;

/** Counters by their one label. */
const COUNTED = ['commands', 'errors', 'disconnects', 'connectionsRefused'] as const satisfies readonly LabelledKey[];
export type CountedKey = (typeof COUNTED)[number];

/** What a replica does a second, and how long it has taken lately. */
export interface Pace {
  /** Publishes acknowledged. */
  readonly publishes: number;
  readonly deliveries: number;
  readonly bytesReceived: number;
  readonly bytesSent: number;
  /** Seconds of processors. */
  readonly cpu: number;
  /** By the values of the metric's label. */
  readonly labelled: Readonly<Record<CountedKey, Readonly<Record<string, number>>>>;
  /** Of the last ten seconds, as how many took how long. */
  readonly took: Readonly<Record<BucketsKey, readonly number[]>>;
}

/** What one replica has told lately. */
export class Track {
  /** The newest last. */
  readonly #told: Figures[] = [];

  /** What it told now, or once more. */
  add(figures: Figures): void {
    if (this.#told.at(-1)?.upMs === figures.upMs) return;
    this.#told.push(figures);
    while (figures.upMs - (this.#told[1]?.upMs ?? figures.upMs) >= LATENCY_MS) this.#told.shift();
  }

  /** null: until it has told something twice. */
  get pace(): Pace | null {
    const now = this.#told.at(-1);
    const before = this.#before(RATE_MS);
    const longBefore = this.#before(LATENCY_MS);
    if (now === undefined || before === undefined || longBefore === undefined) return null;
    const perSecond = (grown: number) => (1_000 * Math.max(grown, 0)) / (now.upMs - before.upMs);
    const number = (key: NumberKey) => perSecond((now.numbers[key] ?? 0) - (before.numbers[key] ?? 0));
    const labelled = (key: CountedKey) =>
      Object.entries(now.labelled[key] ?? {}).map(([label, total]) => {
        return [label, perSecond(total - (before.labelled[key]?.[label] ?? 0))];
      });
    const took = (key: BucketsKey) =>
      (now.buckets[key] ?? []).map((count, i) => Math.max(count - (longBefore.buckets[key]?.[i] ?? 0), 0));
    return {
      publishes: perSecond(publishesOf(now) - publishesOf(before)),
      deliveries: number('deliveries'),
      bytesReceived: number('bytesReceived'),
      bytesSent: number('bytesSent'),
      cpu: perSecond(now.process.cpuSeconds - before.process.cpuSeconds),
      labelled: Object.fromEntries(COUNTED.map((key) => [key, Object.fromEntries(labelled(key))])) as Pace['labelled'],
      took: { publishAppend: took('publishAppend'), appendDeliver: took('appendDeliver') },
    };
  }

  /** What it told so long before the newest, or as long as there is. */
  #before(ms: number): Figures | undefined {
    const newest = this.#told.at(-1);
    if (newest === undefined || this.#told.length < 2) return undefined;
    return this.#told.findLast(({ upMs }) => newest.upMs - upMs >= ms) ?? this.#told[0];
  }
}

/** Publishes that the log has acknowledged since the replica's start. */
export function publishesOf({ buckets }: Figures): number {
  return (buckets.publishAppend ?? []).reduce((total, count) => total + count, 0);
}

export function sum(counts: Readonly<Record<string, number>> = {}): number {
  return Object.values(counts).reduce((total, count) => total + count, 0);
}
