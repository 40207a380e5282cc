import { parseArgs } from 'node:util';
import { CONTENDERS, type Contender } from './contender.ts';
import { type BenchWorkload, WORKLOADS } from './workload.ts';

export interface Options {
  readonly help: boolean;
  readonly workloads: readonly BenchWorkload[];
  readonly contenders: readonly Contender[];
  readonly rounds: number;
  /** Length of a measuring window. */
  readonly seconds: number;
  /** Publications open at once; undefined: found by calibration. */
  readonly window: number | undefined;
  readonly json: string | undefined;
  /** Where the servers' data directories are made; undefined: the system's place for temporary files. */
  readonly directory: string | undefined;
}

const ROUNDS_MAX = 20;
const SECONDS_MAX = 60;
const WINDOW_MAX = 100_000;

export const HELP = `Usage: npm run bench -- [options] [workload …]

Compares tidegate with Socket.IO and bare ws: publications of 128 bytes, delivered to all members of a room.
The server has one core for itself, the load client another. Needs Linux (taskset, /proc) and two cores.

Workloads (default: all)
  fanout               1 room of 1,000 sessions, 100 of which publish
  rooms                250 rooms of 4 sessions, all of which publish

Options
  --rounds N           rounds, in each of which every server has its turn (default 3, at most ${ROUNDS_MAX})
  --seconds S          measuring window of a turn (default 4, at most ${SECONDS_MAX})
  --only NAMES         servers, separated by commas: ${CONTENDERS.map(({ name }) => name).join(', ')}
  --window N           publications open at once in the run, for every server; by default each server is
                       measured with the window that serves it best, found by calibration
  --directory DIR      where data directories are made, for another disk (default: the system's temporary one)
  --json FILE          writes every measurement there
  --help               this text

Environment
  TIDEGATE_*           passed on to tidegate, but for ports, data directory and limits per session

Exit code: 0 even if a mark was missed; 1 if a delivery was lost, doubled, reordered or altered, if a server
failed, or if the options are wrong.
`;

/** @throws Error in words for the user. */
export function readOptions(args: readonly string[]): Options {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      rounds: { type: 'string', default: '3' },
      seconds: { type: 'string', default: '4' },
      only: { type: 'string' },
      window: { type: 'string' },
      json: { type: 'string' },
      directory: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  });
  return {
    help: values.help,
    workloads: pick(WORKLOADS, positionals, 'workload'),
    contenders: pick(CONTENDERS, values.only?.split(',') ?? [], 'server'),
    rounds: integer('--rounds', values.rounds, ROUNDS_MAX),
    seconds: integer('--seconds', values.seconds, SECONDS_MAX),
    window: values.window === undefined ? undefined : integer('--window', values.window, WINDOW_MAX),
    json: values.json,
    directory: values.directory,
  };
}

/** Those that are named, in their own order; all if none is. */
function pick<T extends { readonly name: string }>(all: readonly T[], names: readonly string[], what: string): T[] {
  const unknown = names.find((name) => !all.some((one) => one.name === name));
  if (unknown !== undefined) {
    throw new Error(`no ${what} "${unknown}"; there are ${all.map(({ name }) => name).join(', ')}`);
  }
  return all.filter(({ name }) => names.length === 0 || names.includes(name));
}

function integer(option: string, text: string, max: number): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1 || value > max) {
    throw new Error(`${option} is a whole number from 1 to ${max}, not "${text}"`);
  }
  return value;
}
