import type { Fault, FaultCount } from './fault-count.ts';

/** How far one session has come in its room's past. */
export interface PastReader {
  readonly name: string;
  /** It is to see what lies behind this offset; undefined until `begin`. */
  from: number | undefined;
  /** Number of the next publication that it is to see; undefined as long as that is not known. */
  next: number | undefined;
  /** What it has seen meanwhile. */
  readonly early: Seen[];
}

/** What a reader sees of a publication. */
export interface Seen {
  readonly offset: number;
  readonly publisher: number;
  /** The how-manyeth of its publisher. */
  readonly sequence: number;
}

/** Offsets that nobody was there to see: behind `after`, up to and with `upTo`. */
interface Hole {
  readonly after: number;
  readonly upTo: number;
}

interface Publisher {
  /** Sequence number of the next publication that is to be seen. */
  next: number;
  /** Those before it that nobody has seen: refused ones, or lost ones. */
  readonly skipped: Set<number>;
}

/** So much that all have seen is kept, so that it is moved once in a while and not for every publication. */
const KEPT_MAX = 4_096;

/**
 * The one past of a room that all of its readers must see, each publication once and in one order, and the check that
 * they do. Whoever is ahead extends it, where the publication must be a new one, behind the last; all others must see
 * the same from where they began. An acknowledged one must be in it, at the offset that the acknowledgement named.
 *
 * Unlike a RoomStream it goes on after a fault and counts it, and its readers come, go and are away for a while. Who comes
 * may be told of a place that those who are here have not come to yet: until they have, what it sees is kept.
 */
export class SharedPast {
  readonly #name: string;
  readonly #faults: FaultCount;
  readonly #seen: Seen[] = [];
  /** Number of the first publication that is kept. */
  #base = 0;
  /** Of the last one forgotten. */
  #baseOffset = -1;
  readonly #readers = new Set<PastReader>();
  readonly #waiting = new Set<PastReader>();
  readonly #holes: Hole[] = [];
  readonly #publishers = new Map<number, Publisher>();
  /** Acknowledged and not seen yet, and seen but not acknowledged: offsets by publication. */
  readonly #acknowledged = new Map<string, number>();
  readonly #unacknowledged = new Map<string, number>();

  constructor(name: string, faults: FaultCount) {
    this.#name = name;
    this.#faults = faults;
  }

  /** How many publications have been seen. */
  get length(): number {
    return this.#base + this.#seen.length;
  }

  addReader(name: string): PastReader {
    const reader: PastReader = { name, from: undefined, next: undefined, early: [] };
    this.#readers.add(reader);
    return reader;
  }

  /** It has seen nothing yet, and is to see all that lies behind `offset`. */
  begin(reader: PastReader, offset: number): void {
    reader.from = offset;
    this.#waiting.add(reader);
    this.#alignWaiting();
  }

  /** It will see no more. */
  removeReader(reader: PastReader): void {
    this.#readers.delete(reader);
    this.#waiting.delete(reader);
    // Nobody has to wait for it any more.
    this.#alignWaiting();
  }

  see(reader: PastReader, seen: Seen): void {
    if (reader.from === undefined) {
      this.#fault('reordered', 1, `${reader.name} saw offset ${seen.offset} before it had joined`);
      return;
    }
    if (reader.next === undefined) {
      reader.early.push(seen);
      return;
    }
    const expected = this.#seen[reader.next - this.#base];
    if (expected === undefined) {
      this.#extend(reader, seen);
      this.#alignWaiting();
    } else if (isSame(expected, seen)) {
      reader.next += 1;
    } else {
      this.#differ(reader, expected, seen);
    }
  }

  /** The publication was acknowledged at this offset. */
  acknowledge(publisher: number, sequence: number, offset: number): void {
    const key = keyOf(publisher, sequence);
    const seenAt = this.#unacknowledged.get(key);
    if (seenAt === undefined) this.#acknowledged.set(key, offset);
    else this.#compareOffsets(key, seenAt, offset);
    this.#unacknowledged.delete(key);
  }

  /** Nothing more will come: counts what readers still lack, and what was acknowledged and never came. */
  finish(): void {
    const waiting = [...this.#waiting].sort((a, b) => (a.from as number) - (b.from as number));
    for (const reader of waiting) this.#align(reader);
    for (const reader of this.#readers) {
      // One that never came to join is seen by other means.
      const lacking = this.length - (reader.next ?? this.length);
      if (lacking > 0) this.#fault('lost', lacking, `${reader.name} lacks the last ${lacking}`);
    }
    for (const [key, offset] of this.#acknowledged) {
      if (!this.#hadWitness(offset)) continue;
      this.#fault('lost', 1, `${key} was acknowledged at offset ${offset}, and nobody has seen it`);
    }
    this.#acknowledged.clear();
  }

  get #end(): number {
    return this.#seen.at(-1)?.offset ?? this.#baseOffset;
  }

  /** Whether somebody was here who had to see this offset. */
  #hadWitness(offset: number): boolean {
    if (offset <= this.#end) return !this.#holes.some(({ after, upTo }) => offset > after && offset <= upTo);
    return [...this.#readers].some(({ from }) => from !== undefined && from < offset);
  }

  #alignWaiting(): void {
    for (const reader of this.#waiting) {
      const from = reader.from as number;
      const isAhead = [...this.#readers].some((other) => other.from !== undefined && other.from < from);
      if (this.#end > from || !isAhead) this.#align(reader);
    }
  }

  /** The past has come to where it began, or nobody else will bring it there. */
  #align(reader: PastReader): void {
    this.#waiting.delete(reader);
    const from = reader.from as number;
    let next = this.#seen.length;
    while (next > 0 && (this.#seen[next - 1] as Seen).offset > from) next -= 1;
    reader.next = this.#base + next;
    for (const seen of reader.early.splice(0)) this.see(reader, seen);
  }

  #extend(reader: PastReader, seen: Seen): void {
    const { publisher, sequence, offset } = seen;
    const last = this.#end;
    const key = keyOf(publisher, sequence);
    if (offset <= last) {
      this.#fault(offset === last ? 'doubled' : 'reordered', 1, `${reader.name} saw offset ${offset} behind ${last}`);
      return;
    }
    const one = this.#publisherOf(publisher);
    if (sequence < one.next) {
      const isLate = one.skipped.delete(sequence);
      const words = `${key} came at offset ${offset}, behind ${keyOf(publisher, one.next - 1)}`;
      this.#fault(isLate ? 'reordered' : 'doubled', 1, words);
    }
    for (; one.next < sequence; one.next += 1) one.skipped.add(one.next);
    one.next = Math.max(one.next, sequence + 1);
    const from = reader.from as number;
    if (from > last) this.#holes.push({ after: last, upTo: from });
    this.#seen.push(seen);
    reader.next = this.length;
    const acknowledgedAt = this.#acknowledged.get(key);
    if (acknowledgedAt === undefined) this.#unacknowledged.set(key, offset);
    else this.#compareOffsets(key, offset, acknowledgedAt);
    this.#acknowledged.delete(key);
    if (this.#seen.length >= 2 * KEPT_MAX) this.#forget();
  }

  /** The others have seen something else at this place. */
  #differ(reader: PastReader, expected: Seen, seen: Seen): void {
    const next = reader.next as number;
    const words = `${reader.name} saw offset ${seen.offset} where ${expected.offset} was next`;
    if (seen.offset <= expected.offset) {
      const wasSeen = seen.offset <= this.#baseOffset || this.#seen.some((one) => isSame(one, seen));
      this.#fault(wasSeen ? 'doubled' : 'reordered', 1, words);
      return;
    }
    const found = this.#seen.findIndex((one) => one.offset >= seen.offset);
    const skippedTo = found < 0 ? this.length : this.#base + found;
    this.#fault('lost', skippedTo - next, words);
    reader.next = skippedTo;
    if (found < 0) this.#extend(reader, seen);
    else if (isSame(this.#seen[found] as Seen, seen)) reader.next += 1;
    else this.#fault('reordered', 1, `${words}, which the others have not seen`);
  }

  #publisherOf(index: number): Publisher {
    let publisher = this.#publishers.get(index);
    if (publisher === undefined) {
      publisher = { next: 0, skipped: new Set() };
      this.#publishers.set(index, publisher);
    }
    return publisher;
  }

  #compareOffsets(key: string, seenAt: number, acknowledgedAt: number): void {
    if (seenAt === acknowledgedAt) return;
    this.#fault('doubled', 1, `${key} was acknowledged at offset ${acknowledgedAt}, and seen at ${seenAt}`);
  }

  /** Drops what all readers have seen, but for the last of it: new ones begin there. */
  #forget(): void {
    let slowest = this.length - KEPT_MAX;
    for (const { next } of this.#readers) slowest = Math.min(slowest, next ?? slowest);
    const count = slowest - this.#base;
    if (count <= 0) return;
    this.#baseOffset = (this.#seen[count - 1] as Seen).offset;
    this.#seen.splice(0, count);
    this.#base = slowest;
  }

  #fault(kind: Fault, times: number, words: string): void {
    this.#faults.add(kind, times, `${this.#name}: ${words}`);
  }
}

function isSame(one: Seen, other: Seen): boolean {
  return one.offset === other.offset && one.publisher === other.publisher && one.sequence === other.sequence;
}

function keyOf(publisher: number, sequence: number): string {
  return `publication ${publisher}/${sequence}`;
}
