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
    for (const [partition, end] of ends.entries()) this.set(partition, end);
    try {
      this.#descriptor = openSync(path, 'w', 0o600);
    } catch {
      // On a disk without room for it the log still serves; what there is no note of can't be missed.
    }
    this.write();
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

  set(partition: number, end: number): void {
    this.#bytes.writeDoubleLE(end, CHECKSUM_BYTES + partition * END_BYTES);
  }

  /** Notes what was set, in place, so that it takes no room on the disk that it hasn't already. */
  write(): void {
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
