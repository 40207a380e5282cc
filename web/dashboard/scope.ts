import type { BucketsKey, Figures, LabelledKey, NumberKey } from '../../src/observability/figures.ts';
import { quantile } from './quantile.ts';
import { type CountedKey, type Pace, publishesOf, sum } from './track.ts';

/** A replica as it is shown. */
export interface Replica {
  readonly figures: Figures;
  /** Milliseconds since it told them. */
  readonly ageMs: number;
  /** It has told nothing for a while: what it told last is no news any more. */
  readonly isGone: boolean;
  readonly pace: Pace | null;
}

/** What is counted over the replicas that are looked at, which may be all or one. */
export class Scope {
  /** Those that are not gone. */
  readonly replicas: readonly Replica[];

  constructor(replicas: readonly Replica[]) {
    this.replicas = replicas.filter(({ isGone }) => !isGone);
  }

  /** Of counters and gauges that add up. */
  total(key: NumberKey): number {
    return this.#sum(({ figures }) => figures.numbers[key] ?? 0);
  }

  totalOf(key: LabelledKey): number {
    return this.#sum(({ figures }) => sum(figures.labelled[key]));
  }

  /** By the values of the metric's label. */
  byLabel(key: LabelledKey): ReadonlyMap<string, number> {
    return added(this.replicas.map(({ figures }) => figures.labelled[key] ?? {}));
  }

  get publishes(): number {
    return this.#sum(({ figures }) => publishesOf(figures));
  }

  /** A second; null: not known yet. */
  pace(key: Exclude<keyof Pace, 'labelled' | 'took'>): number | null {
    const paces = this.replicas.flatMap(({ pace }) => pace?.[key] ?? []);
    return paces.length === 0 ? null : paces.reduce((total, each) => total + each, 0);
  }

  /** The same by the values of the metric's label. */
  paceByLabel(key: CountedKey): ReadonlyMap<string, number> | null {
    const paces = this.replicas.flatMap(({ pace }) => (pace === null ? [] : [pace.labelled[key]]));
    return paces.length === 0 ? null : added(paces);
  }

  /** Milliseconds within which that share was done lately; null: there was nothing to do. */
  tookMs(key: BucketsKey, bounds: readonly number[], share: number): number | null {
    const counts = new Array<number>(bounds.length + 1).fill(0);
    for (const { pace } of this.replicas) {
      for (const [i, count] of (pace?.took[key] ?? []).entries()) counts[i] = (counts[i] ?? 0) + count;
    }
    const seconds = quantile(bounds, counts, share);
    return seconds === null ? null : seconds * 1_000;
  }

  /** The highest of what is each replica's own; null: there is none. */
  most(of: (figures: Figures) => number): number | null {
    return this.replicas.length === 0 ? null : Math.max(...this.replicas.map(({ figures }) => of(figures)));
  }

  get residentBytes(): number {
    return this.#sum(({ figures }) => figures.process.residentBytes);
  }

  /** Where a bound is nearest: each replica has its own. */
  nearest(key: NumberKey, maxKey: NumberKey): { readonly used: number; readonly most: number; node: string } | null {
    const all = this.replicas.map(({ figures: { numbers, node } }) => {
      return { used: numbers[key] ?? 0, most: numbers[maxKey] ?? 0, node };
    });
    const share = ({ used, most }: { used: number; most: number }) => (most > 0 ? used / most : 0);
    return all.reduce<(typeof all)[number] | null>((a, b) => (a === null || share(b) > share(a) ? b : a), null);
  }

  /** By partition: as far as any replica is behind. */
  get lag(): ReadonlyMap<number, number> {
    const lags = new Map<number, number>();
    for (const { figures } of this.replicas) {
      for (const [partition, records] of Object.entries(figures.lag)) {
        lags.set(Number(partition), Math.max(lags.get(Number(partition)) ?? 0, records));
      }
    }
    return lags;
  }

  #sum(of: (replica: Replica) => number): number {
    return this.replicas.reduce((total, replica) => total + of(replica), 0);
  }
}

function added(all: readonly Readonly<Record<string, number>>[]): ReadonlyMap<string, number> {
  const totals = new Map<string, number>();
  for (const counts of all) {
    for (const [label, count] of Object.entries(counts)) totals.set(label, (totals.get(label) ?? 0) + count);
  }
  return totals;
}
