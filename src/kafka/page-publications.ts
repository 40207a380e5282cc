import type { Publication } from '../protocol/publication.ts';

/** Bounds of a page; a single publication may have any size. */
export interface PageBounds {
  /** Publications, 1 or more. */
  readonly limit: number;
  /** Bytes of values. */
  readonly bytesMax: number;
}

/** Of publications those that come first, as far as a page's bounds go. */
export class FirstPublications {
  readonly list: Publication[] = [];
  readonly #bounds: PageBounds;
  #bytes = 0;
  #isFull = false;

  constructor(bounds: PageBounds) {
    this.#bounds = bounds;
  }

  /** Whether what comes next has no place. */
  get isFull(): boolean {
    return this.#isFull;
  }

  /** Takes the next one, unless it has no place. */
  add(publication: Publication): boolean {
    const { limit, bytesMax } = this.#bounds;
    const bytes = this.#bytes + publication.value.length;
    if (this.#isFull || (this.list.length > 0 && bytes > bytesMax)) {
      this.#isFull = true;
      return false;
    }
    this.list.push(publication);
    this.#bytes = bytes;
    this.#isFull = this.list.length >= limit || bytes >= bytesMax;
    return true;
  }
}

/** Of publications those that come last, as far as a page's bounds go. */
export class LastPublications {
  readonly list: Publication[] = [];
  readonly #bounds: PageBounds;
  #bytes = 0;
  #isCut = false;

  constructor(bounds: PageBounds) {
    this.#bounds = bounds;
  }

  /** Whether there were more of them. */
  get isCut(): boolean {
    return this.#isCut;
  }

  add(publication: Publication): void {
    const { limit, bytesMax } = this.#bounds;
    this.list.push(publication);
    this.#bytes += publication.value.length;
    while (this.list.length > limit || (this.list.length > 1 && this.#bytes > bytesMax)) {
      this.#bytes -= this.list.shift()?.value.length ?? 0;
      this.#isCut = true;
    }
  }
}
