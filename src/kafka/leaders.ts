import type { Admin } from 'kafkajs';
import type { LogLines } from '../fanout/log-lines.ts';

/** Milliseconds between looks at who leads what: where all partitions have leaders, and where that is not known. */
const LOOK_MS = 5_000;
const LOOK_AGAIN_MS = 250;
/** Milliseconds for which an answer is good enough where something failed. */
const FRESH_MS = 200;

/** Which broker leads which partition of a topic. */
export class Leaders {
  readonly #admin: Admin;
  readonly #topic: string;
  readonly #logger: LogLines;
  readonly #onChange: () => void;
  #timer: NodeJS.Timeout | null = null;
  #closed = false;
  /** Whether the last answer had leaders for all partitions. */
  #isKnown = false;
  #leaders = new Map<number, number>();
  /** By partition: when it was heard that it has another leader, on the monotonic clock. */
  readonly #changedAtMs = new Map<number, number>();
  #asking: Promise<void> | null = null;
  #askedAtMs = Number.NEGATIVE_INFINITY;

  constructor(admin: Admin, topic: string, logger: LogLines, onChange: () => void) {
    this.#admin = admin;
    this.#topic = topic;
    this.#logger = logger;
    this.#onChange = onChange;
  }

  /** Looks now, and from then on. */
  async start(): Promise<void> {
    await this.refresh();
    if (this.#closed) return;
    this.#timer = setTimeout(() => void this.start(), this.#isKnown ? LOOK_MS : LOOK_AGAIN_MS).unref();
  }

  /** A broker's id; undefined: none is known to lead the partition. */
  of(partition: number): number | undefined {
    return this.#leaders.get(partition);
  }

  /** Whether a partition is not known to have been given to another leader within such a time. */
  isSettled(partition: number, forMs: number): boolean {
    return performance.now() - (this.#changedAtMs.get(partition) ?? Number.NEGATIVE_INFINITY) >= forMs;
  }

  /** Asks again, unless that was just done. Never rejects: what was known goes on being used. */
  async refresh(): Promise<void> {
    if (performance.now() - this.#askedAtMs < FRESH_MS) return;
    this.#asking ??= this.#ask().finally(() => {
      this.#asking = null;
    });
    await this.#asking;
  }

  close(): void {
    this.#closed = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
  }

  async #ask(): Promise<void> {
    this.#isKnown = false;
    try {
      const { topics } = await this.#admin.fetchTopicMetadata({ topics: [this.#topic] });
      const partitions = topics[0]?.partitions ?? [];
      const known = partitions.filter(({ leader }) => leader >= 0);
      this.#isKnown = known.length > 0 && known.length === partitions.length;
      for (const { partitionId, leader } of known) {
        const before = this.#leaders.get(partitionId);
        if (before !== undefined && before !== leader) this.#changedAtMs.set(partitionId, performance.now());
      }
      this.#leaders = new Map(known.map(({ partitionId, leader }) => [partitionId, leader]));
      this.#askedAtMs = performance.now();
      this.#onChange();
    } catch (error) {
      this.#logger.warn({ error: (error as Error).message }, 'Kafka does not say who leads the partitions');
    }
  }
}
