import { type Bench, type Entrant, resultsOf } from './bench-run.ts';
import { missingForBroker } from './broker.ts';
import { Cluster, type Entrance } from './cluster.ts';
import { BARE_NAME, type ClusterFigures, clusterMarks, formatCluster } from './cluster-report.ts';
import type { Contender } from './contender.ts';
import { otherLoad, type Usage } from './load-plan.ts';
import type { OpenLoopPlan, OpenLoopResult, Pace } from './open-loop-plan.ts';
import type { BenchOptions } from './options.ts';
import { type Part, type PartReport, roundsOf } from './part.ts';
import type { PopulationShape } from './population.ts';
import type { CalibrationTask, SpeedPlan, SpeedResult, Workload } from './speed-plan.ts';

const ROOMS = 100;
/** In each room one session publishes, at the first replica, and one listens, at the second. */
const ACROSS: PopulationShape = { rooms: ROOMS, sessionsPerRoom: 2, publishersPerRoom: 1 };
/** Every session has a room of its own. */
const ALONE: PopulationShape = { rooms: ROOMS, sessionsPerRoom: 1, publishersPerRoom: 1 };
const LATENCY_PER_SECOND = [1_000, 100] as const;
const COST_PER_SECOND = [1_000, 3_000] as const;
/** Up to this rate it takes so many times as long: else the p99 is one of few. */
const FEW_PER_SECOND = 100;
const FEW_FACTOR = 5;
/** Once for the broker, whose code Java compiles, then at the beginning of each turn, for V8. */
const BROKER_WARM_UP: Pace = { perSecond: 3_000, warmUpMs: 20_000, measureMs: 100 };
const WARM_UP_MS = 15_000;
const SETTLE_MS = 1_000;
/** 100, 400 and 1,600 publications open at once: one, four and sixteen a publisher. */
const WORKLOAD: Workload = { name: 'acks', ...ALONE, windowMin: 100 };
const WINDOW_FACTOR = 4;
const WINDOWS = 3;
/** Beyond this a window is no use to anybody. */
const P50_MAX_MS = 1_000;
/** For planning: what starting and stopping take. */
const BROKER_MS = 8_000;
const REPLICAS_MS = 5_000;
const BARE_MS = 2_000;
const LOAD_MS_MAX = 60_000;

const TIDEGATE: Entrant = { name: 'tidegate' };
const BARE: Entrant = { name: BARE_NAME };

/** Two replicas on one Kafka: what they add to it. */
class ClusterPart implements Part {
  readonly name = 'cluster';
  readonly what =
    'two replicas on one Kafka: latency across them beside bare kafkajs, acks/s, a replica that only listens';
  readonly rounds = 5;

  /** One: they differ in their clients alone. */
  entrants(contenders: readonly Contender[]): readonly Contender[] {
    return contenders.filter(({ isTidegate }) => isTidegate).slice(0, 1);
  }

  missing(): Promise<readonly string[]> {
    return missingForBroker();
  }

  plannedMs(options: BenchOptions): number {
    const latencyMs = plannedPacesMs(pacesOf(LATENCY_PER_SECOND, options));
    const costMs = plannedPacesMs(pacesOf(COST_PER_SECOND, options));
    const acksMs = WARM_UP_MS + WINDOWS * (SETTLE_MS + options.seconds * 1000);
    const roundMs = 3 * REPLICAS_MS + BARE_MS + 2 * latencyMs + acksMs + costMs;
    return BROKER_MS + BARE_MS + plannedPacesMs([BROKER_WARM_UP]) + roundsOf(this, options) * roundMs;
  }

  async run(bench: Bench): Promise<PartReport> {
    const [contender] = this.entrants(bench.options.contenders);
    const figures = await bench.attempt(`${this.name}: Kafka`, () => this.#measure(bench, contender as Contender));
    if (figures === undefined) return { markdown: '## cluster: failed', marks: [], results: undefined };
    const marks = clusterMarks(figures);
    return { markdown: formatCluster(figures, marks), marks, results: figures };
  }

  async #measure(bench: Bench, contender: Contender): Promise<ClusterFigures> {
    const cluster = await Cluster.open(bench);
    try {
      bench.say(`${this.name}: warming Kafka up`);
      await cluster.loadBare({ paces: [BROKER_WARM_UP], keys: ROOMS }, LOAD_MS_MAX);
      const rounds = roundsOf(this, bench.options);
      const paces = pacesOf(LATENCY_PER_SECOND, bench.options);
      const [across, bare] = await bench.takeTurns<Entrant, OpenLoopResult>(
        `${this.name}, latency`,
        [TIDEGATE, BARE],
        rounds,
        (entrant) =>
          entrant === BARE
            ? cluster.loadBare({ paces, keys: ROOMS }, LOAD_MS_MAX + plannedPacesMs(paces))
            : loadPaces(cluster, contender, 'both', ACROSS, paces),
        ({ measurements }) => otherLoadOf(measurements),
      );
      const [acks] = await bench.takeTurns(
        `${this.name}, acks`,
        [TIDEGATE],
        rounds,
        () => loadWindows(cluster, contender, bench.options.seconds * 1000),
        ({ measurements }) => otherLoadOf(measurements),
      );
      const [unheard] = await bench.takeTurns(
        `${this.name}, a replica that only listens`,
        [TIDEGATE],
        rounds,
        () => loadPaces(cluster, contender, 'first', ALONE, pacesOf(COST_PER_SECOND, bench.options)),
        ({ measurements }) => otherLoadOf(measurements),
      );
      return {
        contender: contender.name,
        across: across?.rounds ?? [],
        bare: bare?.rounds ?? [],
        acks: acks === undefined ? [] : resultsOf(acks),
        unheard: unheard === undefined ? [] : resultsOf(unheard),
      };
    } finally {
      await cluster.close();
    }
  }
}

export const CLUSTER: Part = new ClusterPart();

/** The first one begins with the warm-up of the turn. */
function pacesOf(rates: readonly number[], { seconds }: BenchOptions): Pace[] {
  return rates.map((perSecond, index) => ({
    perSecond,
    warmUpMs: index === 0 ? WARM_UP_MS : SETTLE_MS,
    measureMs: seconds * 1000 * (perSecond <= FEW_PER_SECOND ? FEW_FACTOR : 1),
  }));
}

function plannedPacesMs(paces: readonly Pace[]): number {
  return paces.reduce((sum, { warmUpMs, measureMs }) => sum + warmUpMs + measureMs, 0);
}

/** A pair of replicas at some rates. */
function loadPaces(
  cluster: Cluster,
  contender: Contender,
  entrance: Entrance,
  shape: PopulationShape,
  paces: readonly Pace[],
): Promise<OpenLoopResult> {
  return cluster.load<OpenLoopPlan, OpenLoopResult>(
    contender,
    './open-loop-load.ts',
    entrance,
    { shape, idle: undefined, paces, waiting: 'woken', countsBatches: true },
    LOAD_MS_MAX + plannedPacesMs(paces),
  );
}

function loadWindows(cluster: Cluster, contender: Contender, measureMs: number): Promise<SpeedResult> {
  const task: CalibrationTask = {
    kind: 'calibrate',
    warmUpMs: WARM_UP_MS,
    stepFactor: WINDOW_FACTOR,
    stepSettleMs: SETTLE_MS,
    stepMs: measureMs,
    p50MaxMs: P50_MAX_MS,
  };
  return cluster.load<SpeedPlan, SpeedResult>(
    contender,
    './speed-load.ts',
    'both',
    { workload: WORKLOAD, task, countsBatches: true },
    LOAD_MS_MAX + WARM_UP_MS + WINDOWS * (SETTLE_MS + measureMs),
  );
}

function otherLoadOf(usages: readonly Usage[]): number {
  return Math.max(...usages.map(otherLoad));
}
