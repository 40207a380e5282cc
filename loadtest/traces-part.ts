import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Bench } from './bench-run.ts';
import type { Contender } from './contender.ts';
import { formatDisturbance, otherLoad } from './load-plan.ts';
import { measurePace, type PaceMeasurement } from './open-loop.ts';
import type { BenchOptions } from './options.ts';
import { type Part, type PartReport, roundsOf } from './part.ts';
import type { PopulationShape } from './population.ts';
import { WITHOUT_LIMITS } from './server-process.ts';
import { spreadOf } from './statistics.ts';
import { formatCount, formatMs, formatSpread, formatTable } from './table.ts';

const PER_SECOND = 2_000;
const SHAPE: PopulationShape = { rooms: 50, sessionsPerRoom: 4, publishersPerRoom: 1, isWoven: true };
const WARM_UP_MS = 2_000;
/** For planning: what starting, connecting, draining and stopping take in one turn. */
const OVERHEAD_MS = 2_500;
const LOAD_MS_MAX = 60_000;

/** A server with so many of its publishes traced; null: traces go nowhere. */
interface Entrant {
  readonly name: string;
  readonly contender: Contender;
  readonly sample: number | null;
}

const SAMPLES = [null, 0.01, 1] as const;

const costOf = ({ serverCpu, seconds, publications }: PaceMeasurement): number =>
  (serverCpu * seconds * 1e6) / publications;

/** What it costs to have publishes traced, beside what they cost. */
class TracesPart implements Part {
  readonly name = 'traces';
  readonly what = 'server CPU a publication without traces, with 1 % of them traced, and with all';
  readonly rounds = 5;

  entrants(contenders: readonly Contender[]): readonly Contender[] {
    return contenders.filter(({ isTidegate }) => isTidegate);
  }

  plannedMs(options: BenchOptions): number {
    const turnMs = OVERHEAD_MS + WARM_UP_MS + options.seconds * 1_000;
    return roundsOf(this, options) * this.#entrants(options).length * turnMs;
  }

  async run(bench: Bench): Promise<PartReport> {
    const collector = await openCollector();
    const pace = { perSecond: PER_SECOND, warmUpMs: WARM_UP_MS, measureMs: bench.options.seconds * 1_000 };
    const turns = await bench.takeTurns(
      this.name,
      this.#entrants(bench.options),
      roundsOf(this, bench.options),
      ({ contender, sample }) => {
        const env = sample === null ? {} : tracedEnv(collector.endpoint, sample);
        const extras = { env: { ...WITHOUT_LIMITS.env, ...env } };
        return measurePace(bench, contender, { shape: SHAPE, idle: undefined }, pace, LOAD_MS_MAX, extras);
      },
      otherLoad,
    );
    collector.close();
    const standings = turns.map(({ entrant, rounds }) => ({
      name: entrant.name,
      rounds: rounds.filter((round) => round !== undefined),
    }));
    return { markdown: formatTraces(standings), marks: [], results: standings };
  }

  #entrants({ contenders }: BenchOptions): Entrant[] {
    return this.entrants(contenders).flatMap((contender) =>
      SAMPLES.map((sample) => ({ name: `${contender.name}, ${nameOf(sample)}`, contender, sample })),
    );
  }
}

export const TRACES: Part = new TracesPart();

function nameOf(sample: number | null): string {
  return sample === null ? 'no traces' : `${sample * 100} % traced`;
}

function tracedEnv(endpoint: string, sample: number) {
  return { TIDEGATE_OTLP_ENDPOINT: endpoint, TIDEGATE_TRACE_SAMPLE: String(sample) };
}

/** Takes whatever it is sent. */
async function openCollector() {
  const server = createServer((request, response) => {
    request.resume().once('end', () => response.end());
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const { port } = server.address() as AddressInfo;
  return { endpoint: `http://127.0.0.1:${port}`, close: () => server.close() };
}

interface Standing {
  readonly name: string;
  readonly rounds: readonly PaceMeasurement[];
}

function formatTraces(standings: readonly Standing[]): string {
  const header = ['server', 'server CPU µs a publication', 'p50 ms', 'p99 ms', 'verified'];
  const measured = standings.filter(({ rounds }) => rounds.length > 0);
  const rows = measured.map(({ name, rounds }) => {
    const spread = (read: (round: PaceMeasurement) => number): string =>
      formatSpread(spreadOf(rounds.map(read)), formatMs);
    return [
      name,
      spread(costOf),
      spread(({ p50Ms }) => p50Ms),
      spread(({ p99Ms }) => p99Ms),
      formatCount(rounds.reduce((sum, { deliveriesVerified }) => sum + deliveriesVerified, 0)),
    ];
  });
  const lines = [
    `## traces: ${formatCount(PER_SECOND)} publications/s into ${SHAPE.rooms} rooms of ${SHAPE.sessionsPerRoom}`,
    '',
    'An open loop. A collector on this machine takes all spans at once, and looks at none.',
    '',
    formatTable(header, rows),
    '',
    ...formatDisturbance(measured.flatMap(({ rounds }) => rounds)),
  ];
  return lines.join('\n').trimEnd();
}
