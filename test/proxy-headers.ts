/** The PROXY protocol's version 2 begins so. */
export const SIGNATURE = Buffer.from('0d0a0d0a000d0a515549540a', 'hex');

export interface BinaryHeader {
  readonly version?: number;
  /** 0: LOCAL, 1: PROXY. */
  readonly command?: number;
  /** 0x11: TCP over IPv4, 0x21: over IPv6. */
  readonly protocol?: number;
  /** Addresses, ports and extensions. */
  readonly body?: Buffer;
}

/** A header of version 2. */
export function binaryHeader({ version = 2, command = 1, protocol = 0x11, body }: BinaryHeader): Buffer {
  const content = body ?? Buffer.alloc(0);
  const length = Buffer.alloc(2);
  length.writeUInt16BE(content.length);
  return Buffer.concat([SIGNATURE, Buffer.from([(version << 4) | command, protocol]), length, content]);
}

/** What a header of version 2 says of a client with this address: 4 or 16 bytes as hex. Ports are 1 and 2. */
export function addressesOf(clientHex: string, extensions: Buffer = Buffer.alloc(0)): Buffer {
  const client = Buffer.from(clientHex, 'hex');
  return Buffer.concat([client, Buffer.alloc(client.length, 9), Buffer.from([0, 1, 0, 2]), extensions]);
}

/** A header of version 1 for a client with this address. */
export function lineHeader(client: string): string {
  return client.includes(':') ? `PROXY TCP6 ${client} 2001:db8::9 1 2\r\n` : `PROXY TCP4 ${client} 192.0.2.9 1 2\r\n`;
}
