import type { PendingAppend } from './append-queue.ts';
import { type PackedBlocks, packBlocks } from './record-block.ts';
import type { Room } from './room-index.ts';

export interface Append extends PendingAppend {
  /** Of its room. */
  readonly name: string;
  readonly room: Room;
}

/** A transaction whose outcome has not come: appends, and where they will stand if it succeeds. */
export class Flight {
  /** Of all of its records. */
  readonly ts: number;
  readonly appends: readonly Append[];
  /** Number of its first block. */
  readonly first: number;
  readonly blocks: PackedBlocks;
  /** Partitions, and behind each the offset of its newest record in this transaction. */
  readonly ends: readonly number[];
  readonly #offsets: number[] = [];

  /** @param ends as they are before it, by partition */
  constructor(appends: readonly Append[], ends: readonly number[], first: number, ts: number) {
    this.ts = ts;
    this.appends = appends;
    this.first = first;
    const newest = new Map<number, number>();
    const records = appends.map(({ room: { partition, key: room }, id, dataHash, value }) => {
      // Ends move only when a transaction has succeeded: the offsets of one that fails are given again.
      const offset = (newest.get(partition) ?? ends[partition] ?? -1) + 1;
      newest.set(partition, offset);
      this.#offsets.push(offset);
      return { offset, room, id, dataHash, value };
    });
    this.blocks = packBlocks(records, first, ts);
    this.ends = [...newest].flat();
  }

  forEach(use: (append: Append, offset: number, block: number) => void): void {
    let at = 0;
    for (const [index, count] of this.blocks.counts.entries()) {
      for (const end = at + count; at < end; at++) {
        use(this.appends[at] as Append, this.#offsets[at] as number, this.first + index);
      }
    }
  }
}
