import type { LoadOptions } from './load-options.ts';

/** Those of the machine's own services, and what people use by hand, come from the first. */
const FIRST = 10;

/**
 * Loopback addresses that sessions come from in turn, so that each has ports of its own. None for a gateway elsewhere,
 * which they do not lead to.
 */
export function addressesOf({ addresses, given }: Pick<LoadOptions, 'addresses' | 'given'>): string[] {
  const hosts = [...(given?.urls ?? []).map(({ hostname }) => hostname), ...(given?.tcp ?? [])];
  if (!hosts.every((host) => host === 'localhost' || host.startsWith('127.'))) return [];
  return Array.from({ length: addresses }, (_, index) => `127.0.0.${FIRST + index}`);
}
