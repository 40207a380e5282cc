import { parseArgs } from 'node:util';
import { PRESENCES, type Presence } from './clients/tidegate.ts';
import { CONTENDERS, type Contender } from './contender.ts';
import { PUBLISHERS_MAX } from './publication-data.ts';
import { type BenchWorkload, WORKLOADS } from './workload.ts';

interface CommonOptions {
  readonly contenders: readonly Contender[];
  readonly rounds: number;
  readonly json: string | undefined;
  /** Where the servers' data directories are made; undefined: the system's place for temporary files. */
  readonly directory: string | undefined;
}

export interface SpeedOptions extends CommonOptions {
  readonly part: 'speed';
  readonly workloads: readonly BenchWorkload[];
  /** Length of a measuring window. */
  readonly seconds: number;
  /** Publications open at once; undefined: found by calibration. */
  readonly window: number | undefined;
}

export interface IdleOptions extends CommonOptions {
  readonly part: 'idle';
  readonly sessions: number;
  readonly sessionsPerRoom: number;
  /** Of tidegate, each measured by itself. */
  readonly presences: readonly Presence[];
  readonly settleSeconds: number;
  /** Where heap snapshots are put, the beginning of their paths; undefined: none are made. */
  readonly snapshots: string | undefined;
}

export type Options = { readonly part: 'help' } | SpeedOptions | IdleOptions;

const ROUNDS_MAX = 20;
const SECONDS_MAX = 60;
const WINDOW_MAX = 100_000;
const SESSIONS_MAX = 100_000;
const SESSIONS_PER_ROOM_MAX = 500;
const SETTLE_SECONDS_MAX = 600;
const IDLE = 'idle';

export const HELP = `Usage: npm run bench -- [options] [workload …]
       npm run bench -- idle [options]

Compares tidegate with Socket.IO and bare ws. The first form measures speed: publications of 128 bytes, delivered
to all members of a room. The second measures memory: what a session costs that is connected, has joined a room
and says nothing. The server has one core for itself, the load client another. Needs Linux (taskset, /proc) and two
cores; where other processes use them too, figures of speed suffer and those of memory do not.

Workloads (default: all)
  fanout               1 room of 1,000 sessions, 100 of which publish
  rooms                250 rooms of 4 sessions, all of which publish

Options of both
  --rounds N           rounds, in each of which every server has its turn (default 3, at most ${ROUNDS_MAX})
  --only NAMES         servers, separated by commas: ${CONTENDERS.map(({ name }) => name).join(', ')}
  --directory DIR      where data directories are made, for another disk (default: the system's temporary one)
  --json FILE          writes every measurement there
  --help               this text

Options of speed
  --seconds S          measuring window of a turn (default 4, at most ${SECONDS_MAX})
  --window N           publications open at once in the run, for every server; by default each server is
                       measured with the window that serves it best, found by calibration

Options of idle
  --sessions N         a multiple of --room-size (default 10000); server and client have a file open for each
  --room-size N        sessions of a room (default 10, at most ${SESSIONS_PER_ROOM_MAX})
  --presence MODES     how tidegate's sessions take part in presence, separated by commas (default full,off):
                       full: seen, and told who comes and goes; off: seen, and told nothing; hidden: neither
  --settle S           how long the sessions are left alone before memory is read (default 2); 40 lets
                       heartbeats come by
  --snapshots PREFIX   also writes a heap snapshot of each server with its sessions, PREFIX-<server>.heapsnapshot;
                       node loadtest/heap-types.ts FEW SESSIONS MANY SESSIONS tells by two of them, of runs
                       with few sessions and with many, what a session is made of

Environment
  TIDEGATE_*           passed on to tidegate, but for ports and data directory, and in speed limits per session

Exit code: 0 even if a mark was missed; 1 if a delivery was lost, doubled, reordered or altered, if a session ended
or presence was wrong, if a server failed, or if the options are wrong.
`;

/** Those that belong to one part alone. */
const SPEED_OPTIONS = ['seconds', 'window'] as const;
const IDLE_OPTIONS = ['sessions', 'room-size', 'presence', 'settle', 'snapshots'] as const;

/** @throws Error in words for the user. */
export function readOptions(args: readonly string[]): Options {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      rounds: { type: 'string', default: '3' },
      only: { type: 'string' },
      json: { type: 'string' },
      directory: { type: 'string' },
      help: { type: 'boolean', default: false },
      seconds: { type: 'string' },
      window: { type: 'string' },
      sessions: { type: 'string' },
      'room-size': { type: 'string' },
      presence: { type: 'string' },
      settle: { type: 'string' },
      snapshots: { type: 'string' },
    },
  });
  if (values.help) return { part: 'help' };
  const isIdle = positionals.includes(IDLE);
  if (isIdle && positionals.length > 1) throw new Error(`${IDLE} is measured by itself`);
  const foreign = (isIdle ? SPEED_OPTIONS : IDLE_OPTIONS).find((name) => values[name] !== undefined);
  if (foreign !== undefined) throw new Error(`--${foreign} is an option of ${isIdle ? 'speed' : IDLE}`);
  const common = {
    contenders: pick(CONTENDERS, values.only?.split(',') ?? [], 'server'),
    rounds: integer('--rounds', values.rounds, ROUNDS_MAX),
    json: values.json,
    directory: values.directory,
  };
  if (!isIdle) {
    return {
      part: 'speed',
      ...common,
      workloads: pick(WORKLOADS, positionals, 'workload'),
      seconds: integer('--seconds', values.seconds ?? '4', SECONDS_MAX),
      window: values.window === undefined ? undefined : integer('--window', values.window, WINDOW_MAX),
    };
  }
  const sessions = integer('--sessions', values.sessions ?? '10000', SESSIONS_MAX);
  const sessionsPerRoom = integer('--room-size', values['room-size'] ?? '10', SESSIONS_PER_ROOM_MAX);
  if (sessions % sessionsPerRoom !== 0) throw new Error(`--sessions is a multiple of --room-size, ${sessionsPerRoom}`);
  if (sessions / sessionsPerRoom > PUBLISHERS_MAX) throw new Error(`more than ${PUBLISHERS_MAX} rooms`);
  const named = pick(
    PRESENCES.map((name) => ({ name })),
    (values.presence ?? 'full,off').split(','),
    'presence',
  );
  return {
    part: 'idle',
    ...common,
    sessions,
    sessionsPerRoom,
    presences: named.map(({ name }) => name),
    settleSeconds: integer('--settle', values.settle ?? '2', SETTLE_SECONDS_MAX),
    snapshots: values.snapshots,
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
