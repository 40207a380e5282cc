import { type Bench, resultsOf } from './bench-run.ts';
import type { Contender } from './contender.ts';
import { formatDisturbance, otherLoad } from './load-plan.ts';
import { formatMark, type Mark, verdictOf } from './mark.ts';
import { sessionsAllowed } from './open-files.ts';
import { measurePace, type PaceMeasurement } from './open-loop.ts';
import type { OpenLoopPlan } from './open-loop-plan.ts';
import type { BenchOptions } from './options.ts';
import { type Part, type PartReport, roundsOf } from './part.ts';
import type { PopulationShape } from './population.ts';
import { type ServerExtras, WITHOUT_LIMITS } from './server-process.ts';
import { type Spread, spreadOf } from './statistics.ts';
import { formatCount, formatMs, formatSpread, formatTable } from './table.ts';

const MEMBERS = 4;
const PER_SECOND = 2_000;
const FACTOR_MAX = 1.5;
/** From the least to the most of each series. */
const ROOMS = [10, 100, 1_000, 10_000] as const;
const ROOMS_QUICK = [10, 1_000] as const;
const IDLE_SESSIONS = [100, 20_000] as const;
const IDLE_SESSIONS_QUICK = [100, 2_000] as const;
const IDLE_PER_ROOM = 10;
/** Rooms of the load beside idle sessions. */
const BESIDE_ROOMS = 50;
const WARM_UP_MS = 1_500;
/** For planning: what starting, draining and stopping take in one turn, and connecting. */
const OVERHEAD_MS = 1_800;
const SESSION_MS = 0.35;
const LOAD_MS_MAX = 90_000;
/** Nobody is asked for a sign of life meanwhile: that is a cost of time, not of deliveries. */
const HEARTBEAT_MS = 3_600_000;

const EXTRAS: ServerExtras = { env: { ...WITHOUT_LIMITS.env, TIDEGATE_HEARTBEAT_MS: String(HEARTBEAT_MS) } };

/** One size of a series, for one server. */
interface Step {
  readonly name: string;
  readonly contender: Contender;
  readonly series: 'rooms' | 'idle sessions';
  readonly size: number;
}

interface StepStanding {
  readonly step: Step;
  readonly rounds: readonly (PaceMeasurement | undefined)[];
}

const costOf = ({ serverCpu, seconds, deliveries }: PaceMeasurement): number =>
  (serverCpu * seconds * 1e6) / deliveries;

/** A fixed rate of publications while all else grows: what a delivery costs. */
class GrowthPart implements Part {
  readonly name = 'growth';
  readonly what = 'server CPU a delivery with 10 to 10,000 rooms of 4, and beside 100 to 20,000 idle sessions';
  readonly rounds = 2;

  entrants(contenders: readonly Contender[]): readonly Contender[] {
    return contenders.filter(({ isTidegate }) => isTidegate);
  }

  plannedMs(options: BenchOptions): number {
    const turnMs = (step: Step): number => OVERHEAD_MS + WARM_UP_MS + options.seconds * 1000 + step.size * SESSION_MS;
    const steps = this.#steps(options);
    return roundsOf(this, options) * steps.reduce((sum, step) => sum + turnMs(step), 0);
  }

  async run(bench: Bench): Promise<PartReport> {
    const measureMs = bench.options.seconds * 1000;
    const pace = { perSecond: PER_SECOND, warmUpMs: WARM_UP_MS, measureMs };
    const turns = await bench.takeTurns(
      this.name,
      this.#steps(bench.options),
      roundsOf(this, bench.options),
      ({ contender, series, size }) => {
        const shapes = series === 'rooms' ? roomsOf(size) : besideIdle(size);
        return measurePace(bench, contender, shapes, pace, LOAD_MS_MAX + measureMs, EXTRAS);
      },
      otherLoad,
    );
    const standings = turns
      .filter((turn) => resultsOf(turn).length > 0)
      .map(({ entrant, rounds }): StepStanding => ({ step: entrant, rounds }));
    const contenders = this.entrants(bench.options.contenders);
    const marks = contenders.flatMap((contender) => growthMarks(contender, standings, bench.options.isQuick));
    return { markdown: formatGrowth(standings, marks), marks, results: standings };
  }

  #steps({ contenders, isQuick }: BenchOptions): Step[] {
    return this.entrants(contenders).flatMap((contender): Step[] => {
      const rooms = (isQuick ? ROOMS_QUICK : ROOMS).map((size) => toStep(contender, 'rooms', size));
      const idle = (isQuick ? IDLE_SESSIONS_QUICK : IDLE_SESSIONS).map((size) => {
        const allowed = sessionsAllowed() - BESIDE_ROOMS * MEMBERS;
        return toStep(contender, 'idle sessions', Math.min(size, allowed - (allowed % IDLE_PER_ROOM)));
      });
      return [...rooms, ...idle];
    });
  }
}

export const GROWTH: Part = new GrowthPart();

function toStep(contender: Contender, series: Step['series'], size: number): Step {
  return { name: `${contender.name}, ${formatCount(size)} ${series}`, contender, series, size };
}

type Shapes = Pick<OpenLoopPlan, 'shape' | 'idle'>;

function roomsOf(rooms: number): Shapes {
  const shape: PopulationShape = { rooms, sessionsPerRoom: MEMBERS, publishersPerRoom: 1, isWoven: true };
  return { shape, idle: undefined };
}

function besideIdle(sessions: number): Shapes {
  const idle = { rooms: sessions / IDLE_PER_ROOM, sessionsPerRoom: IDLE_PER_ROOM, publishersPerRoom: 1 };
  const others = { firstRoom: idle.rooms, firstSession: sessions };
  return { shape: { rooms: BESIDE_ROOMS, sessionsPerRoom: MEMBERS, publishersPerRoom: 1, ...others }, idle };
}

function formatGrowth(standings: readonly StepStanding[], marks: readonly Mark[]): string {
  const header = ['server', 'with', 'server CPU µs a delivery', 'deliveries/s', 'p50 ms', 'p99 ms', 'verified'];
  const rows = standings.map(({ step, rounds }) => {
    const done = rounds.filter((round) => round !== undefined);
    const median = (read: (round: PaceMeasurement) => number): number => spreadOf(done.map(read)).median;
    return [
      step.contender.name,
      `${formatCount(step.size)} ${step.series}`,
      formatSpread(spreadOf(done.map(costOf)), formatMs),
      formatCount(median(({ deliveries, seconds }) => deliveries / seconds)),
      formatMs(median(({ p50Ms }) => p50Ms)),
      formatMs(median(({ p99Ms }) => p99Ms)),
      formatCount(done.reduce((sum, { deliveriesVerified }) => sum + deliveriesVerified, 0)),
    ];
  });
  const usages = standings.flatMap(({ rounds }) => rounds.filter((round) => round !== undefined));
  const lines = [
    `## growth: ${formatCount(PER_SECOND)} publications/s, whatever the size`,
    '',
    `An open loop. Rooms have ${MEMBERS} members, and each session is in ${MEMBERS} of them, so that there are as many sessions as rooms.`,
    `Idle sessions are in rooms of ${IDLE_PER_ROOM}, beside a load into ${BESIDE_ROOMS} rooms of ${MEMBERS}. Heartbeats are off: they are a cost of time.`,
    '',
    formatTable(header, rows),
    '',
    ...marks.map(formatMark),
    ...formatDisturbance(usages),
  ];
  return lines.join('\n').trimEnd();
}

function growthMarks(contender: Contender, standings: readonly StepStanding[], isQuick: boolean): Mark[] {
  return (['rooms', 'idle sessions'] as const).flatMap((series): Mark[] => {
    const steps = standings.filter(({ step }) => step.contender === contender && step.series === series);
    const [least, most] = [steps[0], steps.at(-1)];
    if (least === undefined || most === undefined || least === most) return [];
    const sizes = `${formatCount(least.step.size)} to ${formatCount(most.step.size)} ${series}`;
    const wanted = `CPU a delivery within ${FACTOR_MAX}× from ${sizes}`;
    const mark = { part: 'growth', wanted, contender: contender.name };
    const factor = factorOf(most, least);
    if (factor === undefined) return [{ ...mark, verdict: 'unknown', measured: 'no round of both' }];
    const measured = formatSpread(factor, (value) => `${value.toFixed(2)}×`);
    return [{ ...mark, verdict: isQuick ? 'unknown' : verdictOf(factor.median <= FACTOR_MAX), measured }];
  });
}

/** How many times as much a delivery costs, round by round. */
function factorOf(most: StepStanding, least: StepStanding): Spread | undefined {
  const factors = most.rounds.flatMap((round, index) => {
    const other = least.rounds[index];
    return round === undefined || other === undefined ? [] : [costOf(round) / costOf(other)];
  });
  return factors.length === 0 ? undefined : spreadOf(factors);
}
