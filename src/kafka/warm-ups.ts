import type { KafkaMessage } from 'kafkajs';
import type { KafkaLogSettings } from './kafka-settings.ts';
import type { RangeReader } from './range-reader.ts';
import { RecordsGoneError } from './records-gone-error.ts';
import type { Offsets, TopicOffsets } from './topic-offsets.ts';

/** Records that a scan may read before the first one it is about, to know what counts. */
const RECORDS_MAX = 200_000;
const FIND_MS_MAX = 5_000;

/** What has to be read so that it is decided right what counts from an offset on. */
export type WarmUp =
  /** All from `offset` on; `end` is the offset behind the partition's last record. */
  | { readonly kind: 'from'; readonly offset: number; readonly end: number }
  /** More than may be read. */
  | { readonly kind: 'too_far' }
  /** What was deleted: so of nothing up to and with `through`, which is not before that offset, can it be told. */
  | { readonly kind: 'missing'; readonly through: number };

/** Where a tail begins. */
export interface TailStart {
  readonly offset: number;
  /** Milliseconds since 1970: before the end of the log, what is stamped earlier may be decided wrong. */
  readonly soundMs: number;
}

export interface WarmUpContext {
  readonly settings: Pick<KafkaLogSettings, 'windowMs' | 'slackMs'>;
  readonly reader: Pick<RangeReader, 'read'>;
  readonly offsets: Pick<TopicOffsets, 'fetch' | 'at'>;
  epoch(): string;
}

/**
 * Finds where to begin to read, from the time of the record that is first to be decided and never from a clock: so
 * that every reader decides as the others do. That time may step back by the slack, and so may that of the records
 * behind it.
 */
export class WarmUps {
  readonly #context: WarmUpContext;
  /** By partition: what is known of its first record, as it was. */
  readonly #oldest = new Map<number, { readonly epoch: string; readonly first: number; readonly ts: number }>();

  constructor(context: WarmUpContext) {
    this.#context = context;
  }

  /**
   * For decisions from an offset on. While nothing else reads this partition.
   *
   * @throws RecordsGoneError if records are deleted just now; Error if Kafka fails, or has no such offset yet
   */
  async before(partition: number, offset: number): Promise<WarmUp> {
    const { settings, offsets } = this.#context;
    const { first, end } = edges(await offsets.fetch(), partition);
    if (first >= end && offset < first) return { kind: 'missing', through: first - 1 };
    if (offset >= end) throw new Error(`partition ${partition} ends at offset ${end}, before ${offset}`);
    const ts = offset < first ? Number.NEGATIVE_INFINITY : await this.#timeOf(partition, offset);
    const needed = offset < first ? offset : await offsets.at(partition, ts - settings.windowMs - settings.slackMs);
    // Only now, as what was deleted before it was asked where to begin is not missed by who reads from there.
    const firstNow = edges(await offsets.fetch(), partition).first;
    if (firstNow > 0) {
      const soundFrom = await this.#soundFrom(partition, firstNow, ts);
      if (offset < soundFrom) return { kind: 'missing', through: soundFrom - 1 };
    }
    const from = Math.min(needed, offset);
    return offset - from > RECORDS_MAX ? { kind: 'too_far' } : { kind: 'from', offset: from, end };
  }

  /**
   * For decisions behind the end, as it is in `ends`. While nothing else reads this partition.
   *
   * @throws Error if Kafka fails
   */
  async atEnd(partition: number, ends: Offsets): Promise<TailStart> {
    const { settings, offsets } = this.#context;
    const { windowMs, slackMs } = settings;
    const { first: firstBefore, end } = edges(ends, partition);
    if (end <= firstBefore) return { offset: end, soundMs: Number.POSITIVE_INFINITY };
    const sinceMs = (await this.#timeOf(partition, end - 1)) - windowMs - slackMs;
    const needed = await offsets.at(partition, sinceMs);
    const { first } = edges(await offsets.fetch(), partition);
    const offset = Math.max(first, needed);
    if (offset > first) return { offset, soundMs: sinceMs + windowMs };
    // Either it is all that there ever was, or too little is left.
    return { offset, soundMs: first === 0 ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY };
  }

  /**
   * The first offset from which on no decision needs what was deleted, or any lower one than that of a record of this
   * time. Of those deleted none was stamped later than the slack behind the first that is left, and of those behind
   * that offset none is stamped earlier than the slack before it.
   */
  async #soundFrom(partition: number, first: number, ts: number): Promise<number> {
    const { settings, offsets, epoch } = this.#context;
    let oldest = this.#oldest.get(partition);
    if (oldest?.first !== first || oldest.epoch !== epoch()) {
      oldest = { epoch: epoch(), first, ts: await this.#timeOf(partition, first) };
      this.#oldest.set(partition, oldest);
    }
    const unsoundMs = oldest.ts + settings.windowMs + 2 * settings.slackMs;
    return ts > unsoundMs ? first : offsets.at(partition, unsoundMs + 1);
  }

  /** When the record at an offset was appended. */
  async #timeOf(partition: number, offset: number): Promise<number> {
    let ts = Number.NaN;
    const visit = ([message]: readonly KafkaMessage[]): boolean => {
      const found = Number(message?.offset);
      if (found !== offset) throw new RecordsGoneError(partition, offset, found);
      ts = Number(message?.timestamp);
      return false;
    };
    await this.#context.reader.read(partition, offset, visit, FIND_MS_MAX);
    return ts;
  }
}

function edges(offsets: Offsets, partition: number): { readonly first: number; readonly end: number } {
  const first = offsets.first[partition];
  const end = offsets.end[partition];
  if (first === undefined || end === undefined) throw new Error(`partition ${partition} is not there`);
  return { first, end };
}
