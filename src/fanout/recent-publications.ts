import type { Publication } from '../protocol/publication.ts';

/** What arrived in a room since a reading of its past began, so that past and present meet without a race. */
export class RecentPublications {
  readers = 0;
  readonly publications: Publication[] = [];
  /** Offsets up to and with this one may have been let go again. */
  lostThrough: number;
  #bytes = 0;
  readonly #bytesMax: number;

  constructor(through: number, bytesMax: number) {
    this.lostThrough = through;
    this.#bytesMax = bytesMax;
  }

  add(publication: Publication): void {
    this.publications.push(publication);
    this.#bytes += publication.value.length;
    while (this.#bytes > this.#bytesMax) {
      const oldest = this.publications.shift();
      if (oldest === undefined) break;
      this.#bytes -= oldest.value.length;
      this.lostThrough = oldest.offset;
    }
  }
}
