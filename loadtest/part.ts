import type { Bench } from './bench-run.ts';
import type { Contender } from './contender.ts';
import type { Mark } from './mark.ts';
import type { BenchOptions } from './options.ts';

/** A part of the bench: one question, measured and answered by itself. */
export interface Part {
  readonly name: string;
  /** For the help: one line. */
  readonly what: string;
  /** How many rounds it has unless told otherwise: more where a round tells less. */
  readonly rounds: number;
  /** Which of the servers it measures. */
  entrants(contenders: readonly Contender[]): readonly Contender[];
  /** What it needs and this machine lacks, in words; absent where it needs nothing that the others don't. */
  missing?(): Promise<readonly string[]>;
  /** How long about it takes. */
  plannedMs(options: BenchOptions): number;
  run(bench: Bench): Promise<PartReport>;
}

export interface PartReport {
  /** A heading, what was done, and tables. */
  readonly markdown: string;
  readonly marks: readonly Mark[];
  /** Every measurement, for JSON. */
  readonly results: unknown;
}

export function roundsOf(part: Pick<Part, 'rounds'>, { rounds, isQuick }: BenchOptions): number {
  return rounds ?? (isQuick ? 1 : part.rounds);
}
