import { formatDisturbance, type Usage } from './load-plan.ts';
import type { LogBatches } from './log-batches.ts';
import { formatMark, type Mark, verdictOf } from './mark.ts';
import type { OpenLoopMeasurement, OpenLoopResult } from './open-loop-plan.ts';
import type { Measurement, SpeedResult } from './speed-plan.ts';
import { type Spread, spreadOf } from './statistics.ts';
import { formatCount, formatMs, formatShare, formatSpread, formatTable } from './table.ts';

const P99_RATIO_MAX = 2;
export const BARE_NAME = 'bare kafkajs';
const FAILED = 'failed';

export interface ClusterFigures {
  /** With which clients. */
  readonly contender: string;
  /** By round; undefined where it failed. */
  readonly across: readonly (OpenLoopResult | undefined)[];
  readonly bare: readonly (OpenLoopResult | undefined)[];
  /** Of the rounds that went well. */
  readonly acks: readonly SpeedResult[];
  /** All clients are at the first replica. */
  readonly unheard: readonly OpenLoopResult[];
}

/** One rate, by round. */
interface AtPace {
  readonly perSecond: number;
  readonly across: readonly (OpenLoopMeasurement | undefined)[];
  readonly bare: readonly (OpenLoopMeasurement | undefined)[];
}

/** What of a round is compared. */
type Latency = (measurement: OpenLoopMeasurement) => number;

/** To sessions of the second replica, where nobody publishes. */
const p50Across: Latency = ({ ports }) => ports.at(-1)?.p50Ms ?? 0;
const p99Across: Latency = ({ ports }) => ports.at(-1)?.p99Ms ?? 0;
const p50Own: Latency = ({ ports }) => ports[0]?.p50Ms ?? 0;
const p99Own: Latency = ({ ports }) => ports[0]?.p99Ms ?? 0;

/** Who uses how much, by `Cluster`'s order; shares of a core. */
const secondReplicaCpu = ({ serverCpu }: Usage): number => serverCpu;
const firstReplicaCpu = ({ besideCpus }: Usage): number => besideCpus[0] ?? 0;
const brokerCpu = ({ besideCpus }: Usage): number => besideCpus[1] ?? 0;
const clientCpuOf = ({ clientCpu }: Usage): number => clientCpu;

const recordsABatch = ({ log }: { readonly log: LogBatches | undefined }): number =>
  log === undefined || log.batches === 0 ? 0 : log.records / log.batches;

export function clusterMarks(figures: ClusterFigures): Mark[] {
  return pacesOf(figures).map(({ perSecond, across, bare }): Mark => {
    const wanted = `p99 ≤ ${P99_RATIO_MAX}× ${BARE_NAME} at ${formatCount(perSecond)}/s`;
    const mark = { part: 'cluster', wanted, contender: figures.contender };
    const ratio = ratioOf(across, bare, p99Across);
    if (ratio === undefined) return { ...mark, verdict: 'unknown', measured: 'no round of both' };
    return { ...mark, verdict: verdictOf(ratio.median <= P99_RATIO_MAX), measured: formatSpread(ratio, formatTimes) };
  });
}

export function formatCluster(figures: ClusterFigures, marks: readonly Mark[]): string {
  const usages = [figures.across, figures.bare, figures.acks, figures.unheard].flatMap((rounds) =>
    rounds.flatMap((round): readonly Usage[] => round?.measurements ?? []),
  );
  const lines = [
    `## cluster: two replicas (${figures.contender}) on one Kafka`,
    '',
    'A broker on this machine, warm, that keeps each record once and in memory first, as Kafka does. Broker, replicas and',
    'client share all cores, and nobody is pinned to one. CPU is the share of one core.',
    '',
    'Latency: one session of each of 100 rooms publishes at replica one, one listens at replica two; an open loop, from when',
    'a publication was due. Bare: records of the same size into as many partitions, produced and consumed by kafkajs in one',
    'process, a thread for each, one request under way. How late the client itself was is part of all latencies.',
    '',
    formatLatencies(figures),
    '',
    ...marks.map(formatMark),
    '',
    'Acks: a closed loop of 100 sessions, half of them at each replica, each publishing into a room of its own.',
    '',
    formatAcks(figures.acks),
    '',
    'A replica that only listens: 100 sessions, all at replica one, each publishing into a room of its own. Replica two has',
    'no session, and reads every record; its CPU time by the publications of the same time.',
    '',
    formatCosts(figures.unheard),
    ...formatDisturbance(usages),
  ];
  return lines.join('\n').trimEnd();
}

function pacesOf({ across, bare }: ClusterFigures): AtPace[] {
  const done = [...across, ...bare].find((round) => round !== undefined);
  return (done?.measurements ?? []).map(({ perSecond }, index) => ({
    perSecond,
    across: across.map((round) => round?.measurements[index]),
    bare: bare.map((round) => round?.measurements[index]),
  }));
}

/** How many times as long as bare kafkajs took, round by round. */
function ratioOf(across: AtPace['across'], bare: AtPace['bare'], read: Latency): Spread | undefined {
  const ratios = across.flatMap((round, index) => {
    const other = bare[index];
    return round === undefined || other === undefined ? [] : [read(round) / read(other)];
  });
  return ratios.length === 0 ? undefined : spreadOf(ratios);
}

function formatLatencies(figures: ClusterFigures): string {
  const header = [
    'publications/s',
    'path',
    'p50 ms, median [min–max]',
    'p99 ms',
    '× bare, p50',
    '× bare, p99',
    'sent late by, p99',
    'records a batch',
    'replica one CPU',
    'replica two CPU',
    'broker CPU',
    'client CPU',
  ];
  const rows = pacesOf(figures).flatMap(({ perSecond, across, bare }) => {
    const row = (path: string, rounds: AtPace['across'], p50: Latency, p99: Latency): string[] => {
      const done = rounds.filter((round) => round !== undefined);
      const spread = (read: Latency): string =>
        done.length === 0 ? FAILED : formatSpread(spreadOf(done.map(read)), formatMs);
      const isBare = rounds === bare;
      const ratio = (read: Latency): string => {
        const times = isBare ? undefined : ratioOf(rounds, bare, read);
        return times === undefined ? '' : formatSpread(times, formatTimes);
      };
      return [
        formatCount(perSecond),
        path,
        spread(p50),
        spread(p99),
        ratio(p50),
        ratio(p99),
        spread(({ latenessP99Ms }) => latenessP99Ms),
        medianOf(done, recordsABatch, formatMs),
        isBare ? '' : medianOf(done, firstReplicaCpu, formatShare),
        isBare ? '' : medianOf(done, secondReplicaCpu, formatShare),
        medianOf(done, isBare ? ({ serverCpu }) => serverCpu : brokerCpu, formatShare),
        medianOf(done, clientCpuOf, formatShare),
      ];
    };
    return [
      row('tidegate, to the other replica', across, p50Across, p99Across),
      row('tidegate, back to the publisher', across, p50Own, p99Own),
      row(BARE_NAME, bare, p50Across, p99Across),
    ];
  });
  return formatTable(header, rows);
}

function formatAcks(acks: readonly SpeedResult[]): string {
  if (acks.length === 0) return FAILED;
  const header = [
    'open at once',
    'acks/s, median [min–max]',
    'ack p50 ms',
    'ack p99 ms',
    'records a batch',
    'replica one CPU',
    'replica two CPU',
    'broker CPU',
    'client CPU',
  ];
  const windows = acks[0]?.measurements.map(({ window }) => window) ?? [];
  const rows = windows.map((window) => {
    const done = acks.flatMap(({ measurements }) =>
      measurements.filter((measurement) => measurement.window === window),
    );
    const spread = (read: (measurement: Measurement) => number, format: (value: number) => string): string =>
      formatSpread(spreadOf(done.map(read)), format);
    return [
      formatCount(window),
      spread(({ answersPerSecond }) => answersPerSecond, formatCount),
      spread(({ answerP50Ms }) => answerP50Ms, formatMs),
      spread(({ answerP99Ms }) => answerP99Ms, formatMs),
      spread(recordsABatch, formatMs),
      ...[firstReplicaCpu, secondReplicaCpu, brokerCpu, clientCpuOf].map((read) => medianOf(done, read, formatShare)),
    ];
  });
  return formatTable(header, rows);
}

function formatCosts(rounds: readonly OpenLoopResult[]): string {
  if (rounds.length === 0) return FAILED;
  const header = [
    'publications/s',
    'replica two, CPU µs a publication, median [min–max]',
    'replica one, which serves them',
    'broker',
    'records a batch',
  ];
  const paces = rounds[0]?.measurements.map(({ perSecond }) => perSecond) ?? [];
  const rows = paces.map((perSecond, index) => {
    const done = rounds.map(({ measurements }) => measurements[index] as OpenLoopMeasurement);
    const costs = [secondReplicaCpu, firstReplicaCpu, brokerCpu].map((read) => {
      const microseconds = done.map((one) => (read(one) * one.seconds * 1e6) / one.publications);
      return formatSpread(spreadOf(microseconds), formatCount);
    });
    return [formatCount(perSecond), ...costs, medianOf(done, recordsABatch, formatMs)];
  });
  return formatTable(header, rows);
}

function medianOf<M>(done: readonly M[], read: (measurement: M) => number, format: (value: number) => string): string {
  return done.length === 0 ? '' : format(spreadOf(done.map(read)).median);
}

function formatTimes(times: number): string {
  return `${times.toFixed(2)}×`;
}
