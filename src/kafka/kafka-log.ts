import { setTimeout as delay } from 'node:timers/promises';
import type { Admin, KafkaMessage } from 'kafkajs';
import { AppendLoad, midConflict, overloaded, unavailable } from '../fanout/append-queue.ts';
import { dataHash, dedupeId } from '../fanout/dedupe.ts';
import type { LogLines } from '../fanout/log-lines.ts';
import { partitionOf } from '../fanout/partition.ts';
import type { Appended, AppendRequest, Page, ReadRequest } from '../fanout/room-log.ts';
import type { LogLoad, LogState, ServedLog } from '../fanout/served-log.ts';
import type { RecentPast, SharedHistory } from '../fanout/shared-history.ts';
import { encodeValue, type Publication } from '../protocol/publication.ts';
import { BrokerClocks } from './broker-clocks.ts';
import { Freshness } from './freshness.ts';
import { IncarnationWatch } from './incarnation-watch.ts';
import { createClient } from './kafka-client.ts';
import type { KafkaLogFigures } from './kafka-log-figures.ts';
import type { Incarnation, KafkaMeta } from './kafka-meta.ts';
import { KafkaPages } from './kafka-pages.ts';
import type { KafkaLogSettings } from './kafka-settings.ts';
import { ensureTopicsAnew, onceKnown, roomsTopic } from './kafka-topics.ts';
import { Lanes } from './lanes.ts';
import { Leaders } from './leaders.ts';
import { PartitionAppends } from './partition-appends.ts';
import { type Outcome, type OutcomeCounts, PartitionReader } from './partition-reader.ts';
import type { RangeReader } from './range-reader.ts';
import { RecentRecords } from './recent-records.ts';
import { RememberedPast } from './remembered-past.ts';
import { Tail, type TailSink } from './tail.ts';
import type { TopicOffsets } from './topic-offsets.ts';
import { type TailStart, WarmUps } from './warm-ups.ts';

/** Milliseconds between looks at deadlines: how exact they are. */
const TICK_MS = 100;
/** Milliseconds that connections may take to close in good order; they may as well hang. */
const CLOSE_MS_MAX = 2_000;

export interface KafkaLogParts {
  readonly settings: KafkaLogSettings;
  readonly logger: LogLines;
  readonly admin: Admin;
  readonly meta: KafkaMeta;
  readonly reader: RangeReader;
  readonly group: string;
  readonly incarnation: Incarnation;
  readonly offsets: TopicOffsets;
  /** null: what is not in memory is read from Kafka. */
  readonly history: SharedHistory | null;
}

/**
 * The room log in Kafka, shared by replicas: each appends, and each reads everything and decides by itself, and so
 * alike, what counts. A publish has its answer when it has come back through this replica's own tail.
 */
export class KafkaLog implements ServedLog, TailSink {
  readonly partitions: number;
  /** What is in memory of it. */
  readonly past: RecentPast;
  readonly outcomes: OutcomeCounts = {
    ...{ delivered: 0, duplicate: 0, zombie: 0, other_epoch: 0 },
    ...{ foreign: 0, newer: 0, malformed: 0 },
  };
  readonly #settings: KafkaLogSettings;
  readonly #logger: LogLines;
  readonly #admin: Admin;
  readonly #meta: KafkaMeta;
  readonly #reader: RangeReader;
  readonly #group: string;
  readonly #topic: string;
  readonly #offsets: TopicOffsets;
  readonly #clocks = new BrokerClocks();
  readonly #load = new AppendLoad();
  readonly #leaders: Leaders;
  readonly #lanes: Lanes;
  readonly #pages: KafkaPages;
  readonly #freshness: Freshness;
  readonly #watch: IncarnationWatch;
  readonly #warmUps: WarmUps;
  readonly #appends: PartitionAppends[];
  /** By partition, of this incarnation. */
  readonly #readers: PartitionReader[] = [];
  readonly #recent: RecentRecords[] = [];
  readonly #ends: number[];
  /** By partition: the offset of the first record that is handed on, all before it is only remembered. */
  #newsFrom: readonly number[];
  /** By partition: the offset behind the last record that Kafka was seen to have. */
  #behind: number[];
  #incarnation: Incarnation;
  #tail: Tail | null = null;
  /** Of tails before this one. */
  #tailRestarts = 0;
  #ticker: NodeJS.Timeout | null = null;
  #onBatch: ((publications: readonly Publication[]) => void) | undefined;
  #onBreak: ((partition: number) => void) | undefined;
  /** Resolved once the tail has read what was there when the log was opened. */
  readonly #warm = Promise.withResolvers<void>();
  #closing: Promise<void> | undefined;
  #settled: (() => void) | undefined;

  /**
   * Use `openKafkaLog`.
   *
   * @param end the offsets behind each partition's last record: what lies before them is not handed on
   */
  constructor(parts: KafkaLogParts, end: readonly number[]) {
    const { settings, logger, admin, meta, reader, group, incarnation, offsets, history } = parts;
    this.#incarnation = incarnation;
    this.#meta = meta;
    this.partitions = settings.partitions;
    this.#settings = settings;
    this.#logger = logger;
    this.#admin = admin;
    this.#reader = reader;
    this.#group = group;
    this.#topic = roomsTopic(settings).name;
    this.#offsets = offsets;
    this.#newsFrom = end;
    const numbers = Array.from({ length: settings.partitions }, (_, partition) => partition);
    this.#appends = numbers.map((partition) => new PartitionAppends(partition, settings, this.#load));
    this.#ends = numbers.map(() => -1);
    this.#behind = [...end];
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
      readUpTo: (partition) => this.#tail?.next[partition] ?? 0,
      onLost: (epoch) => this.#watch.lost(epoch),
    });
    this.#watch = new IncarnationWatch({
      ...{ settings, offsets, meta, logger, topic: this.#topic },
      incarnation: () => this.#incarnation,
      next: () => this.#tail?.next ?? [],
      seen: (first) => this.#tail?.seen(first),
      ensureTopics: () => ensureTopicsAnew(createClient(settings, logger), settings),
      renew: (incarnation) => this.#renew(incarnation),
    });
    const topic = { ...{ settings, reader, offsets }, epoch: () => this.epoch };
    const memory = { recent: this.#recent, ends: this.#ends, epoch: () => this.epoch };
    this.past = new RememberedPast(settings.partitions, memory);
    this.#warmUps = new WarmUps(topic);
    this.#freshness = new Freshness({ offsets, ends: this.#ends });
    this.#pages = new KafkaPages({
      ...{ ...topic, warmUps: this.#warmUps, recent: this.#recent, history },
      endOf: (partition) => this.#ends[partition] ?? -1,
      isLeaderSettled: async (partition) => {
        await this.#leaders.refresh();
        return this.#leaders.isSettled(partition, settings.leaderSettledMs);
      },
    });
  }

  get epoch(): string {
    return this.#incarnation.epoch;
  }

  /** Reads what the first decisions need, and all behind it. */
  async start(): Promise<void> {
    await this.#leaders.start();
    const offsets = await onceKnown(() => this.#offsets.fetch());
    this.#begin(await Promise.all(this.#appends.map(({ partition }) => this.#warmUps.atEnd(partition, offsets))));
    this.#ticker = setInterval(() => this.#tick(), TICK_MS).unref();
    this.#watch.start();
    this.#lookWhetherWarm();
    await this.#warm.promise;
  }

  /** Reads this incarnation from there on, knowing nothing. */
  #begin(starts: readonly TailStart[]): void {
    const { partitions, recentRecordsMax, recentBytesMax } = this.#settings;
    const bounds = {
      recordsMax: Math.ceil(recentRecordsMax / partitions),
      bytesMax: Math.ceil(recentBytesMax / partitions),
    };
    for (const [partition, { offset, soundMs }] of starts.entries()) {
      this.#readers[partition] = new PartitionReader(partition, partitions, this.epoch, this.#settings);
      this.#recent[partition] = new RecentRecords(offset, bounds, {
        soundMs,
        newsFrom: this.#newsFrom[partition] ?? 0,
      });
      this.#ends[partition] = offset - 1;
    }
    this.#tail = new Tail(
      {
        settings: this.#settings,
        topic: this.#topic,
        group: `${this.#group}-tail-${this.#incarnation.generation}`,
        logger: this.#logger,
        createClient: () => createClient(this.#settings, this.#logger),
        // As it is now: what was known before records were deleted is of no use.
        firstOffsets: async () => (await this.#offsets.fetch()).first,
      },
      starts.map(({ offset }) => offset),
      this,
    );
    this.#tail.start();
  }

  append(request: AppendRequest): Promise<Appended> {
    const { room, from, mid, data, trace } = request;
    const id = dedupeId(from, room, mid);
    const partition = partitionOf(room, this.partitions);
    const { queue } = this.#appends[partition] as PartitionAppends;
    const refusal = this.#refusalOfAll();
    if (refusal !== undefined) return queue.refuse(id, unavailable(refusal));
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
    const outcome = queue.add({ id, dataHash: hash, value, room, trace }, after);
    this.#wake(partition);
    return outcome;
  }

  tail(onBatch: (publications: readonly Publication[]) => void, onBreak?: (partition: number) => void): void {
    if (this.#onBatch !== undefined) throw new Error('the log is tailed already');
    this.#onBatch = onBatch;
    this.#onBreak = onBreak;
  }

  read(request: ReadRequest): Promise<Page> {
    if (this.#closing !== undefined) return Promise.reject(unavailable('the log is closed'));
    return this.#pages.read(request);
  }

  ends(): readonly number[] {
    return this.#ends;
  }

  untilCurrent(room: string): Promise<void> {
    return this.#freshness.until(partitionOf(room, this.partitions));
  }

  /** As they are now. */
  figures(): KafkaLogFigures {
    const next = this.#tail?.next ?? [];
    return {
      outcomes: this.outcomes,
      lags: this.#behind.map((end, partition) => Math.max(0, end - (next[partition] ?? 0))),
      skewMs: this.#clocks.skewMs,
      tailRestarts: this.#tailRestarts + (this.#tail?.restarts ?? 0),
      batches: this.#lanes.batches,
      lanesBusy: this.#lanes.busyCount,
      producersDropped: this.#lanes.droppedCount,
      producersDroppedMax: this.#settings.producersDroppedMax,
      scans: this.#pages.scans.counts,
      scansRunning: this.#pages.scans.running,
      scansMax: this.#settings.scansMax,
    };
  }

  /** Whether appends can be expected to succeed: for readiness. */
  state(): LogState {
    const reason = this.#refusalOfAll() ?? this.#clockComplaint();
    return reason === undefined ? { writable: true } : { writable: false, reason };
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
      else if (outcome.kind !== 'duplicate') {
        const fields = { partition, offset: Number(message.offset), ...outcome };
        this.#logger.warn(fields, 'a record in Kafka does not count');
      }
    }
    // First the end, then the batch: a session that joins while it is handed on has a position behind it all.
    this.#ends[partition] = Number(messages.at(-1)?.offset);
    this.#recent[partition]?.follow(messages, publications);
    const newsFrom = this.#newsFrom[partition] ?? 0;
    const news = publications.filter(({ offset }) => offset >= newsFrom);
    if (news.length > 0) this.#onBatch?.(news);
    this.#appends[partition]?.settle(decided, this.epoch);
    this.#notifySettled();
    this.#freshness.advanced(partition);
    // Who writes that has seen another one than this.
    if (decided.some(({ kind }) => kind === 'other_epoch')) this.#watch.look();
    this.#lookWhetherWarm();
    this.#wake(partition);
  }

  onGone(partition: number, through: number): void {
    this.#logger.error({ partition, through }, 'records were deleted from Kafka before this replica had read them');
    this.#recent[partition]?.restart(through + 1);
    this.#ends[partition] = through;
    this.#freshness.advanced(partition);
    this.#appends[partition]?.lost();
    this.#onBreak?.(partition);
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
    await Promise.race([this.#disconnect(), delay(CLOSE_MS_MAX)]);
  }

  async #disconnect(): Promise<void> {
    await this.#watch.stop();
    await Promise.all([this.#lanes.close(), this.#tail?.stop(), this.#reader.close(), this.#meta.close()]);
    await this.#admin.disconnect().catch(() => {});
  }

  get #dedupeEntries(): number {
    return this.#readers.reduce((sum, { size }) => sum + size, 0);
  }

  /** Deadlines are only as good as clocks are. */
  #clockComplaint(): string | undefined {
    const { skewMs } = this.#clocks;
    if (skewMs <= this.#settings.skewMsMax) return undefined;
    return `this machine's clock and a broker's differ by ${skewMs} ms`;
  }

  #refusalOfAll(): string | undefined {
    return this.#closing === undefined ? this.#watch.refusal : 'the log is closed';
  }

  /** The log is another one from now on: of all that was known nothing is true any more. */
  async #renew(incarnation: Incarnation): Promise<void> {
    this.#logger.error({ ...incarnation }, 'the topic of rooms was lost: the log begins anew, under another epoch');
    const { first, end } = await this.#offsets.fetch();
    this.#tailRestarts += this.#tail?.restarts ?? 0;
    // It may hang.
    this.#tail?.stop().catch(() => {});
    this.#incarnation = incarnation;
    this.#newsFrom = first;
    this.#behind = [...end];
    for (const appends of this.#appends) appends.lost();
    this.#begin(first.map((offset) => ({ offset, soundMs: Number.NEGATIVE_INFINITY })));
    for (let partition = 0; partition < this.partitions; partition++) this.#onBreak?.(partition);
  }

  #lookWhetherWarm(): void {
    const next = this.#tail?.next;
    if (next?.every((offset, partition) => offset >= (this.#newsFrom[partition] ?? 0))) this.#warm.resolve();
  }

  #wake(partition: number): void {
    if (this.#appends[partition]?.isReady) this.#lanes.wake(partition);
  }

  #tick(): void {
    for (const appends of this.#appends) {
      const { partition } = appends;
      appends.expire();
      this.#wake(partition);
      // Where nothing comes, what was remembered would stay for ever.
      this.#readers[partition]?.advance(this.#clocks.now(this.#leaders.of(partition) ?? -1) - this.#settings.skewMsMax);
    }
    this.#notifySettled();
  }

  #notifySettled(): void {
    if (this.#load.waiters > 0) return;
    this.#settled?.();
    this.#settled = undefined;
  }
}
