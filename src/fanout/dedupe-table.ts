import { getRandomValues } from 'node:crypto';

const CAPACITY_MIN = 16;
const ID_WORDS = 4;

/** Random, so that nobody can choose ids that all meet in one place of a table. Odd, so that no bit is lost. */
const FACTORS = getRandomValues(new Uint32Array(ID_WORDS)).map((word) => word | 1);
const [FACTOR_0 = 1, FACTOR_1 = 1, FACTOR_2 = 1, FACTOR_3 = 1] = FACTORS;

/** What is remembered of the valid records with one id. */
export interface DedupeEntry {
  /** Offset of the first one that was delivered. */
  readonly firstOffset: number;
  /** Of that first one. */
  readonly dataHash: number;
  /** The greatest time of any of them, delivered or not. */
  readonly newestTs: number;
}

/** An id of 16 bytes, one character each, as numbers; and where it belongs. */
export class DedupeKey {
  word0 = 0;
  word1 = 0;
  word2 = 0;
  word3 = 0;
  /** 32 bits, of which the upper ones are the best. */
  hash = 0;
  /** 8 bits that have nothing to do with `hash`. */
  shard = 0;

  set(id: string): this {
    this.word0 = wordAt(id, 0);
    this.word1 = wordAt(id, 4);
    this.word2 = wordAt(id, 8);
    this.word3 = wordAt(id, 12);
    this.hash = hashOf(this.word0, this.word1);
    this.shard = (Math.imul(this.word2, FACTOR_2) + Math.imul(this.word3, FACTOR_3) + this.hash) >>> 24;
    return this;
  }
}

function hashOf(word0: number, word1: number): number {
  return (Math.imul(word0, FACTOR_0) + Math.imul(word1, FACTOR_1)) | 0;
}

function wordAt(id: string, at: number): number {
  return (
    id.charCodeAt(at) | (id.charCodeAt(at + 1) << 8) | (id.charCodeAt(at + 2) << 16) | (id.charCodeAt(at + 3) << 24)
  );
}

/**
 * Entries by id, in the order in which they were put, in a few arrays of numbers: 44 to 88 bytes an entry, and
 * nothing for the garbage collector to walk over, whose pauses grow with millions of objects.
 */
export class DedupeTable {
  #capacity = CAPACITY_MIN;
  /** Places of entries, counted without end: an entry stands at its place modulo the capacity. */
  #first = 0;
  #end = 0;
  #size = 0;
  #words!: Int32Array;
  #offsets!: Float64Array;
  /** NaN: no entry any more. */
  #times!: Float64Array;
  #hashes!: Int32Array;
  /** For each bucket an entry's index and 1, or 0. Twice the capacity, so that searches are short. */
  #buckets!: Int32Array;
  readonly #scratch = new DedupeKey();

  constructor() {
    this.#allocate(CAPACITY_MIN);
  }

  get size(): number {
    return this.#size;
  }

  find(key: DedupeKey): DedupeEntry | undefined {
    const index = (this.#buckets[this.#bucketOf(key)] as number) - 1;
    if (index < 0) return undefined;
    return {
      firstOffset: this.#offsets[index] as number,
      dataHash: this.#hashes[index] as number,
      newestTs: this.#times[index] as number,
    };
  }

  /** Sets the entry of an id, which is the last of all then. */
  put(key: DedupeKey, entry: DedupeEntry): void {
    let bucket = this.#bucketOf(key);
    const known = (this.#buckets[bucket] as number) - 1;
    if (known >= 0) {
      this.#times[known] = Number.NaN;
      this.#size--;
    }
    if (this.#end - this.#first === this.#capacity) {
      this.#resize(this.#size >= this.#capacity / 2 ? 2 * this.#capacity : this.#capacity);
      bucket = this.#bucketOf(key);
    }
    const index = this.#end++ & (this.#capacity - 1);
    const at = index * ID_WORDS;
    this.#words[at] = key.word0;
    this.#words[at + 1] = key.word1;
    this.#words[at + 2] = key.word2;
    this.#words[at + 3] = key.word3;
    this.#offsets[index] = entry.firstOffset;
    this.#times[index] = entry.newestTs;
    this.#hashes[index] = entry.dataHash;
    this.#buckets[bucket] = index + 1;
    this.#size++;
  }

  /** Forgets from the first entry on, up to the first one that is not older. */
  evict(oldestTs: number): void {
    while (this.#first < this.#end) {
      const index = this.#first & (this.#capacity - 1);
      const ts = this.#times[index] as number;
      if (ts >= oldestTs) break;
      this.#first++;
      if (Number.isNaN(ts)) continue;
      this.#empty(this.#bucketOf(this.#keyAt(index)));
      this.#size--;
    }
    if (this.#capacity > CAPACITY_MIN && this.#size < this.#capacity / 8) this.#resize(this.#capacity / 2);
  }

  /** The bucket of the entry with this id, or the empty one where it would be. */
  #bucketOf(key: DedupeKey): number {
    const mask = this.#buckets.length - 1;
    const words = this.#words;
    for (let bucket = this.#home(key); ; bucket = (bucket + 1) & mask) {
      const index = (this.#buckets[bucket] as number) - 1;
      if (index < 0) return bucket;
      const at = index * ID_WORDS;
      if (
        words[at] === key.word0 &&
        words[at + 1] === key.word1 &&
        words[at + 2] === key.word2 &&
        words[at + 3] === key.word3
      )
        return bucket;
    }
  }

  #home(key: DedupeKey): number {
    return key.hash >>> (Math.clz32(this.#buckets.length) + 1);
  }

  /** Empties a bucket, and moves up what stands behind it because it was taken. */
  #empty(bucket: number): void {
    const buckets = this.#buckets;
    const mask = buckets.length - 1;
    let gap = bucket;
    for (let at = (bucket + 1) & mask; ; at = (at + 1) & mask) {
      const index = (buckets[at] as number) - 1;
      if (index < 0) break;
      const home = this.#home(this.#keyAt(index));
      if (((at - home) & mask) < ((at - gap) & mask)) continue;
      buckets[gap] = index + 1;
      gap = at;
    }
    buckets[gap] = 0;
  }

  #keyAt(index: number): DedupeKey {
    const key = this.#scratch;
    const at = index * ID_WORDS;
    key.word0 = this.#words[at] as number;
    key.word1 = this.#words[at + 1] as number;
    key.word2 = this.#words[at + 2] as number;
    key.word3 = this.#words[at + 3] as number;
    key.hash = hashOf(key.word0, key.word1);
    return key;
  }

  #allocate(capacity: number): void {
    this.#capacity = capacity;
    this.#words = new Int32Array(capacity * ID_WORDS);
    this.#offsets = new Float64Array(capacity);
    this.#times = new Float64Array(capacity);
    this.#hashes = new Int32Array(capacity);
    this.#buckets = new Int32Array(2 * capacity);
  }

  #resize(capacity: number): void {
    const first = this.#first;
    const end = this.#end;
    const mask = this.#capacity - 1;
    const words = this.#words;
    const offsets = this.#offsets;
    const times = this.#times;
    const hashes = this.#hashes;
    this.#allocate(capacity);
    this.#first = 0;
    this.#end = 0;
    for (let place = first; place < end; place++) {
      const from = place & mask;
      const ts = times[from] as number;
      if (Number.isNaN(ts)) continue;
      const to = this.#end++;
      this.#words.set(words.subarray(from * ID_WORDS, (from + 1) * ID_WORDS), to * ID_WORDS);
      this.#offsets[to] = offsets[from] as number;
      this.#times[to] = ts;
      this.#hashes[to] = hashes[from] as number;
      this.#buckets[this.#bucketOf(this.#keyAt(to))] = to + 1;
    }
  }
}
