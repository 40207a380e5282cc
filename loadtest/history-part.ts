import { missingForRedis } from '../services/missing.ts';
import { type Bench, type Entrant, resultsOf } from './bench-run.ts';
import { Broker, missingForBroker } from './broker.ts';
import type { Contender } from './contender.ts';
import { type HistoryPace, type HistoryPlan, type HistoryResult, type HistorySize, SOURCES } from './history-plan.ts';
import { formatHistory } from './history-report.ts';
import { otherLoad } from './load-plan.ts';
import { runLoad } from './load-process.ts';
import type { BenchOptions } from './options.ts';
import { type Part, type PartReport, roundsOf } from './part.ts';
import { RedisServer } from './redis-server.ts';

const SIZE: HistorySize = {
  records: 20_000,
  recordsBetween: 4,
  roomsBeside: 10,
  ago: 10_000,
  agoSpread: 1_000,
  limits: [50, 300],
  readers: [1, 64],
};
const WARM_UP_MS = 500;
/** For planning: what starting, filling and stopping take. */
const OVERHEAD_MS = 18_000;
/** Beyond this many times what was planned a load process is stuck. */
const TURN_FACTOR_MAX = 3;

const ALL: Entrant = { name: 'memory, Redis and scans' };

/** What a page of long ago costs, by where a replica has it from. */
class HistoryPart implements Part {
  readonly name = 'history';
  readonly what = 'a page from 10,000 messages ago: from memory, from Redis, and by a scan of Kafka';
  readonly rounds = 1;

  /** One, for its name: what is measured has no clients. */
  entrants(contenders: readonly Contender[]): readonly Contender[] {
    return contenders.filter(({ isTidegate }) => isTidegate).slice(0, 1);
  }

  async missing(): Promise<readonly string[]> {
    return [...(await missingForBroker()), ...(await missingForRedis())];
  }

  plannedMs(options: BenchOptions): number {
    return roundsOf(this, options) * turnMs(paceOf(options));
  }

  async run(bench: Bench): Promise<PartReport> {
    const { options } = bench;
    const [turns] = await bench.takeTurns(
      this.name,
      [ALL],
      roundsOf(this, options),
      () => measure(bench),
      ({ usage }) => otherLoad(usage),
    );
    const results = turns === undefined ? [] : resultsOf(turns);
    if (results.length === 0) return { markdown: '## history: failed', marks: [], results: undefined };
    return { markdown: formatHistory(results, SIZE), marks: [], results };
  }
}

export const HISTORY: Part = new HistoryPart();

function paceOf({ seconds }: BenchOptions): HistoryPace {
  const ms = seconds * 1000;
  return { warmUpMs: WARM_UP_MS, measureMs: { memory: Math.ceil(ms / 3), redis: ms, scan: 2 * ms } };
}

function turnMs({ warmUpMs, measureMs }: HistoryPace): number {
  const onceMs = SOURCES.reduce((sum, source) => sum + warmUpMs + measureMs[source], 0);
  return OVERHEAD_MS + SIZE.limits.length * SIZE.readers.length * onceMs;
}

/** Nobody has a core for himself: the replicas are in one process, and who reads waits for Redis and Kafka. */
async function measure({ options, cores, directory }: Bench): Promise<HistoryResult> {
  const broker = await Broker.start(directory);
  try {
    const [redis] = (await RedisServer.start(directory, 1)) as [RedisServer];
    try {
      const plan: HistoryPlan = {
        ...{ broker: broker.address, redisUrl: redis.url },
        ...{ size: SIZE, pace: paceOf(options) },
        ...{ serverPid: broker.pid, besidePids: [redis.pid], serverCores: cores, clientCores: cores },
      };
      return await runLoad<HistoryResult>('./history-load.ts', plan, TURN_FACTOR_MAX * turnMs(plan.pace));
    } finally {
      await redis.stop();
    }
  } finally {
    await broker.stop();
  }
}
