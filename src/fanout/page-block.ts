/** A record of a page. */
export interface PageRecord {
  readonly offset: number;
  /** Milliseconds since 1970. */
  readonly ts: number;
  readonly value: Buffer;
}

const WORD_BYTES = 8;

/**
 * A page's records in one piece of memory, which goes from thread to thread without being cloned object by object.
 * Layout: count, offsets, times, lengths, values.
 */
export function packPage(records: readonly PageRecord[]): ArrayBuffer {
  const count = records.length;
  const headBytes = WORD_BYTES * (1 + 3 * count);
  const block = new ArrayBuffer(records.reduce((sum, { value }) => sum + value.length, headBytes));
  const words = new Float64Array(block, 0, 1 + 3 * count);
  const values = new Uint8Array(block, headBytes);
  words[0] = count;
  let valueAt = 0;
  for (const [index, { offset, ts, value }] of records.entries()) {
    words[1 + index] = offset;
    words[1 + count + index] = ts;
    words[1 + 2 * count + index] = value.length;
    values.set(value, valueAt);
    valueAt += value.length;
  }
  return block;
}

/** The records of a page; their values are views of it. */
export function unpackPage(block: ArrayBuffer): PageRecord[] {
  const count = new Float64Array(block, 0, 1)[0] ?? 0;
  const words = new Float64Array(block, WORD_BYTES, 3 * count);
  const records: PageRecord[] = [];
  let valueAt = WORD_BYTES * (1 + 3 * count);
  for (let index = 0; index < count; index++) {
    const length = words[2 * count + index] ?? 0;
    const value = Buffer.from(block, valueAt, length);
    records.push({ offset: words[index] ?? 0, ts: words[count + index] ?? 0, value });
    valueAt += length;
  }
  return records;
}
