/** Names in one chunk at most: what an addition or a removal moves at most. */
export const CHUNK_NAMES_MAX = 512;

/**
 * A set of names that can be read in order, page by page. Names are ASCII, so that JavaScript's order of strings is
 * that of their bytes.
 *
 * They stand in sorted chunks: an addition or a removal moves at most one chunk's names and, when a chunk is split
 * or merged, the references to the n / 256 chunks or so behind it.
 */
export class OrderedNames {
  /** None is empty; neighbours hold more than half a chunk together, but for what removals left. */
  #chunks: string[][] = [];
  #size = 0;

  get size(): number {
    return this.#size;
  }

  has(name: string): boolean {
    const chunk = this.#chunks[this.#chunkOf(name)];
    return chunk !== undefined && chunk[firstFrom(chunk, name)] === name;
  }

  /** Whether the name was not there before. */
  add(name: string): boolean {
    const index = this.#chunkOf(name);
    const chunk = this.#chunks[index];
    if (chunk === undefined) {
      // Not pushed: an array that grew has room for 16 more, and sets of one name are the rule.
      this.#chunks = [[name]];
      this.#size = 1;
      return true;
    }
    const at = firstFrom(chunk, name);
    if (chunk[at] === name) return false;
    chunk.splice(at, 0, name);
    this.#size += 1;
    if (chunk.length > CHUNK_NAMES_MAX) this.#chunks.splice(index + 1, 0, chunk.splice(CHUNK_NAMES_MAX / 2));
    return true;
  }

  /** Whether the name was there before. */
  delete(name: string): boolean {
    const index = this.#chunkOf(name);
    const chunk = this.#chunks[index];
    if (chunk === undefined) return false;
    const at = firstFrom(chunk, name);
    if (chunk[at] !== name) return false;
    chunk.splice(at, 1);
    this.#size -= 1;
    if (chunk.length === 0) this.#chunks.splice(index, 1);
    else this.#merge(Math.min(index, this.#chunks.length - 2));
    return true;
  }

  /** Up to `limit` names behind `name`, which need not be in the set, or the first ones. */
  after(name: string | undefined, limit: number): string[] {
    const page: string[] = [];
    let index = name === undefined ? 0 : this.#chunkOf(name);
    let chunk = this.#chunks[index];
    if (chunk === undefined) return page;
    let at = 0;
    if (name !== undefined) {
      at = firstFrom(chunk, name);
      if (chunk[at] === name) at += 1;
    }
    while (chunk !== undefined && page.length < limit) {
      page.push(...chunk.slice(at, at + limit - page.length));
      at = 0;
      index += 1;
      chunk = this.#chunks[index];
    }
    return page;
  }

  /** Joins a chunk with the next one where both are small, so that removals don't leave many tiny ones. */
  #merge(index: number): void {
    const chunk = this.#chunks[index];
    const next = this.#chunks[index + 1];
    if (chunk === undefined || next === undefined || chunk.length + next.length > CHUNK_NAMES_MAX / 2) return;
    chunk.push(...next);
    this.#chunks.splice(index + 1, 1);
  }

  /** The index of the chunk in which a name stands, or would: the last that doesn't begin behind it, or the first. */
  #chunkOf(name: string): number {
    let low = 0;
    let high = this.#chunks.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >>> 1;
      const first = this.#chunks[middle]?.[0];
      if (first !== undefined && first <= name) low = middle;
      else high = middle - 1;
    }
    return low;
  }
}

/** The index of the first name that is not before `name`; the length if there is none. */
function firstFrom(names: readonly string[], name: string): number {
  let low = 0;
  let high = names.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const each = names[middle];
    if (each !== undefined && each < name) low = middle + 1;
    else high = middle;
  }
  return low;
}
