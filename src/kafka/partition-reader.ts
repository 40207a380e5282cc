import type { KafkaMessage } from 'kafkajs';
import { DedupeWindow, type DedupeWindowSettings } from '../fanout/dedupe.ts';
import type { Publication, PublicationTrace } from '../protocol/publication.ts';
import type { TraceContext } from '../protocol/traceparent.ts';
import { type RoomRecord, readRecord, type UnreadableRecord } from './record.ts';

/** What became of one record. */
export type Outcome =
  | {
      readonly kind: 'delivered';
      readonly id: string;
      readonly dataHash: number;
      /** The replica that has appended it. */
      readonly node: string | undefined;
      readonly publication: Publication;
    }
  /** `firstOffset` and `firstHash` are of the record that counts. */
  | { readonly kind: 'duplicate'; readonly id: string; readonly firstOffset: number; readonly firstHash: number }
  /** Appended after its deadline. `trace_id` is for whoever logs that. */
  | { readonly kind: 'zombie'; readonly trace_id: string | undefined }
  /** Of another incarnation of the log. */
  | { readonly kind: 'other_epoch' }
  | { readonly kind: UnreadableRecord['kind'] };

/** How often each outcome came. */
export type OutcomeCounts = Record<Outcome['kind'], number>;

/**
 * Reads the records of one partition, one after the other, and decides which of them count. Every reader decides
 * alike, wherever it began, if it was given what the window needs before the first record that matters.
 */
export class PartitionReader {
  readonly partition: number;
  readonly #partitions: number;
  readonly #epoch: string;
  readonly #window: DedupeWindow;

  constructor(partition: number, partitions: number, epoch: string, window: DedupeWindowSettings) {
    this.partition = partition;
    this.#partitions = partitions;
    this.#epoch = epoch;
    this.#window = new DedupeWindow(window);
  }

  /** Entries of the window. */
  get size(): number {
    return this.#window.size;
  }

  /** The record that makes one with this id and time a duplicate, if there is one. */
  find(id: string, ts: number): { readonly firstOffset: number; readonly dataHash: number } | undefined {
    return this.#window.find(id, ts);
  }

  /** Says that the log's time has come to `ts` at least, and forgets what no decision can need any more. */
  advance(ts: number): void {
    this.#window.advance(ts);
  }

  /** Takes the next record. */
  take(message: KafkaMessage): Outcome {
    const record = readRecord(message, this.partition, this.#partitions);
    if (record.kind !== 'record') return { kind: record.kind };
    if (record.epoch !== this.#epoch) return { kind: 'other_epoch' };
    const decision = this.#window.apply(record);
    if (decision.kind === 'late') return { kind: 'zombie', trace_id: record.trace?.traceId };
    const { id, dataHash, node } = record;
    if (decision.kind === 'deliver') {
      return { kind: 'delivered', id, dataHash, node, publication: this.#publicationOf(record) };
    }
    const { firstOffset, firstHash } = decision;
    return { kind: 'duplicate', id, firstOffset, firstHash };
  }

  #publicationOf({ room, offset, ts, value, trace }: RoomRecord): Publication {
    const { partition } = this;
    return { room, partition, epoch: this.#epoch, offset, ts, value, trace: trace && readNow(trace) };
  }
}

function readNow(parent: TraceContext): PublicationTrace {
  return { parent, readMs: performance.now() };
}
