/**
 * A run of records in one block of memory, which goes from thread to thread without being copied or cloned
 * object by object: a batch to commit, a page that was read, a piece of the dedupe window.
 */
export interface BlockRecord {
  readonly partition: number;
  readonly offset: number;
  /** Milliseconds since 1970. */
  readonly ts: number;
  readonly dataHash: number;
  /** 16 bytes, one character each; `''` where it is not needed. */
  readonly id: string;
  /** Empty where it is not needed. */
  readonly value: Buffer;
}

const ID_BYTES = 16;
const WORD_BYTES = 8;
const RECORD_BYTES = 2 * WORD_BYTES + 4 + 4 + ID_BYTES;
const OFFSETS_PER_PARTITION = 2 ** 40;

/** Partitions that a log may have, so that a key stays an exact integer. */
export const PARTITIONS_MAX = 4096;

/** One number for partition and offset, in which a partition's records lie side by side. */
export function recordKey(partition: number, offset: number): number {
  return partition * OFFSETS_PER_PARTITION + offset;
}

export function partitionOfKey(key: number): number {
  return Math.floor(key / OFFSETS_PER_PARTITION);
}

export function offsetOfKey(key: number): number {
  return key % OFFSETS_PER_PARTITION;
}

/** Layout: count, keys, times, data hashes, lengths, ids, values. */
export function packRecords(records: readonly BlockRecord[]): ArrayBuffer {
  const count = records.length;
  let bytes = WORD_BYTES + count * RECORD_BYTES;
  for (const record of records) bytes += record.value.length;
  const block = new ArrayBuffer(bytes);
  const words = new Float64Array(block, 0, 1 + 2 * count);
  const halves = new Int32Array(block, words.byteLength, 2 * count);
  const rest = Buffer.from(block, words.byteLength + halves.byteLength);
  words[0] = count;
  let valueAt = count * ID_BYTES;
  for (const [index, record] of records.entries()) {
    words[1 + index] = recordKey(record.partition, record.offset);
    words[1 + count + index] = record.ts;
    halves[index] = record.dataHash;
    halves[count + index] = record.value.length;
    rest.write(record.id, index * ID_BYTES, ID_BYTES, 'latin1');
    rest.set(record.value, valueAt);
    valueAt += record.value.length;
  }
  return block;
}

/** The records of a block; their values are views of it. */
export function unpackRecords(block: ArrayBuffer): BlockRecord[] {
  const count = new Float64Array(block, 0, 1)[0] ?? 0;
  const words = new Float64Array(block, WORD_BYTES, 2 * count);
  const halves = new Int32Array(block, WORD_BYTES + words.byteLength, 2 * count);
  const rest = Buffer.from(block, WORD_BYTES + words.byteLength + halves.byteLength);
  const records: BlockRecord[] = [];
  let valueAt = count * ID_BYTES;
  for (let index = 0; index < count; index++) {
    const key = words[index] ?? 0;
    const length = halves[count + index] ?? 0;
    records.push({
      partition: partitionOfKey(key),
      offset: offsetOfKey(key),
      ts: words[count + index] ?? 0,
      dataHash: halves[index] ?? 0,
      id: rest.toString('latin1', index * ID_BYTES, (index + 1) * ID_BYTES),
      value: rest.subarray(valueAt, valueAt + length),
    });
    valueAt += length;
  }
  return records;
}
