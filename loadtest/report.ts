import type { Contender } from './contender.ts';
import { OTHER_LOAD_MAX, otherLoad } from './load-plan.ts';
import type { Machine } from './machine.ts';
import { DATA_BYTES } from './publication-data.ts';
import { type Bounded, ratioTo, type Standing, summarize } from './standing.ts';
import type { Spread } from './statistics.ts';
import type { BenchWorkload } from './workload.ts';

/** All standings of one workload. */
export interface WorkloadResult {
  readonly workload: BenchWorkload;
  readonly standings: readonly Standing[];
}

/** What holds for the whole run. */
export interface RunFacts {
  readonly machine: Machine;
  readonly contenders: readonly Contender[];
  readonly rounds: number;
  readonly seconds: number;
  /** Median latency that a window may cost, or undefined if the window was given. */
  readonly p50MaxMs: number | undefined;
  readonly tickMaxMs: number;
  /** Names of the settings that tidegate was given by the environment. */
  readonly settings: readonly string[];
}

/** Columns of numbers are aligned to the right, the first to the left. */
export function formatTable(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = header.map((title, column) => Math.max(title.length, ...rows.map((row) => row[column]?.length ?? 0)));
  const line = (cells: readonly string[]): string => {
    const padded = cells.map((cell, column) => {
      const width = widths[column] ?? 0;
      return column === 0 ? cell.padEnd(width) : cell.padStart(width);
    });
    return `| ${padded.join(' | ')} |`;
  };
  const rule = widths.map((width, column) => (column === 0 ? '-'.repeat(width) : `${'-'.repeat(width - 1)}:`));
  return [line(header), line(rule), ...rows.map(line)].join('\n');
}

export function formatWorkload({ workload, standings }: WorkloadResult): string {
  const socketIo = standings.find(({ name }) => name === 'socket.io');
  const ws = standings.find(({ name }) => name === 'ws');
  const header = [
    'server',
    'deliveries/s, median [min–max]',
    '× Socket.IO',
    '× ws',
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
    const median = (key: 'p50Ms' | 'p99Ms' | 'serverCpu' | 'clientCpu' | 'bytesPerDelivery'): number =>
      summarize(standing, (round) => round[key]).spread.median;
    const speed = summarize(standing, (round) => round.deliveriesPerSecond);
    return [
      standing.name,
      formatBounded(speed, (value) => formatCount(Math.round(value))),
      formatRatio(standing, socketIo),
      formatRatio(standing, ws),
      median('p50Ms').toFixed(1),
      median('p99Ms').toFixed(1),
      formatShare(median('serverCpu')),
      formatShare(median('clientCpu')),
      formatCount(standing.window),
      median('bytesPerDelivery').toFixed(0),
      formatCount(standing.deliveriesVerified),
      `${speed.refused}/${standing.rounds.length}`,
    ];
  });
  const { name, rooms, sessionsPerRoom, publishersPerRoom } = workload;
  const members = `${formatCount(sessionsPerRoom)} sessions, ${publishersPerRoom} of which publish`;
  const title = `## ${name}: ${rooms} ${rooms === 1 ? 'room' : 'rooms'} × ${members}`;
  const other = Math.max(0, ...standings.flatMap(({ rounds }) => rounds.map(otherLoad)));
  const disturbance =
    other > OTHER_LOAD_MAX ? [`WARNING: other processes took up to ${formatShare(other)} of a core meanwhile.`] : [];
  const marks = formatMarks({ workload, standings });
  return [title, '', formatTable(header, rows), '', ...marks, ...disturbance].join('\n').trimEnd();
}

function formatMarks({ workload, standings }: WorkloadResult): string[] {
  const socketIo = standings.find(({ name }) => name === 'socket.io');
  if (socketIo === undefined) return [];
  return standings
    .filter(({ name }) => name.startsWith('tidegate'))
    .map((standing) => {
      const ratio = ratioTo(standing, socketIo);
      const mark = `Mark: ${workload.name} ≥ ${workload.ratioWanted}× Socket.IO, ${standing.name}`;
      if (ratio === undefined) return `${mark}: unknown (Socket.IO was held back by the client)`;
      const isReached = ratio.spread.median >= workload.ratioWanted;
      // A lower bound below the mark doesn't say that it was missed.
      const verdict = isReached ? 'reached' : ratio.isLowerBound ? 'unknown (client-bound)' : 'not reached';
      return `${mark}: ${verdict} (${formatBounded(ratio, (value) => value.toFixed(2))})`;
    });
}

/** Ahead of the tables: what was counted, and how. */
export function formatFacts(facts: RunFacts): string {
  const { machine } = facts;
  const disk = `data on ${machine.fileSystem}, 4 KiB synced in ${machine.syncMs.toFixed(2)} ms`;
  const isVolatile = machine.fileSystem === 'tmpfs';
  const lines = [
    `${machine.cores} cores, ${machine.architecture}, Linux, Node ${machine.node}; ${disk}.`,
    ...(isVolatile ? ['WARNING: a sync costs nothing there. --directory names another place.'] : []),
    `Servers: ${facts.contenders.map(({ name, what }) => `${name} (${what})`).join('; ')}.`,
    `Socket.IO ${machine.socketIo} and ws ${machine.ws}, compression off, store nothing. tidegate answers and`,
    'delivers a publication after its embedded log has it on disk (fsync); its settings are the defaults but for',
    `limits per session, which are off. Its tick is at most ${facts.tickMaxMs} ms.`,
    ...(facts.settings.length > 0 ? [`Set by the environment: ${facts.settings.join(', ')}.`] : []),
    '',
    `A delivery is one publication, whose data is ${DATA_BYTES} bytes of JSON as its reader sees it, received by one`,
    'session, the publisher included. All are verified: per session none was lost, doubled, reordered or altered.',
    'Latency runs from handing a publication to its socket to reading it at a session, for every delivery; it',
    'includes the time in the queues of server and client. The load is a closed loop: a publication is open until',
    'its publisher has the answer and all members have received it, and the window is how many are open at once.',
    facts.p50MaxMs === undefined
      ? 'The window was given.'
      : `Each server has the window that gave it most deliveries/s with a p50 of at most ${facts.p50MaxMs} ms.`,
    'Server and client have a core each; CPU is the share of it. A round is refused if the client was busy for more',
    'than 90 % of the time while the server had some of its core left; ≥ marks a server of which all rounds were.',
    `Medians of ${facts.rounds} rounds of ${facts.seconds} s in turn. Ratios are taken round by round.`,
  ];
  return lines.join('\n');
}

function formatRatio(standing: Standing, other: Standing | undefined): string {
  if (other === undefined || other.name === standing.name) return '';
  const ratio = ratioTo(standing, other);
  return ratio === undefined ? 'unknown' : formatBounded(ratio, (value) => value.toFixed(2));
}

function formatBounded({ spread, isLowerBound }: Bounded, format: (value: number) => string): string {
  return (isLowerBound ? '≥ ' : '') + formatSpread(spread, format);
}

function formatSpread({ median, min, max }: Spread, format: (value: number) => string): string {
  return `${format(median)} [${format(min)}–${format(max)}]`;
}

function formatShare(share: number): string {
  return `${Math.round(share * 100)} %`;
}

function formatCount(count: number): string {
  return count.toLocaleString('en-US');
}
