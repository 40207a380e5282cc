/**
 * The load process of an open loop: a fixed rate of publications, and what it costs. Started with an OpenLoopPlan as its
 * argument; sends an OpenLoopResult.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { wireOf } from './clients/wires.ts';
import { runAsLoad } from './load-main.ts';
import type { LoadTarget, Usage } from './load-plan.ts';
import { Population, type PopulationShape } from './population.ts';
import { PublishSchedule } from './publish-schedule.ts';
import { UsageMeter } from './usage-meter.ts';

export interface OpenLoopPlan extends LoadTarget {
  readonly shape: PopulationShape;
  /** Sessions that are there as well, in rooms of their own, with presence, and say nothing. */
  readonly idle: PopulationShape | undefined;
  /** Publications of the whole run. */
  readonly perSecond: number;
  readonly warmUpMs: number;
  readonly measureMs: number;
}

export interface OpenLoopResult extends Usage {
  readonly kind: 'done';
  readonly deliveries: number;
  /** From when a publication was due to its delivery. */
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** From when a publication was due to its being handed to a socket: the client's own part of that. */
  readonly latenessP99Ms: number;
  /** Of the whole run, with warm-up and drain: every session's stream was complete. */
  readonly deliveriesVerified: number;
}

const DRAIN_MS_MAX = 10_000;
const POLL_MS = 5;
/** What must not come after the last delivery would come by then: a duplicate, say. */
const QUIET_MS = 100;

async function perform(plan: OpenLoopPlan, fail: (error: Error) => void): Promise<OpenLoopResult> {
  const { shape, idle, perSecond } = plan;
  const idlers = idle && new Population(plan.port, wireOf(plan.wire, { presence: 'full' }), idle, fail);
  await idlers?.connect();
  const population = new Population(plan.port, wireOf(plan.wire), shape, fail);
  await population.connect();
  const schedule = new PublishSchedule(population.window, perSecond, fail);
  const meter = new UsageMeter(plan);
  schedule.start();
  await sleep(plan.warmUpMs);
  population.histogram.clear();
  schedule.lateness.clear();
  const deliveriesBefore = population.deliveries;
  meter.start();
  await sleep(plan.measureMs);
  const usage = meter.stop();
  const result = {
    ...usage,
    deliveries: population.deliveries - deliveriesBefore,
    p50Ms: population.histogram.quantileUs(0.5) / 1000,
    p99Ms: population.histogram.quantileUs(0.99) / 1000,
    latenessP99Ms: schedule.lateness.quantileUs(0.99) / 1000,
  };
  schedule.stop();
  const deadlineMs = performance.now() + DRAIN_MS_MAX;
  while (population.window.open > 0 && performance.now() < deadlineMs) await sleep(POLL_MS);
  await sleep(QUIET_MS);
  population.verify();
  population.close();
  idlers?.close();
  return { kind: 'done', ...result, deliveriesVerified: population.deliveries };
}

runAsLoad(perform);
