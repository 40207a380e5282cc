import { crc32 } from 'node:zlib';

/**
 * Where records of one room stand: a row of the index of rooms. Numbers are little-endian.
 *
 *     0  checksum of the room, the last offset and the rest   u32   CRC-32
 *     4  count                                                u32
 *     8  first offset                                         f64
 *    16  its block                                            f64
 *    24  for each record: offset and block, less the first's  u32, u32
 */
export interface PostingRow {
  /** See `roomKey`. */
  readonly room: number;
  /** The greatest offset of the row. */
  readonly last: number;
  readonly postings: Uint8Array;
}

/** Where one record stands. */
export interface Posting {
  readonly offset: number;
  readonly block: number;
}

/** Records of a row: as many as fit, four or five rows a page, in SQLite's B-tree without overflow pages. */
export const POSTINGS_PER_ROW_MAX = 100;

const HEAD_BYTES = 24;
const POSTING_BYTES = 8;

/** A row of those of a room's postings that begin at `from`; later ones are at greater offsets. */
export function packPostings(room: number, postings: readonly Posting[], from: number, count: number): PostingRow {
  const first = postings[from] as Posting;
  const last = postings[from + count - 1] as Posting;
  const bytes = Buffer.alloc(HEAD_BYTES + count * POSTING_BYTES);
  bytes.writeUInt32LE(count, 4);
  bytes.writeDoubleLE(first.offset, 8);
  bytes.writeDoubleLE(first.block, 16);
  for (let index = 0, at = HEAD_BYTES; index < count; index++, at += POSTING_BYTES) {
    const { offset, block } = postings[from + index] as Posting;
    bytes.writeUInt32LE(offset - first.offset, at);
    bytes.writeUInt32LE(block - first.block, at + 4);
  }
  bytes.writeUInt32LE(checksum(room, last.offset, bytes), 0);
  return { room, last: last.offset, postings: bytes };
}

/** @returns undefined if the row is not what was written */
export function readPostings(room: number, last: number, postings: Uint8Array): Posting[] | undefined {
  const bytes = Buffer.from(postings.buffer, postings.byteOffset, postings.byteLength);
  if (bytes.length < HEAD_BYTES || bytes.readUInt32LE(0) !== checksum(room, last, bytes)) return undefined;
  const count = bytes.readUInt32LE(4);
  const offset = bytes.readDoubleLE(8);
  const block = bytes.readDoubleLE(16);
  return Array.from({ length: count }, (_, index) => {
    const at = HEAD_BYTES + index * POSTING_BYTES;
    return { offset: offset + bytes.readUInt32LE(at), block: block + bytes.readUInt32LE(at + 4) };
  });
}

const key = new Float64Array(2);
const keyBytes = new Uint8Array(key.buffer);

function checksum(room: number, last: number, bytes: Buffer): number {
  key[0] = room;
  key[1] = last;
  return crc32(bytes.subarray(4), crc32(keyBytes));
}

/**
 * A sum over where records stand, whatever their order: two sums that differ are of different records. For damage,
 * not for an adversary.
 */
export class PostingSum {
  #low = 0;
  #high = 0;
  #count = 0;

  add(room: number, offset: number, block: number): void {
    const mixed = mix(mix(mix(0x9e3779b9, room), offset), block);
    this.#low = (this.#low + mixed) | 0;
    this.#high = (this.#high + mix(mixed, block)) | 0;
    this.#count++;
  }

  equals(other: PostingSum): boolean {
    return this.#low === other.#low && this.#high === other.#high && this.#count === other.#count;
  }
}

/** A step of murmur3 over both halves of an integer. */
function mix(hash: number, value: number): number {
  return step(step(hash, value | 0), (value / 2 ** 32) | 0);
}

function step(hash: number, word: number): number {
  const scrambled = Math.imul(rotate(Math.imul(word, 0xcc9e2d51), 15), 0x1b873593);
  return (Math.imul(rotate(hash ^ scrambled, 13), 5) + 0xe6546b64) | 0;
}

function rotate(word: number, bits: number): number {
  return (word << bits) | (word >>> (32 - bits));
}
