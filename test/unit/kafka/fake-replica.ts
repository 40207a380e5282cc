import type { KafkaMessage } from 'kafkajs';
import type { RecentPast, SharedHistory } from '../../../src/fanout/shared-history.ts';
import { KafkaPages } from '../../../src/kafka/kafka-pages.ts';
import { KAFKA_LOG_DEFAULTS, type KafkaLogSettings } from '../../../src/kafka/kafka-settings.ts';
import { PartitionReader } from '../../../src/kafka/partition-reader.ts';
import { RecentRecords } from '../../../src/kafka/recent-records.ts';
import { RememberedPast } from '../../../src/kafka/remembered-past.ts';
import { type TailStart, WarmUps } from '../../../src/kafka/warm-ups.ts';
import type { Publication } from '../../../src/protocol/publication.ts';
import { EPOCH, type FakeTopic } from './fake-topic.ts';

/** A replica of a fake topic: its memory and its pages; and what counts, as one knows who has read everything. */
export class FakeReplica {
  readonly pages: KafkaPages;
  readonly truth: Publication[] = [];
  /** What it has in memory. */
  readonly past: RecentPast;
  /** By partition. */
  readonly recent: RecentRecords[] = [];
  epoch = EPOCH;
  readonly #topic: FakeTopic;
  readonly #settings: KafkaLogSettings;
  readonly #warmUps: WarmUps;
  isLeaderSettled = true;
  readonly #judges: readonly PartitionReader[];
  #tails: readonly PartitionReader[] = [];
  /** By partition: where the tail has begun, and what comes next. */
  #starts: readonly TailStart[] = [];
  readonly #next: number[];
  readonly #ends: number[];

  private constructor(topic: FakeTopic, changes: Partial<KafkaLogSettings>, history: SharedHistory | null) {
    const { partitions } = topic;
    this.#topic = topic;
    this.#settings = { ...KAFKA_LOG_DEFAULTS, brokers: [], prefix: 'p', node: 'n', partitions, ...changes };
    this.#judges = this.#readers();
    this.#next = topic.records.map(() => 0);
    this.#ends = topic.records.map(() => -1);
    this.past = new RememberedPast(partitions, { recent: this.recent, ends: this.#ends, epoch: () => this.epoch });
    const past = { settings: this.#settings, reader: topic, offsets: topic, epoch: () => this.epoch };
    this.#warmUps = new WarmUps(past);
    this.pages = new KafkaPages({
      ...{ ...past, warmUps: this.#warmUps, recent: this.recent, history },
      endOf: (partition) => (this.#next[partition] ?? 0) - 1,
      isLeaderSettled: async () => this.isLeaderSettled,
    });
  }

  /** @param how `whole`: it has read the topic from its first record on; `begun`: from where one begins that starts now */
  static async open(
    topic: FakeTopic,
    changes: Partial<KafkaLogSettings>,
    how: 'whole' | 'begun',
    history: SharedHistory | null = null,
  ): Promise<FakeReplica> {
    const replica = new FakeReplica(topic, changes, history);
    await replica.#start(how);
    return replica;
  }

  /** Reads on, so many records of each partition. */
  follow(records = Number.POSITIVE_INFINITY): void {
    for (const [partition, list] of this.#topic.records.entries()) {
      const next = this.#next[partition] ?? 0;
      for (const message of list.slice(next, next + records)) this.#take(partition, message);
    }
  }

  /** The truth of one room. */
  truthOf(room: string): Publication[] {
    return this.truth.filter((each) => each.room === room);
  }

  async #start(how: 'whole' | 'begun'): Promise<void> {
    const { recentRecordsMax: recordsMax, recentBytesMax: bytesMax } = this.#settings;
    const offsets = await this.#topic.fetch();
    const whole = { offset: 0, soundMs: Number.NEGATIVE_INFINITY };
    const numbers = [...this.#next.keys()];
    this.#starts = await Promise.all(
      numbers.map((partition) => (how === 'whole' ? whole : this.#warmUps.atEnd(partition, offsets))),
    );
    this.#tails = this.#readers();
    for (const [partition, { offset, soundMs }] of this.#starts.entries()) {
      const unsound = { soundMs, newsFrom: offsets.end[partition] ?? 0 };
      this.recent[partition] = new RecentRecords(offset, { recordsMax, bytesMax }, unsound);
    }
    this.follow();
  }

  #take(partition: number, message: KafkaMessage): void {
    const judged = this.#judges[partition]?.take(message);
    if (judged?.kind === 'delivered') this.truth.push(judged.publication);
    const offset = Number(message.offset);
    this.#next[partition] = offset + 1;
    this.#ends[partition] = offset;
    if (offset < (this.#starts[partition]?.offset ?? 0)) return;
    const outcome = this.#tails[partition]?.take(message);
    this.recent[partition]?.follow([message], outcome?.kind === 'delivered' ? [outcome.publication] : []);
  }

  #readers(): PartitionReader[] {
    const { partitions } = this.#topic;
    return this.#topic.records.map((_, partition) => new PartitionReader(partition, partitions, EPOCH, this.#settings));
  }
}
