import type { Figures } from './figures.ts';

/** Who hears the other replicas. Must not throw. */
export interface FiguresListener {
  /** Somebody looks at another replica's dashboard: own figures are to be told. */
  onLook(): void;
  /** Another replica's, while somebody looks here. */
  onFigures(figures: Figures): void;
}

/**
 * How replicas tell one another their figures: each asks while somebody looks at its own, and all who are asked tell all who look.
 * At most once, in no order, and not at all while what is between them is down. What a replica says it does not hear itself.
 */
export interface FiguresExchange {
  /** Others can be heard just now. */
  readonly isUp: boolean;

  /** Resolves when looks are heard, or will be as soon as they can. Called once, first. */
  open(listener: FiguresListener): Promise<void>;

  /** Whether others' figures are to be heard here: from some moments later on. Idempotent. */
  setLooking(isLooking: boolean): void;

  /** Asks the others to tell their figures, once. Never waits. */
  look(): void;

  /** Tells own figures to all who look. Never waits. */
  tell(figures: Figures): void;

  /** Hears and says no more. Idempotent. */
  close(): void;
}
