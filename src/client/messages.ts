import type { Gap, Position } from '../protocol/position.ts';
import type { UserState } from '../protocol/presence-state.ts';

/** One publication of a room. */
export interface Message {
  readonly room: string;
  readonly epoch: string;
  readonly offset: number;
  /** The user who published it. */
  readonly from: string;
  /** The publisher's id of it. */
  readonly mid: string;
  /** Milliseconds since 1970 by the log's clock; the order is by `offset`. */
  readonly ts: number;
  /** Whatever was published: check it before you use it. */
  readonly data: unknown;
}

/** Something said in passing, that no log keeps. */
export interface Signal {
  readonly from: string;
  readonly data: unknown;
}

/** A page of a room's history. */
export interface Page {
  /** Oldest first. */
  readonly messages: readonly Message[];
  /** Up to where it speaks. */
  readonly position: Position;
  /** There are newer ones (asked with `after`), or older ones. */
  readonly more: boolean;
  readonly gap?: Gap;
}

/** A page of who is in a room. */
export interface RoomPresence {
  readonly count: number;
  readonly version: number;
  /** Ordered by the bytes of their names. */
  readonly users: readonly UserState[];
  readonly more: boolean;
  /** Not all replicas could be asked. */
  readonly partial: boolean;
}

/** A user by themself. */
export interface UserPresence extends UserState {
  /** Milliseconds since 1970; 0: not known. */
  readonly lastSeenMs: number;
}
