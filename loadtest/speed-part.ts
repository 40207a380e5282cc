import { type Bench, resultsOf } from './bench-run.ts';
import { ClosedLoop, plannedLoopMs } from './closed-loop.ts';
import type { Contender } from './contender.ts';
import { otherLoad } from './load-plan.ts';
import type { BenchOptions } from './options.ts';
import { type Part, type PartReport, roundsOf } from './part.ts';
import { fastestOf, type Workload } from './speed-plan.ts';
import { formatSpeed, type SpeedStanding, type SpeedWishes, speedMarks } from './speed-report.ts';

/** A calibration's steps are short, and the p99 of a round may be higher than theirs: they must keep within this share. */
const SHORT_STEP_SHARE = 0.8;

/** Rooms in a closed loop: how many deliveries a second. */
class SpeedPart implements Part {
  readonly name: string;
  readonly what: string;
  readonly rounds = 5;
  readonly #workload: Workload;
  readonly #wishes: SpeedWishes;

  constructor(what: string, workload: Workload, wishes: SpeedWishes) {
    this.name = workload.name;
    this.what = what;
    this.#workload = workload;
    this.#wishes = wishes;
  }

  entrants(contenders: readonly Contender[]): readonly Contender[] {
    return contenders;
  }

  plannedMs(options: BenchOptions): number {
    return plannedLoopMs(options.contenders.length, roundsOf(this, options), options);
  }

  async run(bench: Bench): Promise<PartReport> {
    const { p99MaxMs } = this.#wishes;
    const preference = fastestOf(
      ({ p99Ms }) => p99Ms <= SHORT_STEP_SHARE * p99MaxMs,
      ({ p50Ms }) => p50Ms <= p99MaxMs / 2,
    );
    const loop = new ClosedLoop(bench, this.#workload, preference);
    const windows = await loop.findWindows(bench.options.contenders);
    const turns = await bench.takeTurns(
      this.name,
      [...windows.keys()],
      roundsOf(this, bench.options),
      (contender) => loop.measure(contender, windows.get(contender) as number),
      otherLoad,
    );
    const standings: SpeedStanding[] = turns
      .filter((turn) => resultsOf(turn).length > 0)
      .map(({ entrant, rounds }) => ({ name: entrant.name, rounds }));
    const marks = speedMarks(this.name, standings, this.#wishes);
    return {
      markdown: formatSpeed(this.#workload, standings, marks),
      marks,
      results: { workload: this.#workload, standings },
    };
  }
}

export const FANOUT: Part = new SpeedPart(
  'deliveries/s of 1 room of 1,000 sessions, 100 of which publish',
  { name: 'fanout', rooms: 1, sessionsPerRoom: 1000, publishersPerRoom: 100, windowMin: 2 },
  { ratios: { 'socket.io': 100, uws: 3 }, p99MaxMs: 100 },
);

export const ROOMS: Part = new SpeedPart(
  'deliveries/s of 250 rooms of 4 sessions, all of which publish',
  { name: 'rooms', rooms: 250, sessionsPerRoom: 4, publishersPerRoom: 4, windowMin: 32 },
  { ratios: { 'socket.io': 6, uws: 0.6 }, p99MaxMs: 100 },
);
