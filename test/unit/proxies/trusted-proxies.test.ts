import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { plainAddress } from '../../../src/proxies/plain-address.ts';
import { TrustedProxies } from '../../../src/proxies/trusted-proxies.ts';

describe('plainAddress', () => {
  it.each([
    ['192.0.2.1', '192.0.2.1'],
    ['::ffff:192.0.2.1', '192.0.2.1'],
    ['::FFFF:192.0.2.1', '192.0.2.1'],
    // As uWebSockets.js writes one.
    ['0000:0000:0000:0000:0000:ffff:c000:0201', '192.0.2.1'],
    ['2001:DB8:0:0:0:0:0:1', '2001:db8::1'],
    ['::', '::'],
    ['::1', '::1'],
    ['fe80::1%eth0', 'fe80::1'],
    ['64:ff9b::192.0.2.1', '64:ff9b::c000:201'],
    ['::ffff:0:192.0.2.1', '::ffff:0:c000:201'],
  ])('of %s is %s', (address, plain) => {
    expect(plainAddress(address)).toBe(plain);
  });

  it.each([
    undefined,
    '',
    'localhost',
    'unknown',
    '_hidden',
    '192.0.2.1:80',
    '"192.0.2.1"',
    '[2001:db8::1]',
    '[2001:db8::1]:80',
    '192.0.2',
    '192.0.2.01',
    '192.0.2.1 ',
    '1:2:3:4:5:6:7',
    '::1::',
    '2001:db8::1/64',
  ])('of %s is none', (address) => {
    expect(plainAddress(address)).toBe('');
  });
});

/** Of an address in its bits, written as groups or numbers with dots. */
function textOf(bits: bigint, bitsMax: 32 | 128): string {
  const hex = bits.toString(16).padStart(bitsMax / 4, '0');
  const parts = hex.match(bitsMax === 32 ? /../g : /.{4}/g) ?? [];
  return bitsMax === 32 ? parts.map((part) => Number.parseInt(part, 16)).join('.') : parts.join(':');
}

describe('TrustedProxies', () => {
  it('includes nobody unless somebody is named', () => {
    const none = new TrustedProxies([]);
    expect(none.isEmpty).toBe(true);
    for (const address of ['127.0.0.1', '::1', '']) expect(none.includes(address)).toBe(false);
  });

  it.each([
    [['10.0.0.0/8'], ['10.0.0.0', '10.255.255.255'], ['9.255.255.255', '11.0.0.0', '::', '']],
    [['10.1.2.3/8'], ['10.0.0.0', '10.255.255.255'], ['11.0.0.0']],
    [['192.0.2.1'], ['192.0.2.1'], ['192.0.2.0', '192.0.2.2']],
    [['192.0.2.4/31'], ['192.0.2.4', '192.0.2.5'], ['192.0.2.3', '192.0.2.6']],
    [
      ['fd00::/8', '::1'],
      ['fd00::', 'fdff::1', '::1'],
      ['fc00::', '::2', '127.0.0.1'],
    ],
    [['2001:DB8::1'], ['2001:db8::1'], ['2001:db8::2']],
    [['0.0.0.0/0'], ['192.0.2.1'], ['2001:db8::1']],
    [['::ffff:192.0.2.1'], ['192.0.2.1'], ['192.0.2.2']],
    [['::ffff:10.0.0.0/104'], ['10.0.0.0', '10.255.255.255'], ['11.0.0.0']],
  ])('%j includes %j and not %j', (entries, inside, outside) => {
    const proxies = new TrustedProxies(entries);
    expect(proxies.isEmpty).toBe(false);
    expect(inside.filter((address) => !proxies.includes(address))).toEqual([]);
    expect(outside.filter((address) => proxies.includes(address))).toEqual([]);
  });

  it('includes the addresses whose first bits are those of the network', () => {
    const family = fc.constantFrom<32 | 128>(32, 128);
    const prefixed = family.chain((bitsMax) =>
      fc.record({
        bitsMax: fc.constant(bitsMax),
        network: fc.bigInt(0n, 2n ** BigInt(bitsMax) - 1n),
        prefix: fc.nat(bitsMax),
        // Near to the network, or far from it.
        flipped: fc.oneof(fc.nat(bitsMax - 1), fc.constant(null)),
        noise: fc.bigInt(0n, 2n ** BigInt(bitsMax) - 1n),
      }),
    );
    fc.assert(
      fc.property(prefixed, ({ bitsMax, network, prefix, flipped, noise }) => {
        const address = flipped === null ? noise : network ^ (1n << BigInt(flipped));
        const outside = BigInt(bitsMax - prefix);
        const proxies = new TrustedProxies([`${textOf(network, bitsMax)}/${prefix}`]);
        const isWithin = address >> outside === network >> outside;
        expect(proxies.includes(plainAddress(textOf(address, bitsMax)))).toBe(isWithin);
      }),
      { numRuns: 1_000 },
    );
  });

  it.each([
    'localhost',
    'haproxy.example',
    '10.0.0.0/33',
    '10.0.0.0/08',
    '10.0.0.0/',
    '10.0.0/8',
    '10.0.0.0/8/8',
    '10.0.0.0-10.0.0.9',
    '10.0.0.1:80',
    'fd00::/129',
    'fd00::/-1',
    '[fd00::]/8',
    'fe80::1%eth0',
    '::ffff:10.0.0.0/95',
    '::ffff:10.0.0.0/129',
    ' ',
  ])('refuses %j, by its name', (entry) => {
    expect(() => new TrustedProxies(['127.0.0.1', entry])).toThrow(`"${entry}" `);
  });
});

describe('TrustedProxies.clientOf', () => {
  const proxies = new TrustedProxies(['10.0.0.0/8', 'fd00::/8']);
  const clientOf = (peer: string, forwardedFor: string | undefined) => proxies.clientOf(peer, () => forwardedFor);

  it.each<[string | undefined, string]>([
    [undefined, '10.0.0.1'],
    ['', '10.0.0.1'],
    ['192.0.2.1', '192.0.2.1'],
    [' \t192.0.2.1\t ', '192.0.2.1'],
    ['192.0.2.1,10.0.0.2', '192.0.2.1'],
    ['192.0.2.1, 10.0.0.2, fd00::3', '192.0.2.1'],
    ['2001:DB8:0::1', '2001:db8::1'],
    ['::ffff:192.0.2.1', '192.0.2.1'],
    // What is before the first address that is not trusted, is whatever a client says.
    ['198.51.100.7, 192.0.2.1', '192.0.2.1'],
    ['10.0.0.9, 192.0.2.1, 10.0.0.2', '192.0.2.1'],
    ['nonsense, 192.0.2.1', '192.0.2.1'],
    // Proxies all the way.
    ['10.0.0.3, 10.0.0.2', '10.0.0.3'],
    [',10.0.0.3', '10.0.0.3'],
    // Up to what is no address.
    ['unknown', '10.0.0.1'],
    ['192.0.2.1, unknown', '10.0.0.1'],
    ['192.0.2.1, _hidden, 10.0.0.2', '10.0.0.2'],
    ['192.0.2.1:4711', '10.0.0.1'],
    ['[2001:db8::1]:4711', '10.0.0.1'],
    ['"192.0.2.1"', '10.0.0.1'],
    ['192.0.2.1,', '10.0.0.1'],
    ['192.0.2.1,,10.0.0.2', '10.0.0.2'],
    ['192.0.2.1 10.0.0.2', '10.0.0.1'],
    ['192.0.2.1\u00a0x', '10.0.0.1'],
  ])('of a trusted proxy that has it from "%s" is %s', (forwardedFor, client) => {
    expect(clientOf('10.0.0.1', forwardedFor)).toBe(client);
  });

  it('of anybody else is the peer, whose header is not looked at', () => {
    const unread = () => {
      throw new Error('it was asked for');
    };
    expect(proxies.clientOf('192.0.2.7', unread)).toBe('192.0.2.7');
    expect(new TrustedProxies([]).clientOf('10.0.0.1', unread)).toBe('10.0.0.1');
    expect(proxies.clientOf('', unread)).toBe('');
  });

  it('is always the peer or an address of the chain, and its last one that is not trusted, up to the first fault', () => {
    const entry = fc.oneof(
      fc.constantFrom('10.0.0.2', 'fd00::1', '192.0.2.1', '2001:db8::1', 'unknown', '', ' 192.0.2.2 ', '10.0.0.3\t'),
      fc.ipV4(),
      fc.ipV6(),
      fc.string({ unit: 'binary-ascii' }),
    );
    fc.assert(
      fc.property(fc.array(entry, { maxLength: 8 }), (entries) => {
        const chain = entries.join(',');
        let expected = '10.0.0.1';
        for (const each of chain.split(',').reverse()) {
          if (!proxies.includes(expected) || plainAddress(each.trim()) === '') break;
          expected = plainAddress(each.trim());
        }
        expect(clientOf('10.0.0.1', chain)).toBe(expected);
      }),
      { numRuns: 1_000 },
    );
  });
});
