import type { Bench } from './bench-run.ts';
import type { Contender } from './contender.ts';
import type { OpenLoopMeasurement, OpenLoopPlan, OpenLoopResult, Pace } from './open-loop-plan.ts';
import type { ServerExtras } from './server-process.ts';

/** One rate of publications, measured. */
export type PaceMeasurement = OpenLoopMeasurement & Pick<OpenLoopResult, 'deliveriesVerified'>;

/** One server at one rate, from a client that has a core for itself. */
export async function measurePace(
  bench: Bench,
  contender: Contender,
  shapes: Pick<OpenLoopPlan, 'shape' | 'idle'>,
  pace: Pace,
  timeoutMs: number,
  extras: ServerExtras,
): Promise<PaceMeasurement> {
  const { measurements, deliveriesVerified } = await bench.load<OpenLoopPlan, OpenLoopResult>(
    contender,
    './open-loop-load.ts',
    { ...shapes, paces: [pace], waiting: 'watched', countsBatches: false },
    timeoutMs,
    extras,
  );
  return { ...(measurements[0] as OpenLoopMeasurement), deliveriesVerified };
}
