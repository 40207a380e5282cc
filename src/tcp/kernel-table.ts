import { isIPv4, isIPv6 } from 'node:net';
import { endianness } from 'node:os';

/** What is needed of a `net.Socket` or `tls.TLSSocket`: the connection's own ends, whatever a proxy says of others. */
export interface Connected {
  readonly localAddress?: string | undefined;
  readonly localPort?: number | undefined;
  readonly remoteAddress?: string | undefined;
  readonly remotePort?: number | undefined;
}

/** What a line says of what was sent in vain. */
export interface Unanswered {
  /** The digit of the timer that sends again. */
  readonly timer: number;
  /** Sendings without an answer, at least 1. */
  readonly count: number;
  /** Until it sends again. */
  readonly whenMs: number;
}

const SPACE = 0x20;
const COLON = 0x3a;
const LINE_BREAK = 0x0a;
const TIMER_RETRANSMIT = 1;
const TIMER_KEEPALIVE = 2;
const TIMER_PROBE = 4;
/** USER_HZ is 100 wherever Node runs. */
const CLOCK_TICK_MS = 10;

/**
 * Connections of ours in one of the Linux kernel's tables, /proc/net/tcp or /proc/net/tcp6. Their columns are
 * printed by get_tcp4_sock in net/ipv4/tcp_ipv4.c and get_tcp6_sock in net/ipv6/tcp_ipv6.c:
 *
 *     sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
 *      2: 0100007F:892F 0100007F:E016 01 0039DC00:00000000 04:00000015 00000000     0        0 1890018 …
 *
 * - addresses: words of 32 bits in the host's byte order, as hex; ports: hex
 * - st: the state (01 established, 0A listening)
 * - tx_queue: bytes written and not acknowledged, on their way or not yet sent; rx_queue: received and not read
 * - tr: the timer that runs: 0 none, 1 retransmission (or one of its tail-loss and reordering timers), 2 keepalive or
 *   another of that slot, 3 TIME_WAIT, 4 zero-window probe; tm->when: when it fires, in clock ticks of 10 ms, hex
 * - retrnsmt: icsk_retransmits, hex: retransmissions by timeout since an acknowledgement moved forward (tcp_ack)
 * - timeout: icsk_probes_out, decimal: zero-window or keepalive probes since any acknowledgement (tcp_ack)
 */
export class KernelTable<T> {
  readonly path: string;
  /** What {@link find} found last: one object for all, since it is asked of every line. */
  readonly found = { timer: 0, count: 0, whenMs: 0 } satisfies Unanswered;
  readonly #addressDigits: number;
  readonly #byKey = new Map<string, T>();
  /** How many there are by local port. */
  readonly #ports = new Map<number, number>();

  constructor(path: string, family: 4 | 6) {
    this.path = path;
    this.#addressDigits = family === 4 ? 8 : 32;
  }

  get size(): number {
    return this.#byKey.size;
  }

  /** `key`: see {@link keyOf}. One that has the same takes its place. */
  set(key: string, connection: T): void {
    if (!this.#byKey.has(key)) this.#countPort(key, 1);
    this.#byKey.set(key, connection);
  }

  /** Idempotent. */
  delete(key: string, connection: T): void {
    // A later connection may have the same addresses and ports.
    if (this.#byKey.get(key) !== connection) return;
    this.#byKey.delete(key);
    this.#countPort(key, -1);
  }

  /** The connection in this line if it is one of ours and has something unanswered: then {@link found} says what. */
  find(bytes: Buffer, start: number, end: number): T | null {
    const local = bytes.indexOf(COLON, start) + 2;
    const remote = local + this.#addressDigits + 6;
    /** The end of the remote port. */
    const after = remote + this.#addressDigits + 5;
    if (after + 43 > end || bytes[after] !== SPACE || bytes[after + 24] !== COLON || bytes[after + 33] !== SPACE) {
      return null;
    }
    const timer = hex(bytes, after + 22, 2);
    if (timer !== TIMER_RETRANSMIT && timer !== TIMER_PROBE && timer !== TIMER_KEEPALIVE) return null;
    if (!this.#ports.has(hex(bytes, remote - 5, 4))) return null;
    const count = timer === TIMER_RETRANSMIT ? hex(bytes, after + 34, 8) : secondNumber(bytes, after + 42, end);
    if (count === 0) return null;
    const connection = this.#byKey.get(bytes.toString('latin1', local, after));
    if (connection === undefined) return null;
    this.found.timer = timer;
    this.found.count = count;
    this.found.whenMs = hex(bytes, after + 25, 8) * CLOCK_TICK_MS;
    return connection;
  }

  #countPort(key: string, by: 1 | -1): void {
    const end = this.#addressDigits + 5;
    const port = Number.parseInt(key.slice(end - 4, end), 16);
    const count = (this.#ports.get(port) ?? 0) + by;
    if (count > 0) this.#ports.set(port, count);
    else this.#ports.delete(port);
  }
}

/** Cuts chunks into lines. */
export class Lines {
  readonly #onLine: (bytes: Buffer, start: number, end: number) => void;
  /** The beginning of a line whose end is still to come. */
  #rest: Buffer | null = null;

  constructor(onLine: (bytes: Buffer, start: number, end: number) => void) {
    this.#onLine = onLine;
  }

  push(chunk: Buffer): void {
    // Copied: the chunk's memory is the next one's.
    const bytes = this.#rest === null ? chunk : Buffer.concat([this.#rest, chunk]);
    let start = 0;
    for (;;) {
      const end = bytes.indexOf(LINE_BREAK, start);
      if (end === -1) break;
      this.#onLine(bytes, start, end);
      start = end + 1;
    }
    this.#rest = start === bytes.length ? null : Buffer.from(bytes.subarray(start));
  }
}

function hex(bytes: Buffer, at: number, digits: number): number {
  let value = 0;
  for (let i = at; i < at + digits; i += 1) {
    const digit = bytes[i] ?? 0;
    value = value * 16 + (digit & 0x0f) + (digit > 0x39 ? 9 : 0);
  }
  return value;
}

/** The second of the decimal numbers from here, whose widths vary: after the user's comes icsk_probes_out. */
function secondNumber(bytes: Buffer, at: number, end: number): number {
  let i = at;
  while (i < end && bytes[i] === SPACE) i += 1;
  while (i < end && bytes[i] !== SPACE) i += 1;
  while (i < end && bytes[i] === SPACE) i += 1;
  let value = 0;
  for (; i < end && bytes[i] !== SPACE; i += 1) value = value * 10 + ((bytes[i] ?? 0) & 0x0f);
  return value;
}

/** Both ends as the kernel prints them, `0100007F:892F 0100007F:E016`; null if the socket is not connected. */
export function keyOf(socket: Connected, byteOrder: 'BE' | 'LE' = endianness()): string | null {
  const { localAddress, localPort, remoteAddress, remotePort } = socket;
  if (localAddress === undefined || localPort === undefined) return null;
  if (remoteAddress === undefined || remotePort === undefined) return null;
  const port = (number: number) => number.toString(16).toUpperCase().padStart(4, '0');
  const local = `${addressDigits(localAddress, byteOrder)}:${port(localPort)}`;
  return `${local} ${addressDigits(remoteAddress, byteOrder)}:${port(remotePort)}`;
}

function addressDigits(address: string, byteOrder: 'BE' | 'LE'): string {
  const bytes = Buffer.from(addressBytes(address));
  if (byteOrder === 'LE') bytes.swap32();
  return bytes.toString('hex').toUpperCase();
}

function addressBytes(address: string): number[] {
  if (isIPv4(address)) return address.split('.').map(Number);
  // `fe80::1%eth0`: the interface is no part of what the kernel prints.
  const bare = address.replace(/%.*$/, '');
  if (!isIPv6(bare)) throw new RangeError(`Not an address: ${address}`);
  const [head = '', tail] = bare.split('::');
  const front = groupBytes(head);
  if (tail === undefined) return front;
  const back = groupBytes(tail);
  return [...front, ...new Array<number>(16 - front.length - back.length).fill(0), ...back];
}

/** `ffff:127.0.0.1`. */
function groupBytes(groups: string): number[] {
  if (groups === '') return [];
  return groups.split(':').flatMap((group) => {
    if (group.includes('.')) return group.split('.').map(Number);
    const value = Number.parseInt(group, 16);
    return [value >> 8, value & 0xff];
  });
}
