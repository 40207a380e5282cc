import type { Admin, KafkaMessage } from 'kafkajs';
import { AppendLoad, midConflict, overloaded } from '../fanout/append-queue.ts';
import { dataHash, dedupeId } from '../fanout/dedupe.ts';
import type { LogLoad, LogState } from '../fanout/embedded-log.ts';
import type { LogLines } from '../fanout/log-lines.ts';
import { partitionOf } from '../fanout/partition.ts';
import type { Appended, AppendRequest, Page, ReadRequest, RoomLog } from '../fanout/room-log.ts';
import { CommandError } from '../protocol/errors.ts';
import { encodeValue, type Publication } from '../protocol/publication.ts';
import { randomName } from '../random-name.ts';
import { BrokerClocks } from './broker-clocks.ts';
import { createClient } from './kafka-client.ts';
import { agreeOnEpoch } from './kafka-meta.ts';
import { KafkaPages } from './kafka-pages.ts';
import type { KafkaLogSettings } from './kafka-settings.ts';
import { ensureTopics, fetchOffsets, metaTopic, roomsTopic, type TopicOffsets } from './kafka-topics.ts';
import { Lanes } from './lanes.ts';
import { Leaders } from './leaders.ts';
import { PartitionAppends } from './partition-appends.ts';
import { type Outcome, type OutcomeCounts, PartitionReader } from './partition-reader.ts';
import { RangeReader } from './range-reader.ts';
import { RecentRecords } from './recent-records.ts';
import { Tail, type TailSink } from './tail.ts';

/** Milliseconds between looks at deadlines: how exact they are. */
const TICK_MS = 100;
/** Milliseconds for which what is known of a partition's first offset is good enough. */
const FIRST_OFFSET_MS = 5_000;
const FIND_MS_MAX = 10_000;

/**
 * Opens the log of rooms in a Kafka cluster, making its topics where there are none, and resolves when all that
 * decisions need is known.
 *
 * @throws KafkaSetupError if what is there is not as it must be; Error if Kafka can't be reached
 */
export async function openKafkaLog(settings: KafkaLogSettings, logger: LogLines): Promise<KafkaLog> {
  const client = createClient(settings, logger);
  const admin = client.admin({ retry: { retries: 3 } });
  await admin.connect();
  const group = `${settings.prefix}-${settings.node}-${randomName(6, 'base64url')}`;
  const context = { settings, createClient: () => createClient(settings, logger) };
  const meta = new RangeReader({ ...context, topic: metaTopic(settings).name, group: `${group}-meta` });
  const reader = new RangeReader({ ...context, topic: roomsTopic(settings).name, group: `${group}-past` });
  try {
    await ensureTopics(admin, settings);
    const epoch = await agreeOnEpoch(client, meta, settings);
    const offsets = await fetchOffsets(admin, roomsTopic(settings).name);
    const log = new KafkaLog({ settings, logger, admin, reader, group, epoch, offsets });
    await log.start();
    return log;
  } catch (error) {
    await Promise.all([admin.disconnect(), reader.close()]);
    throw error;
  } finally {
    await meta.close();
  }
}

export interface KafkaLogParts {
  readonly settings: KafkaLogSettings;
  readonly logger: LogLines;
  readonly admin: Admin;
  readonly reader: RangeReader;
  readonly group: string;
  readonly epoch: string;
  /** Of the topic of rooms, as it was when the log was opened. */
  readonly offsets: TopicOffsets;
}

/**
 * The room log in Kafka, shared by replicas: each appends, and each reads everything and decides by itself, and so
 * alike, what counts. A publish has its answer when it has come back through this replica's own tail.
 */
export class KafkaLog implements RoomLog, TailSink {
  readonly epoch: string;
  readonly partitions: number;
  /** What the tail made of records, those that were read to warm it up included. */
  readonly outcomes: OutcomeCounts = {
    ...{ delivered: 0, duplicate: 0, zombie: 0, other_epoch: 0 },
    ...{ foreign: 0, newer: 0, malformed: 0 },
  };
  readonly #settings: KafkaLogSettings;
  readonly #logger: LogLines;
  readonly #admin: Admin;
  readonly #reader: RangeReader;
  readonly #group: string;
  readonly #topic: string;
  readonly #offsets: TopicOffsets;
  readonly #clocks = new BrokerClocks();
  readonly #load = new AppendLoad();
  readonly #leaders: Leaders;
  readonly #lanes: Lanes;
  readonly #pages: KafkaPages;
  readonly #appends: PartitionAppends[];
  readonly #readers: PartitionReader[];
  readonly #recent: RecentRecords[] = [];
  readonly #ends: number[];
  /** By partition: the offset behind the last record that Kafka was seen to have. */
  readonly #behind: number[];
  readonly #firstOffsets = new Map<number, { readonly offset: number; readonly atMs: number }>();
  #tail: Tail | null = null;
  #ticker: NodeJS.Timeout | null = null;
  #onBatch: ((publications: readonly Publication[]) => void) | undefined;
  /** Resolved once the tail has read what was there when the log was opened. */
  readonly #warm = Promise.withResolvers<void>();
  #closing: Promise<void> | undefined;
  #settled: (() => void) | undefined;

  /** Use `openKafkaLog`. */
  constructor({ settings, logger, admin, reader, group, epoch, offsets }: KafkaLogParts) {
    this.epoch = epoch;
    this.partitions = settings.partitions;
    this.#settings = settings;
    this.#logger = logger;
    this.#admin = admin;
    this.#reader = reader;
    this.#group = group;
    this.#topic = roomsTopic(settings).name;
    this.#offsets = offsets;
    const numbers = Array.from({ length: settings.partitions }, (_, partition) => partition);
    this.#appends = numbers.map((partition) => new PartitionAppends(partition, settings, this.#load));
    this.#readers = numbers.map((partition) => new PartitionReader(partition, settings.partitions, epoch, settings));
    this.#ends = numbers.map(() => -1);
    this.#behind = [...offsets.end];
    this.#leaders = new Leaders(admin, this.#topic, logger, () => {
      for (const partition of numbers) this.#wake(partition);
    });
    this.#lanes = new Lanes({
      settings,
      topic: this.#topic,
      partitions: this.#appends,
      clocks: this.#clocks,
      logger,
      createClient: () => createClient(settings, logger),
      leaderOf: (partition) => this.#leaders.of(partition),
      refreshLeaders: () => this.#leaders.refresh(),
      epoch: () => this.epoch,
    });
    this.#pages = new KafkaPages({
      settings,
      reader,
      recent: this.#recent,
      epoch: () => this.epoch,
      endOf: (partition) => this.#ends[partition] ?? -1,
      firstOffset: (partition) => this.#firstOffset(partition),
      offsetAt: (partition, timeMs) => this.#offsetAt(partition, timeMs),
    });
  }

  /** Reads what the first decisions need, and all behind it. */
  async start(): Promise<void> {
    await this.#leaders.refresh();
    const from = await Promise.all(this.#appends.map(({ partition }) => this.#warmFrom(partition)));
    const { partitions, recentRecordsMax, recentBytesMax } = this.#settings;
    const bounds = {
      recordsMax: Math.ceil(recentRecordsMax / partitions),
      bytesMax: Math.ceil(recentBytesMax / partitions),
    };
    for (const offset of from) this.#recent.push(new RecentRecords(offset, bounds));
    this.#tail = new Tail(
      {
        settings: this.#settings,
        topic: this.#topic,
        group: `${this.#group}-tail`,
        logger: this.#logger,
        createClient: () => createClient(this.#settings, this.#logger),
        firstOffset: (partition) => this.#firstOffset(partition),
      },
      from,
      this,
    );
    this.#tail.start();
    this.#ticker = setInterval(() => this.#tick(), TICK_MS).unref();
    this.#lookWhetherWarm();
    await this.#warm.promise;
  }

  append(request: AppendRequest): Promise<Appended> {
    const { room, from, mid, data } = request;
    const id = dedupeId(from, room, mid);
    const partition = partitionOf(room, this.partitions);
    const { queue } = this.#appends[partition] as PartitionAppends;
    if (this.#closing !== undefined) return queue.refuse(id, unavailable('the log is closed'));
    const value = encodeValue(room, from, mid, data);
    const hash = dataHash(value);
    const now = this.#clocks.now(this.#leaders.of(partition) ?? -1);
    const known = this.#readers[partition]?.find(id, now);
    if (known !== undefined) {
      if (known.dataHash !== hash) return queue.refuse(id, midConflict());
      return Promise.resolve({ position: { epoch: this.epoch, offset: known.firstOffset }, duplicate: true });
    }
    if (queue.has(id)) return queue.attach(id, hash);
    if (this.#dedupeEntries + this.#load.waiters >= this.#settings.dedupeEntriesMax) {
      return queue.refuse(id, overloaded('the memory of recent publishes is full'));
    }
    const after = request.after === undefined ? undefined : dedupeId(from, room, request.after);
    const outcome = queue.add({ id, dataHash: hash, value, room }, after);
    this.#wake(partition);
    return outcome;
  }

  tail(onBatch: (publications: readonly Publication[]) => void): void {
    if (this.#onBatch !== undefined) throw new Error('the log is tailed already');
    this.#onBatch = onBatch;
  }

  read(request: ReadRequest): Promise<Page> {
    if (this.#closing !== undefined) return Promise.reject(unavailable('the log is closed'));
    return this.#pages.read(request);
  }

  ends(): readonly number[] {
    return this.#ends;
  }

  /** Whether appends can be expected to succeed: for readiness. */
  state(): LogState {
    return this.#closing === undefined ? { writable: true } : { writable: false, reason: 'the log is closed' };
  }

  load(): LogLoad {
    return {
      appendsWaiting: this.#load.waiters,
      bytesWaiting: this.#load.bytes,
      readsWaiting: this.#pages.waiting,
      dedupeEntries: this.#dedupeEntries,
    };
  }

  onMessages(partition: number, messages: readonly KafkaMessage[], end: number): void {
    this.#behind[partition] = end;
    const publications: Publication[] = [];
    const decided: Outcome[] = [];
    for (const message of messages) {
      const outcome = this.#readers[partition]?.take(message) as Outcome;
      this.outcomes[outcome.kind] += 1;
      decided.push(outcome);
      if (outcome.kind === 'delivered') publications.push(outcome.publication);
      else if (outcome.kind !== 'duplicate') this.#tellSkipped(partition, Number(message.offset), outcome.kind);
    }
    const last = publications.at(-1);
    // First the end, then the batch: a session that joins while it is handed on has a position behind it all.
    if (last !== undefined) this.#ends[partition] = last.offset;
    for (const publication of publications) this.#recent[partition]?.add(publication);
    const isOld = (offset: number): boolean => offset < (this.#offsets.end[partition] ?? 0);
    const news = publications.filter(({ offset }) => !isOld(offset));
    if (news.length > 0) this.#onBatch?.(news);
    this.#settle(partition, decided);
    this.#lookWhetherWarm();
    this.#wake(partition);
  }

  onGone(partition: number, through: number): void {
    this.#logger.error({ partition, through }, 'records were deleted from Kafka before this replica had read them');
    this.#lookWhetherWarm();
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    // The deadlines bound this: everyone gets an answer, also from a Kafka that gives none.
    while (this.#load.waiters > 0) {
      await new Promise<void>((resolve) => {
        this.#settled = resolve;
      });
    }
    if (this.#ticker !== null) clearInterval(this.#ticker);
    this.#leaders.close();
    await Promise.all([this.#lanes.close(), this.#tail?.stop(), this.#reader.close()]);
    await this.#admin.disconnect().catch(() => {});
  }

  get #dedupeEntries(): number {
    return this.#readers.reduce((sum, { size }) => sum + size, 0);
  }

  /** Where to begin so that what is decided behind the end is decided right. */
  async #warmFrom(partition: number): Promise<number> {
    const first = this.#offsets.first[partition] ?? 0;
    const end = this.#offsets.end[partition] ?? 0;
    if (end <= first) return end;
    let lastMs = 0;
    const visit = (messages: readonly KafkaMessage[]): boolean => {
      lastMs = Number(messages.at(-1)?.timestamp);
      return false;
    };
    await this.#reader.read(partition, end - 1, visit, FIND_MS_MAX);
    // From the log's time, never from a clock here.
    const { windowMs, slackMs } = this.#settings;
    return Math.max(first, await this.#offsetAt(partition, lastMs - windowMs - slackMs));
  }

  #lookWhetherWarm(): void {
    const next = this.#tail?.next;
    if (next?.every((offset, partition) => offset >= (this.#offsets.end[partition] ?? 0))) this.#warm.resolve();
  }

  #settle(partition: number, decided: readonly Outcome[]): void {
    const appends = this.#appends[partition] as PartitionAppends;
    const { epoch } = this;
    for (const outcome of decided) {
      if (outcome.kind === 'delivered') {
        const { id, dataHash, publication } = outcome;
        appends.decided(id, { position: { epoch, offset: publication.offset }, duplicate: false, dataHash });
      } else if (outcome.kind === 'duplicate') {
        const { id, firstOffset, firstHash } = outcome;
        appends.decided(id, { position: { epoch, offset: firstOffset }, duplicate: true, dataHash: firstHash });
      }
    }
    this.#notifySettled();
  }

  #tellSkipped(partition: number, offset: number, kind: string): void {
    this.#logger.warn({ partition, offset, kind }, 'a record in Kafka does not count');
  }

  #wake(partition: number): void {
    if (this.#appends[partition]?.isReady) this.#lanes.wake(partition);
  }

  #tick(): void {
    for (const appends of this.#appends) {
      appends.expire();
      this.#wake(appends.partition);
    }
    this.#notifySettled();
  }

  #notifySettled(): void {
    if (this.#load.waiters > 0) return;
    this.#settled?.();
    this.#settled = undefined;
  }

  async #firstOffset(partition: number): Promise<number> {
    const known = this.#firstOffsets.get(partition);
    if (known !== undefined && performance.now() - known.atMs < FIRST_OFFSET_MS) return known.offset;
    const { first } = await fetchOffsets(this.#admin, this.#topic);
    for (const [number, offset] of first.entries()) {
      this.#firstOffsets.set(number, { offset, atMs: performance.now() });
    }
    return first[partition] ?? 0;
  }

  async #offsetAt(partition: number, timeMs: number): Promise<number> {
    const found = await this.#admin.fetchTopicOffsetsByTimestamp(this.#topic, timeMs);
    return Number(found.find((each) => each.partition === partition)?.offset ?? 0);
  }
}

function unavailable(message: string): CommandError {
  return new CommandError('unavailable', message);
}
