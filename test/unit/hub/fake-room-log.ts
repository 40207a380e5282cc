import { partitionOf } from '../../../src/fanout/partition.ts';
import type { Page, ReadRequest, RoomLog } from '../../../src/fanout/room-log.ts';
import type { Position } from '../../../src/protocol/position.ts';
import { encodeValue, type Publication } from '../../../src/protocol/publication.ts';

export const EPOCH = 'e1';

/** A log in memory: what is appended is handed on when the test says so, and then it can be read. */
export class FakeRoomLog implements Pick<RoomLog, 'ends' | 'epoch' | 'partitions'> {
  readonly epoch = 'e';
  readonly partitions: number;
  readonly #ends: number[];
  readonly #records: Publication[] = [];
  #handedOn = 0;

  constructor(partitions: number) {
    this.partitions = partitions;
    this.#ends = new Array<number>(partitions).fill(-1);
  }

  /** Offsets leave holes, since they are not dense in a room. */
  append(room: string, data: string): void {
    const offset = this.#records.length * 2;
    const partition = partitionOf(room, this.partitions);
    const value = encodeValue(room, 'ann', `m${offset}`, data);
    this.#records.push({ room, partition, epoch: EPOCH, offset, ts: offset, value });
  }

  /** Hands on the next records, and only then counts them into the ends, or the other way round. */
  handOn(count: number, receive: (publications: readonly Publication[]) => void, endsFirst: boolean): void {
    const batch = this.#records.slice(this.#handedOn, this.#handedOn + count);
    if (batch.length === 0) return;
    if (endsFirst) this.#advance(batch);
    receive(batch);
    if (!endsFirst) this.#advance(batch);
  }

  ends(): readonly number[] {
    return this.#ends;
  }

  /** Offsets in a room that can be read. */
  offsets(room: string): number[] {
    return this.#of(room).map(({ offset }) => offset);
  }

  publications(room: string): readonly Publication[] {
    return this.#of(room);
  }

  read({ room, after, through, limit, bytesMax }: ReadRequest): Page {
    if (through > (this.#ends[partitionOf(room, this.partitions)] ?? -1)) throw new Error('read beyond the end');
    const wanted = this.#of(room).filter(({ offset }) => offset <= through && offset > (after?.offset ?? -1));
    const ordered = after === undefined ? wanted.reverse() : wanted;
    const publications: Publication[] = [];
    let bytes = 0;
    for (const publication of ordered) {
      bytes += publication.value.length;
      if (publications.length >= limit || (publications.length > 0 && bytes > bytesMax)) break;
      publications.push(publication);
    }
    const more = publications.length < ordered.length;
    return { publications: after === undefined ? publications.reverse() : publications, source: 'memory', more };
  }

  #of(room: string): Publication[] {
    return this.#records.slice(0, this.#handedOn).filter((record) => record.room === room);
  }

  #advance(batch: readonly Publication[]): void {
    this.#handedOn += batch.length;
    for (const { partition, offset } of batch) this.#ends[partition] = offset;
  }
}

export function at(offset: number): Position {
  return { epoch: EPOCH, offset };
}
