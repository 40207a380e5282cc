export type Fault = 'lost' | 'doubled' | 'reordered';

/** How often sessions were told something wrong, in plain JSON. */
export type Faults = Readonly<Record<Fault, number>> & {
  /** The first few, in words. */
  readonly words: readonly string[];
};

const WORDS_MAX = 20;

/** Counts what sessions were told wrongly, and keeps the first few in words. */
export class FaultCount {
  readonly #counts: Record<Fault, number> = { lost: 0, doubled: 0, reordered: 0 };
  readonly #words: string[] = [];

  add(kind: Fault, times: number, words: string): void {
    this.#counts[kind] += times;
    if (this.#words.length < WORDS_MAX) this.#words.push(`${kind}: ${words}`);
  }

  get all(): Faults {
    return { ...this.#counts, words: this.#words };
  }
}
