import { isRoom } from '../protocol/names.ts';
import { METRICS } from './catalogue.ts';
import {
  BUCKETS,
  type BucketsKey,
  type Figures,
  LABELLED,
  NUMBERS,
  type ProcessFigures,
  type TopRoom,
} from './figures.ts';

/** Of the figures' form: whoever speaks another one is not understood. What is added within one is overlooked. */
const VERSION = 1;
/** Characters of a replica's figures, by far enough for any that are ours. */
const FIGURES_CHARACTERS_MAX = 16_384;
/** Of a node's name and its version. */
export const NAME_CHARACTERS_MAX = 255;
const ROOMS_MAX = 24;
const LAGGING_MAX = 64;
const LABELS_MAX = 64;

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
  const { id, node, version, upMs, hasRedis, hasKafka, partitions } = parsed;
  if (typeof id !== 'string' || !/^[\w-]{16}$/.test(id) || !isName(node) || !isName(version)) return null;
  if (!isAmount(upMs) || typeof hasRedis !== 'boolean' || typeof hasKafka !== 'boolean' || !isAmount(partitions)) {
    return null;
  }
  const process = readProcess(parsed.process);
  const numbers = pick(parsed.numbers, NUMBERS, isAmount);
  const labelled = pick(parsed.labelled, LABELLED, isLabelled);
  const buckets = pick(parsed.buckets, BUCKETS, isBuckets);
  const lag = isLag(parsed.lag) ? parsed.lag : null;
  const rooms = readRooms(parsed.rooms);
  if (process === null || numbers === null || labelled === null || buckets === null) return null;
  if (lag === null || rooms === null) return null;
  return { id, node, version, upMs, hasRedis, hasKafka, partitions, numbers, labelled, buckets, lag, process, rooms };
}

/** Of the keys those that are there; null: one of them is not what it should be. */
function pick<Key extends string, Value>(
  values: unknown,
  keys: readonly Key[],
  isGood: (value: unknown, key: Key) => value is Value,
): Partial<Record<Key, Value>> | null {
  if (!isRecord(values)) return null;
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
  if (!isAmount(cpuSeconds) || !isAmount(residentBytes) || !isAmount(loopLagMs) || !isAmount(loopBusy)) return null;
  return { cpuSeconds, residentBytes, loopLagMs, loopBusy };
}

function readRooms(value: unknown): readonly TopRoom[] | null {
  if (!Array.isArray(value) || value.length > ROOMS_MAX || !value.every(isTopRoom)) return null;
  return value.map(({ room, members, perSecond }) => ({ room, members, perSecond }));
}

function isTopRoom(value: unknown): value is TopRoom {
  return isRecord(value) && isRoom(value.room) && isAmount(value.members) && isAmount(value.perSecond);
}

/** By values of a label, also such as another version has: words, and few. */
function isLabelled(value: unknown): value is Readonly<Record<string, number>> {
  return isAmounts(value, LABELS_MAX, /^[a-z_]{1,64}$/);
}

function isLag(value: unknown): value is Figures['lag'] {
  return isAmounts(value, LAGGING_MAX, /^\d{1,4}$/);
}

function isAmounts(value: unknown, most: number, key: RegExp): value is Readonly<Record<string, number>> {
  if (!isRecord(value)) return false;
  const entries = Object.entries(value);
  return entries.length <= most && entries.every(([name, amount]) => key.test(name) && isAmount(amount));
}

function isBuckets(value: unknown, key: BucketsKey): value is readonly number[] {
  return Array.isArray(value) && value.length === METRICS[key].buckets.length + 1 && value.every(isAmount);
}

function isName(value: unknown): value is string {
  return typeof value === 'string' && value !== '' && value.length <= NAME_CHARACTERS_MAX;
}

function isAmount(value: unknown): value is number {
  return typeof value === 'number' && Number.isFinite(value) && value >= 0;
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
