import type { KafkaMessage } from 'kafkajs';
import { type Publication, withOwnBytes } from '../protocol/publication.ts';

/** Bounds of what is kept of one partition. */
export interface RecentBounds {
  readonly recordsMax: number;
  readonly bytesMax: number;
}

/** Which records may be decided wrong, for what would have to be known was not read: see `WarmUps`. */
export interface Unsound {
  /** Those that are stamped before this, milliseconds since 1970, */
  readonly soundMs: number;
  /** and stand before this offset. */
  readonly newsFrom: number;
}

/** The newest publications of one partition, all of those from `from` on. */
export class RecentRecords {
  readonly #bounds: RecentBounds;
  readonly #unsound: Unsound | undefined;
  /** Oldest first, behind `#first`. */
  #publications: Publication[] = [];
  #first = 0;
  #bytes = 0;
  #from: number;

  /** @param from the first offset that it will be given */
  constructor(from: number, bounds: RecentBounds, unsound?: Unsound) {
    this.#from = from;
    this.#bounds = bounds;
    this.#unsound = unsound;
  }

  /** Every publication of the partition at this offset or behind it is here. */
  get from(): number {
    return this.#from;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get size(): number {
    return this.#publications.length - this.#first;
  }

  /** The next records, and those publications that were made of them: what it has begins behind the unsound ones. */
  follow(messages: readonly KafkaMessage[], publications: readonly Publication[]): void {
    const { soundMs, newsFrom } = this.#unsound ?? { soundMs: Number.NEGATIVE_INFINITY, newsFrom: 0 };
    const isUnsound = ({ offset, timestamp }: KafkaMessage) => Number(offset) < newsFrom && Number(timestamp) < soundMs;
    const unsound = messages.findLast(isUnsound);
    if (unsound !== undefined) this.restart(Number(unsound.offset) + 1);
    for (const publication of publications) if (publication.offset >= this.#from) this.add(publication);
  }

  add(publication: Publication): void {
    this.#publications.push(withOwnBytes(publication));
    this.#bytes += publication.value.length;
    while (this.size > this.#bounds.recordsMax || this.#bytes > this.#bounds.bytesMax) this.#dropOldest();
  }

  /** Forgets all: what comes next is from this offset on. */
  restart(from: number): void {
    this.#publications = [];
    this.#first = 0;
    this.#bytes = 0;
    this.#from = from;
  }

  /** Those with that offset or behind it, oldest first. */
  *since(from: number): Generator<Publication> {
    for (let place = this.#placeOf(from); place < this.#publications.length; place++) {
      yield this.#publications[place] as Publication;
    }
  }

  /** Those of a room with offsets within both bounds, oldest first. */
  *ofRoom(room: string, from: number, through: number): Generator<Publication> {
    for (const publication of this.since(from)) {
      if (publication.offset > through) return;
      if (publication.room === room) yield publication;
    }
  }

  /** The same, newest first. */
  *ofRoomBackward(room: string, from: number, through: number): Generator<Publication> {
    for (let place = this.#placeOf(through + 1) - 1; place >= this.#first; place--) {
      const publication = this.#publications[place] as Publication;
      if (publication.offset < from) return;
      if (publication.room === room) yield publication;
    }
  }

  /** The place of the first publication at this offset or behind it. */
  #placeOf(offset: number): number {
    let low = this.#first;
    let high = this.#publications.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#publications[middle] as Publication).offset < offset) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #dropOldest(): void {
    const oldest = this.#publications[this.#first] as Publication;
    this.#first += 1;
    this.#bytes -= oldest.value.length;
    this.#from = oldest.offset + 1;
    // Half of the array is of no use any more: each one is moved once, on average.
    if (this.#first > this.#publications.length / 2) {
      this.#publications = this.#publications.slice(this.#first);
      this.#first = 0;
    }
  }
}
