/** Up to where a conversation was read. */
export interface ReadMark {
  readonly epoch: string;
  readonly offset: number;
  /** The log's time of that message; tells what is newer where epochs differ. */
  readonly ts: number;
}

/** Before everything: of an empty room that was looked at. */
export const BEGINNING: ReadMark = { epoch: '', offset: -1, ts: 0 };

/** Whether something stands behind the mark. Without a mark everything does. */
export function isBehind(mark: ReadMark | null, { epoch, offset, ts }: ReadMark): boolean {
  if (mark === null) return true;
  return epoch === mark.epoch ? offset > mark.offset : ts > mark.ts;
}
