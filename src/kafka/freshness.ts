import type { TopicOffsets } from './topic-offsets.ts';

/** Milliseconds that anybody waits at most: while Kafka is down, what is here is what there is to be read. */
const WAIT_MS_MAX = 1_000;

export interface FreshnessContext {
  readonly offsets: Pick<TopicOffsets, 'fetch'>;
  /** By partition: the offset up to which the tail has handed on, as it is at any time. */
  readonly ends: readonly number[];
}

interface Waiter {
  /** The offset that the tail has to come to. */
  readonly through: number;
  readonly resolve: () => void;
}

/**
 * Lets readers wait until this replica has come to where the log is: what another one has acknowledged, or a session
 * has seen there, is to be found here too.
 */
export class Freshness {
  readonly #context: FreshnessContext;
  /** By partition. */
  readonly #waiters: readonly Set<Waiter>[];
  /** Where partitions end, as Kafka is being asked; null: it is not. */
  #look: Promise<readonly number[]> | null = null;
  #lookBeganMs = 0;
  /** The next look. */
  #upcoming: Promise<readonly number[]> | null = null;

  constructor(context: FreshnessContext) {
    this.#context = context;
    this.#waiters = context.ends.map(() => new Set());
  }

  /** Resolves when the tail has handed on all that the partition had at the moment of the call, or after a second. */
  async until(partition: number): Promise<void> {
    // Whoever came before has waited for this answer long enough.
    if (this.#look !== null && performance.now() - this.#lookBeganMs > WAIT_MS_MAX) return;
    const over = Promise.withResolvers<undefined>();
    const resolve = () => over.resolve(undefined);
    const timer = setTimeout(resolve, WAIT_MS_MAX);
    const ends = await Promise.race([this.#endsFromNow(), over.promise]);
    const through = (ends?.[partition] ?? 0) - 1;
    if (this.#endOf(partition) < through) {
      const waiter = { through, resolve };
      this.#waiters[partition]?.add(waiter);
      await over.promise;
      this.#waiters[partition]?.delete(waiter);
    }
    clearTimeout(timer);
  }

  /** The tail has come further. */
  advanced(partition: number): void {
    const end = this.#endOf(partition);
    for (const { through, resolve } of this.#waiters[partition] ?? []) if (through <= end) resolve();
  }

  #endOf(partition: number): number {
    return this.#context.ends[partition] ?? -1;
  }

  /** One look at a time is enough for everybody: but one that had begun before may have missed what is asked about. */
  #endsFromNow(): Promise<readonly number[]> {
    if (this.#look === null) return this.#begin();
    this.#upcoming ??= this.#look.then(() => this.#begin());
    return this.#upcoming;
  }

  #begin(): Promise<readonly number[]> {
    // Where Kafka can't be asked, nothing is known to be missing.
    const look = this.#context.offsets.fetch().then(
      ({ end }) => end,
      () => [],
    );
    this.#upcoming = null;
    this.#look = look;
    this.#lookBeganMs = performance.now();
    void look.then(() => {
      if (this.#look === look) this.#look = null;
    });
    return look;
  }
}
