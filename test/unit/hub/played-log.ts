import { partitionOf } from '../../../src/fanout/partition.ts';
import type { Appended, AppendRequest, Page, ReadRequest, RoomLog } from '../../../src/fanout/room-log.ts';
import { encodeValue, type Publication } from '../../../src/protocol/publication.ts';

/** Publications of one page of a log that is read forwards: few, so that clients have to ask for more. */
const PAGE = 4;

/** A log in memory that commits, and answers reads, when the test says so. */
export class PlayedLog implements RoomLog {
  readonly epoch = 'e1';
  readonly partitions = 2;
  readonly #ends = [-1, -1];
  readonly #records: { readonly publication: Publication; readonly resolve: (appended: Appended) => void }[] = [];
  readonly #reads: (() => void)[] = [];
  #onBatch: (publications: readonly Publication[]) => void = () => {};
  #committed = 0;

  append({ room, from, mid, data }: AppendRequest): Promise<Appended> {
    // Offsets leave holes, since they are not dense in a room.
    const offset = 2 * this.#records.length;
    const partition = partitionOf(room, this.partitions);
    const value = encodeValue(room, from, mid, data);
    const publication = { room, partition, epoch: this.epoch, offset, ts: offset, value };
    return new Promise((resolve) => this.#records.push({ publication, resolve }));
  }

  tail(onBatch: (publications: readonly Publication[]) => void): void {
    this.#onBatch = onBatch;
  }

  read({ room, after, through, limit }: ReadRequest): Promise<Page> {
    const all = this.publications(room).filter(({ offset }) => offset <= through);
    const newer = all.filter(({ offset }) => offset > (after?.offset ?? -1));
    const publications = after === undefined ? all.slice(-limit) : newer.slice(0, PAGE);
    const more = publications.length < (after === undefined ? all : newer).length;
    return new Promise((resolve) => this.#reads.push(() => resolve({ publications, source: 'memory', more })));
  }

  ends(): readonly number[] {
    return this.#ends;
  }

  async untilCurrent(): Promise<void> {}

  async close(): Promise<void> {}

  /** Those of a room that are committed. */
  publications(room: string): readonly Publication[] {
    const committed = this.#records.slice(0, this.#committed).map(({ publication }) => publication);
    return committed.filter((publication) => publication.room === room);
  }

  /** Commits the next records. Returns how many there were. */
  commit(count: number): number {
    const batch = this.#records.slice(this.#committed, this.#committed + count);
    this.#committed += batch.length;
    for (const { publication } of batch) this.#ends[publication.partition] = publication.offset;
    if (batch.length > 0) this.#onBatch(batch.map(({ publication }) => publication));
    for (const { publication, resolve } of batch) {
      resolve({ position: { epoch: this.epoch, offset: publication.offset }, duplicate: false });
    }
    return batch.length;
  }

  /** Answers the reads that wait. Returns how many there were. */
  answerReads(): number {
    const reads = this.#reads.splice(0);
    for (const answer of reads) answer();
    return reads.length;
  }
}
