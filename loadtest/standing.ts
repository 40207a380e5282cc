import { isClientBound, type Usage } from './load-plan.ts';
import { type Spread, spreadOf } from './statistics.ts';

/** What one server did: a measurement a round; undefined where it failed. */
export interface Standing<M extends Usage> {
  readonly name: string;
  readonly rounds: readonly (M | undefined)[];
}

/** A value that may be known only to be no less. */
export interface Bounded {
  readonly spread: Spread;
  readonly isLowerBound: boolean;
  /** Rounds that were refused, because the client may have limited them. */
  readonly refused: number;
}

export function roundsDone<M extends Usage>({ rounds }: Standing<M>): M[] {
  return rounds.filter((round) => round !== undefined);
}

/** The median of a value over the rounds that count, or over all, as a lower bound, if none does. */
export function summarize<M extends Usage>(standing: Standing<M>, read: (round: M) => number): Bounded {
  const rounds = roundsDone(standing);
  const counted = rounds.filter((round) => !isClientBound(round));
  const isLowerBound = counted.length === 0;
  return {
    spread: spreadOf((isLowerBound ? rounds : counted).map(read)),
    isLowerBound,
    refused: rounds.length - counted.length,
  };
}

/**
 * How many times as much as the other server, round by round; undefined if no round of the other counts, since a
 * ratio to a lower bound says nothing.
 */
export function ratioTo<M extends Usage>(
  standing: Standing<M>,
  other: Standing<M>,
  read: (round: M) => number,
): Bounded | undefined {
  const { isLowerBound, refused } = summarize(standing, read);
  const ratios = standing.rounds.flatMap((round, index) => {
    const otherRound = other.rounds[index];
    if (round === undefined || otherRound === undefined || isClientBound(otherRound)) return [];
    return isLowerBound || !isClientBound(round) ? [read(round) / read(otherRound)] : [];
  });
  return ratios.length === 0 ? undefined : { spread: spreadOf(ratios), isLowerBound, refused };
}
