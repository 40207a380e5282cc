import type { Publication } from '../protocol/publication.ts';

/** A room, and where it lies in which log. */
export interface RoomPlace {
  readonly room: string;
  readonly partition: number;
  readonly epoch: string;
}

/** How much is wanted at once: one more than that may be given, so that it can be told whether more follow. */
export interface StretchBounds {
  /** Publications. */
  readonly limit: number;
  /** Bytes of values. */
  readonly bytesMax: number;
}

/** A part of a room's past: every publication of the room that stands in it is given. */
export interface Stretch {
  /** Offsets, inclusive; `through` below `from`: nothing is known. */
  readonly from: number;
  readonly through: number;
  /** Oldest first. */
  readonly publications: readonly Publication[];
}

/**
 * What replicas have decided, kept where all of them can read it: so that not each of them has to read and decide again
 * what is not in its memory. It may have forgotten anything, but never gives for all what is not all. Neither method
 * throws, nor waits for long: where it has no answer, nothing is known.
 */
export interface SharedHistory {
  /**
   * The first stretch that is known at `from` or behind it, up to and with `through` at most and as far as the bounds go:
   * where it begins behind `from`, what lies between is not known.
   */
  readForward(place: RoomPlace, from: number, through: number, bounds: StretchBounds): Promise<Stretch>;

  /** The stretch that ends with `through`, as far back as it is known and the bounds go. */
  readBackward(place: RoomPlace, through: number, bounds: StretchBounds): Promise<Stretch>;
}

/** What one replica has in memory of its log, decided: a shared history is written from it. */
export interface RecentPast {
  readonly epoch: string;
  readonly partitions: number;
  /** Offsets, inclusive: every publication of the partition that stands between them is in memory. */
  span(partition: number): { readonly from: number; readonly through: number };
  /** Those in memory from an offset on, oldest first. To be read within a turn of the loop. */
  publications(partition: number, from: number): Iterable<Publication>;
}

/** One that is kept from what this replica has in memory. */
export interface KeptHistory extends SharedHistory {
  /** Begins to keep what comes into memory. Called once at most, when the log is open. */
  follow(past: RecentPast): void;
}
