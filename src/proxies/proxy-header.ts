import { isIPv4, isIPv6 } from 'node:net';
import { plainAddress } from './plain-address.ts';

/**
 * - `more`: more bytes are needed;
 * - `found`: the header is there, and {@link ProxyHeaderReader.client} and `rest` say what it was;
 * - `absent`: what came is no header, and all of it is in `rest`;
 * - `malformed`: it began like one, and is none.
 */
export type HeaderOutcome = 'more' | 'found' | 'absent' | 'malformed';

/** What is waited for next. */
type State = 'beginning' | 'line' | 'head' | 'addresses' | 'extensions';

const NOTHING = Buffer.alloc(0);
/** Version 1 is a line; its longest has 107 bytes with its CRLF (section 2.1). */
const LINE_BEGINNING = Buffer.from('PROXY');
const LINE_BYTES_MAX = 107;
const LINE_FEED = 0x0a;
const LINE = /^PROXY (TCP[46]) ([\da-fA-F:.]+) ([\da-fA-F:.]+) (0|[1-9]\d{0,4}) (0|[1-9]\d{0,4})\r\n$/;
const UNKNOWN_LINE = /^PROXY UNKNOWN(?: [^\r\n]*)?\r\n$/;
const PORT_MAX = 65_535;
/** Version 2 is binary, with a head of 16 bytes (section 2.2): this, version and command, family, length. */
const SIGNATURE = Buffer.from('\r\n\r\n\0\r\nQUIT\n', 'latin1');
const HEAD_BYTES = 16;
/** Of what comes behind that head: addresses, and extensions such as a client's certificate. */
const BODY_BYTES_MAX = 4_096;
const VERSION_2 = 2;
const COMMANDS = { local: 0, proxy: 1 } as const;
const FAMILY_MAX = 3;
const PROTOCOL_MAX = 2;
/** TCP over IPv4 and IPv6: bytes of the client's address, and of both addresses and ports. */
const ADDRESSES: Readonly<Record<number, { readonly clientBytes: number; readonly bytes: number }>> = {
  17: { clientBytes: 4, bytes: 12 },
  33: { clientBytes: 16, bytes: 36 },
};

/**
 * Reads the PROXY protocol's header, version 1 or 2, from a connection's first bytes, whatever the chunks they come in:
 * https://www.haproxy.org/download/2.6/doc/proxy-protocol.txt. What is held until it is complete is bounded by 107
 * bytes. Extensions (TLVs) are skipped, a checksum among them too: TCP has its own.
 */
export class ProxyHeaderReader {
  #state: State = 'beginning';
  /** What came and is not used up: while more is needed fewer than 107 bytes. */
  #bytes: Buffer = NOTHING;
  /** Of version 2: how many are to come behind what was read. */
  #bodyBytes = 0;
  #protocol = 0;
  #client: string | null = null;

  /** A plain address, or null where the connection is the proxy's own, or the proxy doesn't know. Once it is found. */
  get client(): string | null {
    return this.#client;
  }

  /** What came and is no part of a header. */
  get rest(): Buffer {
    return this.#bytes;
  }

  /** Whether what came can't be anything else than a header. */
  get hasBegun(): boolean {
    return this.#state !== 'beginning';
  }

  /** The chunk is kept, not copied. To be called until the outcome is another one than `more`. */
  push(chunk: Buffer): HeaderOutcome {
    this.#bytes = this.#bytes.length === 0 ? chunk : Buffer.concat([this.#bytes, chunk]);
    for (;;) {
      const outcome = this.#step();
      if (outcome !== null) return outcome;
    }
  }

  /** Null: on to the next state. */
  #step(): HeaderOutcome | null {
    switch (this.#state) {
      case 'beginning':
        return this.#readBeginning();
      case 'line':
        return this.#readLine();
      case 'head':
        return this.#readHead();
      case 'addresses':
        return this.#readAddresses();
      case 'extensions':
        return this.#skipExtensions();
    }
  }

  #readBeginning(): HeaderOutcome | null {
    for (const [beginning, next] of [
      [LINE_BEGINNING, 'line'],
      [SIGNATURE, 'head'],
    ] as const) {
      const length = Math.min(this.#bytes.length, beginning.length);
      if (this.#bytes.compare(beginning, 0, length, 0, length) !== 0) continue;
      if (length < beginning.length) return 'more';
      this.#state = next;
      return null;
    }
    return 'absent';
  }

  #readLine(): HeaderOutcome {
    const lineFeed = this.#bytes.indexOf(LINE_FEED);
    if (lineFeed === -1) return this.#bytes.length < LINE_BYTES_MAX ? 'more' : 'malformed';
    if (lineFeed >= LINE_BYTES_MAX) return 'malformed';
    const line = this.#take(lineFeed + 1).toString('latin1');
    if (UNKNOWN_LINE.test(line)) return 'found';
    const [, family, client = '', server = '', ...ports] = LINE.exec(line) ?? [];
    const isAddress = family === 'TCP4' ? isIPv4 : isIPv6;
    if (!isAddress(client) || !isAddress(server) || ports.some((port) => Number(port) > PORT_MAX)) return 'malformed';
    this.#client = plainAddress(client);
    return 'found';
  }

  #readHead(): HeaderOutcome | null {
    if (this.#bytes.length < HEAD_BYTES) return 'more';
    const head = this.#take(HEAD_BYTES);
    const [versionAndCommand = 0, protocol = 0] = head.subarray(SIGNATURE.length);
    const command = versionAndCommand & 0x0f;
    this.#bodyBytes = head.readUInt16BE(HEAD_BYTES - 2);
    if (versionAndCommand >> 4 !== VERSION_2 || this.#bodyBytes > BODY_BYTES_MAX) return 'malformed';
    if (command === COMMANDS.local) {
      this.#state = 'extensions';
      return null;
    }
    const isKnown = protocol >> 4 <= FAMILY_MAX && (protocol & 0x0f) <= PROTOCOL_MAX;
    if (command !== COMMANDS.proxy || !isKnown) return 'malformed';
    this.#protocol = protocol;
    this.#state = 'addresses';
    return null;
  }

  #readAddresses(): HeaderOutcome | null {
    const addresses = ADDRESSES[this.#protocol];
    if (addresses !== undefined) {
      const { clientBytes, bytes } = addresses;
      if (this.#bodyBytes < bytes) return 'malformed';
      if (this.#bytes.length < bytes) return 'more';
      this.#client = addressOf(this.#take(bytes).subarray(0, clientBytes));
      this.#bodyBytes -= bytes;
    }
    // Of what is no TCP the header may be taken for one that says nothing.
    this.#state = 'extensions';
    return null;
  }

  #skipExtensions(): HeaderOutcome {
    this.#bodyBytes -= this.#take(Math.min(this.#bodyBytes, this.#bytes.length)).length;
    return this.#bodyBytes === 0 ? 'found' : 'more';
  }

  #take(count: number): Buffer {
    const taken = this.#bytes.subarray(0, count);
    this.#bytes = this.#bytes.subarray(count);
    return taken;
  }
}

/** 4 or 16 bytes as a plain address. */
function addressOf(bytes: Buffer): string {
  if (bytes.length === 4) return bytes.join('.');
  const groups = bytes.toString('hex').match(/.{4}/g) ?? [];
  return plainAddress(groups.join(':'));
}
