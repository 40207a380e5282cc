import type { Duplex } from 'node:stream';
import type { WebSocket } from 'ws';
import type { Ending } from './faults.ts';
import { disconnectPush } from './wire-words.ts';

/** Real milliseconds that a piece of a frame has to get out before the connection ends. */
const HALF_FRAME_MS = 5;

/** One WebSocket of the server's: what is said on it, or isn't, and how it ends. */
export class HostileSocket {
  readonly #ws: WebSocket;
  readonly #socket: Duplex;
  readonly #onOver: () => void;
  readonly #timers = new Set<NodeJS.Timeout>();
  #isOver = false;
  #isMute = false;
  #isDeaf = false;
  /** Lines that are to come as one message. */
  #gathered: string[] | null = null;

  /** @param onOver is called once, when nothing is said or heard any more */
  constructor(ws: WebSocket, socket: Duplex, onOver: () => void) {
    this.#ws = ws;
    this.#socket = socket;
    this.#onOver = onOver;
    ws.on('close', () => this.#over());
    ws.on('error', () => {});
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  /** Nothing is said any more. */
  get isMute(): boolean {
    return this.#isMute;
  }

  /** Nothing is heard any more. */
  get isDeaf(): boolean {
    return this.#isOver || this.#isDeaf;
  }

  say(line: string): void {
    if (this.#isOver || this.#isMute || line === '') return;
    if (this.#gathered === null) this.#ws.send(line);
    else this.#gathered.push(line);
  }

  /** Has all that is said for so many milliseconds come as one message. */
  gather(ms: number): void {
    if (this.#gathered !== null) return;
    this.#gathered = [];
    this.later(ms, () => this.#flush());
  }

  /** Calls back then if the connection is still there; with 0 at once. */
  later(ms: number, callback: () => void): void {
    if (ms === 0) {
      callback();
      return;
    }
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      callback();
    }, ms);
    this.#timers.add(timer);
  }

  /** @param line what half of is said, where that is the end */
  end(ending: Ending, line: string): void {
    switch (ending.by) {
      case 'reset':
        this.#socket.destroy();
        break;
      case 'close':
        this.#ws.close(ending.code === 1005 ? undefined : ending.code);
        break;
      case 'disconnect':
        this.#ws.send(disconnectPush(ending.code, ending.afterMs));
        this.#ws.close(ending.code, 'so it is');
        break;
      case 'half_object':
        this.#ws.send(line.slice(0, line.length / 2));
        this.#ws.close(1001);
        break;
      case 'half_frame':
        // A text frame's head that announces 120 bytes.
        this.#socket.write(Buffer.concat([Buffer.from([0x81, 120]), Buffer.from(line.slice(0, 20))]));
        setTimeout(() => this.#socket.destroy(), HALF_FRAME_MS);
        break;
      case 'silence':
        this.#isMute = true;
        this.#isDeaf = ending.isDeaf;
        return;
      case 'nonsense':
        this.#flush();
        if (!this.#isMute && !this.#isOver) this.#ws.send(ending.said);
        return;
    }
    this.#over();
  }

  #flush(): void {
    const lines = this.#gathered ?? [];
    this.#gathered = null;
    this.say(lines.join('\n'));
  }

  #over(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    for (const timer of this.#timers) clearTimeout(timer);
    this.#onOver();
  }
}
