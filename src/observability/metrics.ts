import { Counter, collectDefaultMetrics, Gauge, Registry } from 'prom-client';
import type { Gateway } from '../gateway/gateway.ts';
import type { MetricsPage } from '../gateway/internal-server.ts';
import { VERSION } from '../version.ts';
import { METRICS, type MetricKey } from './catalogue.ts';
import type { DeliveryProbe } from './delivery-probe.ts';
import type { Distribution } from './distribution.ts';
import type { MetricEntry } from './metric-entry.ts';
import { openMetricsOf, writeExemplar } from './open-metrics.ts';
import type { Tally } from './tally.ts';

/** Where the numbers come from. All of it is asked when a page is rendered, and only then. */
export interface MetricSources {
  readonly tally: Tally;
  readonly gateway: Gateway;
  readonly log: {
    load(): {
      readonly appendsWaiting: number;
      readonly bytesWaiting: number;
      readonly readsWaiting: number;
      readonly dedupeEntries: number;
    };
    state(): { readonly writable: boolean };
    readonly partitions: number;
  };
  /** null: the log is not on Kafka. */
  readonly figures:
    | (() => {
        readonly outcomes: Readonly<Record<string, number>>;
        /** By partition. */
        readonly lags: readonly number[];
        readonly batches: Readonly<Record<string, number>>;
        readonly tailRestarts: number;
        readonly skewMs: number;
        readonly lanesBusy: number;
        readonly producersDropped: number;
        readonly producersDroppedMax: number;
        readonly scans: Readonly<Record<string, number>>;
        readonly scansRunning: number;
        readonly scansMax: number;
      })
    | null;
  /** null: there is no history in Redis. */
  readonly history:
    | (() => {
        readonly reads: Readonly<Record<string, number>>;
        readonly records: number;
        readonly starts: number;
        readonly lapses: number;
        readonly failures: number;
        readonly led: number;
        readonly behind: number;
      })
    | null;
  /** null: there are none, or none that can be told anything. */
  readonly peers:
    | (() => {
        readonly rooms: number;
        readonly signals: Readonly<Record<string, number>>;
        readonly removals: Readonly<Record<string, number>>;
        readonly unreadable: number;
      })
    | null;
  /** null: nothing is shared through Redis. */
  readonly redis:
    | (() => {
        readonly isUp: boolean;
        readonly isHearing: boolean;
        readonly isBroken: boolean;
        readonly unanswered: number;
        readonly unansweredMax: number;
        readonly channels: number;
        readonly connections: Readonly<Record<'commands' | 'subscriber', number>>;
        readonly shed: number;
        readonly failures: Readonly<Record<string, number>>;
      })
    | null;
  readonly presence:
    | (() => {
        readonly state: 'up' | 'down';
        readonly leasesTaken: number;
        readonly degraded: number;
        readonly reapedUsers: number;
        readonly sweptUsers: number;
        readonly interests: number;
      })
    | null;
  /** null: nothing is traced. */
  readonly tracing:
    | (() => {
        readonly exported: number;
        readonly failed: number;
        readonly dropped: number;
        readonly waiting: number;
        readonly waitingMax: number;
      })
    | null;
  /** null: keys don't come from a URL. */
  readonly keySet: { readonly fetches: number; readonly failures: number } | null;
  readonly probe: DeliveryProbe;
  readonly bounds: {
    readonly connectionsMax: number;
    readonly handshakesMax: number;
    readonly appendQueueRecordsMax: number;
    readonly appendQueueBytesMax: number;
    readonly readsQueuedMax: number;
    readonly dedupeEntriesMax: number;
    readonly lingeringMax: number;
  };
}

/** One value; or one for each value of the metric's one label; or any. */
type Reading =
  | number
  | Readonly<Record<string, number>>
  | readonly { readonly labels: Readonly<Record<string, string>>; readonly value: number }[];

type KeysOfType<Type extends MetricEntry['type']> = {
  [Key in MetricKey]: (typeof METRICS)[Key]['type'] extends Type ? Key : never;
}[MetricKey];

const READINGS: { readonly [Key in KeysOfType<'counter' | 'gauge'>]: (sources: MetricSources) => Reading } = {
  commands: ({ tally }) => tally.commands,
  publications: ({ tally }) => tally.publications,
  deliveries: ({ tally }) => tally.deliveries,
  signalPushes: ({ tally }) => tally.signalPushes,
  signalsShed: ({ tally }) => tally.signalsShed,
  presencePushes: ({ gateway }) => gateway.feed.pushCount,
  resumes: ({ tally }) =>
    Object.entries(tally.resumes).flatMap(([source, outcomes]) =>
      Object.entries(outcomes).map(([outcome, value]) => ({ labels: { source, outcome }, value })),
    ),
  bytesReceived: ({ tally }) => tally.bytesReceived,
  bytesSent: ({ gateway }) => gateway.flusher.bytesFlushed,
  connectionsAccepted: ({ tally }) => tally.connections,
  apiRequests: ({ tally }) =>
    tally.api.flatMap(({ call, statuses }) =>
      Object.entries(statuses).map(([status, value]) => ({ labels: { call, status }, value })),
    ),
  errors: ({ tally }) => tally.errors,
  disconnects: ({ tally }) => tally.ends,
  connectionsRefused: ({ tally }) => tally.refusals,
  rateLimited: ({ tally }) => tally.rateLimited,
  tokensRefused: ({ tally }) => tally.tokensRefused,
  keySetFetches: ({ keySet }) => keySet?.fetches ?? 0,
  keySetFailures: ({ keySet }) => keySet?.failures ?? 0,
  probeFailures: ({ tally }) => tally.probeFailures,
  deliveryOk: ({ probe }) => Number(probe.report().delivering),
  failingPartitions: ({ probe }) => probe.report().failing.length,
  connections: ({ gateway }) => gateway.connectionCount,
  connectionsMax: ({ bounds }) => bounds.connectionsMax,
  handshakes: ({ gateway }) => gateway.handshakeCount,
  handshakesMax: ({ bounds }) => bounds.handshakesMax,
  unsharedBytes: ({ gateway }) => gateway.unshared.bytes,
  unsharedBytesMax: ({ gateway }) => gateway.unshared.bytesMax,
  inboxBytes: ({ gateway }) => gateway.inboxBytes.bytes,
  inboxBytesMax: ({ gateway }) => gateway.inboxBytes.nodeMax,
  appendQueue: ({ log }) => log.load().appendsWaiting,
  appendQueueMax: ({ bounds }) => bounds.appendQueueRecordsMax,
  appendQueueBytes: ({ log }) => log.load().bytesWaiting,
  appendQueueBytesMax: ({ bounds }) => bounds.appendQueueBytesMax,
  logReads: ({ log }) => log.load().readsWaiting,
  logReadsMax: ({ bounds }) => bounds.readsQueuedMax,
  dedupeEntries: ({ log }) => log.load().dedupeEntries,
  dedupeEntriesMax: ({ bounds }) => bounds.dedupeEntriesMax,
  hubRooms: ({ gateway }) => gateway.hub.roomCount,
  timers: ({ gateway }) => gateway.wheel.size,
  lingering: ({ gateway }) => gateway.tracker.lingeringCount,
  lingeringMax: ({ bounds }) => bounds.lingeringMax,
  floodHeld: ({ tally }) => tally.floodHeld,
  logWritable: ({ log }) => Number(log.state().writable),
  logBatches: ({ figures }) => figures?.().batches ?? noneOf(METRICS.logBatches.labels.result),
  logRecords: ({ figures }) => figures?.().outcomes ?? noneOf(METRICS.logRecords.labels.outcome),
  logScans: ({ figures }) => figures?.().scans ?? noneOf(METRICS.logScans.labels.result),
  logTailRestarts: ({ figures }) => figures?.().tailRestarts ?? 0,
  logLag: ({ log, figures }) => {
    const lags = figures?.().lags ?? [];
    return Array.from({ length: log.partitions }, (_, partition) => {
      return { labels: { partition: String(partition) }, value: lags[partition] ?? 0 };
    });
  },
  logClockSkew: ({ figures }) => (figures?.().skewMs ?? 0) / 1000,
  logScansRunning: ({ figures }) => figures?.().scansRunning ?? 0,
  logScansRunningMax: ({ figures }) => figures?.().scansMax ?? 0,
  logLanesBusy: ({ figures }) => figures?.().lanesBusy ?? 0,
  logProducersDropped: ({ figures }) => figures?.().producersDropped ?? 0,
  logProducersDroppedMax: ({ figures }) => figures?.().producersDroppedMax ?? 0,
  historyReads: ({ history }) => history?.().reads ?? noneOf(METRICS.historyReads.labels.result),
  historyRecords: ({ history }) => history?.().records ?? 0,
  historyStarts: ({ history }) => history?.().starts ?? 0,
  historyLapses: ({ history }) => history?.().lapses ?? 0,
  historyFailures: ({ history }) => history?.().failures ?? 0,
  historyLed: ({ history }) => history?.().led ?? 0,
  historyLag: ({ history }) => history?.().behind ?? 0,
  peerSignals: ({ peers }) => peers?.().signals ?? noneOf(METRICS.peerSignals.labels.what),
  peerRemovals: ({ peers }) => peers?.().removals ?? noneOf(METRICS.peerRemovals.labels.result),
  peerUnreadable: ({ peers }) => peers?.().unreadable ?? 0,
  peerRooms: ({ peers }) => peers?.().rooms ?? 0,
  redisConnections: ({ redis }) => redis?.().connections ?? noneOf(METRICS.redisConnections.labels.connection),
  redisShed: ({ redis }) => redis?.().shed ?? 0,
  redisFailures: ({ redis }) => redis?.().failures ?? noneOf(METRICS.redisFailures.labels.reason),
  redisUp: ({ redis }) => Number(redis?.().isUp ?? false),
  redisHearing: ({ redis }) => Number(redis?.().isHearing ?? false),
  redisBroken: ({ redis }) => Number(redis?.().isBroken ?? false),
  redisUnanswered: ({ redis }) => redis?.().unanswered ?? 0,
  redisUnansweredMax: ({ redis }) => redis?.().unansweredMax ?? 0,
  redisChannels: ({ redis }) => redis?.().channels ?? 0,
  presenceShared: ({ presence }) => Number(presence?.().state === 'up'),
  presenceInterests: ({ presence }) => presence?.().interests ?? 0,
  presenceLeases: ({ presence }) => presence?.().leasesTaken ?? 0,
  presenceDegraded: ({ presence }) => presence?.().degraded ?? 0,
  presenceReaped: ({ presence }) => presence?.().reapedUsers ?? 0,
  presenceSwept: ({ presence }) => presence?.().sweptUsers ?? 0,
  spans: ({ tracing }) => {
    const { exported, failed, dropped } = tracing?.() ?? { exported: 0, failed: 0, dropped: 0 };
    return { exported, failed, dropped };
  },
  spansWaiting: ({ tracing }) => tracing?.().waiting ?? 0,
  spansWaitingMax: ({ tracing }) => tracing?.().waitingMax ?? 0,
  draining: ({ gateway }) => Number(gateway.draining),
  sessions: ({ gateway }) => gateway.sessions.connectedCount,
  users: ({ gateway }) => gateway.tracker.userCount,
  devices: ({ gateway }) => gateway.tracker.deviceCount,
  rooms: ({ gateway }) => gateway.tracker.roomCount,
  roomWatches: ({ gateway }) => gateway.feed.roomWatchCount,
  userWatches: ({ gateway }) => gateway.feed.userWatchCount,
  buildInfo: () => [{ labels: { version: VERSION, node_version: process.versions.node }, value: 1 }],
};

function noneOf(values: readonly string[]): Record<string, number> {
  return Object.fromEntries(values.map((value) => [value, 0]));
}

/** Of a histogram: its distributions by the value of its label, or one with no label. */
type Distributions = readonly { readonly label?: string; readonly distribution: Distribution }[];

const DISTRIBUTIONS: { readonly [Key in KeysOfType<'histogram'>]: (tally: Tally) => Distributions } = {
  publishAppend: (tally) => [{ distribution: tally.publishAppend }],
  appendDeliver: (tally) => [{ distribution: tally.appendDeliver }],
  tailDeliver: (tally) => [{ distribution: tally.tailDeliver }],
  connect: (tally) => [{ distribution: tally.connect }],
  join: (tally) => [{ distribution: tally.join }],
  apiRequest: (tally) => tally.api.map(({ call, took }) => ({ label: `call="${call}"`, distribution: took })),
  probe: (tally) => [{ distribution: tally.probe }],
  presenceChanges: (tally) => [{ distribution: tally.presenceChanges }],
  redisCall: (tally) =>
    Object.entries(tally.redisCalls).map(([call, distribution]) => ({ label: `call="${call}"`, distribution })),
};

/**
 * The page of everything that is measured, ours and Node's own: in Prometheus' text format 0.0.4, or, for whoever takes
 * that, in OpenMetrics, which has exemplars.
 */
export class Metrics implements MetricsPage {
  readonly #registry = new Registry();
  readonly #tally: Tally;

  constructor(sources: MetricSources) {
    this.#tally = sources.tally;
    for (const [key, read] of Object.entries(READINGS)) {
      const entry: MetricEntry = METRICS[key as MetricKey];
      const { name, help, labels = {} } = entry;
      const labelNames = Object.keys(labels);
      const config = { name, help, labelNames, registers: [this.#registry] };
      if (entry.type === 'counter') {
        const counter = new Counter({
          ...config,
          collect() {
            // The numbers are totals already.
            counter.reset();
            for (const { labels, value } of valuesOf(read(sources), labelNames)) counter.inc(labels, value);
          },
        });
      } else {
        const gauge = new Gauge({
          ...config,
          collect() {
            for (const { labels, value } of valuesOf(read(sources), labelNames)) gauge.set(labels, value);
          },
        });
      }
    }
    collectDefaultMetrics({ register: this.#registry });
  }

  async render(accepted: string): Promise<{ readonly contentType: string; readonly text: string }> {
    const isOpen = accepted.includes('application/openmetrics-text');
    const histograms = Object.entries(DISTRIBUTIONS).map(([key, read]) =>
      writeHistogram(METRICS[key as MetricKey], read(this.#tally), isOpen),
    );
    // prom-client writes `Nan`, which the format doesn't know, as of a loop whose lag nobody has had time to measure.
    const registered = (await this.#registry.metrics()).replace(/ Nan$/gm, ' NaN');
    const text = `${registered}\n${histograms.join('\n')}`;
    // prom-client's own OpenMetrics renames its counters for good.
    if (isOpen) return { contentType: Registry.OPENMETRICS_CONTENT_TYPE, text: openMetricsOf(text) };
    return { contentType: Registry.PROMETHEUS_CONTENT_TYPE, text };
  }
}

function valuesOf(reading: Reading, labelNames: readonly string[]) {
  if (typeof reading === 'number') return [{ labels: {}, value: reading }];
  if (Array.isArray(reading)) return reading as Extract<Reading, readonly unknown[]>;
  const [name = ''] = labelNames;
  return Object.entries(reading as Record<string, number>).map(([label, value]) => ({
    labels: { [name]: label },
    value,
  }));
}

/** Help and labels are our own words, without anything that the format would have escaped. */
function writeHistogram({ name, help }: MetricEntry, distributions: Distributions, isOpen: boolean): string {
  const lines = [`# HELP ${name} ${help}`, `# TYPE ${name} histogram`];
  for (const { label, distribution } of distributions) {
    const head = label === undefined ? '' : `${label},`;
    const braces = label === undefined ? '' : `{${label}}`;
    let count = 0;
    for (const [i, bound] of [...distribution.bounds, '+Inf'].entries()) {
      count += distribution.counts[i] ?? 0;
      const exemplar = isOpen ? distribution.exemplars[i] : undefined;
      const behind = exemplar === undefined ? '' : writeExemplar(exemplar);
      lines.push(`${name}_bucket{${head}le="${bound}"} ${count}${behind}`);
    }
    lines.push(`${name}_sum${braces} ${distribution.sum}`, `${name}_count${braces} ${count}`);
  }
  return `${lines.join('\n')}\n`;
}
