/** Something that one connection is to be told of one room. */
export interface Telling {
  readonly kind: 'reply' | 'page' | 'push';
  readonly line: string;
  /** Real milliseconds for which it, and what is behind it, waits. */
  readonly delayMs: number;
  readonly onSaid?: () => void;
}

/** What one connection is told of one room, in order. */
export class RoomChannel {
  readonly #say: (line: string) => void;
  #waiting: Telling[] = [];
  #timer: NodeJS.Timeout | null = null;

  constructor(say: (line: string) => void) {
    this.#say = say;
  }

  add(telling: Telling): void {
    this.#waiting.push(telling);
    if (this.#timer === null) this.#go();
  }

  /** Says it before pages that wait, and without the pushes that do. Behind the reply to a join it has to wait, too. */
  overtake(telling: Telling): void {
    const behind = this.#waiting.findLastIndex(({ kind }) => kind === 'reply') + 1;
    const pages = this.#waiting.slice(behind).filter(({ kind }) => kind === 'page');
    this.#waiting = [...this.#waiting.slice(0, behind), telling, ...pages];
    this.stop();
    this.#go();
  }

  stop(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
  }

  #go(): void {
    for (;;) {
      const next = this.#waiting[0];
      if (next === undefined) return;
      if (next.delayMs > 0) {
        this.#waiting[0] = { ...next, delayMs: 0 };
        this.#timer = setTimeout(() => {
          this.#timer = null;
          this.#go();
        }, next.delayMs);
        return;
      }
      this.#waiting.shift();
      this.#say(next.line);
      next.onSaid?.();
    }
  }
}
