import type { WireName } from './load-plan.ts';
import { isClientBound, type Measurement } from './load-plan.ts';
import { type Spread, spreadOf } from './statistics.ts';

/** What one server did in one workload: a measurement a round. */
export interface Standing {
  readonly name: WireName;
  readonly window: number;
  readonly rounds: readonly Measurement[];
  readonly deliveriesVerified: number;
}

/** A value that may be known only to be no less. */
export interface Bounded {
  readonly spread: Spread;
  readonly isLowerBound: boolean;
  /** Rounds that were refused, because the client may have limited them. */
  readonly refused: number;
}

/** The median of a value over the rounds that count, or over all, as a lower bound, if none does. */
export function summarize(standing: Standing, read: (round: Measurement) => number): Bounded {
  const counted = standing.rounds.filter((round) => !isClientBound(round));
  const isLowerBound = counted.length === 0;
  return {
    spread: spreadOf((isLowerBound ? standing.rounds : counted).map(read)),
    isLowerBound,
    refused: standing.rounds.length - counted.length,
  };
}

/**
 * How many times as many deliveries/s as the other server, round by round; undefined if no round of the other
 * counts, since a ratio to a lower bound says nothing.
 */
export function ratioTo(standing: Standing, other: Standing): Bounded | undefined {
  const { isLowerBound, refused } = summarize(standing, (round) => round.deliveriesPerSecond);
  const ratios = standing.rounds.flatMap((round, index) => {
    const otherRound = other.rounds[index];
    const counts = isLowerBound || !isClientBound(round);
    if (otherRound === undefined || isClientBound(otherRound) || !counts) return [];
    return [round.deliveriesPerSecond / otherRound.deliveriesPerSecond];
  });
  return ratios.length === 0 ? undefined : { spread: spreadOf(ratios), isLowerBound, refused };
}
