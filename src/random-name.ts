import { randomFillSync } from 'node:crypto';

const POOL_BYTES = 4_096;

/** Asking the system for a few bytes costs microseconds, so that they are cut from many. */
const pool = Buffer.alloc(POOL_BYTES);
let at = POOL_BYTES;

/** A name that nobody can guess: so many random bytes (at most 64), written as `encoding`. */
export function randomName(bytes: number, encoding: 'hex' | 'base64url'): string {
  if (at + bytes > POOL_BYTES) {
    randomFillSync(pool);
    at = 0;
  }
  at += bytes;
  return pool.toString(encoding, at - bytes, at);
}
