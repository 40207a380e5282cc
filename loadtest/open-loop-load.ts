/**
 * The load process of an open loop: fixed rates of publications, and what they cost. Started with an OpenLoopPlan as its
 * argument; sends an OpenLoopResult.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { wireOf } from './clients/wires.ts';
import { quantilesOf } from './latency-histogram.ts';
import { runAsLoad } from './load-main.ts';
import { batchesSince, type LogBatches, readLogBatches } from './log-batches.ts';
import type { OpenLoopMeasurement, OpenLoopPlan, OpenLoopResult, Pace } from './open-loop-plan.ts';
import { Population } from './population.ts';
import { PublishSchedule } from './publish-schedule.ts';
import { UsageMeter } from './usage-meter.ts';

const DRAIN_MS_MAX = 10_000;
const POLL_MS = 5;
/** What must not come after the last delivery would come by then: a duplicate, say. */
const QUIET_MS = 100;

async function perform(plan: OpenLoopPlan, fail: (error: Error) => void): Promise<OpenLoopResult> {
  const { ports, wire, shape, idle, waiting } = plan;
  const idlers = idle && new Population(ports, wireOf(wire, { presence: 'full' }), idle, fail);
  await idlers?.connect();
  const population = new Population(ports, wireOf(wire), shape, fail);
  await population.connect();
  const schedule = new PublishSchedule(population.window, waiting, fail);
  const measurements: OpenLoopMeasurement[] = [];
  for (const pace of plan.paces) measurements.push(await measure(plan, pace, population, schedule));
  schedule.stop();
  const deadlineMs = performance.now() + DRAIN_MS_MAX;
  while (population.window.open > 0 && performance.now() < deadlineMs) await sleep(POLL_MS);
  await sleep(QUIET_MS);
  population.verify();
  population.close();
  idlers?.close();
  return { kind: 'done', measurements, deliveriesVerified: population.deliveries };
}

async function measure(
  plan: OpenLoopPlan,
  { perSecond, warmUpMs, measureMs }: Pace,
  population: Population,
  schedule: PublishSchedule,
): Promise<OpenLoopMeasurement> {
  const meter = new UsageMeter(plan);
  schedule.setRate(perSecond);
  await sleep(warmUpMs);
  const logBefore = await readLog(plan);
  population.clearLatencies();
  schedule.lateness.clear();
  const { deliveries } = population;
  const { sent } = population.window;
  meter.start();
  await sleep(measureMs);
  const usage = meter.stop();
  const measurement = {
    ...usage,
    perSecond,
    publications: population.window.sent - sent,
    deliveries: population.deliveries - deliveries,
    ...quantilesOf(population.latencies),
    ports: population.histograms.map(quantilesOf),
    latenessP99Ms: quantilesOf(schedule.lateness).p99Ms,
  };
  const logAfter = await readLog(plan);
  return { ...measurement, log: logBefore && logAfter && batchesSince(logBefore, logAfter) };
}

async function readLog({ countsBatches, internalPorts }: OpenLoopPlan): Promise<LogBatches | undefined> {
  return countsBatches ? readLogBatches(internalPorts) : undefined;
}

runAsLoad(perform);
