import { setTimeout as sleep } from 'node:timers/promises';
import { graceMsOf, LEASES_KEY, LeaseReplica, outliveMsMin } from './presence-leases.ts';
import type { PresencePlan, ProbeFigures, PurgeFigures } from './presence-plan.ts';
import { joinBatches, shuffled } from './presence-population.ts';
import type { PresenceProbe } from './presence-probe.ts';
import type { PresenceStanding } from './presence-standing.ts';
import { TtlReplica } from './presence-ttls.ts';
import { redisCpu } from './redis-readings.ts';

const POLL_MS = 10;
const GONE_MS_MAX = 60_000;

/** Of whom another client was already measured while nothing was purged. */
export interface Witness {
  readonly probe: PresenceProbe;
  readonly before: ProbeFigures;
}

/** A replica with a time to live a session that crashes as soon as its sessions are there. */
export class TtlCrash {
  /** When the last session's time to live is over, by `performance.now()`. */
  readonly dueMs: number;
  readonly #standing: PresenceStanding;
  readonly #sessions: number;
  readonly #crashedMs: number;
  readonly #expiredBefore: number;

  private constructor(standing: PresenceStanding, sessions: number, dueMs: number, expiredBefore: number) {
    this.#standing = standing;
    this.#sessions = sessions;
    this.#crashedMs = performance.now();
    this.dueMs = dueMs;
    this.#expiredBefore = expiredBefore;
  }

  static async begin(
    { urls, size, pace }: PresencePlan,
    standing: PresenceStanding,
    fail: (error: Error) => void,
  ): Promise<TtlCrash> {
    const { expiredKeys } = await standing.readings.read();
    const sessions = shuffled(standing.population.others(0, size.sessionsCrashed));
    const replica = await TtlReplica.open(urls.ttls.many, pace, fail);
    let dueMs = 0;
    await joinBatches(sessions, async (some) => {
      dueMs = Math.max(dueMs, await replica.joinLast(some));
    });
    replica.crash();
    return new TtlCrash(standing, sessions.length, dueMs, expiredKeys);
  }

  /** Looks on from now until the last one is gone. */
  async watch({ probe, before }: Witness): Promise<PurgeFigures> {
    const { readings } = this.#standing;
    probe.clear();
    const first = await readings.read();
    await sleep(this.dueMs - performance.now());
    let last = await readings.read();
    while (last.expiredKeys - this.#expiredBefore < this.#sessions) {
      assertInTime(this.dueMs);
      await sleep(POLL_MS);
      last = await readings.read();
    }
    return {
      sessions: this.#sessions,
      crashToGoneMs: last.atMs - this.#crashedMs,
      dueToGoneMs: Math.max(0, last.atMs - this.dueMs),
      redisCpu: redisCpu(first, last),
      before,
      meanwhile: await probe.report(),
    };
  }
}

/** A replica of tidegate that crashes when it is told to. */
export class LeaseCrash {
  readonly #plan: PresencePlan;
  readonly #standing: PresenceStanding;
  readonly #replica: LeaseReplica;
  readonly #lease: string;

  private constructor(plan: PresencePlan, standing: PresenceStanding, replica: LeaseReplica, lease: string) {
    this.#plan = plan;
    this.#standing = standing;
    this.#replica = replica;
    this.#lease = lease;
  }

  /** Resolves when its sessions are there. */
  static async begin(plan: PresencePlan, standing: PresenceStanding): Promise<LeaseCrash> {
    const sessions = shuffled(standing.population.others(0, plan.size.sessionsCrashed));
    const before = await standing.readings.members(LEASES_KEY);
    const replica = await LeaseReplica.open(plan.urls.leases.many, plan.pace);
    const lease = (await standing.readings.members(LEASES_KEY)).find((one) => !before.includes(one));
    if (lease === undefined) throw new Error('a replica has opened without a lease');
    await joinBatches(sessions, (some) => replica.join(some));
    return new LeaseCrash(plan, standing, replica, lease);
  }

  /** Crashes so that nothing is purged before `notBeforeMs`, and looks on until the last session is gone. */
  async watch({ probe, before }: Witness, notBeforeMs: number): Promise<PurgeFigures> {
    const { readings } = this.#standing;
    await sleep(notBeforeMs - outliveMsMin(this.#plan.pace) - performance.now());
    this.#replica.crash();
    const crashedMs = performance.now();
    const lapsesMs = await readings.score(LEASES_KEY, this.#lease);
    if (lapsesMs === undefined) throw new Error('a replica that just crashed has no lease');
    const dueMs = crashedMs + lapsesMs - Date.now() + graceMsOf(this.#plan.pace);
    await sleep(dueMs - performance.now());
    probe.clear();
    const first = await readings.read();
    // The lease is the last thing that is dropped.
    while ((await readings.score(LEASES_KEY, this.#lease)) !== undefined) {
      assertInTime(dueMs);
      await sleep(POLL_MS);
    }
    const last = await readings.read();
    return {
      sessions: this.#plan.size.sessionsCrashed,
      crashToGoneMs: last.atMs - crashedMs,
      dueToGoneMs: last.atMs - dueMs,
      redisCpu: redisCpu(first, last),
      before,
      meanwhile: await probe.report(),
    };
  }
}

/** @throws Error where something should be gone for long */
function assertInTime(dueMs: number): void {
  if (performance.now() > dueMs + GONE_MS_MAX) throw new Error(`sessions are there ${GONE_MS_MAX} ms after their time`);
}
