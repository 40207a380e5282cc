import type { Socket } from 'node:net';
import { Timeout, type TimerWheel } from '../limits/timer-wheel.ts';
import { GREETING } from '../protocol/text-dialect.ts';

export interface FirstBytesListener {
  onData(chunk: Buffer): void;
  /** The client has sent its last byte. */
  onEnd(): void;
  /** The time is over; the wait goes on unless it is ended. */
  onTimeout(): void;
  /** The wait was ended, or the connection is gone. Called once, last. */
  onDone(): void;
}

export interface FirstBytesSettings {
  /** Milliseconds for all of them. */
  readonly timeoutMs: number;
  /** Milliseconds of silence after which a person is greeted; null: never. */
  readonly greetingMs: number | null;
}

/** Waits for what a connection says first. Nothing of it stays on the socket when the wait is over. */
export class FirstBytes {
  readonly #socket: Socket;
  readonly #wheel: TimerWheel;
  readonly #listener: FirstBytesListener;
  readonly #silent: Timeout;
  readonly #late: Timeout;
  readonly #end: () => void;
  #wasGreeted = false;

  constructor(socket: Socket, wheel: TimerWheel, settings: FirstBytesSettings, listener: FirstBytesListener) {
    this.#socket = socket;
    this.#wheel = wheel;
    this.#listener = listener;
    this.#silent = new Timeout(() => this.#greet());
    this.#late = new Timeout(() => listener.onTimeout());
    const onData = (chunk: Buffer) => this.hear(chunk);
    const onEnd = () => listener.onEnd();
    this.#end = () => {
      wheel.clear(this.#silent);
      wheel.clear(this.#late);
      socket.off('data', onData).off('end', onEnd).off('close', this.#end);
      listener.onDone();
    };
    socket.on('data', onData).on('end', onEnd).on('close', this.#end);
    if (settings.greetingMs !== null) wheel.set(this.#silent, settings.greetingMs);
    wheel.set(this.#late, settings.timeoutMs);
  }

  get wasGreeted(): boolean {
    return this.#wasGreeted;
  }

  /** For what has come already. */
  hear(chunk: Buffer): void {
    this.#wheel.clear(this.#silent);
    this.#listener.onData(chunk);
  }

  /** Milliseconds from now for what is still to come. */
  expectWithin(timeoutMs: number): void {
    this.#wheel.set(this.#late, timeoutMs);
  }

  /** To be called at most once, and not when the connection is gone. */
  end(): void {
    this.#end();
  }

  #greet(): void {
    this.#wasGreeted = true;
    this.#socket.write(GREETING);
  }
}
