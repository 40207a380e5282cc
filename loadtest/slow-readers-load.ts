/**
 * The load process of slow readers: a closed loop in one room, some of whose sessions stop reading in the middle of it.
 * Started with a SlowReadersPlan as its argument; sends a SlowReadersResult.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { wireOf } from './clients/wires.ts';
import { runAsLoad } from './load-main.ts';
import type { LoadTarget, Usage } from './load-plan.ts';
import { residentBytes } from './memory-reading.ts';
import { readCounter } from './metrics-page.ts';
import { Population } from './population.ts';
import { UsageMeter } from './usage-meter.ts';

export interface SlowReadersPlan extends LoadTarget {
  readonly sessions: number;
  readonly publishers: number;
  /** How many stop reading; none of them publishes. */
  readonly stopping: number;
  /** Publications open at once. */
  readonly window: number;
  readonly warmUpMs: number;
  /** Before they stop, and once all of them are ended. */
  readonly measureMs: number;
  /** Within so long after it the server must have ended them. */
  readonly endMsMax: number;
}

export interface SlowReadersResult {
  readonly kind: 'done';
  readonly before: Usage;
  /** From their stopping until all of them were ended. */
  readonly meanwhile: Usage;
  readonly after: Usage;
  /** Deliveries/s of the sessions that go on reading. */
  readonly perSecondBefore: number;
  readonly perSecondMeanwhile: number;
  readonly perSecondAfter: number;
  /** From stopping until all of those that stopped were ended. */
  readonly endedMs: number;
  /** Sessions that the server ended, by its own reason. */
  readonly ended: Readonly<Record<string, number>>;
  /** Resident memory of the server: its highest before they stopped, and since. */
  readonly bytesBefore: number;
  readonly bytesAfter: number;
  readonly deliveriesVerified: number;
}

const POLL_MS = 100;
const DRAIN_MS_MAX = 10_000;
const QUIET_MS = 100;
const REASON = 'slow_consumer';

async function perform(plan: SlowReadersPlan, fail: (error: Error) => void): Promise<SlowReadersResult> {
  const { sessions, publishers, stopping } = plan;
  const shape = { rooms: 1, sessionsPerRoom: sessions, publishersPerRoom: publishers };
  const population = new Population(plan.ports, wireOf(plan.wire), shape, fail);
  await population.connect();
  population.window.limit = plan.window;
  population.window.planFlush();
  await sleep(plan.warmUpMs);

  const before = new Phase(plan, population);
  await before.watch(() => before.elapsedMs >= plan.measureMs);
  const usageBefore = before.end();

  // Those who publish stand at the beginning of each stride.
  const stride = sessions / stopping;
  const slow = population.sessions.filter((_, index) => index % stride === Math.floor(stride / 2));
  for (const session of slow) session.stopReading();
  const meanwhile = new Phase(plan, population);
  let ended: Record<string, number> = {};
  await meanwhile.watch(async () => {
    ended = await readEnded(plan);
    if (meanwhile.elapsedMs > plan.endMsMax)
      throw new Error(`after ${plan.endMsMax} ms ended: ${JSON.stringify(ended)}`);
    return (ended[REASON] ?? 0) >= slow.length;
  });
  const endedMs = meanwhile.elapsedMs;
  const usageMeanwhile = meanwhile.end();
  const after = new Phase(plan, population);
  await after.watch(() => after.elapsedMs >= plan.measureMs);
  const usageAfter = after.end();
  ended = await readEnded(plan);

  population.window.limit = 0;
  const deadlineMs = performance.now() + DRAIN_MS_MAX;
  while (population.window.open > 0 && performance.now() < deadlineMs) await sleep(POLL_MS);
  await sleep(QUIET_MS);
  population.verify();
  population.close();
  return {
    kind: 'done',
    before: usageBefore,
    meanwhile: usageMeanwhile,
    after: usageAfter,
    perSecondBefore: usageBefore.deliveriesPerSecond * ((sessions - slow.length) / sessions),
    perSecondMeanwhile: usageMeanwhile.deliveriesPerSecond,
    perSecondAfter: usageAfter.deliveriesPerSecond,
    endedMs,
    ended,
    bytesBefore: before.bytesMax,
    bytesAfter: Math.max(meanwhile.bytesMax, after.bytesMax),
    deliveriesVerified: population.deliveries,
  };
}

/** A time in which deliveries are counted and the server's memory is watched. */
class Phase {
  readonly #plan: SlowReadersPlan;
  readonly #population: Population;
  readonly #meter: UsageMeter;
  readonly #startMs = performance.now();
  readonly #deliveriesBefore: number;
  bytesMax = 0;

  constructor(plan: SlowReadersPlan, population: Population) {
    this.#plan = plan;
    this.#population = population;
    this.#meter = new UsageMeter(plan);
    this.#meter.start();
    this.#deliveriesBefore = population.deliveries;
  }

  get elapsedMs(): number {
    return performance.now() - this.#startMs;
  }

  /** Until `isOver`. */
  async watch(isOver: () => boolean | Promise<boolean>): Promise<void> {
    do {
      await sleep(POLL_MS);
      this.bytesMax = Math.max(this.bytesMax, residentBytes(this.#plan.serverPid));
    } while (!(await isOver()));
  }

  end(): Usage & { readonly deliveriesPerSecond: number } {
    const usage = this.#meter.stop();
    return { ...usage, deliveriesPerSecond: (this.#population.deliveries - this.#deliveriesBefore) / usage.seconds };
  }
}

/** Sessions that have ended so far, by reason, as tidegate counts them. */
async function readEnded({ internalPorts: [port] }: SlowReadersPlan): Promise<Record<string, number>> {
  const counts = await readCounter(port as number, 'tidegate_disconnects_total');
  return Object.fromEntries([...counts].filter(([, count]) => count > 0));
}

runAsLoad(perform);
