import type { IHeaders, KafkaMessage, Message } from 'kafkajs';
import { type DedupeRecord, dataHash, dedupeId } from '../fanout/dedupe.ts';
import { partitionOf } from '../fanout/partition.ts';
import type { PublishTrace } from '../observability/tracing.ts';
import { readTraceparent, TRACEPARENT_BYTES, type TraceContext, writeTraceparent } from '../protocol/traceparent.ts';
import { readValue } from '../protocol/value-reader.ts';

/** Of the record's form: a reader skips those of a newer one. */
const VERSION = 1;
const ID_BYTES = 16;
const HASH_BYTES = 4;

/** What is appended. */
export interface Append {
  /** See `dedupeId`. */
  readonly id: string;
  readonly dataHash: number;
  readonly value: Buffer;
  readonly room: string;
  readonly trace?: PublishTrace | undefined;
}

/** What a replica says of itself and the time with each record. */
export interface RecordStamp {
  readonly epoch: string;
  readonly node: string;
  /** Broker time, milliseconds since 1970, after which the record does not count. */
  readonly deadlineMs: number;
}

/** A record of a room, as it stands in its partition. */
export interface RoomRecord extends DedupeRecord {
  readonly kind: 'record';
  readonly room: string;
  readonly epoch: string;
  /** The replica that has appended it. */
  readonly node: string | undefined;
  readonly value: Buffer;
  /** Where the trace of its publish stood when it was appended; undefined: it is not traced. */
  readonly trace: TraceContext | undefined;
}

/** Something else: it is passed over, by every replica alike. */
export interface UnreadableRecord {
  readonly kind: 'foreign' | 'newer' | 'malformed';
  readonly offset: number;
}

/** The headers: v version, i id, h hash of the value, x deadline, e epoch, n node; W3C's traceparent if it is traced. */
export function encodeRecord(
  { id, dataHash, value, room, trace }: Append,
  partition: number,
  stamp: RecordStamp,
): Message {
  const hash = Buffer.allocUnsafe(HASH_BYTES);
  hash.writeInt32BE(dataHash);
  const headers: IHeaders = {
    v: String(VERSION),
    i: Buffer.from(id, 'latin1'),
    h: hash,
    x: String(stamp.deadlineMs),
    e: stamp.epoch,
    n: stamp.node,
  };
  if (trace !== undefined) headers.traceparent = writeTraceparent(trace.context);
  return { key: room, value, partition, headers };
}

/** Reads whatever stands in a partition; never throws. */
export function readRecord(
  message: KafkaMessage,
  partition: number,
  partitions: number,
): RoomRecord | UnreadableRecord {
  const offset = Number(message.offset);
  const { key, value, headers = {} } = message;
  const version = textOf(headers, 'v');
  if (version === undefined) return { kind: 'foreign', offset };
  if (version !== String(VERSION)) return { kind: Number(version) > VERSION ? 'newer' : 'malformed', offset };
  const id = bytesOf(headers, 'i');
  const hash = bytesOf(headers, 'h');
  const epoch = textOf(headers, 'e');
  const deadline = Number(textOf(headers, 'x'));
  const isWhole = id?.length === ID_BYTES && hash?.length === HASH_BYTES && Number.isSafeInteger(deadline);
  const read = value === null ? null : readValue(value);
  if (!isWhole || value === null || read === null || epoch === undefined) return { kind: 'malformed', offset };
  const { room, from, mid } = read;
  const isSound =
    key?.toString() === room &&
    partitionOf(room, partitions) === partition &&
    id.toString('latin1') === dedupeId(from, room, mid) &&
    hash.readInt32BE() === dataHash(value);
  if (!isSound) return { kind: 'malformed', offset };
  const ts = Number(message.timestamp);
  return {
    kind: 'record',
    offset,
    ts,
    id: id.toString('latin1'),
    dataHash: hash.readInt32BE(),
    deadline,
    room,
    epoch,
    node: textOf(headers, 'n'),
    value,
    trace: traceOf(headers),
  };
}

/** What says of a trace nothing that can be used has no effect: the record counts all the same. */
function traceOf(headers: IHeaders): TraceContext | undefined {
  const bytes = bytesOf(headers, 'traceparent');
  if (bytes?.length !== TRACEPARENT_BYTES) return undefined;
  const context = readTraceparent(bytes.toString('latin1'));
  return context?.isSampled ? context : undefined;
}

function bytesOf(headers: IHeaders, name: string): Buffer | undefined {
  const value = headers[name];
  return Buffer.isBuffer(value) ? value : undefined;
}

function textOf(headers: IHeaders, name: string): string | undefined {
  return bytesOf(headers, name)?.toString();
}
