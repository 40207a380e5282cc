/** `npm run faults`: plays random faults on real redis-servers, and says which seeds fail. */
import { parseArgs } from 'node:util';
import { loadPresenceScripts } from '../../src/redis/presence-scripts.ts';
import { HeldTimers } from './held-timers.ts';
import { ROUNDS } from './presence-plan.ts';
import { isRule, RULE_NAMES, type Rule, scriptsWithout } from './presence-rules.ts';
import { playPresence, type RunResult } from './presence-run.ts';
import { RedisPair } from './redis-pair.ts';

const USAGE = `usage:
  npm run faults -- presence [--seeds N] [--seed N] [--rounds N] [--at-once N] [--without ${RULE_NAMES.join('|')}] [--history]

Replicas with presence in Redis, their crashes, pauses and late words, and what befalls Redis; then all must be seen as it
is. Prints a line a seed; of those that fail also what happened. Exits with 1 if one fails.
  --seeds N     so many seeds, from --seed on (10)
  --seed N      the first seed, and the only one without --seeds
  --rounds N    the first ones of a seed's (4), each behind some faults
  --at-once N   runs side by side (4)
  --without R   a rule of the scripts is switched off: it has to fail
  --history     print what happened also where nothing fails
`;
const PATIENCE_MS = 10_000;
const DEFAULT_SEEDS = 10;
const DEFAULT_AT_ONCE = 4;

/** The command line is wrong; the message says how. */
class UsageError extends Error {
  override readonly name = 'UsageError';
}

interface Options {
  readonly first: number;
  readonly count: number;
  readonly rounds: number;
  readonly atOnce: number;
  readonly without: Rule | undefined;
  readonly hasHistory: boolean;
}

async function main(args: string[]): Promise<number> {
  const { first, count, rounds, atOnce, without, hasHistory } = readCommandLine(args);
  HeldTimers.install();
  const scripts = without === undefined ? loadPresenceScripts() : scriptsWithout(without);
  const failed: number[] = [];
  let next = first;
  const worker = async () => {
    while (next < first + count) {
      const seed = next;
      next += 1;
      const result = await playPresence({ seed, rounds, patienceMs: PATIENCE_MS, scripts });
      if (result.failure !== undefined) failed.push(seed);
      process.stdout.write(report(result, hasHistory));
    }
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
  const of = failed.length === 0 ? '' : `: ${failed.sort((a, b) => a - b).join(', ')}`;
  process.stdout.write(`${count} seeds, ${failed.length} failed${of}\n`);
  return failed.length === 0 ? 0 : 1;
}

function report({ seed, failure, history, faults, ms }: RunResult, hasHistory: boolean): string {
  const verdict = failure === undefined ? 'ok    ' : 'FAILED';
  const line = `seed ${String(seed).padStart(4)} ${verdict} ${(ms / 1000).toFixed(1).padStart(5)} s  ${faults.join(' ')}\n`;
  if (failure === undefined && !hasHistory) return line;
  return `${line}${history.map((each) => `  ${each}\n`).join('')}${failure === undefined ? '' : `  ${failure}\n`}`;
}

function readCommandLine(args: string[]): Options {
  const number = { type: 'string' } as const;
  const options = {
    seeds: number,
    seed: number,
    rounds: number,
    'at-once': number,
    without: { type: 'string' },
    history: { type: 'boolean' },
  } as const;
  try {
    const { positionals, values } = parseArgs({ args, allowPositionals: true, options });
    const { seeds, seed, without } = values;
    if (positionals.join() !== 'presence') throw new UsageError(USAGE);
    if (without !== undefined && !isRule(without)) throw new UsageError(USAGE);
    return {
      first: positive(seed, 1),
      count: positive(seeds, seed === undefined ? DEFAULT_SEEDS : 1),
      rounds: positive(values.rounds, ROUNDS),
      atOnce: positive(values['at-once'], DEFAULT_AT_ONCE),
      without,
      hasHistory: values.history ?? false,
    };
  } catch (error) {
    if (error instanceof UsageError) throw error;
    throw new UsageError(`${(error as Error).message}\n\n${USAGE}`);
  }
}

function positive(given: string | undefined, otherwise: number): number {
  const number = given === undefined ? otherwise : Number(given);
  if (!Number.isInteger(number) || number < 1) throw new UsageError(USAGE);
  return number;
}

process.once('exit', () => RedisPair.killAll());
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1));
try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  process.stderr.write(`${error instanceof UsageError ? error.message : (error as Error).stack}\n`);
  process.exitCode = error instanceof UsageError ? 2 : 1;
}
