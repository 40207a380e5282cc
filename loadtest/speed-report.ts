import { formatDisturbance } from './load-plan.ts';
import { formatMark, type Mark, verdictOf } from './mark.ts';
import type { Measurement, Workload } from './speed-plan.ts';
import { ratioTo, roundsDone, type Standing, summarize } from './standing.ts';
import { formatBounded, formatCount, formatMs, formatRatio, formatShare, formatTable } from './table.ts';

export type SpeedMeasurement = Measurement & { readonly deliveriesVerified: number };
export type SpeedStanding = Standing<SpeedMeasurement>;

/** What tidegate wants to reach. */
export interface SpeedWishes {
  /** By server: deliveries/s as a multiple of that server's in the same run. */
  readonly ratios: Readonly<Record<string, number>>;
  /** A speed counts only at latencies within this. */
  readonly p99MaxMs: number;
}

const deliveriesOf = (round: Measurement): number => round.deliveriesPerSecond;

export function formatSpeed(workload: Workload, standings: readonly SpeedStanding[], marks: readonly Mark[]): string {
  const socketIo = standings.find(({ name }) => name === 'socket.io');
  const uws = standings.find(({ name }) => name === 'uws');
  const header = [
    'server',
    'deliveries/s, median [min–max]',
    '× Socket.IO',
    '× uWS publish',
    'p50 ms',
    'p99 ms',
    'server CPU',
    'client CPU',
    'window',
    'B/delivery',
    'verified',
    'refused',
  ];
  const rows = standings.map((standing) => {
    const median = (read: (round: Measurement) => number): number => summarize(standing, read).spread.median;
    const speed = summarize(standing, deliveriesOf);
    const rounds = roundsDone(standing);
    return [
      standing.name,
      formatBounded(speed, formatCount),
      ratioCell(standing, socketIo),
      ratioCell(standing, uws),
      formatMs(median(({ p50Ms }) => p50Ms)),
      formatMs(median(({ p99Ms }) => p99Ms)),
      formatShare(median(({ serverCpu }) => serverCpu)),
      formatShare(median(({ clientCpu }) => clientCpu)),
      formatCount(rounds[0]?.window ?? 0),
      median(({ bytesPerDelivery }) => bytesPerDelivery).toFixed(0),
      formatCount(rounds.reduce((sum, { deliveriesVerified }) => sum + deliveriesVerified, 0)),
      `${speed.refused}/${rounds.length}`,
    ];
  });
  const { name, rooms, sessionsPerRoom, publishersPerRoom } = workload;
  const members = `${formatCount(sessionsPerRoom)} sessions, ${publishersPerRoom} of which publish`;
  const title = `## ${name}: ${rooms} ${rooms === 1 ? 'room' : 'rooms'} × ${members}`;
  const disturbance = formatDisturbance(standings.flatMap(roundsDone));
  return [title, '', formatTable(header, rows), '', ...marks.map(formatMark), ...disturbance].join('\n').trimEnd();
}

export function speedMarks(part: string, standings: readonly SpeedStanding[], wishes: SpeedWishes): Mark[] {
  const tidegates = standings.filter(({ name }) => name.startsWith('tidegate'));
  return Object.entries(wishes.ratios).flatMap(([otherName, wanted]) => {
    const other = standings.find(({ name }) => name === otherName);
    return other === undefined ? [] : tidegates.map((standing) => speedMark(part, standing, other, wanted, wishes));
  });
}

function speedMark(
  part: string,
  standing: SpeedStanding,
  other: SpeedStanding,
  ratioWanted: number,
  { p99MaxMs }: SpeedWishes,
): Mark {
  const wanted = `≥ ${ratioWanted}× ${other.name} at p99 ≤ ${p99MaxMs} ms`;
  const mark = { part, wanted, contender: standing.name };
  const ratio = ratioTo(standing, other, deliveriesOf);
  if (ratio === undefined)
    return { ...mark, verdict: 'unknown', measured: `${other.name} was held back by the client` };
  const p99Ms = summarize(standing, (round) => round.p99Ms).spread.median;
  const isReached = ratio.spread.median >= ratioWanted;
  const measured = `${formatRatio(ratio)}, p99 ${formatMs(p99Ms)} ms`;
  // A lower bound below the mark doesn't say that it was missed.
  if (!isReached && ratio.isLowerBound) return { ...mark, verdict: 'unknown', measured: `${measured}, client-bound` };
  return { ...mark, verdict: verdictOf(isReached && p99Ms <= p99MaxMs), measured };
}

function ratioCell(standing: SpeedStanding, other: SpeedStanding | undefined): string {
  if (other === undefined || other.name === standing.name) return '';
  return formatRatio(ratioTo(standing, other, deliveriesOf));
}
