import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { plainAddress } from '../../../src/proxies/plain-address.ts';
import { type HeaderOutcome, ProxyHeaderReader } from '../../../src/proxies/proxy-header.ts';
import { addressesOf, binaryHeader, lineHeader, SIGNATURE } from '../../proxy-headers.ts';
import { cutAt, cuts } from '../protocol/arbitraries.ts';
import { heldPieces } from '../protocol/memory.ts';

interface Read {
  readonly outcome: HeaderOutcome;
  readonly client: string | null;
  /** What is no part of the header, also of what came behind the outcome. */
  readonly rest: string;
}

function read(pieces: readonly Buffer[]): Read {
  const reader = new ProxyHeaderReader();
  let outcome: HeaderOutcome = 'more';
  let after = '';
  for (const piece of pieces) {
    if (outcome === 'more') outcome = reader.push(piece);
    else after += piece.toString('latin1');
  }
  const isThere = outcome === 'found' || outcome === 'absent';
  return { outcome, client: reader.client, rest: isThere ? reader.rest.toString('latin1') + after : '' };
}

const bytewise = (bytes: Buffer) => [...bytes].map((byte) => Buffer.from([byte]));

/** Reads it whole, a byte at a time, and cut in two at every place, which must all be the same. */
function readEveryWay(bytes: Buffer): Read {
  const whole = read([bytes]);
  expect(read(bytewise(bytes))).toEqual(whole);
  for (let at = 0; at <= bytes.length; at += 1) {
    expect(read([bytes.subarray(0, at), bytes.subarray(at)])).toEqual(whole);
  }
  return whole;
}

const IPV6_HEX = '20010db8000000000000000000000001';
const REST = '{"op":"ping"}\n';
const withRest = (header: Buffer | string) => Buffer.concat([Buffer.from(header), Buffer.from(REST)]);
const zeros = (count: number) => Buffer.alloc(count);

describe('ProxyHeaderReader', () => {
  it.each<[string, Buffer | string, string | null]>([
    ['version 1, TCP4', 'PROXY TCP4 192.0.2.1 192.0.2.9 56324 443\r\n', '192.0.2.1'],
    ['version 1, TCP4, ports at their ends', 'PROXY TCP4 192.0.2.1 192.0.2.9 0 65535\r\n', '192.0.2.1'],
    ['version 1, TCP6', 'PROXY TCP6 2001:DB8:0:0::1 2001:db8::2 1 2\r\n', '2001:db8::1'],
    ['version 1, TCP6 of a mapped address', 'PROXY TCP6 ::ffff:192.0.2.1 ::ffff:192.0.2.9 1 2\r\n', '192.0.2.1'],
    [
      'version 1, as long as it gets',
      `PROXY TCP6 ${'ffff:'.repeat(7)}ffff ${'ffff:'.repeat(7)}ffff 65535 65535\r\n`,
      'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff',
    ],
    ['version 1, UNKNOWN', 'PROXY UNKNOWN\r\n', null],
    ['version 1, UNKNOWN with 107 bytes', `PROXY UNKNOWN ${'f'.repeat(91)}\r\n`, null],
    ['version 2, TCP over IPv4', binaryHeader({ body: addressesOf('c0000201') }), '192.0.2.1'],
    ['version 2, TCP over IPv6', binaryHeader({ protocol: 0x21, body: addressesOf(IPV6_HEX) }), '2001:db8::1'],
    [
      'version 2, TCP over IPv6 of a mapped address',
      binaryHeader({ protocol: 0x21, body: addressesOf('00000000000000000000ffffc0000201') }),
      '192.0.2.1',
    ],
    [
      'version 2, with extensions',
      binaryHeader({ body: addressesOf('c0000201', Buffer.alloc(300, '\n')) }),
      '192.0.2.1',
    ],
    ['version 2, as long as it may be', binaryHeader({ body: addressesOf('c0000201', zeros(4_084)) }), '192.0.2.1'],
    ['version 2, LOCAL', binaryHeader({ command: 0, protocol: 0 }), null],
    ['version 2, LOCAL with a body and no family', binaryHeader({ command: 0, protocol: 0xff, body: zeros(20) }), null],
    ['version 2, unspecified', binaryHeader({ protocol: 0 }), null],
    ['version 2, unspecified with a body', binaryHeader({ protocol: 0, body: zeros(12) }), null],
    ['version 2, UDP over IPv4', binaryHeader({ protocol: 0x12, body: addressesOf('c0000201') }), null],
    ['version 2, UNIX stream', binaryHeader({ protocol: 0x31, body: zeros(216) }), null],
  ])('reads %s, and no further', (_name, header, client) => {
    if (header.length < 500) expect(readEveryWay(withRest(header))).toEqual({ outcome: 'found', client, rest: REST });
    expect(read(bytewise(withRest(header)))).toEqual({ outcome: 'found', client, rest: REST });
    expect(readEveryWay(Buffer.from(header).subarray(0, 300).subarray(0, -1)).outcome).toBe('more');
  });

  it.each<[string, string]>([
    ['JSON', '{"op":"connect"}\n'],
    ['words', 'ann\r\n'],
    ['words that begin like version 1', 'PROX\n'],
    ['in other letters', 'proxy TCP4 192.0.2.1 192.0.2.9 1 2\r\n'],
    ['HTTP', 'GET / HTTP/1.1\r\n'],
    ['TLS', '\x16\x03\x01'],
    ['line breaks', '\r\n\r\nann\r\n'],
    ['what is cut short of version 2', `${SIGNATURE.toString('latin1', 0, 11)}?`],
  ])('hands on %s', (_name, text) => {
    const bytes = Buffer.from(text, 'latin1');
    expect(readEveryWay(bytes)).toEqual({ outcome: 'absent', client: null, rest: text });
  });

  it.each<[string, Buffer | string]>([
    ['no space', 'PROXYTCP4 192.0.2.1 192.0.2.9 1 2\r\n'],
    ['nothing', 'PROXY \r\n'],
    ['two spaces', 'PROXY  TCP4 192.0.2.1 192.0.2.9 1 2\r\n'],
    ['a space at its end', 'PROXY TCP4 192.0.2.1 192.0.2.9 1 2 \r\n'],
    ['another protocol', 'PROXY UDP4 192.0.2.1 192.0.2.9 1 2\r\n'],
    ['a longer UNKNOWN', 'PROXY UNKNOWNS\r\n'],
    ['an address of the other family', 'PROXY TCP4 2001:db8::1 2001:db8::2 1 2\r\n'],
    ['addresses of both families', 'PROXY TCP6 2001:db8::1 192.0.2.9 1 2\r\n'],
    ['an address with leading zeros', 'PROXY TCP4 192.0.02.1 192.0.2.9 1 2\r\n'],
    ['a name', 'PROXY TCP4 localhost 192.0.2.9 1 2\r\n'],
    ['an address with a zone', 'PROXY TCP6 fe80::1%eth0 2001:db8::2 1 2\r\n'],
    ['an address too short', 'PROXY TCP6 1:2:3:4:5:6:7 2001:db8::2 1 2\r\n'],
    ['one port', 'PROXY TCP4 192.0.2.1 192.0.2.9 1\r\n'],
    ['a port with a leading zero', 'PROXY TCP4 192.0.2.1 192.0.2.9 01 2\r\n'],
    ['a port above 65535', 'PROXY TCP4 192.0.2.1 192.0.2.9 1 65536\r\n'],
    ['a line feed alone', 'PROXY TCP4 192.0.2.1 192.0.2.9 1 2\n'],
    ['a line feed within', 'PROXY UNKNOWN \nff\r\n'],
    ['a carriage return within', 'PROXY UNKNOWN \rff\r\n'],
    ['108 bytes', `PROXY UNKNOWN ${'f'.repeat(92)}\r\n`],
    ['no end', `PROXY UNKNOWN ${'f'.repeat(1_000)}`],
    ['another version', binaryHeader({ version: 1, body: addressesOf('c0000201') })],
    ['an unassigned command', binaryHeader({ command: 2, body: addressesOf('c0000201') })],
    ['an unspecified family', binaryHeader({ protocol: 0x41, body: addressesOf('c0000201') })],
    ['an unspecified transport', binaryHeader({ protocol: 0x13, body: addressesOf('c0000201') })],
    ['no room for its addresses', binaryHeader({ body: zeros(11) })],
    ['no room for those of IPv6', binaryHeader({ protocol: 0x21, body: zeros(35) })],
    ['a body that is too long', binaryHeader({ body: addressesOf('c0000201', zeros(4_085)) })],
  ])('takes one with %s for malformed', (_name, header) => {
    const bytes = Buffer.from(header);
    expect(read([bytes]).outcome).toBe('malformed');
    expect(read(bytewise(bytes)).outcome).toBe('malformed');
  });

  it('knows from the whole beginning on that a header has begun', () => {
    for (const [beginning, length] of [
      [Buffer.from('PROXY UNKNOWN'), 5],
      [binaryHeader({ command: 0 }), 12],
    ] as const) {
      const reader = new ProxyHeaderReader();
      const begun = bytewise(beginning.subarray(0, 13)).map((piece) => {
        expect(reader.push(piece)).toBe('more');
        return reader.hasBegun;
      });
      expect(begun.indexOf(true)).toBe(length - 1);
      expect(begun.slice(length - 1)).not.toContain(false);
    }
  });

  it('finds every address that a proxy may name', () => {
    const address = fc.oneof(fc.ipV4(), fc.ipV6());
    const rest = fc.uint8Array({ maxLength: 20 }).map((bytes) => Buffer.from(bytes));
    fc.assert(
      fc.property(address, rest, cuts, (client, behind, places) => {
        const pieces = cutAt(Buffer.concat([Buffer.from(lineHeader(client)), behind]), places);
        const expected = { outcome: 'found', client: plainAddress(client), rest: behind.toString('latin1') };
        expect(read(pieces)).toEqual(expected);
      }),
    );
    const bytes = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });
    const extensions = fc.uint8Array({ maxLength: 100 });
    fc.assert(
      fc.property(fc.oneof(bytes(4), bytes(16)), extensions, rest, cuts, (client, tlvs, behind, places) => {
        const hex = Buffer.from(client).toString('hex');
        const protocol = client.length === 4 ? 0x11 : 0x21;
        const header = binaryHeader({ protocol, body: addressesOf(hex, Buffer.from(tlvs)) });
        const pieces = cutAt(Buffer.concat([header, behind]), places);
        const text = client.length === 4 ? client.join('.') : (hex.match(/.{4}/g) ?? []).join(':');
        const expected = { outcome: 'found', client: plainAddress(text), rest: behind.toString('latin1') };
        expect(read(pieces)).toEqual(expected);
      }),
    );
  });

  it('takes whatever comes without a fault, the same however it is cut', () => {
    const noise = fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes));
    const beginning = fc.constantFrom('PROXY TCP4 1.2.3.4 ', 'PROXY ', 'PRO', '', SIGNATURE.toString('latin1'));
    const damaged = fc.tuple(fc.nat(60), fc.nat(255)).map(([at, byte]) => {
      const header = binaryHeader({ protocol: 0x21, body: addressesOf(IPV6_HEX) });
      header[at % header.length] = byte;
      return header;
    });
    const begun = fc
      .tuple(beginning, noise)
      .map(([text, bytes]) => Buffer.concat([Buffer.from(text, 'latin1'), bytes]));
    fc.assert(
      fc.property(fc.oneof(noise, begun, damaged), cuts, (bytes, places) => {
        const whole = read([bytes]);
        expect(read(cutAt(bytes, places))).toEqual(whole);
        expect(read(bytewise(bytes))).toEqual(whole);
        if (whole.outcome === 'absent') expect(whole.rest).toBe(bytes.toString('latin1'));
        if (whole.outcome === 'found') expect(bytes.toString('latin1').endsWith(whole.rest)).toBe(true);
        if (whole.client !== null) expect(plainAddress(whole.client)).toBe(whole.client);
      }),
      { numRuns: 2_000 },
    );
  });

  it('holds none of the extensions that trickle in', async () => {
    const reader = new ProxyHeaderReader();
    reader.push(binaryHeader({ body: addressesOf('c0000201', zeros(4_084)) }).subarray(0, 28));
    const held = await heldPieces(4_000, (piece) => expect(reader.push(piece)).toBe('more'));
    expect(held).toBeLessThan(200);
  });
});
