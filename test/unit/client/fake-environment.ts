import type { Environment, Socket, SocketEvents } from '../../../src/client/environment.ts';
import { Random } from '../../faults/random.ts';

const BEGUN_MS = 1_700_000_000_000;

interface Timer {
  readonly atMs: number;
  readonly callback: () => void;
}

/** A machine whose clocks, chance and network the test has in its hands. Nothing happens by itself. */
export class FakeEnvironment implements Environment {
  /** Every socket that was opened, oldest first. */
  readonly sockets: FakeSocket[] = [];
  /** What `random` gives next, before it goes on as it was made. */
  readonly rolls: number[] = [];
  readonly random: () => number;
  /** Called with each new socket, before the client has it. */
  onSocket: (socket: FakeSocket) => void = () => {};
  /** Whether the network takes this URL and these subprotocols; else `openSocket` throws, as a browser's does. */
  takes: (url: string, subprotocols: readonly string[]) => boolean = () => true;
  #wallMs = BEGUN_MS;
  #monotonicMs = 0;
  #ids = 0;
  readonly #timers = new Set<Timer>();
  readonly #onlineListeners = new Set<() => void>();

  /** @param random where chance comes from */
  constructor(random: Pick<Random, 'next'> = new Random(1)) {
    this.random = () => this.rolls.shift() ?? random.next();
  }

  wallMs(): number {
    return this.#wallMs;
  }

  monotonicMs(): number {
    return this.#monotonicMs;
  }

  schedule(callback: () => void, ms: number): () => void {
    if (!(ms >= 0)) throw new Error(`a timer of ${ms} ms`);
    const timer = { atMs: this.#monotonicMs + ms, callback };
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  }

  makeId(): string {
    this.#ids += 1;
    return `id-${this.#ids}`;
  }

  openSocket(url: string, subprotocols: readonly string[], events: SocketEvents): Socket {
    if (!this.takes(url, subprotocols)) throw new SyntaxError(`cannot open ${url}`);
    const socket = new FakeSocket(url, subprotocols, events);
    this.sockets.push(socket);
    this.onSocket(socket);
    return socket;
  }

  onOnline(listener: () => void): () => void {
    this.#onlineListeners.add(listener);
    return () => this.#onlineListeners.delete(listener);
  }

  /** The socket opened last. */
  get socket(): FakeSocket {
    const socket = this.sockets.at(-1);
    if (socket === undefined) throw new Error('no socket was opened');
    return socket;
  }

  /** Sockets that the client has not let go of. */
  get liveSockets(): FakeSocket[] {
    return this.sockets.filter(({ isLive }) => isLive);
  }

  /** Milliseconds from now at which timers are due, soonest first. */
  get timers(): number[] {
    return [...this.#timers].map(({ atMs }) => atMs - this.#monotonicMs).sort((a, b) => a - b);
  }

  get onlineListeners(): number {
    return this.#onlineListeners.size;
  }

  /** The browser says that there is a network. */
  goOnline(): void {
    for (const listener of [...this.#onlineListeners]) listener();
  }

  /** Time goes by: timers fire when they are due, each after all that the one before has set off. */
  async pass(ms: number): Promise<void> {
    const endMs = this.#monotonicMs + ms;
    await settled();
    for (let timer = this.#nextDue(endMs); timer !== undefined; timer = this.#nextDue(endMs)) {
      this.#advance(Math.max(timer.atMs - this.#monotonicMs, 0));
      this.#timers.delete(timer);
      timer.callback();
      await settled();
    }
    this.#advance(endMs - this.#monotonicMs);
  }

  /** The computer sleeps: only the clock on its wall goes on. */
  sleep(ms: number): void {
    this.#wallMs += ms;
  }

  /** The program stands still while the clocks go on. Its timers fire when it wakes, late and in their order. */
  async freeze(ms: number): Promise<void> {
    this.#advance(ms);
    await this.pass(0);
  }

  setWallBack(ms: number): void {
    this.#wallMs -= ms;
  }

  #advance(ms: number): void {
    this.#wallMs += ms;
    this.#monotonicMs += ms;
  }

  /** Of timers due at the same time, the one that was set first. */
  #nextDue(endMs: number): Timer | undefined {
    let next: Timer | undefined;
    for (const timer of this.#timers) {
      if (timer.atMs <= endMs && (next === undefined || timer.atMs < next.atMs)) next = timer;
    }
    return next;
  }
}

/** A WebSocket as the client sees it; the test is the network and the server. */
export class FakeSocket implements Socket {
  readonly url: string;
  readonly subprotocols: readonly string[];
  /** Messages of the client, each with one or more lines. */
  readonly sent: string[] = [];
  state: 'opening' | 'open' | 'closing' | 'closed' = 'opening';
  /** By the client. */
  closedWith: { readonly code: number; readonly reason: string } | null = null;
  onSent: (text: string) => void = () => {};
  /** As Node's socket that never opened: it tells of its end within `close`. */
  closesAtOnce = false;
  readonly #events: SocketEvents;

  constructor(url: string, subprotocols: readonly string[], events: SocketEvents) {
    this.url = url;
    this.subprotocols = subprotocols;
    this.#events = events;
  }

  get isLive(): boolean {
    return this.state === 'opening' || this.state === 'open';
  }

  send(text: string): void {
    // As a browser's does.
    if (this.state === 'opening') throw new Error('InvalidStateError: the socket is not open yet');
    if (this.state !== 'open') return;
    this.sent.push(text);
    this.onSent(text);
  }

  close(code: number, reason: string): void {
    if (code !== 1000 && !(code >= 3000 && code <= 4999)) throw new Error(`InvalidAccessError: close code ${code}`);
    if (!this.isLive) return;
    this.state = 'closing';
    this.closedWith = { code, reason };
    if (this.closesAtOnce) this.closes(1006);
  }

  opens(): void {
    if (this.state !== 'opening') throw new Error(`a socket that is ${this.state} opens`);
    this.state = 'open';
    this.#events.onOpen();
  }

  /** A message from the server: text as it is, everything else as lines of JSON. What comes behind a close is dropped. */
  says(...lines: readonly unknown[]): void {
    if (this.state !== 'open') return;
    this.#events.onMessage(lines.map((line) => (typeof line === 'string' ? line : JSON.stringify(line))).join('\n'));
  }

  saysRaw(data: unknown): void {
    this.#events.onMessage(data);
  }

  /** The connection ends: by the server, the network, or at the client's wish. */
  closes(code = 1006, reason = ''): void {
    if (this.state === 'closed') throw new Error('a socket closes twice');
    this.state = 'closed';
    this.#events.onClose(code, reason);
  }
}

/** Lets everything happen that waits for nothing but the present turn of the event loop. */
export function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
