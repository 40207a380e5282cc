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

  constructor(admin: Admin, topic: string) {
    this.#admin = admin;
    this.#topic = topic;
  }

  async fetch(): Promise<Offsets> {
    this.#known = await fetchOffsets(this.#admin, this.#topic);
    return this.#known;
  }

  /** The offset of the first record that a partition still has, as it was when Kafka last said. */
  async first(partition: number): Promise<number> {
    const { first } = this.#known ?? (await this.fetch());
    return first[partition] ?? 0;
  }

  /** The offset of a partition's first record of that time (milliseconds since 1970) or later. */
  async at(partition: number, timeMs: number): Promise<number> {
    const found = await this.#admin.fetchTopicOffsetsByTimestamp(this.#topic, timeMs);
    return Number(found.find((each) => each.partition === partition)?.offset ?? 0);
  }
}
