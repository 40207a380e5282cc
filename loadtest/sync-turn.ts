import { type Bench, type Entrant, resultsOf } from './bench-run.ts';
import type { Contender } from './contender.ts';
import { otherLoad, type Usage } from './load-plan.ts';
import { runLoad } from './load-process.ts';
import type { Standing } from './standing.ts';
import { type Spread, spreadOf } from './statistics.ts';
import type { SyncPlan, SyncResult } from './sync-load.ts';

const SYNC: Entrant = { name: 'bare fsync' };
const LOAD_MS_MAX = 20_000;
/** For planning: what starting takes. */
const OVERHEAD_MS = 300;

/** What servers that write to a disk did, and the disk itself in the same rounds. */
export interface BesideSync<M extends Usage> {
  readonly standings: readonly Standing<M>[];
  readonly syncs: readonly (SyncResult | undefined)[];
}

/** The disk's turn: nobody else writes to it meanwhile. */
export function measureSync(bench: Bench): Promise<SyncResult> {
  const measureMs = bench.options.seconds * 1000;
  const plan: SyncPlan = { directory: bench.directory, clientCores: [bench.serverCore], measureMs };
  return runLoad<SyncResult>('./sync-load.ts', plan, LOAD_MS_MAX + measureMs);
}

export function plannedSyncMs(rounds: number, seconds: number): number {
  return rounds * (OVERHEAD_MS + seconds * 1000);
}

/** Has the servers and the disk itself take turns. */
export async function takeTurnsBesideSync<M extends Usage>(
  bench: Bench,
  name: string,
  contenders: readonly Contender[],
  rounds: number,
  take: (contender: Contender) => Promise<M>,
): Promise<BesideSync<M>> {
  const syncs: (SyncResult | undefined)[] = [];
  const entrants: readonly (Contender | typeof SYNC)[] = [SYNC, ...contenders];
  const turns = await bench.takeTurns(
    name,
    entrants,
    rounds,
    async (entrant): Promise<{ readonly sync: SyncResult } | { readonly measurement: M }> =>
      'wire' in entrant ? { measurement: await take(entrant) } : { sync: await measureSync(bench) },
    (result) => ('sync' in result ? 0 : otherLoad(result.measurement)),
  );
  const standings: Standing<M>[] = [];
  for (const turn of turns) {
    if (turn.entrant === SYNC) {
      syncs.push(...turn.rounds.map((result) => (result !== undefined && 'sync' in result ? result.sync : undefined)));
    } else if (resultsOf(turn).length > 0) {
      const measured = turn.rounds.map((result) =>
        result !== undefined && 'measurement' in result ? result.measurement : undefined,
      );
      standings.push({ name: turn.entrant.name, rounds: measured });
    }
  }
  return { standings, syncs };
}

/** By how much a latency is above the disk's of the same round. */
export function aboveSync<M extends Usage>(
  { rounds }: Standing<M>,
  syncs: readonly (SyncResult | undefined)[],
  differenceOf: (round: M, sync: SyncResult) => number,
): Spread | undefined {
  const differences = rounds.flatMap((round, index) => {
    const sync = syncs[index];
    return round === undefined || sync === undefined ? [] : [differenceOf(round, sync)];
  });
  return differences.length === 0 ? undefined : spreadOf(differences);
}

/** The disk's own latencies, as cells of a table. */
export interface SyncCells {
  readonly name: string;
  readonly p50: string;
  readonly p99: string;
}

export function syncCells(syncs: readonly (SyncResult | undefined)[], format: (ms: number) => string): SyncCells {
  const done = syncs.filter((sync) => sync !== undefined);
  const median = (read: (sync: SyncResult) => number): string =>
    done.length === 0 ? '' : format(spreadOf(done.map(read)).median);
  return { name: SYNC.name, p50: median(({ p50Ms }) => p50Ms), p99: median(({ p99Ms }) => p99Ms) };
}
