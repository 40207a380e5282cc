/** The load process of idle sessions: lets them come, reads the server's memory before and after. See IdlePlan. */
import { setTimeout as sleep } from 'node:timers/promises';
import { wireOf } from './clients/wires.ts';
import type { IdlePlan, IdleResult } from './idle-plan.ts';
import { runAsLoad } from './load-main.ts';
import { MemoryMeter, readKernel } from './memory-reading.ts';
import { Population, type PopulationShape } from './population.ts';

/**
 * Sessions come and go before the first reading, few at a time, so that what the server compiles and keeps for all
 * sessions alike isn't counted as theirs, and no memory of sessions that have gone is there for those to come.
 */
const WARM_UP_WAVES = 30;
const WARM_UP_SESSIONS = 40;
const POLL_MS = 50;
const QUIET_MS_MAX = 15_000;
const CHECK_MS_MAX = 10_000;
/** Publications open at once: fewer than any server's queue holds. */
const CHECKED_AT_ONCE = 1_000;
const ROOMS_CHECKED = 50;

async function perform(plan: IdlePlan, fail: (error: Error) => void): Promise<IdleResult> {
  const { rooms, sessionsPerRoom, settleMs } = plan;
  const meter = new MemoryMeter(plan.serverPid, plan.memoryFile);
  await warmUp(plan, fail);
  const before = await meter.read();
  const kernelBefore = readKernel();
  const startMs = performance.now();
  const population = populate(plan, { rooms, sessionsPerRoom, publishersPerRoom: 1 }, fail);
  await population.connect();
  const connectMs = performance.now() - startMs;
  await quiet(population, plan.quietMs);
  await sleep(settleMs);
  const kernelAfter = readKernel();
  const after = await meter.read();
  const roomsChecked = await check(population, rooms);
  population.close();
  return { kind: 'done', before, after, kernelBefore, kernelAfter, connectMs, roomsChecked };
}

function populate(plan: IdlePlan, shape: PopulationShape, fail: (error: Error) => void): Population {
  return new Population(plan.ports, wireOf(plan.wire, { presence: plan.presence }), shape, fail);
}

async function warmUp(plan: IdlePlan, fail: (error: Error) => void): Promise<void> {
  const sessionsPerRoom = Math.min(plan.sessionsPerRoom, WARM_UP_SESSIONS);
  const rooms = Math.floor(WARM_UP_SESSIONS / sessionsPerRoom);
  for (let wave = 0; wave < WARM_UP_WAVES; wave++) {
    const population = populate(plan, { rooms, sessionsPerRoom, publishersPerRoom: 1 }, fail);
    await population.connect();
    await population.leave();
  }
}

/** Resolves when nobody has been told of anybody's presence for a while: all know who is there. */
async function quiet(population: Population, quietMs: number): Promise<void> {
  const deadlineMs = performance.now() + QUIET_MS_MAX;
  let { presences } = population;
  let sinceMs = performance.now();
  while (performance.now() - sinceMs < quietMs) {
    if (performance.now() > deadlineMs) throw new Error(`presence was not told within ${QUIET_MS_MAX} ms`);
    await sleep(POLL_MS);
    if (population.presences === presences) continue;
    presences = population.presences;
    sinceMs = performance.now();
  }
}

/**
 * One publication in each room, which every session must receive: all are there, in their rooms. Then asks the server
 * who is in some of the rooms; returns how many.
 */
async function check(population: Population, rooms: number): Promise<number> {
  const deadlineMs = performance.now() + CHECK_MS_MAX;
  for (let first = 0; first < rooms; first += CHECKED_AT_ONCE) {
    population.window.publishOnce(first, Math.min(rooms, first + CHECKED_AT_ONCE));
    while (population.window.open > 0) {
      if (performance.now() > deadlineMs) throw new Error('not every session has what was published in its room');
      await sleep(POLL_MS);
    }
  }
  population.verify();
  if (population.wire.checkPresence === undefined) return 0;
  const checked = Math.min(rooms, ROOMS_CHECKED);
  for (let index = 0; index < checked; index++) await population.checkPresence(Math.floor((index * rooms) / checked));
  return checked;
}

runAsLoad(perform);
