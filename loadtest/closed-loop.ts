import type { Bench } from './bench-run.ts';
import type { Contender } from './contender.ts';
import type { BenchOptions } from './options.ts';
import { WITHOUT_LIMITS } from './server-process.ts';
import type { CalibrationTask, Measurement, Preference, SpeedPlan, SpeedResult, Workload } from './speed-plan.ts';

const WARM_UP_MS = 5_000;
const CALIBRATION: CalibrationTask = {
  kind: 'calibrate',
  warmUpMs: 5_000,
  stepFactor: 1.25,
  stepSettleMs: 200,
  stepMs: 700,
  p50MaxMs: 80,
};
const CALIBRATION_QUICK: CalibrationTask = { ...CALIBRATION, warmUpMs: 1_500, stepFactor: 4, stepMs: 400 };
/** For planning: what starting, connecting, draining and stopping take in one turn. */
const OVERHEAD_MS = 1_800;
/** For planning: what the steps of a calibration usually take. */
const CALIBRATION_MS = 25_000;
const CALIBRATION_QUICK_MS = 4_500;
/** Beyond this a load process is stuck. */
const LOAD_MS_MAX = 60_000;

/** One workload, by a closed loop: a window for each contender, then its rounds. */
export class ClosedLoop {
  readonly #bench: Bench;
  readonly #workload: Workload;
  readonly #preference: Preference;
  /** What the calibrations found, by contender. */
  readonly calibrations = new Map<Contender, readonly Measurement[]>();

  constructor(bench: Bench, workload: Workload, preference: Preference) {
    this.#bench = bench;
    this.#workload = workload;
    this.#preference = preference;
  }

  /** The windows of those contenders whose server did not fail. */
  async findWindows(contenders: readonly Contender[]): Promise<Map<Contender, number>> {
    const { window, isQuick } = this.#bench.options;
    if (window !== undefined) return new Map(contenders.map((contender) => [contender, window]));
    const windows = new Map<Contender, number>();
    const task = isQuick ? CALIBRATION_QUICK : CALIBRATION;
    for (const contender of contenders) {
      const { name } = this.#workload;
      const what = `${name}: calibrating ${contender.name}`;
      const result = await this.#bench.attempt(what, () => this.#load(contender, task));
      if (result === undefined) continue;
      this.calibrations.set(contender, result.measurements);
      const best = this.#preference(result.measurements);
      windows.set(contender, best.window);
      const speed = Math.round(best.deliveriesPerSecond).toLocaleString('en-US');
      this.#bench.say(`${name}: ${contender.name} is best with a window of ${best.window}, ${speed} deliveries/s`);
    }
    return windows;
  }

  async measure(contender: Contender, window: number): Promise<Measurement & { readonly deliveriesVerified: number }> {
    const measureMs = this.#bench.options.seconds * 1000;
    const result = await this.#load(contender, { kind: 'measure', window, warmUpMs: WARM_UP_MS, measureMs });
    return { ...(result.measurements[0] as Measurement), deliveriesVerified: result.deliveriesVerified };
  }

  #load(contender: Contender, task: SpeedPlan['task']): Promise<SpeedResult> {
    const measuringMs = task.kind === 'measure' ? task.measureMs : 0;
    const plan = { workload: this.#workload, task, countsBatches: false };
    return this.#bench.load<SpeedPlan, SpeedResult>(
      contender,
      './speed-load.ts',
      plan,
      measuringMs + LOAD_MS_MAX,
      WITHOUT_LIMITS,
    );
  }
}

export function plannedLoopMs(contenders: number, rounds: number, options: BenchOptions): number {
  const stepsMs = options.isQuick ? CALIBRATION_QUICK_MS : CALIBRATION_MS;
  const calibrationMs = options.window === undefined ? OVERHEAD_MS + CALIBRATION.warmUpMs + stepsMs : 0;
  return contenders * (calibrationMs + rounds * (OVERHEAD_MS + WARM_UP_MS + options.seconds * 1000));
}
