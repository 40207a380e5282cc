import type { CryptoKey } from 'jose';
import type { KeySource } from './key-source.ts';

/** A key of HMAC with SHA-256 should have at least as many bytes as the hash (RFC 7518 section 3.2). */
export const SECRET_BYTES_MIN = 32;

/** Whether a secret could be found by trying, from one token that it has signed. */
export function isWeakSecret(secret: string): boolean {
  return Buffer.byteLength(secret) < SECRET_BYTES_MIN;
}

/** One secret, known to who signs tokens and to us: HS256 alone. */
export class SharedSecret implements KeySource {
  readonly algorithms: readonly string[] = ['HS256'];
  readonly keyFor: () => Promise<CryptoKey>;

  constructor(secret: string) {
    const bytes = new TextEncoder().encode(secret);
    const algorithm = { name: 'HMAC', hash: 'SHA-256' };
    // Imported on first use, and once. It cannot be read back out of this key.
    let key: Promise<CryptoKey> | null = null;
    this.keyFor = () => {
      key ??= crypto.subtle.importKey('raw', bytes, algorithm, false, ['verify']);
      return key;
    };
  }

  close(): void {}
}
