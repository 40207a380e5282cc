import { PRESENCES, type Presence } from './clients/tidegate.ts';
import type { Contender } from './contender.ts';
import type { IdleResult } from './idle-plan.ts';
import type { Machine } from './machine.ts';
import type { MemoryReading } from './memory-reading.ts';
import type { IdleOptions } from './options.ts';
import { formatTable } from './report.ts';
import { type Spread, spreadOf } from './statistics.ts';

/** What a session may cost, beside what the kernel keeps for its connection. */
const MARK_KB = 8;
/** Of fewer, what the process itself gains or loses meanwhile, a megabyte or so, blurs the figures. */
const MARK_SESSIONS_MIN = 5_000;
const KB = 1024;

/** A server in one of the ways in which its sessions can take part in presence. */
export interface IdleServer {
  readonly name: string;
  readonly contender: Contender;
  readonly presence: Presence;
}

/** What one server did: a result a round. */
export interface IdleStanding {
  readonly server: IdleServer;
  readonly rounds: readonly IdleResult[];
}

export interface IdleFacts {
  readonly machine: Machine;
  readonly options: IdleOptions;
}

export function idleServers({ contenders, presences }: IdleOptions): IdleServer[] {
  return contenders.flatMap((contender): IdleServer[] => {
    if (!contender.isTidegate) return [{ name: contender.name, contender, presence: 'off' }];
    return presences.map((presence) => ({ name: `${contender.name}, ${presence}`, contender, presence }));
  });
}

const PRESENCE_WORDS: Record<Presence, string> = {
  full: 'full: sessions are seen in their room, and told who comes and goes',
  off: 'off: they are seen, and told nothing',
  hidden: 'hidden: they are not seen, and told nothing',
};

/** Ahead of the table: what was measured, and how. */
export function formatIdleFacts({ machine, options }: IdleFacts): string {
  const { sessions, sessionsPerRoom, contenders, presences, rounds, settleSeconds } = options;
  const modes = PRESENCES.filter((presence) => presences.includes(presence)).map((mode) => PRESENCE_WORDS[mode]);
  const lines = [
    `${machine.cores} cores, ${machine.architecture}, Linux, Node ${machine.node}.`,
    `Servers: ${contenders.map(({ name, what }) => `${name} (${what})`).join('; ')}.`,
    `Socket.IO ${machine.socketIo} and ws ${machine.ws} keep who is in a room, and have no presence. tidegate has the`,
    `settings that are its defaults, with all its limits. Its presence is ${modes.join('; ')}.`,
    '',
    `${count(sessions)} sessions, each connected, in one room of ${sessionsPerRoom}, and silent but for answers to heartbeats. A server's`,
    'process is new in each round; sessions have come and gone before its memory is read for the first time, and all',
    `are there and know of each other, ${settleSeconds} s ago, when it is read again, each time after full garbage collections. A`,
    'figure is the difference divided by the sessions. Resident is all of the process as the system counts it, its',
    'threads included; anonymous leaves out the mapped code of programs. Heap and buffers are of the main thread, as',
    'V8 counts them, and are part of anonymous; what is left of it are structures of C++, of the C library and free space.',
    'Then one publication in each room shows that every session is there, and tidegate is asked who is in a sample of',
    `rooms. Medians of ${rounds} ${rounds === 1 ? 'round' : 'rounds in turn'}; KB of 1,024 bytes.`,
    '',
    "The kernel's part is none of the process' memory, and stands apart: the growth of the whole machine's sockets, their",
    'files and entries in epoll (/proc/slabinfo, for root only), halved, since both ends of each connection are here.',
    'What it allocates by size for a connection is not in it.',
  ];
  return lines.join('\n');
}

export function formatIdleResults(
  standings: readonly IdleStanding[],
  { sessions, sessionsPerRoom }: IdleOptions,
): string {
  const header = [
    'server',
    'KB a session, resident',
    'anonymous',
    'heap used',
    'external',
    'of that buffers',
    'kernel',
    'before, MB',
    'connects/s',
    'rooms checked',
  ];
  const rows = standings.map(({ server, rounds }) => {
    const perSession = (key: keyof MemoryReading): string =>
      formatKb(spreadOf(rounds.map((round) => growth(round, key, sessions))));
    return [
      server.name,
      perSession('rss'),
      perSession('anonymous'),
      perSession('heapUsed'),
      perSession('external'),
      perSession('arrayBuffers'),
      formatKernel(rounds, sessions),
      (spreadOf(rounds.map(({ before }) => before.rss)).median / KB / KB).toFixed(0),
      count(spreadOf(rounds.map(({ connectMs }) => Math.round((sessions * 1000) / connectMs))).median),
      count(rounds.reduce((sum, { roomsChecked }) => sum + roomsChecked, 0)),
    ];
  });
  const title = `## idle: ${count(sessions)} sessions in rooms of ${sessionsPerRoom}`;
  return [title, '', formatTable(header, rows), '', ...formatMarks(standings, sessions)].join('\n').trimEnd();
}

function formatMarks(standings: readonly IdleStanding[], sessions: number): string[] {
  return standings
    .filter(({ server }) => server.contender.isTidegate)
    .map(({ server, rounds }) => {
      const spread = spreadOf(rounds.map((round) => growth(round, 'rss', sessions)));
      const isReached = spread.median <= MARK_KB;
      const verdict =
        sessions < MARK_SESSIONS_MIN ? 'unknown (too few sessions)' : isReached ? 'reached' : 'not reached';
      return `Mark: ≤ ${MARK_KB} KB a session above the kernel's, ${server.name}: ${verdict} (${formatKb(spread)})`;
    });
}

function growth({ before, after }: IdleResult, key: keyof MemoryReading, sessions: number): number {
  return (after[key] - before[key]) / sessions / KB;
}

function formatKernel(rounds: readonly IdleResult[], sessions: number): string {
  const kb = rounds.flatMap(({ kernelBefore: before, kernelAfter: after }) => {
    if (before.sockets === null || after.sockets === null) return [];
    // Buffers are left to the JSON: others' data on their way would blur what idle sessions have none of.
    return [(after.sockets - before.sockets) / 2 / sessions / KB];
  });
  return kb.length === 0 ? 'unknown' : formatKb(spreadOf(kb));
}

function formatKb({ median, min, max }: Spread): string {
  return `${median.toFixed(2)} [${min.toFixed(2)}–${max.toFixed(2)}]`;
}

function count(value: number): string {
  return value.toLocaleString('en-US');
}
