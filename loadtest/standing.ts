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

/** How many times as much one server does as another. */
export interface Ratio extends Bounded {
  /** The client held the other back: what each does in a second of its CPU time was compared instead. */
  readonly isByCpu: boolean;
}

/**
 * How many times as much as the other server, round by round. A ratio to a lower bound would say nothing: where the
 * client held the other back in all rounds, what both do in a second of their CPU time is compared. Undefined if there
 * is no round of both.
 */
export function ratioTo<M extends Usage>(
  standing: Standing<M>,
  other: Standing<M>,
  read: (round: M) => number,
): Ratio | undefined {
  const { isLowerBound, refused } = summarize(standing, read);
  const isByCpu = roundsDone(other).every(isClientBound);
  const value = (round: M): number => (isByCpu ? read(round) / round.serverCpu : read(round));
  const ratios = standing.rounds.flatMap((round, index) => {
    const otherRound = other.rounds[index];
    if (round === undefined || otherRound === undefined) return [];
    const counts = isByCpu || (!isClientBound(otherRound) && (isLowerBound || !isClientBound(round)));
    return counts ? [value(round) / value(otherRound)] : [];
  });
  if (ratios.length === 0) return undefined;
  return { spread: spreadOf(ratios), isLowerBound: isLowerBound && !isByCpu, refused, isByCpu };
}
