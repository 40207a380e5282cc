import { closeSync, openSync, readFileSync, writeSync } from 'node:fs';
import { crc32 } from 'node:zlib';

const CHECKSUM_BYTES = 4;
const END_BYTES = 8;

/**
 * Where each partition ended after the last commit, noted outside of the log. SQLite's recovery takes the first
 * damaged frame of the write-ahead log for its end, so that one flipped bit would make everything acknowledged
 * behind it vanish without a word; this note says that it was there.
 *
 * It is written after a commit and never synced: it may lag behind the log, as after a power cut, and never runs
 * ahead of it.
 */
export class EndsWitness {
  readonly #bytes: Buffer;
  #descriptor: number | undefined;

  /** @param ends as they are in the log now, by partition */
  constructor(path: string, ends: readonly number[]) {
    this.#bytes = Buffer.alloc(CHECKSUM_BYTES + ends.length * END_BYTES);
    try {
      this.#descriptor = openSync(path, 'w', 0o600);
    } catch {
      // On a disk without room for it the log still serves; what there is no note of can't be missed.
    }
    this.write(ends.flatMap((end, partition) => [partition, end]));
  }

  /** The ends that were noted, or undefined where there is no note that can be trusted. */
  static read(path: string): readonly number[] | undefined {
    let bytes: Buffer;
    try {
      bytes = readFileSync(path);
    } catch {
      return undefined;
    }
    if (bytes.length < CHECKSUM_BYTES || bytes.readUInt32LE(0) !== crc32(bytes.subarray(CHECKSUM_BYTES)))
      return undefined;
    const count = (bytes.length - CHECKSUM_BYTES) / END_BYTES;
    return Array.from({ length: count }, (_, partition) => bytes.readDoubleLE(CHECKSUM_BYTES + partition * END_BYTES));
  }

  /**
   * Notes ends, in place, so that it takes no room on the disk that it hasn't already.
   *
   * @param ends partitions, and behind each its end
   */
  write(ends: readonly number[]): void {
    for (let at = 0; at < ends.length; at += 2) {
      this.#bytes.writeDoubleLE(ends[at + 1] as number, CHECKSUM_BYTES + (ends[at] as number) * END_BYTES);
    }
    if (this.#descriptor === undefined) return;
    this.#bytes.writeUInt32LE(crc32(this.#bytes.subarray(CHECKSUM_BYTES)), 0);
    try {
      writeSync(this.#descriptor, this.#bytes, 0, this.#bytes.length, 0);
    } catch {
      this.close();
    }
  }

  close(): void {
    if (this.#descriptor !== undefined) closeSync(this.#descriptor);
    this.#descriptor = undefined;
  }
}
