import type { Session } from './session.ts';
import type { SessionRegistry } from './session-registry.ts';

/** Milliseconds below which it is not worth to wait: sessions due meanwhile are ended together. */
const STEP_MS_MIN = 5;

/**
 * Ends a node's sessions in good order: each is served until its moment, its commands under way are answered then, and
 * it is told `drain` last of all.
 */
export class Drain {
  readonly #sessions: SessionRegistry;
  /** Hands over what was published last, so that nobody is told to go before they have it. */
  readonly #flush: () => void;
  /** Their moment has come, but not every command of theirs is answered. */
  readonly #settling = new Set<Session>();
  #isTogether = false;
  /** What is waited for: the next moment, or the last answer. */
  #waiting: { isOver(): boolean; wake(): void } | null = null;

  constructor(sessions: SessionRegistry, flush: () => void) {
    this.#sessions = sessions;
    this.#flush = flush;
  }

  /**
   * Resolves when every session is told. Their moments are spread evenly over `spreadMs`; at 0 they go together, when the
   * last command of all of them is answered, so that each still has what the others have published. Whose commands are
   * not answered `timeoutMs` after the begin is told all the same.
   */
  async run(spreadMs: number, timeoutMs: number): Promise<void> {
    const beganMs = performance.now();
    this.#isTogether = spreadMs === 0;
    const all = [...this.#sessions];
    for (const [index, session] of all.entries()) {
      const momentMs = beganMs + (spreadMs * index) / all.length;
      await this.#until(momentMs, () => this.#sessions.size === 0);
      this.#end(session);
    }
    await this.#until(beganMs + timeoutMs, () => this.#settling.size === 0);
    this.#flush();
    for (const session of [...this.#sessions]) session.disconnect('drain');
  }

  /** A session has had an answer, or has ended by itself. */
  changed(session: Session): void {
    if (session.state === 'ended' || session.gate.unansweredCount === 0) this.#settled(session);
    if (this.#waiting?.isOver()) this.#waiting.wake();
  }

  #end(session: Session): void {
    if (session.state === 'ended') return;
    session.stopReading();
    this.#settling.add(session);
    if (session.gate.unansweredCount === 0) this.#settled(session);
  }

  #settled(session: Session): void {
    if (!this.#settling.delete(session) || this.#isTogether || session.state === 'ended') return;
    this.#flush();
    session.disconnect('drain');
  }

  /** Resolves at a time of the monotonic clock, or when it is over by then, whichever comes first. */
  async #until(atMs: number, isOver: () => boolean): Promise<void> {
    while (!isOver()) {
      const leftMs = atMs - performance.now();
      if (leftMs < STEP_MS_MIN) return;
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, leftMs);
        const wake = () => {
          clearTimeout(timer);
          resolve();
        };
        this.#waiting = { isOver, wake };
      });
      this.#waiting = null;
    }
  }
}
