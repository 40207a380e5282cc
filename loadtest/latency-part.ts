import type { Bench } from './bench-run.ts';
import type { Contender } from './contender.ts';
import { formatDisturbance } from './load-plan.ts';
import { formatMark, type Mark, verdictOf } from './mark.ts';
import { measurePace, type PaceMeasurement } from './open-loop.ts';
import type { BenchOptions } from './options.ts';
import { type Part, type PartReport, roundsOf } from './part.ts';
import type { PopulationShape } from './population.ts';
import { WITHOUT_LIMITS } from './server-process.ts';
import { roundsDone, type Standing } from './standing.ts';
import { type Spread, spreadOf } from './statistics.ts';
import { aboveSync, type BesideSync, plannedSyncMs, syncCells, takeTurnsBesideSync } from './sync-turn.ts';
import { formatCount, formatMs, formatShare, formatSpread, formatTable } from './table.ts';

const SHAPE: PopulationShape = { rooms: 100, sessionsPerRoom: 10, publishersPerRoom: 10 };
const PER_SECOND = 1_000;
/** By how much a latency may be above the disk's. */
const P50_ABOVE_MAX_MS = 1;
const P99_ABOVE_MAX_MS = 2;
/** A round whose publications the client itself sent later than that says nothing of the server. */
const LATENESS_P99_MAX_MS = 0.5;
const WARM_UP_MS = 15_000;
/** For planning: what starting, connecting, draining and stopping take in one turn. */
const OVERHEAD_MS = 1_800;
const LOAD_MS_MAX = 30_000;

/** A fixed rate of publications: how late they arrive. */
class LatencyPart implements Part {
  readonly name = 'latency';
  readonly what = 'publish→deliver latency at 1,000 publications/s into 100 rooms of 10';
  readonly rounds = 5;

  entrants(contenders: readonly Contender[]): readonly Contender[] {
    return contenders;
  }

  plannedMs(options: BenchOptions): number {
    const rounds = roundsOf(this, options);
    const turnMs = OVERHEAD_MS + WARM_UP_MS + options.seconds * 1000;
    return rounds * options.contenders.length * turnMs + plannedSyncMs(rounds, options.seconds);
  }

  async run(bench: Bench): Promise<PartReport> {
    const measureMs = bench.options.seconds * 1000;
    const pace = { perSecond: PER_SECOND, warmUpMs: WARM_UP_MS, measureMs };
    const shapes = { shape: SHAPE, idle: undefined };
    const turns = await takeTurnsBesideSync(
      bench,
      this.name,
      bench.options.contenders,
      roundsOf(this, bench.options),
      (contender) => measurePace(bench, contender, shapes, pace, LOAD_MS_MAX + measureMs, WITHOUT_LIMITS),
    );
    const marks = latencyMarks(turns);
    return { markdown: formatLatency(turns, marks), marks, results: { ...shapes, ...pace, ...turns } };
  }
}

export const LATENCY: Part = new LatencyPart();

const isOnTime = ({ latenessP99Ms }: PaceMeasurement): boolean => latenessP99Ms <= LATENESS_P99_MAX_MS;

/** Those rounds in which the client was on time. */
function punctual(standing: Standing<PaceMeasurement>): Standing<PaceMeasurement> {
  return { ...standing, rounds: standing.rounds.map((round) => (round && isOnTime(round) ? round : undefined)) };
}

function p50Above(
  standing: Standing<PaceMeasurement>,
  syncs: BesideSync<PaceMeasurement>['syncs'],
): Spread | undefined {
  return aboveSync(punctual(standing), syncs, (round, sync) => round.p50Ms - sync.p50Ms);
}

function p99Above(
  standing: Standing<PaceMeasurement>,
  syncs: BesideSync<PaceMeasurement>['syncs'],
): Spread | undefined {
  return aboveSync(punctual(standing), syncs, (round, sync) => round.p99Ms - sync.p99Ms);
}

function formatLatency({ standings, syncs }: BesideSync<PaceMeasurement>, marks: readonly Mark[]): string {
  const header = [
    'server',
    'p50 ms, median [min–max]',
    'p99 ms',
    'p50 above fsync',
    'p99 above fsync',
    'sent late by, p99',
    'server CPU',
    'verified',
    'refused',
  ];
  const rows = standings.map((standing) => {
    const all = roundsDone(standing);
    const onTime = roundsDone(punctual(standing));
    const cell = (read: (round: PaceMeasurement) => number): string =>
      formatSpread(spreadOf((onTime.length > 0 ? onTime : all).map(read)), formatMs);
    const [p50, p99] = [p50Above(standing, syncs), p99Above(standing, syncs)];
    return [
      standing.name,
      cell((round) => round.p50Ms),
      cell((round) => round.p99Ms),
      p50 === undefined ? '' : formatMs(p50.median),
      p99 === undefined ? '' : formatMs(p99.median),
      cell((round) => round.latenessP99Ms),
      formatShare(spreadOf(all.map(({ serverCpu }) => serverCpu)).median),
      formatCount(all.reduce((sum, { deliveriesVerified }) => sum + deliveriesVerified, 0)),
      `${all.length - onTime.length}/${all.length}`,
    ];
  });
  const sync = syncCells(syncs, formatMs);
  const lines = [
    `## latency: ${formatCount(PER_SECOND)} publications/s into ${SHAPE.rooms} rooms × ${SHAPE.sessionsPerRoom} sessions`,
    '',
    'An open loop: publications are due at random times at this rate, whatever has become of those before, and latency',
    'runs from when one was due to each of its deliveries. The disk: 4 KiB appended and synced, alone, in the same',
    `rounds. A round is refused where the client itself was late by more than ${LATENESS_P99_MAX_MS} ms at the p99.`,
    '',
    formatTable(header, [...rows, [sync.name, sync.p50, sync.p99, ...Array(header.length - 3).fill('')]]),
    '',
    ...marks.map(formatMark),
    ...formatDisturbance(standings.flatMap(roundsDone)),
  ];
  return lines.join('\n').trimEnd();
}

function latencyMarks({ standings, syncs }: BesideSync<PaceMeasurement>): Mark[] {
  return standings
    .filter(({ name }) => name.startsWith('tidegate'))
    .map((standing) => {
      const wanted = `p50 ≤ the disk's + ${P50_ABOVE_MAX_MS} ms, p99 ≤ its + ${P99_ABOVE_MAX_MS} ms`;
      const mark = { part: 'latency', wanted, contender: standing.name };
      const [p50, p99] = [p50Above(standing, syncs), p99Above(standing, syncs)];
      if (p50 === undefined || p99 === undefined) {
        return { ...mark, verdict: 'unknown', measured: 'the client was late in all rounds' };
      }
      const isReached = p50.median <= P50_ABOVE_MAX_MS && p99.median <= P99_ABOVE_MAX_MS;
      const measured = `+ ${formatSpread(p50, formatMs)} and + ${formatSpread(p99, formatMs)} ms`;
      return { ...mark, verdict: verdictOf(isReached), measured };
    });
}
