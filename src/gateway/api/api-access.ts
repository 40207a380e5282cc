import { createHash, timingSafeEqual } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import { CommandError } from '../../protocol/errors.ts';
import { HostRules } from '../host-rules.ts';

export interface ApiAccessSettings {
  readonly keys: readonly string[];
  /** Why nobody may call without a key, where there is none; null: who reaches the port may. */
  readonly keyNeeded: string | null;
  /** The address that the port is bound to. */
  readonly host: string;
}

/** Who may call the server API: whoever shows one of the keys, or, on a laptop without keys, its own programs. */
export class ApiAccess {
  readonly #digests: readonly Buffer[];
  readonly #keyNeeded: string | null;
  readonly #hosts: HostRules;

  constructor({ keys, keyNeeded, host }: ApiAccessSettings) {
    this.#digests = keys.map((key) => digest(Buffer.from(key)));
    this.#keyNeeded = keyNeeded;
    this.#hosts = new HostRules(['localhost', '127.0.0.1', '[::1]', host], []);
  }

  /** @throws CommandError `unauthorized` or `forbidden` */
  require(headers: IncomingHttpHeaders): void {
    if (this.#digests.length > 0) {
      if (!this.#isKey(headers.authorization)) {
        throw new CommandError('unauthorized', 'needs "Authorization: Bearer" with a key of TIDEGATE_API_KEYS');
      }
      return;
    }
    if (this.#keyNeeded !== null) throw new CommandError('unauthorized', this.#keyNeeded);
    // A page in a browser on this machine reaches the port as well, also under a name of its own (DNS rebinding).
    const { origin, host, 'sec-fetch-site': site = 'none' } = headers;
    if (origin !== undefined || site !== 'none' || !this.#hosts.allowsHost(host)) {
      throw new CommandError(
        'forbidden',
        'pages and foreign host names are refused while TIDEGATE_API_KEYS is not set',
      );
    }
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
