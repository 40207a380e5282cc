import type { IncomingHttpHeaders } from 'node:http';
import { isIP } from 'node:net';
import { CommandError } from '../protocol/errors.ts';
import { ApiKeys } from './api/api-keys.ts';
import { HostRules } from './host-rules.ts';

export interface DashboardAccessSettings {
  readonly keys: readonly string[];
  /** The address that the internal port is bound to. */
  readonly host: string;
}

/**
 * Who is told figures: whoever shows one of the server API's keys, or, where there are none, whoever reaches the port, as with
 * `/metrics`; but no page other than our own.
 */
export class DashboardAccess {
  readonly #keys: ApiKeys;
  readonly #hosts: HostRules;

  constructor({ keys, host }: DashboardAccessSettings) {
    this.#keys = new ApiKeys(keys);
    this.#hosts = HostRules.ofInternalPort(host);
  }

  /** @throws CommandError `unauthorized` or `forbidden` */
  require(headers: IncomingHttpHeaders): void {
    if (this.#keys.areSet) {
      this.#keys.require(headers.authorization);
      return;
    }
    const { origin, host, 'sec-fetch-site': site = 'none' } = headers;
    // A page whose own name leads here (DNS rebinding) is of our origin for a browser; its name it can't hide.
    const isNamed = this.#hosts.allowsHost(host) || isAddress(host);
    if (origin !== undefined || !['none', 'same-origin'].includes(site) || !isNamed) {
      throw new CommandError(
        'forbidden',
        'other pages and foreign host names are refused while TIDEGATE_API_KEYS is not set',
      );
    }
  }
}

/** Whether a `Host` header names no host but an address, which no name server can have changed. */
function isAddress(host = ''): boolean {
  const [, v6] = /^\[(.*)\](?::\d*)?$/.exec(host) ?? [];
  return isIP(v6 ?? host.replace(/:\d*$/, '')) !== 0;
}
