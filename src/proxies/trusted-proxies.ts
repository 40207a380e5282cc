import { BlockList, isIPv4 } from 'node:net';
import { plainAddress } from './plain-address.ts';

const FORM = /^([\da-fA-F:.]+)(?:\/(0|[1-9]\d{0,2}))?$/;
/** Bits of an IPv4 address that is mapped into IPv6 before its own. */
const MAPPED_BITS = 96;

/** The proxies whose word on where a client comes from counts. */
export class TrustedProxies {
  readonly #networks: BlockList | null;

  /** `entries`: addresses, and networks such as `10.0.0.0/8` and `fd00::/8`. @throws RangeError naming a bad one */
  constructor(entries: readonly string[]) {
    const networks = new BlockList();
    for (const entry of entries) add(networks, entry);
    this.#networks = entries.length > 0 ? networks : null;
  }

  get isEmpty(): boolean {
    return this.#networks === null;
  }

  /** `address`: a plain one. */
  includes(address: string): boolean {
    if (this.#networks === null || address === '') return false;
    return this.#networks.check(address, isIPv4(address) ? 'ipv4' : 'ipv6');
  }

  /**
   * Where the client of an HTTP connection is, as a plain address: its peer, unless that is a trusted proxy; then
   * whoever the last trusted proxy of the chain says it had it from. `forwardedFor` gives the X-Forwarded-For of the
   * request, its lines in order and joined by commas; it is asked for only where it counts.
   *
   * What a client wrote there itself is before what proxies have added, so it is read from its end, up to the first
   * address that is no trusted proxy's, and no further than what is no address. The work is bounded by the size of a
   * request's head, which both servers bound.
   */
  clientOf(peer: string, forwardedFor: () => string | undefined): string {
    let client = peer;
    if (!this.includes(peer)) return client;
    const chain = forwardedFor() ?? '';
    let end = chain.length;
    while (end > 0 && this.includes(client)) {
      const start = chain.lastIndexOf(',', end - 1) + 1;
      const address = plainAddress(chain.slice(start, end).trim());
      if (address === '') break;
      client = address;
      end = start - 1;
    }
    return client;
  }
}

function add(networks: BlockList, entry: string): void {
  const [, text = '', bits] = FORM.exec(entry) ?? [];
  const address = plainAddress(text);
  if (address === '') throw new RangeError(`"${entry}" is neither an address nor a network`);
  const bitsMax = isIPv4(address) ? 32 : 128;
  // A network of IPv4 may be given as it is mapped into IPv6.
  const mappedBits = isIPv4(address) && !isIPv4(text) ? MAPPED_BITS : 0;
  const prefix = bits === undefined ? bitsMax : Number(bits) - mappedBits;
  if (prefix < 0 || prefix > bitsMax) throw new RangeError(`"${entry}" has no such network`);
  networks.addSubnet(address, prefix, isIPv4(address) ? 'ipv4' : 'ipv6');
}
