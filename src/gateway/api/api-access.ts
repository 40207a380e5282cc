import type { IncomingHttpHeaders } from 'node:http';
import { CommandError } from '../../protocol/errors.ts';
import { HostRules } from '../host-rules.ts';
import { ApiKeys } from './api-keys.ts';

export interface ApiAccessSettings {
  readonly keys: readonly string[];
  /** Why nobody may call without a key, where there is none; null: who reaches the port may. */
  readonly keyNeeded: string | null;
  /** The address that the port is bound to. */
  readonly host: string;
}

/** Who may call the server API: whoever shows one of the keys, or, on a laptop without keys, its own programs. */
export class ApiAccess {
  readonly #keys: ApiKeys;
  readonly #keyNeeded: string | null;
  readonly #hosts: HostRules;

  constructor({ keys, keyNeeded, host }: ApiAccessSettings) {
    this.#keys = new ApiKeys(keys);
    this.#keyNeeded = keyNeeded;
    this.#hosts = HostRules.ofInternalPort(host);
  }

  /** @throws CommandError `unauthorized` or `forbidden` */
  require(headers: IncomingHttpHeaders): void {
    if (this.#keys.areSet) {
      this.#keys.require(headers.authorization);
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
}
