import { formatTable } from './table.ts';

/** Something that tidegate wants to reach, and whether it did. */
export interface Mark {
  /** The part of the bench that measures it. */
  readonly part: string;
  readonly wanted: string;
  readonly contender: string;
  readonly verdict: 'reached' | 'not reached' | 'unknown';
  /** What was measured, or why nothing can be said. */
  readonly measured: string;
}

export function formatMark({ wanted, contender, verdict, measured }: Mark): string {
  return `- ${contender}: ${wanted}: **${verdict}** (${measured})`;
}

/** All marks of a run, in one table. */
export function formatMarks(marks: readonly Mark[]): string {
  const rows = marks.map(({ part, wanted, contender, verdict, measured }) => [
    part,
    contender,
    wanted,
    verdict,
    measured,
  ]);
  return ['## Marks', '', formatTable(['part', 'server', 'wanted', 'verdict', 'measured'], rows)].join('\n');
}

export function verdictOf(isReached: boolean): 'reached' | 'not reached' {
  return isReached ? 'reached' : 'not reached';
}
