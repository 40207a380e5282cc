import type { RecentPast } from '../fanout/shared-history.ts';
import type { Publication } from '../protocol/publication.ts';
import type { RecentRecords } from './recent-records.ts';

export interface RememberedContext {
  /** By partition. */
  readonly recent: readonly RecentRecords[];
  /** By partition: the offset up to which the tail has handed on, or -1. */
  readonly ends: readonly number[];
  epoch(): string;
}

/** What the tail has handed on and is in memory still, as others may take it over. */
export class RememberedPast implements RecentPast {
  readonly partitions: number;
  readonly #context: RememberedContext;

  constructor(partitions: number, context: RememberedContext) {
    this.partitions = partitions;
    this.#context = context;
  }

  get epoch(): string {
    return this.#context.epoch();
  }

  span(partition: number): { from: number; through: number } {
    const { recent, ends } = this.#context;
    return { from: recent[partition]?.from ?? 0, through: ends[partition] ?? -1 };
  }

  publications(partition: number, from: number): Iterable<Publication> {
    return this.#context.recent[partition]?.since(from) ?? [];
  }
}
