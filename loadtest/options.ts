import { parseArgs } from 'node:util';
import { PRESENCES, type Presence } from './clients/tidegate.ts';
import { integer, pick } from './command-line.ts';
import { CONTENDERS, type Contender } from './contender.ts';
import { sessionsAllowed } from './open-files.ts';
import type { Part } from './part.ts';
import { PUBLISHERS_MAX } from './publication-data.ts';

export interface BenchOptions {
  readonly parts: readonly Part[];
  readonly contenders: readonly Contender[];
  /** Of every part; undefined: each has its own number. */
  readonly rounds: number | undefined;
  /** Length of a measuring window. */
  readonly seconds: number;
  /** Fewer, shorter steps, for a look. */
  readonly isQuick: boolean;
  /** Publications open at once in the closed loops; undefined: found by calibration. */
  readonly window: number | undefined;
  readonly idle: IdleOptions;
  readonly json: string | undefined;
  /** Where the servers' data directories are made; undefined: the system's place for temporary files. */
  readonly directory: string | undefined;
}

export interface IdleOptions {
  readonly sessions: number;
  readonly sessionsPerRoom: number;
  /** Of tidegate, each measured by itself. */
  readonly presences: readonly Presence[];
  readonly settleSeconds: number;
  /** Where heap snapshots are put, the beginning of their paths; undefined: none are made. */
  readonly snapshots: string | undefined;
}

const ROUNDS_MAX = 20;
const SECONDS_MAX = 60;
const SECONDS = '3';
const SECONDS_QUICK = '1';
const WINDOW_MAX = 100_000;
const SESSIONS_MAX = 100_000;
const SESSIONS_QUICK = '2000';
const SESSIONS_PER_ROOM_MAX = 500;
const SETTLE_SECONDS_MAX = 600;

export function helpOf(parts: readonly Part[]): string {
  const lines = parts.map(({ name, what, rounds }) => `  ${name.padEnd(20)} ${what} (${rounds} rounds)`);
  return `Usage: npm run bench -- [options] [part …]

Measures tidegate beside other servers. The server has one core for itself, the load client another; in cluster,
presence and history all share them. Needs Linux (taskset, /proc) and two cores; where other processes use them too,
figures of speed suffer. cluster needs Java 17 and, once, Maven, presence a redis-server, history all of that, and they
are left out without. Prints Markdown on standard output, and on standard error what it is doing.

Parts (default: all)
${lines.join('\n')}

Options
  --quick              a look: one round each, short and small
  --rounds N           rounds of every part, in each of which every server has its turn (at most ${ROUNDS_MAX})
  --seconds S          measuring window of a turn (default ${SECONDS}, at most ${SECONDS_MAX})
  --only NAMES         servers, separated by commas: ${CONTENDERS.map(({ name }) => name).join(', ')}
  --window N           publications open at once in the closed loops (fanout, rooms, publish), for every server; by
                       default each server is measured with the window that serves it best, found by calibration
  --directory DIR      where data directories are made, for another disk (default: the system's temporary one)
  --json FILE          writes every measurement there
  --help               this text

Options of idle
  --sessions N         a multiple of --room-size (default 10000); server and client have a file open for each
  --room-size N        sessions of a room (default 10, at most ${SESSIONS_PER_ROOM_MAX})
  --presence MODES     how tidegate's sessions take part in presence, separated by commas (default full):
                       full: seen, and told who comes and goes; off: seen, and told nothing; hidden: neither
  --settle S           how long the sessions are left alone before memory is read (default 2); 40 lets
                       heartbeats come by
  --snapshots PREFIX   also writes a heap snapshot of each server with its sessions, PREFIX-<server>.heapsnapshot;
                       node loadtest/heap-types.ts FEW SESSIONS MANY SESSIONS tells by two of them, of runs
                       with few sessions and with many, what a session is made of

Environment
  TIDEGATE_*           passed on to tidegate, but for ports, data directory and engine, and, but in idle, limits per
                       session
  NODE_OPTIONS         passed on to servers and clients: --cpu-prof --cpu-prof-dir=DIR profiles them
  PATH                 where centrifugo stands on it, it takes part too

Exit code: 0 even if a mark was missed; 1 if a delivery was lost, doubled, reordered or altered, if a session ended
or presence was wrong, if a server failed, or if the options are wrong.
`;
}

/**
 * Undefined if help was asked for.
 *
 * @throws Error in words for the user.
 */
export function readOptions(args: readonly string[], parts: readonly Part[]): BenchOptions | undefined {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      help: { type: 'boolean', default: false },
      quick: { type: 'boolean', default: false },
      rounds: { type: 'string' },
      seconds: { type: 'string' },
      only: { type: 'string' },
      window: { type: 'string' },
      directory: { type: 'string' },
      json: { type: 'string' },
      sessions: { type: 'string' },
      'room-size': { type: 'string', default: '10' },
      presence: { type: 'string', default: 'full' },
      settle: { type: 'string', default: '2' },
      snapshots: { type: 'string' },
    },
  });
  if (values.help) return undefined;
  const { quick: isQuick } = values;
  const sessions = integer('--sessions', values.sessions ?? (isQuick ? SESSIONS_QUICK : '10000'), SESSIONS_MAX);
  const sessionsPerRoom = integer('--room-size', values['room-size'], SESSIONS_PER_ROOM_MAX);
  if (sessions % sessionsPerRoom !== 0) throw new Error(`--sessions is a multiple of --room-size, ${sessionsPerRoom}`);
  const sessionsMax = sessionsAllowed();
  if (sessions > sessionsMax) throw new Error(`--sessions ${sessions}: ${sessionsMax} are allowed here (ulimit -n)`);
  if (sessions / sessionsPerRoom > PUBLISHERS_MAX) throw new Error(`more than ${PUBLISHERS_MAX} rooms`);
  const presences = pick(
    PRESENCES.map((name) => ({ name })),
    values.presence.split(','),
    'presence',
  );
  return {
    parts: pick(parts, positionals, 'part'),
    contenders: pick(CONTENDERS, values.only?.split(',') ?? [], 'server'),
    rounds: values.rounds === undefined ? undefined : integer('--rounds', values.rounds, ROUNDS_MAX),
    seconds: integer('--seconds', values.seconds ?? (isQuick ? SECONDS_QUICK : SECONDS), SECONDS_MAX),
    isQuick,
    window: values.window === undefined ? undefined : integer('--window', values.window, WINDOW_MAX),
    idle: {
      sessions,
      sessionsPerRoom,
      presences: presences.map(({ name }) => name),
      settleSeconds: integer('--settle', values.settle, SETTLE_SECONDS_MAX),
      snapshots: values.snapshots,
    },
    json: values.json,
    directory: values.directory,
  };
}
