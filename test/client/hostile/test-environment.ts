import {
  type Environment,
  globalEnvironment,
  type Socket,
  type SocketEvents,
} from '../../../src/client/environment.ts';
import { Random } from '../../faults/random.ts';

/** How a test's computer is. */
export interface TestComputer {
  /** How much faster its time passes than ours. */
  readonly speed: number;
  /** Numbers that it draws are below this. */
  readonly randomShare: number;
}

/** Who looks at a client's sockets, in the order in which things happen. */
export interface Wire {
  /** A socket is being opened; it has the next number, from 0 on. */
  onOpening(socket: number): void;
  /** The client is about to be told; `isLeft`: it has given the socket up itself. */
  onHeard(socket: number, data: unknown, isLeft: boolean): void;
  onSent(socket: number, text: string): void;
}

/** Real sockets and timers, in a time that passes faster, with a computer that may sleep. */
export class TestEnvironment implements Environment {
  /** Set by who looks at it. */
  wire: Wire | null = null;
  readonly #random: Random;
  readonly #randomShare: number;
  readonly #begunWallMs = Date.now();
  /** Since when the time passes as fast as it does now: ours, and its own. */
  #sinceMs = performance.now();
  #sinceOwnMs = 0;
  #speed: number;
  readonly #onlineListeners = new Set<() => void>();
  /** By how much the wall clock was set, and went on while the computer slept. */
  #shiftMs = 0;
  #idCount = 0;
  #socketCount = 0;

  constructor(seed: number, { speed, randomShare }: TestComputer) {
    this.#random = new Random(seed);
    this.#speed = speed;
    this.#randomShare = randomShare;
  }

  wallMs(): number {
    return this.#begunWallMs + this.monotonicMs() + this.#shiftMs;
  }

  monotonicMs(): number {
    return this.#sinceOwnMs + (performance.now() - this.#sinceMs) * this.#speed;
  }

  schedule(callback: () => void, ms: number): () => void {
    const dueMs = this.monotonicMs() + ms;
    let timer: NodeJS.Timeout;
    const wait = () => {
      const leftMs = dueMs - this.monotonicMs();
      // Node's timers may be early, and the time may pass more slowly than it did.
      if (leftMs <= 0) callback();
      else timer = setTimeout(wait, Math.ceil(leftMs / this.#speed));
    };
    timer = setTimeout(wait, Math.ceil(ms / this.#speed));
    return () => clearTimeout(timer);
  }

  random(): number {
    return this.#random.next() * this.#randomShare;
  }

  makeId(): string {
    this.#idCount += 1;
    return `mid-${this.#idCount}-${Math.floor(this.#random.next() * 1e9)}`;
  }

  openSocket(url: string, subprotocols: readonly string[], events: SocketEvents): Socket {
    let isLeft = false;
    const number = this.#socketCount;
    const socket = globalEnvironment.openSocket(url, subprotocols, {
      onOpen: () => events.onOpen(),
      onMessage: (data) => {
        this.wire?.onHeard(number, data, isLeft);
        events.onMessage(data);
      },
      onClose: (code, reason) => events.onClose(code, reason),
    });
    this.#socketCount += 1;
    this.wire?.onOpening(number);
    return {
      send: (text) => {
        this.wire?.onSent(number, text);
        socket.send(text);
      },
      close: (code, reason) => {
        isLeft = true;
        socket.close(code, reason);
      },
    };
  }

  onOnline(listener: () => void): () => void {
    this.#onlineListeners.add(listener);
    return () => this.#onlineListeners.delete(listener);
  }

  /** From now on time passes so much faster than ours. */
  setSpeed(speed: number): void {
    this.#sinceOwnMs = this.monotonicMs();
    this.#sinceMs = performance.now();
    this.#speed = speed;
  }

  /** The computer has a network again. */
  goOnline(): void {
    for (const listener of [...this.#onlineListeners]) listener();
  }

  /** The wall clock goes on by so much, and nothing else does, as in a computer's sleep; negative: it is set back. */
  shiftWall(ms: number): void {
    this.#shiftMs += ms;
  }
}
