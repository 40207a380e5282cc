import type { AcceptsPlan, AcceptsResult } from './accepts-load.ts';
import { type Bench, resultsOf } from './bench-run.ts';
import type { Contender } from './contender.ts';
import { formatDisturbance, otherLoad } from './load-plan.ts';
import { formatMark, type Mark, verdictOf } from './mark.ts';
import type { BenchOptions } from './options.ts';
import { type Part, type PartReport, roundsOf } from './part.ts';
import type { ServerExtras } from './server-process.ts';
import { ratioTo, roundsDone, type Standing, summarize } from './standing.ts';
import { spreadOf } from './statistics.ts';
import { formatBounded, formatCount, formatMs, formatRatio, formatShare, formatSpread, formatTable } from './table.ts';

const RATIO_WANTED = 0.5;
const ARRIVING_AT_ONCE = 256;
const PRESENT_MAX = 2_000;
const SESSIONS_PER_ROOM = 10;
const WARM_UP_MS = 6_000;
/** For planning: what starting and stopping take in one turn. */
const OVERHEAD_MS = 1_200;
const LOAD_MS_MAX = 30_000;
/** Of no use to anybody: it signs for servers that live for a turn, on loopback. */
const JWT_SECRET = 'a secret of the benchmark, 32 bytes or more';

/** A server, and how it knows its sessions. */
interface Door {
  readonly name: string;
  readonly contender: Contender;
  readonly jwtSecret: string | undefined;
}

type AcceptsStanding = Standing<AcceptsResult> & { readonly door: Door };

const acceptsOf = (round: AcceptsResult): number => round.acceptsPerSecond;
const serverMicrosecondsOf = (round: AcceptsResult): number => (round.serverCpu * round.seconds * 1e6) / round.accepts;

/** Sessions that come and go: how many a second are let in. */
class AcceptsPart implements Part {
  readonly name = 'accepts';
  readonly what = 'sessions/s that connect, join a room with presence, and have both replies';
  readonly rounds = 5;

  entrants(contenders: readonly Contender[]): readonly Contender[] {
    return contenders;
  }

  plannedMs(options: BenchOptions): number {
    const turnMs = OVERHEAD_MS + WARM_UP_MS + options.seconds * 1000;
    return roundsOf(this, options) * doorsOf(options.contenders).length * turnMs;
  }

  async run(bench: Bench): Promise<PartReport> {
    const turns = await bench.takeTurns(
      this.name,
      doorsOf(bench.options.contenders),
      roundsOf(this, bench.options),
      (door) => measure(bench, door),
      otherLoad,
    );
    const standings = turns
      .filter((turn) => resultsOf(turn).length > 0)
      .map(({ entrant, rounds }): AcceptsStanding => ({ name: entrant.name, door: entrant, rounds }));
    const marks = acceptsMarks(standings);
    return { markdown: formatAccepts(standings, marks), marks, results: standings };
  }
}

export const ACCEPTS: Part = new AcceptsPart();

function doorsOf(contenders: readonly Contender[]): Door[] {
  return contenders.flatMap((contender): Door[] => {
    const anonymous = { name: contender.name, contender, jwtSecret: undefined };
    // A token costs the same on each transport.
    if (!contender.isTidegate || contender.port === 'tcp') return [anonymous];
    return [anonymous, { name: `${contender.name}, JWT`, contender, jwtSecret: JWT_SECRET }];
  });
}

function measure(bench: Bench, { contender, jwtSecret }: Door): Promise<AcceptsResult> {
  const measureMs = bench.options.seconds * 1000;
  const plan = {
    jwtSecret,
    arrivingAtOnce: ARRIVING_AT_ONCE,
    presentMax: PRESENT_MAX,
    sessionsPerRoom: SESSIONS_PER_ROOM,
    warmUpMs: WARM_UP_MS,
    measureMs,
  };
  const extras: ServerExtras =
    jwtSecret === undefined ? {} : { env: { TIDEGATE_AUTH: 'jwt', TIDEGATE_JWT_SECRET: jwtSecret } };
  const timeoutMs = LOAD_MS_MAX + measureMs;
  return bench.load<AcceptsPlan, AcceptsResult>(contender, './accepts-load.ts', plan, timeoutMs, extras);
}

function formatAccepts(standings: readonly AcceptsStanding[], marks: readonly Mark[]): string {
  const header = [
    'server',
    'accepts/s, median [min–max]',
    'server CPU µs each',
    'p50 ms',
    'p99 ms',
    'server CPU',
    'client CPU',
    'refused',
  ];
  const rows = standings.map((standing) => {
    const median = (read: (round: AcceptsResult) => number): number => summarize(standing, read).spread.median;
    const accepts = summarize(standing, acceptsOf);
    return [
      standing.name,
      formatBounded(accepts, formatCount),
      formatSpread(spreadOf(roundsDone(standing).map(serverMicrosecondsOf)), formatCount),
      formatMs(median(({ p50Ms }) => p50Ms)),
      formatMs(median(({ p99Ms }) => p99Ms)),
      formatShare(median(({ serverCpu }) => serverCpu)),
      formatShare(median(({ clientCpu }) => clientCpu)),
      `${accepts.refused}/${roundsDone(standing).length}`,
    ];
  });
  const lines = [
    '## accepts: connect, join, both replies',
    '',
    `${ARRIVING_AT_ONCE} sessions arrive at a time, into rooms of ${SESSIONS_PER_ROOM}, each told who is there; while ${formatCount(PRESENT_MAX)} are there, the oldest`,
    'says goodbye for each that comes. Milliseconds are from connecting to the reply to the join.',
    '',
    formatTable(header, rows),
    '',
    ...marks.map(formatMark),
    ...formatTokenCosts(standings),
    ...formatDisturbance(standings.flatMap(roundsDone)),
  ];
  return lines.join('\n').trimEnd();
}

/** What a token costs, by itself. */
function formatTokenCosts(standings: readonly AcceptsStanding[]): string[] {
  return standings.flatMap((standing) => {
    const { contender, jwtSecret } = standing.door;
    const anonymous = standings.find(({ name }) => name === contender.name);
    if (jwtSecret === undefined || anonymous === undefined) return [];
    const costs = standing.rounds.flatMap((round, index) => {
      const other = anonymous.rounds[index];
      if (round === undefined || other === undefined) return [];
      return [serverMicrosecondsOf(round) - serverMicrosecondsOf(other)];
    });
    if (costs.length === 0) return [];
    return [
      `- ${contender.name}: an HS256 token costs ${formatSpread(spreadOf(costs), formatCount)} µs of the server's CPU`,
    ];
  });
}

function acceptsMarks(standings: readonly AcceptsStanding[]): Mark[] {
  const uws = standings.find(({ name }) => name === 'uws');
  if (uws === undefined) return [];
  return standings
    .filter(({ door }) => door.contender.isTidegate && door.jwtSecret === undefined)
    .map((standing) => acceptsMark(standing, uws));
}

function acceptsMark(standing: AcceptsStanding, uws: AcceptsStanding): Mark {
  const mark = { part: 'accepts', wanted: `≥ ${RATIO_WANTED}× uws`, contender: standing.name };
  const ratio = ratioTo(standing, uws, acceptsOf);
  if (ratio === undefined) return { ...mark, verdict: 'unknown', measured: 'no round of both' };
  const isReached = ratio.spread.median >= RATIO_WANTED;
  const verdict = !isReached && ratio.isLowerBound ? 'unknown' : verdictOf(isReached);
  return { ...mark, verdict, measured: formatRatio(ratio) };
}
