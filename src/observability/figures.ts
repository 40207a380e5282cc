// What replicas tell of themselves, and pages are shown: words alone, for processes and browsers.

/** Counters and gauges without a label, as the catalogue names them. */
export const NUMBERS = [
  ...(['deliveries', 'bytesReceived', 'bytesSent'] as const),
  ...(['connections', 'connectionsMax', 'handshakes', 'handshakesMax', 'lingering', 'lingeringMax'] as const),
  ...(['appendQueue', 'appendQueueMax', 'appendQueueBytes', 'appendQueueBytesMax'] as const),
  ...(['unsharedBytes', 'unsharedBytesMax', 'inboxBytes', 'inboxBytesMax', 'logReads', 'logReadsMax'] as const),
  ...(['dedupeEntries', 'dedupeEntriesMax', 'redisUnanswered', 'redisUnansweredMax'] as const),
  ...(['sessions', 'users', 'rooms'] as const),
  ...(['logWritable', 'deliveryOk', 'failingPartitions', 'draining'] as const),
  ...(['redisUp', 'redisHearing', 'redisBroken', 'presenceShared'] as const),
] as const;

/** Counters and gauges by their one label. */
export const LABELLED = ['commands', 'errors', 'disconnects', 'connectionsRefused', 'statusSessions'] as const;

/** Histograms, as how many lie in each bucket alone, and above the last one. */
export const BUCKETS = ['publishAppend', 'appendDeliver'] as const;

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

/** A room with what it has on one replica. */
export interface TopRoom {
  readonly room: string;
  /** Sessions that have joined it. */
  readonly members: number;
  /** Publications a second since the last reading. */
  readonly perSecond: number;
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
  /** Records that partitions are behind, by their number, of the 64 that are most. */
  readonly lag: Readonly<Record<string, number>>;
  readonly process: ProcessFigures;
  /** Those with the most members, and those with the most publications: 24 at most, in no order. */
  readonly rooms: readonly TopRoom[];
}

/** What a view has of the other replicas: there are none; they are heard; not just now; or never, as nothing is shared. */
export type Reach = 'alone' | 'heard' | 'unheard' | 'unshared';

/** A line of `/dashboard/figures`. */
export interface View {
  /** Milliseconds since 1970. */
  readonly atMs: number;
  readonly reach: Reach;
  readonly showsRooms: boolean;
  /** Replicas heard of lately that are not among those below, as there are too many. */
  readonly omitted: number;
  /** The one that says it first. */
  readonly replicas: readonly ViewedReplica[];
}

export interface ViewedReplica {
  /** Milliseconds since it has told this. */
  readonly ageMs: number;
  readonly figures: Figures;
}
