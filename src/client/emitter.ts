/** Typed events. A listener that throws harms nobody else: its error is reported as uncaught. */
export class Emitter<Events extends object> {
  readonly #listeners = new Map<keyof Events, ((value: never) => void)[]>();

  /** Calls `listener` with each value of the event from now on. Returns what ends that. */
  on<Name extends keyof Events>(event: Name, listener: (value: Events[Name]) => void): () => void {
    this.#listeners.set(event, [...(this.#listeners.get(event) ?? []), listener]);
    return () => this.off(event, listener);
  }

  off<Name extends keyof Events>(event: Name, listener: (value: Events[Name]) => void): void {
    const left = [...(this.#listeners.get(event) ?? [])];
    const index = left.indexOf(listener);
    if (index < 0) return;
    left.splice(index, 1);
    this.#listeners.set(event, left);
  }

  protected emit<Name extends keyof Events>(event: Name, value: Events[Name]): void {
    for (const listener of (this.#listeners.get(event) ?? []) as ((value: Events[Name]) => void)[]) {
      try {
        listener(value);
      } catch (error) {
        queueMicrotask(() => {
          throw error;
        });
      }
    }
  }
}
