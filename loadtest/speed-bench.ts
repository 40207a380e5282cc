import { writeFile } from 'node:fs/promises';
import { type Contender, startServer, WITHOUT_LIMITS } from './contender.ts';
import { type LoadPlan, type LoadResult, type Measurement, OTHER_LOAD_MAX, otherLoad, quieter } from './load-plan.ts';
import { runLoad } from './load-process.ts';
import { describeMachine } from './machine.ts';
import type { SpeedOptions } from './options.ts';
import { inTurn, Progress } from './progress.ts';
import { formatFacts, formatWorkload, type RunFacts, type WorkloadResult } from './report.ts';
import type { Standing } from './standing.ts';
import type { BenchWorkload } from './workload.ts';

const WARM_UP_MS = 1_500;
const CALIBRATION = { kind: 'calibrate', warmUpMs: 1_500, stepSettleMs: 200, stepMs: 800, p50MaxMs: 40 } as const;
/** For planning: what starting, connecting, draining and stopping take in one turn. */
const OVERHEAD_MS = 2_000;
/** For planning: what a calibration usually takes. */
const CALIBRATION_MS = 15_000;
/** Beyond this a load process is stuck. */
const LOAD_MS_MAX = 60_000;
/** Turns that are taken again because other processes disturbed them. */
const REPETITIONS_MAX = 6;
const TICK_MAX_MS_DEFAULT = 5;

/** One server's measurement in one round. */
interface Turn {
  readonly measurement: Measurement;
  readonly deliveriesVerified: number;
}

/** One run of the bench: the cores and the place it works in, and what went wrong. */
class SpeedBench {
  readonly #options: SpeedOptions;
  readonly #serverCore: number;
  readonly #clientCore: number;
  readonly #directory: string;
  readonly #progress: Progress;
  /** Bounds the time that a busy machine costs. */
  #repetitionsLeft = REPETITIONS_MAX;
  failures = 0;

  constructor(options: SpeedOptions, cores: readonly [number, number], directory: string) {
    this.#options = options;
    [this.#serverCore, this.#clientCore] = cores;
    this.#directory = directory;
    this.#progress = new Progress(plannedSpeedMs(options));
  }

  async runWorkload(workload: BenchWorkload): Promise<WorkloadResult> {
    const windows = new Map<Contender, number>();
    for (const contender of this.#options.contenders) {
      const window = this.#options.window ?? (await this.#calibrate(workload, contender));
      if (window !== undefined) windows.set(contender, window);
    }
    const rounds = new Map<Contender, Turn[]>();
    for (let round = 0; round < this.#options.rounds; round++) {
      for (const contender of inTurn([...windows.keys()], round)) {
        const turn = await this.#measure(workload, contender, windows.get(contender) ?? 1, round);
        if (turn === undefined) windows.delete(contender);
        else rounds.set(contender, [...(rounds.get(contender) ?? []), turn]);
      }
    }
    const standings = [...windows].map(([contender, window]) => toStanding(contender, window, rounds.get(contender)));
    return { workload, standings };
  }

  /** The window with most deliveries/s within the latency allowed; undefined if the server failed. */
  async #calibrate(workload: BenchWorkload, contender: Contender): Promise<number | undefined> {
    this.#progress.say(`${workload.name}: calibrating ${contender.name}`);
    const result = await this.#load(workload, contender, CALIBRATION);
    if (result === undefined) return undefined;
    const best = pickWindow(result.measurements, CALIBRATION.p50MaxMs);
    const speed = Math.round(best.deliveriesPerSecond).toLocaleString('en-US');
    this.#progress.say(`${workload.name}: ${contender.name} is best with a window of ${best.window}, ${speed}/s`);
    return best.window;
  }

  /** One turn; once more if other processes disturbed it, and the quieter of the two counts. */
  async #measure(
    workload: BenchWorkload,
    contender: Contender,
    window: number,
    round: number,
  ): Promise<Turn | undefined> {
    const what = `${workload.name}: round ${round + 1}/${this.#options.rounds}, ${contender.name}`;
    const first = await this.#takeTurn(what, workload, contender, window);
    const isQuiet = first === undefined || otherLoad(first.measurement) <= OTHER_LOAD_MAX;
    if (isQuiet || this.#repetitionsLeft === 0) return first;
    this.#repetitionsLeft--;
    const second = await this.#takeTurn(`${what}, again: other load`, workload, contender, window);
    if (second === undefined) return undefined;
    return {
      measurement: quieter(first.measurement, second.measurement),
      deliveriesVerified: first.deliveriesVerified + second.deliveriesVerified,
    };
  }

  async #takeTurn(
    what: string,
    workload: BenchWorkload,
    contender: Contender,
    window: number,
  ): Promise<Turn | undefined> {
    this.#progress.say(what);
    const measureMs = this.#options.seconds * 1000;
    const result = await this.#load(workload, contender, { kind: 'measure', window, warmUpMs: WARM_UP_MS, measureMs });
    const measurement = result?.measurements[0];
    return measurement && { measurement, deliveriesVerified: result?.deliveriesVerified ?? 0 };
  }

  /** Undefined if the server or the verification failed, which was reported then. */
  async #load(workload: BenchWorkload, contender: Contender, task: LoadPlan['task']): Promise<LoadResult | undefined> {
    try {
      const server = await startServer(contender, this.#serverCore, this.#directory, WITHOUT_LIMITS);
      const plan: LoadPlan = {
        wire: contender.name,
        port: server.port,
        workload,
        serverPid: server.pid,
        serverCore: this.#serverCore,
        clientCore: this.#clientCore,
        task,
      };
      try {
        const measuringMs = task.kind === 'measure' ? task.measureMs : 0;
        return await runLoad<LoadResult>('./load.ts', plan, measuringMs + LOAD_MS_MAX);
      } catch (error) {
        throw new Error(`${(error as Error).message}\n${server.output()}`);
      } finally {
        await server.stop();
      }
    } catch (error) {
      this.failures++;
      this.#progress.say(`FAILED: ${workload.name}, ${contender.name}: ${(error as Error).message}`);
      return undefined;
    }
  }
}

/** Of windows that differ by less than 3 % in deliveries/s, which noise can explain, the smallest. */
function pickWindow(measurements: readonly Measurement[], p50MaxMs: number): Measurement {
  const allowed = measurements.filter(({ p50Ms }) => p50Ms <= p50MaxMs);
  // A server that is slower than that even with the smallest window is measured with that one.
  const candidates = allowed.length > 0 ? allowed : measurements.slice(0, 1);
  const most = Math.max(...candidates.map(({ deliveriesPerSecond }) => deliveriesPerSecond));
  return candidates.find(({ deliveriesPerSecond }) => deliveriesPerSecond >= 0.97 * most) as Measurement;
}

function toStanding(contender: Contender, window: number, turns: readonly Turn[] = []): Standing {
  return {
    name: contender.name,
    window,
    rounds: turns.map(({ measurement }) => measurement),
    deliveriesVerified: turns.reduce((sum, turn) => sum + turn.deliveriesVerified, 0),
  };
}

export function plannedSpeedMs({ workloads, contenders, rounds, seconds, window }: SpeedOptions): number {
  const calibrationMs = window === undefined ? OVERHEAD_MS + CALIBRATION_MS : 0;
  const roundsMs = rounds * (OVERHEAD_MS + WARM_UP_MS + seconds * 1000);
  return workloads.length * contenders.length * (calibrationMs + roundsMs);
}

function factsOf(options: SpeedOptions, directory: string): RunFacts {
  return {
    machine: describeMachine(directory),
    contenders: options.contenders,
    rounds: options.rounds,
    seconds: options.seconds,
    p50MaxMs: options.window === undefined ? CALIBRATION.p50MaxMs : undefined,
    tickMaxMs: Number(process.env.TIDEGATE_TICK_MAX_MS ?? TICK_MAX_MS_DEFAULT),
    settings: Object.keys(process.env).filter((name) => name.startsWith('TIDEGATE_')),
  };
}

/** Runs the workloads one after the other, and prints each one's table. Returns whether all went well. */
export async function runSpeed(
  options: SpeedOptions,
  cores: readonly [number, number],
  directory: string,
): Promise<boolean> {
  const facts = factsOf(options, directory);
  console.log(formatFacts(facts));
  const bench = new SpeedBench(options, cores, directory);
  const results: WorkloadResult[] = [];
  for (const workload of options.workloads) {
    const result = await bench.runWorkload(workload);
    results.push(result);
    console.log(`\n${formatWorkload(result)}`);
  }
  if (options.json !== undefined)
    await writeFile(options.json, `${JSON.stringify({ facts, results }, undefined, 2)}\n`);
  return bench.failures === 0;
}
