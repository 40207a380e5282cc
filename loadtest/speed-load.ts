/**
 * The load process of a closed loop: all sessions of one run against one server, and how fast it goes. Started with a
 * SpeedPlan as its argument; sends a SpeedResult.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { wireOf } from './clients/wires.ts';
import { quantilesOf } from './latency-histogram.ts';
import { runAsLoad } from './load-main.ts';
import { batchesSince, type LogBatches, readLogBatches } from './log-batches.ts';
import { Population } from './population.ts';
import { OPEN_MAX, OPEN_PER_PUBLISHER } from './publish-window.ts';
import type { CalibrationTask, Measurement, SpeedPlan, SpeedResult } from './speed-plan.ts';
import { UsageMeter } from './usage-meter.ts';

const DRAIN_MS_MAX = 10_000;
const DRAIN_POLL_MS = 5;
/** What must not come after the last delivery would come by then: a duplicate, say. */
const QUIET_MS = 100;
/** Calibration warms the server up with this many times its smallest window. */
const WARM_UP_FACTOR = 8;

class SpeedRun {
  readonly #plan: SpeedPlan;
  readonly #population: Population;
  readonly #meter: UsageMeter;

  constructor(plan: SpeedPlan, fail: (error: Error) => void) {
    this.#plan = plan;
    this.#population = new Population(plan.ports, wireOf(plan.wire), plan.workload, fail);
    this.#meter = new UsageMeter(plan);
  }

  get deliveries(): number {
    return this.#population.deliveries;
  }

  connect(): Promise<void> {
    return this.#population.connect();
  }

  async measure(window: number, settleMs: number, measureMs: number): Promise<Measurement> {
    await this.#setWindow(window);
    await sleep(settleMs);
    const population = this.#population;
    const before = await this.#readLog();
    const { answerHistogram } = population.window;
    population.clearLatencies();
    const deliveriesBefore = population.deliveries;
    const bytesBefore = population.bytes;
    this.#meter.start();
    await sleep(measureMs);
    const usage = this.#meter.stop();
    const deliveries = population.deliveries - deliveriesBefore;
    const measurement = {
      window,
      ...usage,
      deliveries,
      deliveriesPerSecond: deliveries / usage.seconds,
      ...quantilesOf(population.latencies),
      answersPerSecond: answerHistogram.count / usage.seconds,
      answerP50Ms: answerHistogram.quantileUs(0.5) / 1000,
      answerP99Ms: answerHistogram.quantileUs(0.99) / 1000,
      bytesPerDelivery: deliveries === 0 ? 0 : (population.bytes - bytesBefore) / deliveries,
    };
    const after = await this.#readLog();
    return { ...measurement, log: before && after && batchesSince(before, after) };
  }

  /** Widens the window until the median latency is beyond its bound. */
  async calibrate(task: CalibrationTask): Promise<Measurement[]> {
    const { rooms, publishersPerRoom, windowMin } = this.#plan.workload;
    const windowMax = Math.min(OPEN_MAX, rooms * publishersPerRoom * OPEN_PER_PUBLISHER);
    await this.measure(windowMin * WARM_UP_FACTOR, task.warmUpMs, 0);
    const measurements: Measurement[] = [];
    for (let window = windowMin; window <= windowMax; window = Math.ceil(window * task.stepFactor)) {
      const measurement = await this.measure(window, task.stepSettleMs, task.stepMs);
      measurements.push(measurement);
      if (measurement.p50Ms > task.p50MaxMs) break;
    }
    return measurements;
  }

  /**
   * Stops publishing, waits for what is open and ends the sessions.
   *
   * @throws Error unless every session has received everything.
   */
  async finish(): Promise<void> {
    await this.#setWindow(0);
    await sleep(QUIET_MS);
    this.#population.verify();
    this.#population.close();
  }

  async #readLog(): Promise<LogBatches | undefined> {
    return this.#plan.countsBatches ? readLogBatches(this.#plan.internalPorts) : undefined;
  }

  /** Resolves when no more are open than the window allows, or that has taken too long. */
  async #setWindow(window: number): Promise<void> {
    const open = this.#population.window;
    open.limit = window;
    open.planFlush();
    const deadlineMs = performance.now() + DRAIN_MS_MAX;
    while (open.open > window && performance.now() < deadlineMs) await sleep(DRAIN_POLL_MS);
  }
}

async function perform(plan: SpeedPlan, fail: (error: Error) => void): Promise<SpeedResult> {
  const run = new SpeedRun(plan, fail);
  await run.connect();
  const { task } = plan;
  const measurements =
    task.kind === 'calibrate'
      ? await run.calibrate(task)
      : [await run.measure(task.window, task.warmUpMs, task.measureMs)];
  await run.finish();
  return { kind: 'done', measurements, deliveriesVerified: run.deliveries };
}

runAsLoad(perform);
