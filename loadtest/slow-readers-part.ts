import { readFileSync } from 'node:fs';
import { type Bench, resultsOf } from './bench-run.ts';
import type { Contender } from './contender.ts';
import { formatDisturbance, isClientBound, otherLoad } from './load-plan.ts';
import { formatMark, type Mark, verdictOf } from './mark.ts';
import type { BenchOptions } from './options.ts';
import { type Part, type PartReport, roundsOf } from './part.ts';
import { WITHOUT_LIMITS } from './server-process.ts';
import type { SlowReadersPlan, SlowReadersResult } from './slow-readers-load.ts';
import { spreadOf } from './statistics.ts';
import { formatCount, formatMs, formatSpread, formatTable } from './table.ts';

const SESSIONS = 1_000;
const STOPPING = 100;
const PUBLISHERS = 100;
const WINDOW = 256;
/** Of what they had before, the others keep at least so much. */
const SHARE_WANTED = 0.95;
/** Tidegate's default for what may wait for one session. */
const OUTBOX_BYTES_MAX = 1024 * 1024;
const MIB = 1024 * 1024;
const SLOW = 'slow_consumer';
const WARM_UP_MS = 5_000;
const END_MS_MAX = 30_000;
/** For planning: what starting, connecting, ending the slow ones and stopping take in one turn. */
const OVERHEAD_MS = 7_000;
const LOAD_MS_MAX = 60_000;

interface SlowStanding {
  readonly name: string;
  readonly rounds: readonly SlowReadersResult[];
}

/** Sessions that stop reading: what the others feel, and what the server pays. */
class SlowReadersPart implements Part {
  readonly name = 'slow-readers';
  readonly what = 'of 1 room of 1,000 sessions 100 stop reading: what the others get, and the server’s memory';
  readonly rounds = 3;

  /** The others have no bound, or leave publications out. */
  entrants(contenders: readonly Contender[]): readonly Contender[] {
    return contenders.filter(({ isTidegate }) => isTidegate);
  }

  plannedMs(options: BenchOptions): number {
    const turnMs = OVERHEAD_MS + WARM_UP_MS + 2 * options.seconds * 1000;
    return roundsOf(this, options) * this.entrants(options.contenders).length * turnMs;
  }

  async run(bench: Bench): Promise<PartReport> {
    const measureMs = bench.options.seconds * 1000;
    const plan = {
      sessions: SESSIONS,
      publishers: PUBLISHERS,
      stopping: STOPPING,
      window: WINDOW,
      warmUpMs: WARM_UP_MS,
      measureMs,
      endMsMax: END_MS_MAX,
    };
    const turns = await bench.takeTurns(
      this.name,
      this.entrants(bench.options.contenders),
      roundsOf(this, bench.options),
      (contender) =>
        bench.load<SlowReadersPlan, SlowReadersResult>(
          contender,
          './slow-readers-load.ts',
          plan,
          LOAD_MS_MAX + 2 * measureMs,
          WITHOUT_LIMITS,
        ),
      ({ before, meanwhile, after }) => Math.max(...[before, meanwhile, after].map(otherLoad)),
    );
    const standings: SlowStanding[] = turns
      .map((turn) => ({ name: turn.entrant.name, rounds: resultsOf(turn) }))
      .filter(({ rounds }) => rounds.length > 0);
    const marks = standings.map(slowMark);
    return { markdown: formatSlowReaders(standings, marks), marks, results: { ...plan, standings } };
  }
}

export const SLOW_READERS: Part = new SlowReadersPart();

const shareOf = ({ perSecondBefore, perSecondMeanwhile }: SlowReadersResult): number =>
  perSecondMeanwhile / perSecondBefore;
const shareAfterOf = ({ perSecondBefore, perSecondAfter }: SlowReadersResult): number =>
  perSecondAfter / perSecondBefore;
const formatKept = (share: number): string => `${(100 * share).toFixed(0)} %`;
const growthOf = ({ bytesBefore, bytesAfter }: SlowReadersResult): number => Math.max(0, bytesAfter - bytesBefore);
const boundMib = (STOPPING * OUTBOX_BYTES_MAX) / MIB;

/** What the kernel may hold for a connection whose reader has stopped: at the sender, and at the receiver. */
function kernelMib(): number {
  const largest = ['tcp_rmem', 'tcp_wmem'].map(
    (name) => readFileSync(`/proc/sys/net/ipv4/${name}`, 'utf8').split('\t')[2],
  );
  return largest.reduce((sum, bytes) => sum + Number(bytes), 0) / MIB;
}

/** Whether the server ended all those that stopped as too slow, and nobody else. */
function endedRight({ ended }: SlowReadersResult): boolean {
  return ended[SLOW] === STOPPING && Object.keys(ended).length === 1;
}

function formatSlowReaders(standings: readonly SlowStanding[], marks: readonly Mark[]): string {
  const header = [
    'server',
    `deliveries/s of the other ${SESSIONS - STOPPING}, before`,
    'until the slow ones were ended',
    'kept',
    'kept once they were',
    'memory grew by, MiB',
    'its bound, MiB',
    'all slow ones ended after, s',
    'ended with 3001',
    'others ended',
    'verified',
  ];
  const rows = standings.map(({ name, rounds }) => {
    const cell = (read: (round: SlowReadersResult) => number, format: (value: number) => string): string =>
      formatSpread(spreadOf(rounds.map(read)), format);
    const others = rounds.flatMap(({ ended }) => Object.entries(ended).filter(([reason]) => reason !== SLOW));
    return [
      name,
      cell((round) => round.perSecondBefore, formatCount),
      cell((round) => round.perSecondMeanwhile, formatCount),
      cell(shareOf, formatKept),
      cell(shareAfterOf, formatKept),
      cell((round) => growthOf(round) / MIB, formatMs),
      formatCount(boundMib),
      cell(({ endedMs }) => endedMs / 1000, formatMs),
      cell(({ ended }) => ended[SLOW] ?? 0, formatCount),
      formatCount(others.reduce((sum, [, count]) => sum + count, 0)),
      formatCount(rounds.reduce((sum, { deliveriesVerified }) => sum + deliveriesVerified, 0)),
    ];
  });
  const usages = standings.flatMap(({ rounds }) =>
    rounds.flatMap(({ before, meanwhile, after }) => [before, meanwhile, after]),
  );
  const lines = [
    `## slow-readers: 1 room × ${formatCount(SESSIONS)} sessions, ${STOPPING} of which stop reading`,
    '',
    `A closed loop of ${WINDOW} open publications; who has stopped is waited for no more. Memory is resident, at its highest before`,
    'they stopped and since, garbage included; its bound is 1 MiB for each of them, and what the kernel holds is no part of',
    `it: up to ${formatMs(kernelMib())} MiB a connection on this machine, which fill first.`,
    '',
    formatTable(header, rows),
    '',
    ...marks.map(formatMark),
    ...formatDisturbance(usages),
  ];
  return lines.join('\n').trimEnd();
}

function slowMark({ name, rounds }: SlowStanding): Mark {
  const wanted = `the others keep ≥ ${100 * SHARE_WANTED} %, memory grows by ≤ ${boundMib} MiB, the slow ones end with 3001`;
  const mark = { part: 'slow-readers', wanted, contender: name };
  const share = spreadOf(rounds.map(shareOf));
  const growth = spreadOf(rounds.map((round) => growthOf(round) / MIB));
  const isRight = rounds.every(endedRight);
  const measured = `${formatKept(share.median)}, ${formatMs(growth.max)} MiB at most, ${isRight ? 'they do' : 'not all, or others'}`;
  // A client that had no time left before may not have had any to show that more came after.
  if (share.median < SHARE_WANTED && rounds.every(({ meanwhile }) => isClientBound(meanwhile))) {
    return { ...mark, verdict: 'unknown', measured: `${measured}, client-bound` };
  }
  return { ...mark, verdict: verdictOf(share.median >= SHARE_WANTED && growth.max <= boundMib && isRight), measured };
}
