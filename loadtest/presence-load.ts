/**
 * The load process of presence in Redis: replicas of both schemes, each with sessions that have no connection. Started with
 * a PresencePlan as its argument; sends a PresenceResult.
 *
 * What takes its time by the clock, silence and waiting for the end of what has crashed, happens to both schemes at once,
 * each with Redis servers of its own; what uses a core happens to one after the other.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { runAsLoad } from './load-main.ts';
import { LeaseCrash, TtlCrash, type Witness } from './presence-crash.ts';
import type { PresencePlan, PresenceResult, SchemeFigures, SchemeName } from './presence-plan.ts';
import { PresenceProbe } from './presence-probe.ts';
import type { SimulatedSession } from './presence-scheme.ts';
import { PresenceStanding } from './presence-standing.ts';
import { RedisReadings, redisCpu } from './redis-readings.ts';
import { UsageMeter } from './usage-meter.ts';

/** Sessions of the other client. */
const PROBE_SESSIONS = 20;
/** Its first commands are not counted. */
const PROBE_SETTLE_MS = 500;
/** Between the ends of the two schemes' crashed replicas, at least. */
const APART_MS = 500;

async function perform(plan: PresencePlan, fail: (error: Error) => void): Promise<PresenceResult> {
  const { urls, size, pace } = plan;
  const emptyCpu = await measureEmpty(urls.leases.many, pace.emptyMs);
  const few = await inTurn((scheme) => PresenceStanding.open(scheme, urls[scheme].few, size.sessionsFew, plan, fail));
  const many = await inTurn((scheme) =>
    PresenceStanding.open(scheme, urls[scheme].many, size.sessionsMany, plan, fail),
  );
  const bare = await inTurn((scheme) => many[scheme].readings.read());
  const joins = await inTurn((scheme) => many[scheme].population.join());
  await inTurn((scheme) => few[scheme].population.join());
  await sleep(pace.settleMs);
  const memory = await inTurn((scheme) => many[scheme].memorySince(bare[scheme]));
  await inTurn((scheme) => many[scheme].population.check([]));

  // Its sessions live on while all else is silent.
  const ttlCrash = await TtlCrash.begin(plan, many.ttls, fail);
  const meter = new UsageMeter(plan);
  meter.start();
  const endFew = await inTurn((scheme) => few[scheme].watchIdle());
  const endMany = await inTurn((scheme) => many[scheme].watchIdle());
  await sleep(pace.idleMs);
  const idleFew = await inTurn((scheme) => endFew[scheme]());
  const idleMany = await inTurn((scheme) => endMany[scheme]());
  const idleUsage = meter.stop();

  const sessions = await inTurn(async (scheme) => many[scheme].population.others(size.sessionsCrashed, PROBE_SESSIONS));
  const probes = await inTurn((scheme) => openProbe(scheme, plan, many[scheme], sessions[scheme], fail));
  await sleep(PROBE_SETTLE_MS);
  for (const probe of Object.values(probes)) probe.clear();
  await sleep(pace.beforeMs);
  const witnesses = await inTurn(
    async (scheme): Promise<Witness> => ({ probe: probes[scheme], before: await probes[scheme].report() }),
  );
  const leaseCrash = await LeaseCrash.begin(plan, many.leases);
  const purges = await Promise.all([
    leaseCrash.watch(witnesses.leases, ttlCrash.dueMs + APART_MS),
    ttlCrash.watch(witnesses.ttls),
  ]);
  const purge = { leases: purges[0], ttls: purges[1] };
  await inTurn((scheme) => many[scheme].population.check(sessions[scheme]));

  await inTurn((scheme) => probes[scheme].stop());
  for (const standing of [few.leases, few.ttls, many.leases, many.ttls]) standing.close();
  const schemes = await inTurn(
    async (scheme): Promise<SchemeFigures> => ({
      few: idleFew[scheme],
      many: idleMany[scheme],
      joins: joins[scheme],
      memory: memory[scheme],
      purge: purge[scheme],
    }),
  );
  return { kind: 'done', schemes, emptyCpu, idleUsage };
}

async function inTurn<R>(take: (scheme: SchemeName) => Promise<R>): Promise<Record<SchemeName, R>> {
  const leases = await take('leases');
  return { leases, ttls: await take('ttls') };
}

/** Share of a core of a Redis that nobody uses. */
async function measureEmpty(url: string, emptyMs: number): Promise<number> {
  const readings = await RedisReadings.open(url);
  const before = await readings.read();
  await sleep(emptyMs);
  const after = await readings.read();
  readings.close();
  return redisCpu(before, after);
}

function openProbe(
  scheme: SchemeName,
  { urls, pace }: PresencePlan,
  { population }: PresenceStanding,
  sessions: readonly SimulatedSession[],
  fail: (error: Error) => void,
): Promise<PresenceProbe> {
  return PresenceProbe.open({ scheme, url: urls[scheme].many, pace, sessions, rooms: population.rooms }, fail);
}

runAsLoad(perform);
