import type { Admin } from 'kafkajs';

export interface Offsets {
  /** By partition: of the first record that is there, and behind the last one. */
  readonly first: readonly number[];
  readonly end: readonly number[];
}

export async function fetchOffsets(admin: Admin, topic: string): Promise<Offsets> {
  const first: number[] = [];
  const end: number[] = [];
  for (const { partition, low, high } of await admin.fetchTopicOffsets(topic)) {
    first[partition] = Number(low);
    end[partition] = Number(high);
  }
  return { first, end };
}

/** Where records stand in a topic. */
export class TopicOffsets {
  readonly #admin: Admin;
  readonly #topic: string;
  #known: Offsets | null = null;
  /** When that was asked for, on the monotonic clock. */
  #knownAtMs = Number.NEGATIVE_INFINITY;

  constructor(admin: Admin, topic: string) {
    this.#admin = admin;
    this.#topic = topic;
  }

  /** As they are now. @throws Error if Kafka does not say */
  async fetch(): Promise<Offsets> {
    const askedAtMs = performance.now();
    const offsets = await fetchOffsets(this.#admin, this.#topic);
    // An answer that comes late may be about a topic that is gone.
    if (askedAtMs >= this.#knownAtMs) {
      this.#known = offsets;
      this.#knownAtMs = askedAtMs;
    }
    return offsets;
  }

  /** The offset of the first record that a partition still has, as it was when Kafka last said. @throws Error */
  async first(partition: number): Promise<number> {
    const { first } = this.#known ?? (await this.fetch());
    return offsetIn(partition, first[partition]);
  }

  /**
   * The offset of a partition's first record of that time (milliseconds since 1970) or later; where there is none, the
   * offset behind its last record. @throws Error
   */
  async at(partition: number, timeMs: number): Promise<number> {
    const found = await this.#admin.fetchTopicOffsetsByTimestamp(this.#topic, timeMs);
    return offsetIn(partition, found.find((each) => each.partition === partition)?.offset);
  }
}

function offsetIn(partition: number, offset: number | string | undefined): number {
  if (offset === undefined) throw new Error(`partition ${partition} is not there`);
  return Number(offset);
}
