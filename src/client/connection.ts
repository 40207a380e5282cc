import { ClientError, type ClientErrorCode } from './client-error.ts';
import type { Environment, Socket } from './environment.ts';

const SUBPROTOCOL = 'tidegate.v1';
/** Close codes by which the server does not take us to have said goodbye, as it would with 1000. */
const SILENCE_CODE = 4000;
const BREACH_CODE = 4002;
const GOODBYE_CODE = 1000;
/** How long a socket may take to close, and a gateway to answer when we wonder whether there still is a network. */
const CLOSE_TIMEOUT_MS = 5_000;
const PROBE_TIMEOUT_MS = 5_000;
/** Bytes of a message from a client, as long as the server has not said it. */
const FRAME_BYTES_MAX = 65_536;

/** Errors after which the same command may be sent again. A test holds it equal to the server's table. */
export const RETRYABLE: readonly string[] = [
  'rate_limited',
  'overloaded',
  'unknown_outcome',
  'unavailable',
  'internal',
];

/** JSON as the server sent it, of the shape that PROTOCOL gives; using it as another one throws, which ends the session. */
export type Said = Readonly<Record<string, unknown>>;

/** The end of a connection. */
export interface End {
  readonly reason: string;
  /** Of the WebSocket's close, or of the `disconnect` push before it. */
  readonly code: number;
  /** The server wants the client back after so many ms; null: it did not say. */
  readonly afterMs: number | null;
  /** It does not want it back. */
  readonly isFinal: boolean;
}

export interface ConnectionListener {
  onOpen(): void;
  onPush(push: Said): void;
  /** Once, after every command without a reply was told so. */
  onEnd(end: End): void;
}

/** A command's `ok`, its error, or null: the session ended before either came. */
export type Outcome = { readonly ok: Said } | { readonly error: ClientError } | null;

/** One WebSocket to the gateway: lines, replies by id, and the watch over its silence. */
export class Connection {
  readonly #environment: Environment;
  readonly #listener: ConnectionListener;
  readonly #socket: Socket;
  readonly #replies = new Map<number, (outcome: Outcome) => void>();
  #nextId = 0;
  /** Lines that go out together in the same turn of the event loop. */
  #lines: string[] = [];
  /** Bytes of a message that the server takes. */
  frameBytesMax = FRAME_BYTES_MAX;
  #hasEnded = false;
  #onClosed: (() => void) | null = null;
  /** Milliseconds of silence after which the server is given up; 0: it may be silent. */
  #silenceMaxMs: number;
  /** Until there is a session, whatever is said is no sign of one. */
  #isWelcome = false;
  #heardMs: number;
  #cancelWatch: () => void = () => {};
  #cancelProbe: () => void = () => {};

  /** @throws where the URL is malformed. @param connectTimeoutMs until there is a session */
  constructor(
    environment: Environment,
    url: string,
    ticket: string | null,
    connectTimeoutMs: number,
    listener: ConnectionListener,
  ) {
    this.#environment = environment;
    this.#listener = listener;
    this.#silenceMaxMs = connectTimeoutMs;
    this.#heardMs = environment.monotonicMs();
    const subprotocols = ticket === null ? [SUBPROTOCOL] : [SUBPROTOCOL, `tidegate.ticket.${ticket}`];
    this.#socket = environment.openSocket(url, subprotocols, {
      onOpen: () => this.#hasEnded || listener.onOpen(),
      onMessage: (data) => this.#receive(data),
      onClose: (code, reason) => this.#closed(code, reason),
    });
    this.#watch();
  }

  /**
   * Sends a command, given as the members of its JSON object, once; all of one turn go out in one message.
   * `onOutcome` is called once, and never within this call. False: the connection has ended, and nothing is done.
   */
  call(members: string, onOutcome: (outcome: Outcome) => void): boolean {
    if (this.#hasEnded) return false;
    const id = this.#nextId;
    this.#nextId += 1;
    const line = `{"id":${id},${members}}`;
    // A line that the server would not read ends the session, and would end the next one.
    if (utf8Bytes(line) > this.frameBytesMax) {
      const error = new ClientError('bad_request', `more than ${this.frameBytesMax} bytes`);
      queueMicrotask(() => onOutcome({ error }));
      return true;
    }
    this.#replies.set(id, onOutcome);
    this.#send(line);
    return true;
  }

  /** The session is there: from now on the server breaks its silence at least so often; 0: it may not. */
  expectHeartbeats(heartbeatMs: number): void {
    this.#isWelcome = true;
    this.#heardMs = this.#environment.monotonicMs();
    this.#silenceMaxMs = heartbeatMs > 0 ? 1.5 * heartbeatMs + 10_000 : 0;
    this.#watch();
  }

  /** Gives the server up unless it answers soon: the network may be another one. */
  probe(): void {
    this.call('"op":"ping"', () => {});
    const askedMs = this.#environment.monotonicMs();
    this.#cancelProbe();
    this.#cancelProbe = this.#environment.schedule(() => this.#heardMs < askedMs && this.#giveUp(), PROBE_TIMEOUT_MS);
  }

  /** Says goodbye: to others, the user has left. Resolves when the socket has closed, or would not. Tells nobody. */
  close(): Promise<void> {
    this.#flush();
    this.#end(null);
    return new Promise((resolve) => {
      const cancel = this.#environment.schedule(resolve, CLOSE_TIMEOUT_MS);
      this.#onClosed = () => {
        cancel();
        resolve();
      };
      this.#socket.close(GOODBYE_CODE, '');
    });
  }

  /** Ends it as one that cannot be used, without a goodbye. */
  abandon(end: End): void {
    if (this.#hasEnded) return;
    this.#end(end);
    this.#socket.close(end.code >= 4000 ? end.code : SILENCE_CODE, '');
  }

  #send(line: string): void {
    if (this.#lines.length === 0) queueMicrotask(() => this.#flush());
    this.#lines.push(line);
  }

  #flush(): void {
    const lines = this.#lines;
    this.#lines = [];
    if (this.#hasEnded) return;
    let message: string[] = [];
    let bytes = 0;
    for (const line of lines) {
      const lineBytes = utf8Bytes(line) + 1;
      if (bytes + lineBytes > this.frameBytesMax && bytes > 0) {
        this.#socket.send(message.join('\n'));
        message = [];
        bytes = 0;
      }
      message.push(line);
      bytes += lineBytes;
    }
    if (bytes > 0) this.#socket.send(message.join('\n'));
  }

  #receive(data: unknown): void {
    if (this.#hasEnded) return;
    if (this.#isWelcome) this.#heardMs = this.#environment.monotonicMs();
    try {
      // Anything but text has no such function.
      for (const line of (data as string).split('\n')) {
        if (line !== '') this.#hear(JSON.parse(line));
        if (this.#hasEnded) return;
      }
    } catch (error) {
      // A server that cannot be understood is left; the next session takes up where this one was.
      const reason = `not understood: ${(error as Error).message}`;
      this.abandon({ reason, code: BREACH_CODE, afterMs: null, isFinal: false });
    }
  }

  #hear(said: Said): void {
    switch (said.push) {
      case undefined:
        this.#settle(said);
        break;
      case 'heartbeat':
        this.#send('{"op":"pong"}');
        break;
      case 'disconnect': {
        const { code, reason, reconnect } = said as {
          code: number;
          reason: string;
          reconnect: { afterMs?: number } | null;
        };
        const afterMs = Number.isFinite(reconnect?.afterMs) ? (reconnect?.afterMs as number) : null;
        this.abandon({ reason, code, afterMs, isFinal: reconnect === null });
        break;
      }
      default:
        this.#listener.onPush(said);
    }
  }

  #settle({ id, ok, error }: Said): void {
    const onOutcome = this.#replies.get(id as number);
    if (onOutcome === undefined) return;
    this.#replies.delete(id as number);
    if (error === undefined) {
      onOutcome({ ok: ok as Said });
    } else {
      const { code, message, retryAfterMs } = error as { code: string; message: string; retryAfterMs?: number };
      onOutcome({ error: new ClientError(code as ClientErrorCode, message, true, retryAfterMs) });
    }
  }

  #closed(code: number, reason: string): void {
    this.#onClosed?.();
    const words = reason || (code === 1006 ? 'no connection' : `closed with ${code}`);
    this.#end({ reason: words, code, afterMs: null, isFinal: code >= 3500 && code <= 3999 });
  }

  #giveUp(): void {
    this.abandon({ reason: 'silence', code: SILENCE_CODE, afterMs: null, isFinal: false });
  }

  /** null: whose end it is knows. */
  #end(end: End | null): void {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    this.#cancelWatch();
    this.#cancelProbe();
    for (const onOutcome of this.#replies.values()) onOutcome(null);
    this.#replies.clear();
    if (end !== null) this.#listener.onEnd(end);
  }

  /** Looks after the silence when it might have lasted too long, not at every word. */
  #watch(): void {
    this.#cancelWatch();
    if (this.#silenceMaxMs === 0 || this.#hasEnded) return;
    const silentMs = this.#environment.monotonicMs() - this.#heardMs;
    this.#cancelWatch = this.#environment.schedule(() => {
      if (this.#environment.monotonicMs() - this.#heardMs >= this.#silenceMaxMs) this.#giveUp();
      else this.#watch();
    }, this.#silenceMaxMs - silentMs);
  }
}

const encoder = new TextEncoder();

export function utf8Bytes(text: string): number {
  return encoder.encode(text).length;
}
