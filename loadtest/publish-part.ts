import type { Bench } from './bench-run.ts';
import { ClosedLoop, plannedLoopMs } from './closed-loop.ts';
import type { Contender } from './contender.ts';
import { formatDisturbance } from './load-plan.ts';
import { formatMark, type Mark, verdictOf } from './mark.ts';
import type { BenchOptions } from './options.ts';
import { type Part, type PartReport, roundsOf } from './part.ts';
import type { Measurement, Preference, Workload } from './speed-plan.ts';
import { roundsDone, type Standing, summarize } from './standing.ts';
import type { Spread } from './statistics.ts';
import { aboveSync, type BesideSync, measureSync, plannedSyncMs, syncCells, takeTurnsBesideSync } from './sync-turn.ts';
import { formatBounded, formatCount, formatMs, formatShare, formatSpread, formatTable } from './table.ts';

const ACKS_WANTED = 20_000;
/** By how much an ack's p99 may be above the disk's; in the short steps of the calibration a bit less. */
const ABOVE_SYNC_MAX_MS = 5;
const ABOVE_SYNC_STEP_MAX_MS = 4;

const WORKLOAD: Workload = { name: 'publish', rooms: 100, sessionsPerRoom: 1, publishersPerRoom: 1, windowMin: 32 };

type PublishMeasurement = Measurement & { readonly deliveriesVerified: number };

interface Published extends BesideSync<PublishMeasurement> {
  /** By server: the fastest step of its calibration, whatever its latency. */
  readonly fastest: ReadonlyMap<string, Measurement>;
}

const acksOf = (round: Measurement): number => round.answersPerSecond;

/** Durable publications: how many a second are acknowledged, and how late. */
class PublishPart implements Part {
  readonly name = WORKLOAD.name;
  readonly what = 'durable acks/s of 100 sessions, each publishing into a room of its own';
  readonly rounds = 5;

  /** The others store nothing. */
  entrants(contenders: readonly Contender[]): readonly Contender[] {
    return contenders.filter(({ isTidegate }) => isTidegate);
  }

  plannedMs(options: BenchOptions): number {
    const rounds = roundsOf(this, options);
    const loopMs = plannedLoopMs(this.entrants(options.contenders).length, rounds, options);
    return loopMs + plannedSyncMs(rounds + 1, options.seconds);
  }

  async run(bench: Bench): Promise<PartReport> {
    const sync = await bench.attempt(`${this.name}: the disk itself`, () => measureSync(bench));
    const loop = new ClosedLoop(bench, WORKLOAD, withinOf((sync?.p99Ms ?? 0) + ABOVE_SYNC_STEP_MAX_MS));
    const windows = await loop.findWindows(this.entrants(bench.options.contenders));
    const { standings, syncs } = await takeTurnsBesideSync(
      bench,
      this.name,
      [...windows.keys()],
      roundsOf(this, bench.options),
      (contender) => loop.measure(contender, windows.get(contender) as number),
    );
    const fastest = new Map<string, Measurement>();
    for (const [{ name }, steps] of loop.calibrations) {
      fastest.set(
        name,
        steps.reduce((best, step) => (acksOf(step) > acksOf(best) ? step : best)),
      );
    }
    const published: Published = { standings, syncs, fastest };
    const marks = publishMarks(published);
    return {
      markdown: formatPublish(published, marks),
      marks,
      results: { workload: WORKLOAD, standings, syncs, fastest: Object.fromEntries(fastest) },
    };
  }
}

export const PUBLISH: Part = new PublishPart();

/** Most acks/s among the windows whose p99 stays within the bound; if none does, the one with the lowest p99. */
function withinOf(answerP99MaxMs: number): Preference {
  return (measurements) => {
    const allowed = measurements.filter(({ answerP99Ms }) => answerP99Ms <= answerP99MaxMs);
    return allowed.length > 0
      ? allowed.reduce((best, one) => (acksOf(one) > acksOf(best) ? one : best))
      : measurements.reduce((best, one) => (one.answerP99Ms < best.answerP99Ms ? one : best));
  };
}

function p99Above(standing: Standing<PublishMeasurement>, { syncs }: Published): Spread | undefined {
  return aboveSync(standing, syncs, (round, sync) => round.answerP99Ms - sync.p99Ms);
}

function formatPublish(published: Published, marks: readonly Mark[]): string {
  const { standings, syncs, fastest } = published;
  const header = [
    'server',
    'acks/s, median [min–max]',
    'ack p50 ms',
    'ack p99 ms',
    'p99 above fsync, ms',
    'window',
    'server CPU',
    'client CPU',
    'verified',
    'refused',
    'most acks/s of any window (its p99)',
  ];
  const rows = standings.map((standing) => {
    const median = (read: (round: Measurement) => number): number => summarize(standing, read).spread.median;
    const acks = summarize(standing, acksOf);
    const above = p99Above(standing, published);
    const most = fastest.get(standing.name);
    const rounds = roundsDone(standing);
    return [
      standing.name,
      formatBounded(acks, formatCount),
      formatMs(median(({ answerP50Ms }) => answerP50Ms)),
      formatMs(median(({ answerP99Ms }) => answerP99Ms)),
      above === undefined ? '' : formatSpread(above, formatMs),
      formatCount(rounds[0]?.window ?? 0),
      formatShare(median(({ serverCpu }) => serverCpu)),
      formatShare(median(({ clientCpu }) => clientCpu)),
      formatCount(rounds.reduce((sum, { deliveriesVerified }) => sum + deliveriesVerified, 0)),
      `${acks.refused}/${rounds.length}`,
      most === undefined
        ? ''
        : `${formatCount(acksOf(most))} (${formatMs(most.answerP99Ms)} ms, window ${most.window})`,
    ];
  });
  const sync = syncCells(syncs, formatMs);
  const lines = [
    '## publish: 100 sessions, each into a room of its own',
    '',
    'An ack comes after fsync; each publication is delivered to its publisher too, and verified. The window is the one',
    `with most acks/s whose p99 was at most the disk's + ${ABOVE_SYNC_STEP_MAX_MS} ms when it was looked for. The disk: 4 KiB appended and synced, alone, in the same rounds.`,
    '',
    formatTable(header, [...rows, [sync.name, '', sync.p50, sync.p99, ...Array(header.length - 4).fill('')]]),
    '',
    ...marks.map(formatMark),
    ...formatDisturbance(standings.flatMap(roundsDone)),
  ];
  return lines.join('\n').trimEnd();
}

function publishMarks(published: Published): Mark[] {
  return published.standings.map((standing) => {
    const acks = summarize(standing, acksOf);
    const above = p99Above(standing, published);
    const wanted = `≥ ${formatCount(ACKS_WANTED)} acks/s at p99 ≤ the disk's + ${ABOVE_SYNC_MAX_MS} ms`;
    const mark = { part: WORKLOAD.name, wanted, contender: standing.name };
    const measured = formatBounded(acks, formatCount);
    if (above === undefined) return { ...mark, verdict: 'unknown', measured: `${measured}; the disk was not measured` };
    const isReached = acks.spread.median >= ACKS_WANTED && above.median <= ABOVE_SYNC_MAX_MS;
    return { ...mark, verdict: verdictOf(isReached), measured: `${measured}, + ${formatSpread(above, formatMs)} ms` };
  });
}
