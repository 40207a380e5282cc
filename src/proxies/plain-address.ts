import { isIPv4, isIPv6, SocketAddress } from 'node:net';

const MAPPED = '::ffff:';

/**
 * An address in the one form in which addresses are compared: IPv4 as it is, also one mapped into IPv6, as a socket
 * that takes both has it; IPv6 as inet_ntop writes it, without a zone. `''` for what is no address.
 * It is no part of a longer string, all of which would be kept as long as the address: for a session.
 */
export function plainAddress(text: string | undefined): string {
  if (text === undefined) return '';
  if (isIPv4(text)) return Buffer.from(text, 'latin1').toString('latin1');
  if (!isIPv6(text)) return '';
  const { address } = new SocketAddress({ address: text, family: 'ipv6' });
  const mapped = address.startsWith(MAPPED) ? address.slice(MAPPED.length) : '';
  return isIPv4(mapped) ? mapped : address;
}
