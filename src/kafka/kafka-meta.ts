import { setTimeout as delay } from 'node:timers/promises';
import type { Admin, Kafka, KafkaMessage } from 'kafkajs';
import { randomName } from '../random-name.ts';
import { partitionGiven } from './kafka-client.ts';
import type { KafkaLogSettings } from './kafka-settings.ts';
import { KafkaSetupError } from './kafka-setup-error.ts';
import { metaTopic } from './kafka-topics.ts';
import type { RangeReader } from './range-reader.ts';
import { fetchOffsets } from './topic-offsets.ts';

/** Of what replicas say to each other. */
const VERSION = 1;
const READ_MS_MAX = 30_000;
const LOOK_AGAIN_MS = 250;
const PROPOSAL = 'log/';
const CHECKPOINT = 'checkpoint/';

/** One life of the log: until its topic is lost. */
export interface Incarnation {
  readonly epoch: string;
  /** Counts them, from 0. */
  readonly generation: number;
}

export interface Agreement {
  readonly incarnation: Incarnation;
  /** The offsets behind each partition's last record. */
  readonly ends: readonly number[];
}

/** What all replicas of an incarnation agree on, as one of them proposed it. */
interface Proposal extends Incarnation {
  readonly version: number;
  readonly partitions: number;
  readonly windowMs: number;
}

/**
 * The replicas' talk with each other, in a compacted topic: which incarnation of the log this is, and how far its
 * partitions have come. Where several propose the next one at the same time, the first has its way.
 */
export class KafkaMeta {
  readonly #client: Kafka;
  readonly #reader: RangeReader;
  readonly #settings: KafkaLogSettings;
  readonly #topic: string;
  #admin: Promise<Admin> | null = null;
  /** The first proposal of each generation. */
  readonly #proposals = new Map<number, Proposal>();
  /** The offsets behind each partition's last record as a replica saw them, by epoch. */
  readonly #checkpoints = new Map<string, readonly number[]>();
  /** The offset behind what was read of the topic. */
  #next = 0;

  /** @param reader of the topic of meta */
  constructor(client: Kafka, reader: RangeReader, settings: KafkaLogSettings) {
    this.#client = client;
    this.#reader = reader;
    this.#settings = settings;
    this.#topic = metaTopic(settings).name;
  }

  /**
   * The incarnation that replicas are in, and the ends of its topic; the first of them makes it.
   *
   * @param fetchEnds gives the offsets behind each partition's last record: where they lie before those that were seen
   * once, this is another topic than the one that the incarnation was; unless a new leader knows of the last records a
   * moment late, so that this has to last for `lostAfterMs`
   * @throws KafkaSetupError if this replica is configured in another way than the others
   */
  async agree(fetchEnds: () => Promise<readonly number[]>): Promise<Agreement> {
    const newest = await this.newest();
    if (newest === undefined) return { incarnation: await this.#propose(0), ends: await fetchEnds() };
    this.#requireAlike(newest);
    const checkpoint = this.#checkpoints.get(newest.epoch) ?? [];
    const lostAtMs = performance.now() + this.#settings.lostAfterMs;
    for (;;) {
      const ends = await fetchEnds();
      if (!checkpoint.some((end, partition) => end > (ends[partition] ?? 0))) return { incarnation: newest, ends };
      if (performance.now() >= lostAtMs) return { incarnation: await this.#propose(newest.generation + 1), ends };
      await delay(LOOK_AGAIN_MS);
    }
  }

  /** The incarnation behind one that has been lost. */
  async renew({ generation }: Incarnation): Promise<Incarnation> {
    const newest = await this.newest();
    if (newest === undefined || newest.generation <= generation) return this.#propose(generation + 1);
    this.#requireAlike(newest);
    return newest;
  }

  /** The newest incarnation. */
  async newest(): Promise<Proposal | undefined> {
    await this.#read();
    return this.#proposals.get(Math.max(...this.#proposals.keys()));
  }

  /** Says how far an incarnation's partitions have come: as far at least as was known to be said before. */
  async checkpoint({ epoch }: Incarnation, ends: readonly number[]): Promise<void> {
    const known = this.#checkpoints.get(epoch) ?? [];
    const furthest = ends.map((end, partition) => Math.max(end, known[partition] ?? 0));
    await this.#write(`${CHECKPOINT}${epoch}`, furthest);
  }

  async close(): Promise<void> {
    const admin = await this.#admin?.catch(() => null);
    await Promise.all([this.#reader.close(), admin?.disconnect().catch(() => {})]);
  }

  async #propose(generation: number): Promise<Incarnation> {
    const { partitions, windowMs } = this.#settings;
    const epoch = randomName(12, 'base64url');
    const proposal: Proposal = { version: VERSION, epoch, generation, partitions, windowMs };
    // Each under a key of its own, so that none is compacted away.
    await this.#write(`${PROPOSAL}${generation}/${epoch}`, proposal);
    await this.#read();
    const agreed = this.#proposals.get(generation);
    if (agreed === undefined) throw new KafkaSetupError(`the topic ${this.#topic} does not keep what is written to it`);
    this.#requireAlike(agreed);
    return agreed;
  }

  #requireAlike(agreed: Proposal): void {
    const { partitions, windowMs } = this.#settings;
    const ours = { version: VERSION, partitions, windowMs };
    for (const name of ['version', 'partitions', 'windowMs'] as const) {
      if (agreed[name] === ours[name]) continue;
      throw new KafkaSetupError(
        `the replicas of this log have ${name} ${agreed[name]}, and this one ${ours[name]}: they would decide differently`,
      );
    }
  }

  #connected(): Promise<Admin> {
    this.#admin ??= this.#connect().catch((error: unknown) => {
      this.#admin = null;
      throw error;
    });
    return this.#admin;
  }

  async #connect(): Promise<Admin> {
    const admin = this.#client.admin();
    await admin.connect();
    return admin;
  }

  /** Reads what has come since. */
  async #read(): Promise<void> {
    const { first, end } = await fetchOffsets(await this.#connected(), this.#topic);
    const [from = 0] = first;
    const [behind = 0] = end;
    // It is another one itself: what was known is not said there.
    if (behind < this.#next) {
      this.#proposals.clear();
      this.#checkpoints.clear();
      this.#next = 0;
    }
    this.#next = Math.max(this.#next, from);
    if (this.#next >= behind) return;
    const visit = (messages: readonly KafkaMessage[]): boolean => {
      for (const message of messages) this.#take(message);
      return this.#next < behind;
    };
    await this.#reader.read(0, this.#next, visit, READ_MS_MAX);
  }

  #take({ key, value, offset }: KafkaMessage): void {
    this.#next = Number(offset) + 1;
    const name = key?.toString() ?? '';
    const content = parse(value);
    if (name.startsWith(CHECKPOINT) && isCheckpoint(content)) {
      this.#checkpoints.set(name.slice(CHECKPOINT.length), content);
    } else if (name.startsWith(PROPOSAL) && isProposal(content) && !this.#proposals.has(content.generation)) {
      this.#proposals.set(content.generation, content);
    }
  }

  async #write(key: string, content: unknown): Promise<void> {
    const producer = this.#client.producer({ allowAutoTopicCreation: false, createPartitioner: () => partitionGiven });
    await producer.connect();
    try {
      const messages = [{ key, value: JSON.stringify(content), partition: 0 }];
      await producer.send({ topic: this.#topic, acks: -1, messages });
    } finally {
      await producer.disconnect();
    }
  }
}

function parse(value: Buffer | null): unknown {
  try {
    return JSON.parse(value?.toString() ?? '');
  } catch {
    return undefined;
  }
}

function isCheckpoint(content: unknown): content is readonly number[] {
  return Array.isArray(content) && content.every(Number.isSafeInteger);
}

function isProposal(content: unknown): content is Proposal {
  if (typeof content !== 'object' || content === null) return false;
  const { epoch, version, generation } = content as Partial<Proposal>;
  return typeof epoch === 'string' && typeof version === 'number' && Number.isSafeInteger(generation);
}
