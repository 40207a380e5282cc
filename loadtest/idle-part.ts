import { writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { type Bench, resultsOf } from './bench-run.ts';
import type { Contender } from './contender.ts';
import type { IdlePlan, IdleResult } from './idle-plan.ts';
import { formatIdle, type IdleServer, type IdleStanding, idleMarks, idleServers } from './idle-report.ts';
import type { BenchOptions } from './options.ts';
import { type Part, type PartReport, roundsOf } from './part.ts';

const PRELOAD = new URL('./servers/gc-on-signal.ts', import.meta.url).href;
/** Once nobody was told of presence for so long, what a server has to say of the last joins has been said. */
const QUIET_MS = 1_000;
/** For planning: what starting, warming up, connecting, collecting garbage, checking and stopping take in one turn. */
const OVERHEAD_MS = 11_000;
const SESSION_MS = 0.35;
const SNAPSHOTS_MS = 15_000;
/** Beyond this many times what was planned a load process is stuck. */
const TURN_FACTOR_MAX = 4;

/** Lets idle sessions come to each server, and finds what memory they cost. */
class IdlePart implements Part {
  readonly name = 'idle';
  readonly what = 'memory of a session that is connected, has joined a room, and says nothing';
  readonly rounds = 2;

  entrants(contenders: readonly Contender[]): readonly Contender[] {
    return contenders.filter(({ isNode }) => isNode);
  }

  plannedMs(options: BenchOptions): number {
    return roundsOf(this, options) * this.#servers(options).length * turnMs(options);
  }

  async run(bench: Bench): Promise<PartReport> {
    const { options } = bench;
    const turns = await bench.takeTurns(
      this.name,
      this.#servers(options),
      roundsOf(this, options),
      (server) => measure(bench, server),
      // Memory doesn't depend on who else uses a core.
      () => 0,
    );
    const standings: IdleStanding[] = turns
      .map((turn) => ({ server: turn.entrant, rounds: resultsOf(turn) }))
      .filter(({ rounds }) => rounds.length > 0);
    const marks = idleMarks(standings, options.idle);
    return { markdown: formatIdle(standings, options.idle, marks), marks, results: { ...options.idle, standings } };
  }

  #servers({ contenders, idle }: BenchOptions): IdleServer[] {
    return idleServers(this.entrants(contenders), idle);
  }
}

export const IDLE: Part = new IdlePart();

function turnMs({ idle: { sessions, settleSeconds, snapshots } }: BenchOptions): number {
  return OVERHEAD_MS + sessions * SESSION_MS + settleSeconds * 1000 + (snapshots === undefined ? 0 : SNAPSHOTS_MS);
}

function measure(bench: Bench, { name, contender, presence }: IdleServer): Promise<IdleResult> {
  const { sessions, sessionsPerRoom, settleSeconds, snapshots } = bench.options.idle;
  const memoryFile = join(bench.directory, 'memory');
  writeFileSync(memoryFile, '');
  const plan = {
    presence,
    memoryFile,
    rooms: sessions / sessionsPerRoom,
    sessionsPerRoom,
    quietMs: QUIET_MS,
    settleMs: settleSeconds * 1000,
  };
  const snapshot =
    snapshots === undefined ? {} : { BENCH_SNAPSHOT: resolve(`${snapshots}-${fileName(name)}.heapsnapshot`) };
  return bench.load<IdlePlan, IdleResult>(contender, './idle-load.ts', plan, TURN_FACTOR_MAX * turnMs(bench.options), {
    nodeOptions: ['--expose-gc', '--import', PRELOAD],
    env: { BENCH_MEMORY_FILE: memoryFile, ...snapshot },
  });
}

function fileName(server: string): string {
  return server.replaceAll(/[^a-z.-]+/g, '-');
}
