import type { Admin } from 'kafkajs';

/** Milliseconds for which what is known of a partition's first offset is good enough. */
const FIRST_OFFSET_MS = 5_000;

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
  #knownAtMs = 0;

  constructor(admin: Admin, topic: string) {
    this.#admin = admin;
    this.#topic = topic;
  }

  async fetch(): Promise<Offsets> {
    this.#known = await fetchOffsets(this.#admin, this.#topic);
    this.#knownAtMs = performance.now();
    return this.#known;
  }

  /** The offset of the first record that a partition still has, as it was at most seconds ago. */
  async first(partition: number): Promise<number> {
    const isFresh = this.#known !== null && performance.now() - this.#knownAtMs < FIRST_OFFSET_MS;
    const { first } = isFresh && this.#known !== null ? this.#known : await this.fetch();
    return first[partition] ?? 0;
  }

  /** The offset of a partition's first record of that time (milliseconds since 1970) or later. */
  async at(partition: number, timeMs: number): Promise<number> {
    const found = await this.#admin.fetchTopicOffsetsByTimestamp(this.#topic, timeMs);
    return Number(found.find((each) => each.partition === partition)?.offset ?? 0);
  }
}
