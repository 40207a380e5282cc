/**
 * Deadlines that all lie the same time ahead, so that the order of adding is the order of expiry: O(1) to add
 * and remove, and one timer for all of them.
 */
export class DeadlineQueue<T> {
  readonly #deadlines = new Map<T, number>();
  readonly #timeoutMs: number;
  readonly #onExpired: (item: T) => void;
  #timer: NodeJS.Timeout | null = null;

  constructor(timeoutMs: number, onExpired: (item: T) => void) {
    this.#timeoutMs = timeoutMs;
    this.#onExpired = onExpired;
  }

  get size(): number {
    return this.#deadlines.size;
  }

  /** The items in the order of their deadlines. */
  [Symbol.iterator](): IterableIterator<T> {
    return this.#deadlines.keys();
  }

  /** Sets the item's deadline anew, `timeoutMs` from now. */
  set(item: T): void {
    this.#deadlines.delete(item);
    this.#deadlines.set(item, performance.now() + this.#timeoutMs);
    this.#timer ??= this.#wakeIn(this.#timeoutMs);
  }

  delete(item: T): void {
    this.#deadlines.delete(item);
  }

  /** Forgets every deadline. */
  close(): void {
    this.#deadlines.clear();
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
  }

  #wakeIn(ms: number): NodeJS.Timeout {
    // One millisecond more, since timers may fire a fraction early.
    return setTimeout(() => this.#expire(), ms + 1).unref();
  }

  #expire(): void {
    this.#timer = null;
    const now = performance.now();
    const expired: T[] = [];
    for (const [item, deadline] of this.#deadlines) {
      if (deadline > now) {
        this.#timer = this.#wakeIn(deadline - now);
        break;
      }
      expired.push(item);
    }
    for (const item of expired) {
      // What one item's end does may have taken another one's deadline away, or set it anew.
      if ((this.#deadlines.get(item) ?? Number.POSITIVE_INFINITY) > now) continue;
      this.#deadlines.delete(item);
      this.#onExpired(item);
    }
  }
}
