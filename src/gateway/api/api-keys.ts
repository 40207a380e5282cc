import { createHash, timingSafeEqual } from 'node:crypto';
import { CommandError } from '../../protocol/errors.ts';

/** The keys of the internal port, of which none is kept as it is. */
export class ApiKeys {
  readonly #digests: readonly Buffer[];

  constructor(keys: readonly string[]) {
    this.#digests = keys.map((key) => digest(Buffer.from(key)));
  }

  get areSet(): boolean {
    return this.#digests.length > 0;
  }

  /** @throws CommandError `unauthorized` */
  require(authorization: string | undefined): void {
    if (this.#isKey(authorization)) return;
    throw new CommandError('unauthorized', 'needs "Authorization: Bearer" with a key of TIDEGATE_API_KEYS');
  }

  /** Takes the same time whichever key it is, or none: what is compared says nothing of how much of a key is right. */
  #isKey(authorization: string | undefined): boolean {
    const given = /^Bearer +(.+)$/i.exec(authorization ?? '')?.[1];
    if (given === undefined) return false;
    // Headers are read as Latin-1: these are the bytes that were sent.
    const shown = digest(Buffer.from(given, 'latin1'));
    let isKnown = false;
    for (const known of this.#digests) if (timingSafeEqual(known, shown)) isKnown = true;
    return isKnown;
  }
}

function digest(bytes: Buffer): Buffer {
  return createHash('sha256').update(bytes).digest();
}
