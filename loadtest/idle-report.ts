import { PRESENCES, type Presence } from './clients/tidegate.ts';
import type { Contender } from './contender.ts';
import type { IdleResult } from './idle-plan.ts';
import { formatMark, type Mark, verdictOf } from './mark.ts';
import type { MemoryReading } from './memory-reading.ts';
import type { IdleOptions } from './options.ts';
import { spreadOf } from './statistics.ts';
import { formatCount, formatSpread, formatTable } from './table.ts';

/** What a session may cost on each engine, beside what the kernel keeps for its connection, in the fullest presence. */
const MARK_KB = { uws: 2.5, other: 7 } as const;
const MARK_PRESENCE: Presence = 'full';
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

export function idleServers(contenders: readonly Contender[], { presences }: IdleOptions): IdleServer[] {
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

function formatMethod({ sessions, sessionsPerRoom, presences, settleSeconds }: IdleOptions): string[] {
  const modes = PRESENCES.filter((presence) => presences.includes(presence)).map((mode) => PRESENCE_WORDS[mode]);
  return [
    `${formatCount(sessions)} sessions, each connected, in one room of ${sessionsPerRoom}, and silent, ${settleSeconds} s after all of them know of each`,
    `other; what the server's process has grown by since it had none, divided by them. tidegate's presence is ${modes.join('; ')}.`,
  ];
}

export function formatIdle(standings: readonly IdleStanding[], options: IdleOptions, marks: readonly Mark[]): string {
  const { sessions, sessionsPerRoom } = options;
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
      formatSpread(spreadOf(rounds.map((round) => growth(round, key, sessions))), formatKb);
    return [
      server.name,
      perSession('rss'),
      perSession('anonymous'),
      perSession('heapUsed'),
      perSession('external'),
      perSession('arrayBuffers'),
      formatKernel(rounds, sessions),
      (spreadOf(rounds.map(({ before }) => before.rss)).median / KB / KB).toFixed(0),
      formatCount(spreadOf(rounds.map(({ connectMs }) => Math.round((sessions * 1000) / connectMs))).median),
      formatCount(rounds.reduce((sum, { roomsChecked }) => sum + roomsChecked, 0)),
    ];
  });
  const title = `## idle: ${formatCount(sessions)} sessions in rooms of ${sessionsPerRoom}`;
  return [title, '', ...formatMethod(options), '', formatTable(header, rows), '', ...marks.map(formatMark)].join('\n');
}

export function idleMarks(standings: readonly IdleStanding[], { sessions }: IdleOptions): Mark[] {
  return standings
    .filter(({ server }) => server.contender.isTidegate && server.presence === MARK_PRESENCE)
    .map(({ server: { name, contender }, rounds }) => {
      const isUws = contender.env.TIDEGATE_WS_ENGINE === 'uws';
      const maxKb = isUws ? MARK_KB.uws : MARK_KB.other;
      const spread = spreadOf(rounds.map((round) => growth(round, 'rss', sessions)));
      const isUnknown = sessions < MARK_SESSIONS_MIN;
      return {
        part: 'idle',
        wanted: `≤ ${maxKb} KB a session above the kernel's`,
        contender: name,
        verdict: isUnknown ? 'unknown' : verdictOf(spread.median <= maxKb),
        measured: `${formatSpread(spread, formatKb)} KB${isUnknown ? ', too few sessions' : ''}`,
      };
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
  return kb.length === 0 ? 'unknown' : formatSpread(spreadOf(kb), formatKb);
}

function formatKb(kb: number): string {
  return kb.toFixed(2);
}
