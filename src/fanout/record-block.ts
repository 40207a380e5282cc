import { crc32 } from 'node:zlib';
import { dataHash } from './dedupe.ts';

/**
 * Records of one commit, packed side by side: what the embedded log keeps as one row. Numbers are little-endian.
 *
 *     0  checksum of the rest of the head   u32   CRC-32
 *     4  count                              u32
 *     8  number of the block                f64   dense: 0, 1, 2, …
 *    16  time of all of its records         f64   milliseconds since 1970
 *    24  for each record: offset f64, room f64, id 16 bytes, data hash i32, bytes of its value u32
 *        the values
 *
 * The head has a checksum of its own, and the data hash is the checksum of a value: where a value is not what was
 * written, the head still tells whose it was.
 */
export interface BlockRecord {
  readonly offset: number;
  /** See `roomKey`. */
  readonly room: number;
  /** 16 bytes, one character each. */
  readonly id: string;
  readonly dataHash: number;
  readonly value: Uint8Array;
}

/** Consecutive blocks, packed in one piece of memory that can go to another thread as it is. */
export interface PackedBlocks {
  readonly bytes: ArrayBuffer;
  /** Of each block. */
  readonly lengths: readonly number[];
  /** Of each block: how many records it has. */
  readonly counts: readonly number[];
}

/**
 * Bytes at which a block ends, unless one record alone is more: as many as SQLite keeps in one page of 4 KiB. So
 * much is read to get at any record of it.
 */
const BLOCK_BYTES_MAX = 4_050;
const HEAD_BYTES = 24;
const ID_BYTES = 16;
const ENTRY_BYTES = 8 + 8 + ID_BYTES + 4 + 4;
const ROOMS_PER_PARTITION = 2 ** 40;

/** Partitions that a log may have, so that a room's key stays an exact integer. */
export const PARTITIONS_MAX = 4096;

/** One number for a partition and 40 bits of a hash of a room's name: rooms may share one. */
export function roomKey(partition: number, hash: number): number {
  return partition * ROOMS_PER_PARTITION + hash;
}

export function partitionOfKey(key: number): number {
  return Math.floor(key / ROOMS_PER_PARTITION);
}

/** @param first number of the first block */
export function packBlocks(records: readonly BlockRecord[], first: number, ts: number): PackedBlocks {
  const lengths: number[] = [];
  const counts: number[] = [];
  let total = 0;
  let length = 0;
  let count = 0;
  const end = () => {
    lengths.push(length);
    counts.push(count);
    total += length;
  };
  for (const { value } of records) {
    const bytes = ENTRY_BYTES + value.length;
    if (count > 0 && length + bytes > BLOCK_BYTES_MAX) {
      end();
      count = 0;
    }
    length = count === 0 ? HEAD_BYTES + bytes : length + bytes;
    count++;
  }
  if (count > 0) end();

  const bytes = Buffer.allocUnsafeSlow(total);
  const view = new DataView(bytes.buffer);
  let next = 0;
  let start = 0;
  for (const [index, count] of counts.entries()) {
    view.setUint32(start + 4, count, true);
    view.setFloat64(start + 8, first + index, true);
    view.setFloat64(start + 16, ts, true);
    let entryAt = start + HEAD_BYTES;
    let valueAt = entryAt + count * ENTRY_BYTES;
    const headEnd = valueAt;
    for (const through = next + count; next < through; next++) {
      const record = records[next] as BlockRecord;
      view.setFloat64(entryAt, record.offset, true);
      view.setFloat64(entryAt + 8, record.room, true);
      bytes.write(record.id, entryAt + 16, ID_BYTES, 'latin1');
      view.setInt32(entryAt + 32, record.dataHash, true);
      view.setUint32(entryAt + 36, record.value.length, true);
      bytes.set(record.value, valueAt);
      entryAt += ENTRY_BYTES;
      valueAt += record.value.length;
    }
    view.setUint32(start, crc32(bytes.subarray(start + 4, headEnd)), true);
    start = valueAt;
  }
  return { bytes: bytes.buffer as ArrayBuffer, lengths, counts };
}

/** A block as it was read, whose head is what was written. */
export class RecordBlock {
  readonly number: number;
  readonly ts: number;
  readonly count: number;
  readonly #bytes: Buffer;

  private constructor(bytes: Buffer, number: number, count: number) {
    this.#bytes = bytes;
    this.number = number;
    this.count = count;
    this.ts = bytes.readDoubleLE(16);
  }

  /**
   * @param bytes the block, or its head alone
   * @returns undefined if this is not the head of the block with this number
   */
  static open(bytes: Uint8Array, number: number): RecordBlock | undefined {
    if (bytes.length < HEAD_BYTES) return undefined;
    const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const count = buffer.readUInt32LE(4);
    const headBytes = HEAD_BYTES + count * ENTRY_BYTES;
    if (headBytes > buffer.length || crc32(buffer.subarray(4, headBytes)) !== buffer.readUInt32LE(0)) return undefined;
    return buffer.readDoubleLE(8) === number ? new RecordBlock(buffer, number, count) : undefined;
  }

  /** A copy of the head. */
  head(): Uint8Array<ArrayBuffer> {
    return new Uint8Array(this.#bytes.subarray(0, this.#entryAt(this.count)));
  }

  offset(index: number): number {
    return this.#bytes.readDoubleLE(this.#entryAt(index));
  }

  room(index: number): number {
    return this.#bytes.readDoubleLE(this.#entryAt(index) + 8);
  }

  id(index: number): string {
    const at = this.#entryAt(index) + 16;
    return this.#bytes.toString('latin1', at, at + ID_BYTES);
  }

  dataHash(index: number): number {
    return this.#bytes.readInt32LE(this.#entryAt(index) + 32);
  }

  /** The index of a room's record, or -1. */
  find(room: number, offset: number): number {
    for (let index = 0; index < this.count; index++) {
      if (this.offset(index) === offset && this.room(index) === room) return index;
    }
    return -1;
  }

  /** A view of a record's value, or undefined if it is not what was written. */
  value(index: number): Buffer | undefined {
    let start = this.#entryAt(this.count);
    for (let before = 0; before < index; before++) start += this.#valueBytes(before);
    const end = start + this.#valueBytes(index);
    if (end > this.#bytes.length) return undefined;
    const value = this.#bytes.subarray(start, end);
    return dataHash(value) === this.dataHash(index) ? value : undefined;
  }

  #entryAt(index: number): number {
    return HEAD_BYTES + index * ENTRY_BYTES;
  }

  #valueBytes(index: number): number {
    return this.#bytes.readUInt32LE(this.#entryAt(index) + 36);
  }
}
