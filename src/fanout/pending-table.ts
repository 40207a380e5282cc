import { DedupeKey } from './dedupe-table.ts';

/** What a table holds; an entry is in one table at a time. */
export interface TableEntry<Entry> {
  /** See `dedupeId`. */
  readonly id: string;
  /** The table's own: another entry of the same bucket. */
  next: Entry | undefined;
}

/**
 * A bounded number of entries by id. A Map would do, but for one thing: as it grows and shrinks it leaves parts
 * behind that the garbage collector takes for alive, with every entry that they ever had, until its next full
 * round. Where all entries come and go within milliseconds that made half of the collector's work.
 */
export class PendingTable<Entry extends TableEntry<Entry>> {
  readonly #buckets: (Entry | undefined)[];
  readonly #shift: number;
  readonly #key = new DedupeKey();
  #size = 0;

  /** @param entriesMax for which it is made; more make it slower */
  constructor(entriesMax: number) {
    const bits = Math.max(4, 32 - Math.clz32(entriesMax));
    this.#buckets = Array.from({ length: 2 ** bits }, () => undefined);
    this.#shift = 32 - bits;
  }

  get size(): number {
    return this.#size;
  }

  get(id: string): Entry | undefined {
    let entry = this.#buckets[this.#bucketOf(id)];
    while (entry !== undefined && entry.id !== id) entry = entry.next;
    return entry;
  }

  /** Adds an entry whose id is not in the table. */
  add(entry: Entry): void {
    const bucket = this.#bucketOf(entry.id);
    entry.next = this.#buckets[bucket];
    this.#buckets[bucket] = entry;
    this.#size++;
  }

  /** Takes an entry out that is in the table. */
  delete(entry: Entry): void {
    const bucket = this.#bucketOf(entry.id);
    const first = this.#buckets[bucket];
    if (first === entry) {
      this.#buckets[bucket] = entry.next;
    } else {
      let before = first;
      while (before !== undefined && before.next !== entry) before = before.next;
      if (before === undefined) throw new Error('not in the table');
      before.next = entry.next;
    }
    entry.next = undefined;
    this.#size--;
  }

  #bucketOf(id: string): number {
    return this.#key.set(id).hash >>> this.#shift;
  }
}
