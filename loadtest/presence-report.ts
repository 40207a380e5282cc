import { formatDisturbance } from './load-plan.ts';
import { formatMark, type Mark, verdictOf } from './mark.ts';
import type {
  IdleFigures,
  PresencePace,
  PresenceResult,
  PresenceSize,
  PurgeFigures,
  SchemeFigures,
  SchemeName,
} from './presence-plan.ts';
import { spreadOf } from './statistics.ts';
import { formatCount, formatMs, formatShare, formatSpread, formatTable } from './table.ts';

const TIMES_FEWER_MIN = 500;
/** A renewal more or less falls into the time that is looked at. */
const GROWTH_MAX = 1.1;
const BYTES_MAX = 700;
/** Of fewer sessions, each of whom costs the same heartbeats, marks say nothing. */
const MARK_SESSIONS_MIN = 50_000;

const NAMES: Readonly<Record<SchemeName, string>> = { leases: 'tidegate', ttls: 'TTL a session' };
const SCHEMES = Object.keys(NAMES) as SchemeName[];

/** What of a round is told. */
type Read = (figures: SchemeFigures) => number;
type Column = readonly [title: string, read: Read, format: (value: number) => string];

export function presenceMarks(rounds: readonly PresenceResult[], { sessionsMany, sessionsFew }: PresenceSize): Mark[] {
  const isUnknown = sessionsMany < MARK_SESSIONS_MIN;
  const mark = (wanted: string, isReached: boolean, measured: string): Mark => ({
    part: 'presence',
    contender: NAMES.leases,
    wanted,
    verdict: isUnknown ? 'unknown' : verdictOf(isReached),
    measured: `${measured}${isUnknown ? ', too few sessions' : ''}`,
  });
  const fewer = spreadOf(rounds.map(timesFewer));
  const growth = spreadOf(
    rounds.map(({ schemes: { leases } }) => leases.many.heartbeatsPerSecond / leases.few.heartbeatsPerSecond),
  );
  const bytes = spreadOf(rounds.map(({ schemes }) => schemes.leases.memory.bytes));
  const many = formatCount(sessionsMany);
  return [
    mark(
      `≥ ${TIMES_FEWER_MIN}× fewer heartbeat commands/s than a TTL a session, ${many} idle`,
      fewer.median >= TIMES_FEWER_MIN,
      formatSpread(fewer, formatTimes),
    ),
    mark(
      `heartbeat commands/s within ${GROWTH_MAX}× from ${formatCount(sessionsFew)} to ${many} idle sessions`,
      growth.median <= GROWTH_MAX,
      formatSpread(growth, (times) => `${times.toFixed(2)}×`),
    ),
    mark(`≤ ${BYTES_MAX} B a session in Redis`, bytes.median <= BYTES_MAX, `${formatSpread(bytes, formatCount)} B`),
  ];
}

export function formatPresence(
  rounds: readonly PresenceResult[],
  size: PresenceSize,
  pace: PresencePace,
  marks: readonly Mark[],
): string {
  const many = formatCount(size.sessionsMany);
  const crashed = formatCount(size.sessionsCrashed);
  const emptyCpu = spreadOf(rounds.map((round) => round.emptyCpu));
  const loadCpu = spreadOf(rounds.map(({ idleUsage }) => idleUsage.clientCpu));
  const lines = [
    `## presence: ${many} sessions of ${size.replicas} replicas in a Redis`,
    '',
    `Each session is a user's only one, in one room of ${size.sessionsPerRoom} over all replicas; each replica watches a room. Replicas are`,
    'real but for their sessions, which have no connection, and all in one process, the load. TTL a session: a key for each',
    `that lives for ${pace.ttlMs / 1000} s and is set anew every ${pace.heartbeatMs / 1000} s ± 20 %, and a hash of each room. Every Redis, its replicas and the`,
    'load share all cores; CPU is the share of one, and of Redis as it tells itself.',
    '',
    `Idle, for ${(pace.idleMs / 1000).toFixed(0)} s, both at once. A Redis that nobody uses takes ${formatSpread(emptyCpu, formatSmallShare)}, the load`,
    `with all replicas ${formatSpread(loadCpu, formatShare)}.`,
    '',
    formatIdle(rounds),
    '',
    `Joins: all ${many}, in random order, as fast as Redis takes them: to each replica 250 at a time.`,
    '',
    formatRows(rounds, [
      ['joins/s, median [min–max]', ({ joins }) => joins.sessions / joins.seconds, formatCount],
      ['Redis µs a session', ({ joins }) => joins.redisUs, formatUs],
      ['Redis CPU', ({ joins }) => joins.redisCpu, formatShare],
      ['load CPU', ({ joins }) => joins.loadCpu, formatShare],
      ['Redis B a session', ({ memory }) => memory.bytes, formatCount],
      ["of that Redis' own tables", ({ memory }) => memory.overheadBytes, formatCount],
    ]),
    '',
    `A crash: of a replica more, with ${crashed} sessions in the same rooms. They may be removed once lease and grace are over, or`,
    'the last one has no time to live left. Another client sets statuses and reads rooms meanwhile, from when each was due.',
    '',
    formatRows(rounds, [
      ['crash until all are gone, s', ({ purge }) => purge.crashToGoneMs / 1000, formatMs],
      ['of that beyond what is due, s', ({ purge }) => purge.dueToGoneMs / 1000, formatMs],
      ['Redis CPU meanwhile', ({ purge }) => purge.redisCpu, formatShare],
      ['commands', ({ purge }) => purge.meanwhile.count, formatCount],
      ['of those failed', ({ purge }) => purge.meanwhile.failed, formatCount],
    ]),
    '',
    formatProbes(rounds),
    '',
    ...marks.map(formatMark),
    ...formatDisturbance(rounds.map(({ idleUsage }) => idleUsage)),
  ];
  return lines.join('\n').trimEnd();
}

function formatIdle(rounds: readonly PresenceResult[]): string {
  const header = [
    'scheme',
    'sessions',
    'heartbeat commands/s, median [min–max]',
    '× fewer',
    'all that are sent',
    'with those in scripts',
    'Redis CPU',
  ];
  const rows = SCHEMES.flatMap((scheme) =>
    (['few', 'many'] as const).map((which) => {
      const spread = (read: (figures: IdleFigures) => number, format: (value: number) => string): string =>
        formatSpread(spreadOf(rounds.map(({ schemes }) => read(schemes[scheme][which]))), format);
      return [
        NAMES[scheme],
        formatCount(rounds[0]?.schemes[scheme][which].sessions ?? 0),
        spread(({ heartbeatsPerSecond }) => heartbeatsPerSecond, formatRate),
        scheme === 'leases' && which === 'many' ? formatSpread(spreadOf(rounds.map(timesFewer)), formatTimes) : '',
        spread(({ sentPerSecond }) => sentPerSecond, formatRate),
        spread(({ commandsPerSecond }) => commandsPerSecond, formatRate),
        spread(({ redisCpu }) => redisCpu, formatSmallShare),
      ];
    }),
  );
  return formatTable(header, rows);
}

function formatProbes(rounds: readonly PresenceResult[]): string {
  const header = [
    'scheme',
    'command',
    'p50 ms before, median [min–max]',
    'meanwhile',
    'p99 ms before',
    'meanwhile',
    'sent late by, p99 ms before',
    'meanwhile',
  ];
  const kinds = [
    ['set a status', 'writes'],
    ['read a room', 'reads'],
  ] as const;
  const rows = SCHEMES.flatMap((scheme) =>
    kinds.map(([what, kind]) => {
      const spread = (read: (purge: PurgeFigures) => number): string =>
        formatSpread(spreadOf(rounds.map(({ schemes }) => read(schemes[scheme].purge))), formatMs);
      return [
        NAMES[scheme],
        what,
        spread(({ before }) => before[kind].p50Ms),
        spread(({ meanwhile }) => meanwhile[kind].p50Ms),
        spread(({ before }) => before[kind].p99Ms),
        spread(({ meanwhile }) => meanwhile[kind].p99Ms),
        spread(({ before }) => before.latenessP99Ms),
        spread(({ meanwhile }) => meanwhile.latenessP99Ms),
      ];
    }),
  );
  return formatTable(header, rows);
}

/** A row for each scheme. */
function formatRows(rounds: readonly PresenceResult[], columns: readonly Column[]): string {
  const rows = SCHEMES.map((scheme) => [
    NAMES[scheme],
    ...columns.map(([, read, format]) =>
      formatSpread(spreadOf(rounds.map(({ schemes }) => read(schemes[scheme]))), format),
    ),
  ]);
  return formatTable(['scheme', ...columns.map(([title]) => title)], rows);
}

function timesFewer({ schemes: { leases, ttls } }: PresenceResult): number {
  return ttls.many.heartbeatsPerSecond / leases.many.heartbeatsPerSecond;
}

function formatTimes(times: number): string {
  return `${formatCount(times)}×`;
}

function formatRate(perSecond: number): string {
  return perSecond < 100 ? perSecond.toFixed(1) : formatCount(perSecond);
}

function formatSmallShare(share: number): string {
  return `${(share * 100).toFixed(2)} %`;
}

function formatUs(us: number): string {
  return us.toFixed(1);
}
