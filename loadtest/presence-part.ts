import { missingForRedis } from '../services/missing.ts';
import { type Bench, type Entrant, resultsOf } from './bench-run.ts';
import type { Contender } from './contender.ts';
import { otherLoad } from './load-plan.ts';
import { runLoad } from './load-process.ts';
import type { BenchOptions } from './options.ts';
import { type Part, type PartReport, roundsOf } from './part.ts';
import type { PresencePace, PresencePlan, PresenceResult, PresenceSize } from './presence-plan.ts';
import { formatPresence, presenceMarks } from './presence-report.ts';
import { RedisServer } from './redis-server.ts';

const SIZE: PresenceSize = {
  replicas: 4,
  sessionsFew: 5_000,
  sessionsMany: 50_000,
  sessionsCrashed: 20_000,
  sessionsPerRoom: 50,
};
const SIZE_QUICK: PresenceSize = { ...SIZE, sessionsFew: 1_000, sessionsMany: 10_000, sessionsCrashed: 4_000 };

const PACE: PresencePace = {
  ttlMs: 60_000,
  heartbeatMs: 25_000,
  haste: 1,
  emptyMs: 2_000,
  settleMs: 3_000,
  // As long as the longest time between two heartbeats.
  idleMs: 30_000,
  beforeMs: 3_000,
  probesPerSecond: 100,
};
const HASTE_QUICK = 5;
const PACE_QUICK: PresencePace = {
  ...PACE,
  ttlMs: PACE.ttlMs / HASTE_QUICK,
  heartbeatMs: PACE.heartbeatMs / HASTE_QUICK,
  haste: HASTE_QUICK,
  emptyMs: 500,
  settleMs: 1_000,
  idleMs: PACE.idleMs / HASTE_QUICK,
  beforeMs: 1_000,
};
/** For planning: what starting, joins and the last purge take beyond what is waited for. */
const OVERHEAD_MS = 12_000;
/** Beyond this many times what was planned a load process is stuck. */
const TURN_FACTOR_MAX = 3;

const BOTH: Entrant = { name: 'both schemes' };

/** What presence costs the Redis that replicas share. */
class PresencePart implements Part {
  readonly name = 'presence';
  readonly what = 'presence of replicas that share a Redis: what it costs that, beside a time to live a session';
  readonly rounds = 3;

  /** One, for its name: what is measured has no clients. */
  entrants(contenders: readonly Contender[]): readonly Contender[] {
    return contenders.filter(({ isTidegate }) => isTidegate).slice(0, 1);
  }

  missing(): Promise<readonly string[]> {
    return missingForRedis();
  }

  plannedMs(options: BenchOptions): number {
    return roundsOf(this, options) * turnMs(paceOf(options));
  }

  async run(bench: Bench): Promise<PartReport> {
    const { options } = bench;
    const [turns] = await bench.takeTurns(
      this.name,
      [BOTH],
      roundsOf(this, options),
      () => measure(bench),
      ({ idleUsage }) => otherLoad(idleUsage),
    );
    const results = turns === undefined ? [] : resultsOf(turns);
    if (results.length === 0) return { markdown: '## presence: failed', marks: [], results: undefined };
    const size = sizeOf(options);
    const marks = presenceMarks(results, size);
    return { markdown: formatPresence(results, size, paceOf(options), marks), marks, results };
  }
}

export const PRESENCE: Part = new PresencePart();

function sizeOf({ isQuick }: BenchOptions): PresenceSize {
  return isQuick ? SIZE_QUICK : SIZE;
}

function paceOf({ isQuick }: BenchOptions): PresencePace {
  return isQuick ? PACE_QUICK : PACE;
}

/** Most of it is the time to live of what has crashed, in which all else takes place. */
function turnMs({ ttlMs, emptyMs, settleMs }: PresencePace): number {
  return ttlMs + emptyMs + settleMs + OVERHEAD_MS;
}

/** Nobody has a core for himself: the replicas are in one process, and what they do in a moment of silence is little. */
async function measure({ options, cores, directory }: Bench): Promise<PresenceResult> {
  const servers = await RedisServer.start(directory, 4);
  try {
    const [leases, ttls, leasesFew, ttlsFew] = servers as [RedisServer, RedisServer, RedisServer, RedisServer];
    const plan: PresencePlan = {
      urls: {
        leases: { few: leasesFew.url, many: leases.url },
        ttls: { few: ttlsFew.url, many: ttls.url },
      },
      size: sizeOf(options),
      pace: paceOf(options),
      serverPid: leases.pid,
      besidePids: [ttls.pid, leasesFew.pid, ttlsFew.pid],
      serverCores: cores,
      clientCores: cores,
    };
    return await runLoad<PresenceResult>('./presence-load.ts', plan, TURN_FACTOR_MAX * turnMs(plan.pace));
  } finally {
    await Promise.all(servers.map((server) => server.stop()));
  }
}
