import { Timed } from '../limits/timer-wheel.ts';
import type { Framing } from '../protocol/dialect.ts';
import type { Subject } from './presence-store.ts';

/** Who is told of presence: a session. */
export interface PresenceReader {
  readonly framing: Framing;
  /** Queues framed bytes that other readers share. Must not throw. */
  push(chunk: Buffer): void;
}

/** What the readers of one room or user are to be told; due when they may be told again. */
export abstract class Feed<Watch> extends Timed {
  abstract readonly subject: Subject;
  readonly watches = new Set<Watch>();
  /** Under way or done: the store tells of this subject. */
  interest: Promise<void> | null = null;
  /** Something has changed that was not told. */
  isDirty = false;
  readonly #onDue: (feed: Feed<Watch>) => void;

  constructor(onDue: (feed: Feed<Watch>) => void) {
    super();
    this.#onDue = onDue;
  }

  onDue(): void {
    this.#onDue(this);
  }

  /**
   * Pushes what has changed to every reader that doesn't know it. `withNames` false: there are too many. Returns how
   * many it was.
   */
  abstract tell(withNames: boolean): number;
}
