/** A place in a room's log. Offsets rise within a room and epoch but are not dense; epochs do not compare. */
export interface Position {
  /** 1–64 printable ASCII bytes; names one incarnation of the log. */
  readonly epoch: string;
  /** ≥ -1; -1 stands before a partition's first record. */
  readonly offset: number;
}

/** Messages that may have existed and cannot be had. */
export interface Gap {
  /** Exclusive. null: the request's position was of another epoch, or beyond the end. */
  readonly from: Position | null;
  /** Inclusive. */
  readonly to: Position;
}
