import { isRoom } from '../protocol/names.ts';
import { METRICS } from './catalogue.ts';
import type { KeysOfType } from './metrics.ts';
import type { TopRoom } from './top-rooms.ts';

/** Of the figures' form: whoever speaks another one is not understood. What is added within one is overlooked. */
const VERSION = 1;
/** Characters of a replica's figures, by far enough for any that are ours. */
export const FIGURES_CHARACTERS_MAX = 16_384;
/** Of a node's name and its version. */
export const NAME_CHARACTERS_MAX = 255;
const ROOMS_MAX = 24;
/** Partitions of which it is told how far they are behind: those that are most. */
const LAGGING_MAX = 64;
const PARTITION = /^\d{1,4}$/;

type PlainKey = KeysOfType<'counter' | 'gauge'>;

/** Counters and gauges without a label. */
export const NUMBERS = [
  ...(['publications', 'deliveries', 'bytesReceived', 'bytesSent', 'floodHeld'] as const),
  ...(['connections', 'connectionsMax', 'handshakes', 'handshakesMax', 'lingering', 'lingeringMax'] as const),
  ...(['appendQueue', 'appendQueueMax', 'appendQueueBytes', 'appendQueueBytesMax'] as const),
  ...(['unsharedBytes', 'unsharedBytesMax', 'inboxBytes', 'inboxBytesMax', 'logReads', 'logReadsMax'] as const),
  ...(['dedupeEntries', 'dedupeEntriesMax', 'redisUnanswered', 'redisUnansweredMax'] as const),
  ...(['sessions', 'users', 'rooms'] as const),
  ...(['logWritable', 'deliveryOk', 'failingPartitions', 'draining'] as const),
  ...(['redisUp', 'redisHearing', 'redisBroken', 'presenceShared'] as const),
] as const satisfies readonly PlainKey[];

/** Counters and gauges by their one label. */
export const LABELLED = [
  'commands',
  'errors',
  'disconnects',
  'connectionsRefused',
  'statusSessions',
] as const satisfies readonly PlainKey[];

/** Histograms, as how many lie in each bucket alone. */
export const BUCKETS = ['publishAppend', 'appendDeliver'] as const satisfies readonly KeysOfType<'histogram'>[];

export type NumberKey = (typeof NUMBERS)[number];
export type LabelledKey = (typeof LABELLED)[number];
export type BucketsKey = (typeof BUCKETS)[number];

/** What the process itself takes. */
export interface ProcessFigures {
  /** Since its start. */
  readonly cpuSeconds: number;
  readonly residentBytes: number;
  /** Of the last second or so: 99 % of the loop's turns were late by less; 0 until it is known. */
  readonly loopLagMs: number;
  /** The share of that time in which the loop did something, 0 to 1. */
  readonly loopBusy: number;
}

/**
 * What one replica tells of itself at one moment, each number under the name that the catalogue has for it, and equal to what
 * `/metrics` says then. One of another version may leave some out.
 */
export interface Figures {
  /** Of this process: another one of the same name is another replica. */
  readonly id: string;
  readonly node: string;
  readonly version: string;
  /** Milliseconds since its start, by the monotonic clock: what has grown between two figures did so in their difference. */
  readonly upMs: number;
  readonly hasRedis: boolean;
  readonly hasKafka: boolean;
  readonly partitions: number;
  readonly numbers: Readonly<Partial<Record<NumberKey, number>>>;
  readonly labelled: Readonly<Partial<Record<LabelledKey, Readonly<Record<string, number>>>>>;
  readonly buckets: Readonly<Partial<Record<BucketsKey, readonly number[]>>>;
  /** Records that partitions are behind, of those that are, by their number. */
  readonly lag: Readonly<Record<string, number>>;
  readonly process: ProcessFigures;
  readonly rooms: readonly TopRoom[];
}

/** Of all partitions those that are behind, the farthest first. */
export function lagging(lags: readonly { readonly partition: string; readonly records: number }[]): Figures['lag'] {
  const behind = lags.filter(({ records }) => records > 0).sort((a, b) => b.records - a.records);
  return Object.fromEntries(behind.slice(0, LAGGING_MAX).map(({ partition, records }) => [partition, records]));
}

export function writeFigures(figures: Figures): string {
  return JSON.stringify({ v: VERSION, ...figures });
}

/**
 * Reads what may be anybody's, whole or not at all: every number is finite and not negative, every name is one, and what is not
 * known is left out. null: it is no replica's figures, or of another version.
 */
export function readFigures(text: string): Figures | null {
  if (text.length > FIGURES_CHARACTERS_MAX) return null;
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    return null;
  }
  if (!isRecord(parsed) || parsed.v !== VERSION) return null;
  const { id, node, version, upMs, hasRedis, hasKafka, partitions, numbers, labelled, buckets, lag, rooms } = parsed;
  const process = readProcess(parsed.process);
  if (typeof id !== 'string' || !/^[\w-]{16}$/.test(id) || !isName(node) || !isName(version)) return null;
  if (typeof hasRedis !== 'boolean' || typeof hasKafka !== 'boolean') return null;
  if (!isCount(upMs) || !isCount(partitions) || process === null) return null;
  if (!isRecord(numbers) || !isRecord(labelled) || !isRecord(buckets) || !isRecord(lag)) return null;
  if (!Array.isArray(rooms) || rooms.length > ROOMS_MAX || !rooms.every(isTopRoom)) return null;
  const lags = Object.entries(lag);
  if (lags.length > LAGGING_MAX || !lags.every(([key, value]) => PARTITION.test(key) && isCount(value))) return null;
  const known = {
    numbers: pick(numbers, NUMBERS, isCount),
    labelled: pick(labelled, LABELLED, isCounts),
    buckets: pick(buckets, BUCKETS, isBuckets),
  };
  if (known.numbers === null || known.labelled === null || known.buckets === null) return null;
  return {
    ...{ id, node, version, upMs, hasRedis, hasKafka, partitions, process },
    numbers: known.numbers,
    labelled: known.labelled,
    buckets: known.buckets,
    lag: lag as Figures['lag'],
    rooms: rooms.map(({ room, members, perSecond }) => ({ room, members, perSecond })),
  };
}

/** Of the keys those that are there; null: one of them is not what it should be. */
function pick<Key extends string, Value>(
  values: Readonly<Record<string, unknown>>,
  keys: readonly Key[],
  isGood: (value: unknown, key: Key) => value is Value,
): Partial<Record<Key, Value>> | null {
  const picked: Partial<Record<Key, Value>> = {};
  for (const key of keys) {
    if (!Object.hasOwn(values, key)) continue;
    const value = values[key];
    if (!isGood(value, key)) return null;
    picked[key] = value;
  }
  return picked;
}

function readProcess(value: unknown): ProcessFigures | null {
  if (!isRecord(value)) return null;
  const { cpuSeconds, residentBytes, loopLagMs, loopBusy } = value;
  if (!isCount(cpuSeconds) || !isCount(residentBytes) || !isCount(loopLagMs) || !isCount(loopBusy)) return null;
  return { cpuSeconds, residentBytes, loopLagMs, loopBusy };
}

function isTopRoom(value: unknown): value is TopRoom {
  return isRecord(value) && isRoom(value.room) && isCount(value.members) && isCount(value.perSecond);
}

/** By values of the metric's label that are known here or were made up elsewhere: few, and words. */
function isCounts(value: unknown): value is Readonly<Record<string, number>> {
  if (!isRecord(value)) return false;
  const entries = Object.entries(value);
  return entries.length <= 64 && entries.every(([label, count]) => /^[a-z_]{1,64}$/.test(label) && isCount(count));
}

function isBuckets(value: unknown, key: BucketsKey): value is readonly number[] {
  return Array.isArray(value) && value.length === METRICS[key].buckets.length + 1 && value.every(isCount);
}

function isName(value: unknown): value is string {
  return typeof value === 'string' && value !== '' && value.length <= NAME_CHARACTERS_MAX;
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isFinite(value) && value >= 0;
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
