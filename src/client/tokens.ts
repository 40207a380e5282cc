import { ClientError } from './client-error.ts';
import type { Environment } from './environment.ts';

/** A token, or who gives a fresh one each time. */
export type TokenSource = string | (() => string | Promise<string>);

/** Waits before a refresh: a fifth of the token's time is left for it to fail and be tried again. */
const REFRESH_AT = 0.8;
const REFRESH_MIN_MS = 1_000;
/** By our clock the token has run out, yet the session goes on: the clocks differ. */
const REFRESH_OVERDUE_MS = 30_000;

interface TokensListener {
  /** Has the session go on with a fresh token; resolves with when that one expires, or null where the session has ended. */
  refresh(token: string): Promise<number | null>;
  onError(error: ClientError): void;
}

/** Fetches tokens when they are needed, one at a time. */
export class Tokens {
  readonly #source: TokenSource | undefined;
  readonly #environment: Environment;
  readonly #timeoutMs: number;
  readonly #listener: TokensListener;
  #cancel: () => void = () => {};

  constructor(source: TokenSource | undefined, environment: Environment, timeoutMs: number, listener: TokensListener) {
    this.#source = source;
    this.#environment = environment;
    this.#timeoutMs = timeoutMs;
    this.#listener = listener;
  }

  /** Calls one of both once: at once where no one has to be asked. */
  take(onToken: (token: string | undefined) => void, onError: (error: ClientError) => void): void {
    const source = this.#source;
    if (typeof source !== 'function') {
      onToken(source);
      return;
    }
    let isOver = false;
    const settle = (tell: () => void) => {
      if (isOver) return;
      isOver = true;
      cancel();
      tell();
    };
    const fail = (why: string) => settle(() => onError(new ClientError('token_failed', why)));
    const cancel = this.#environment.schedule(() => fail(`none within ${this.#timeoutMs} ms`), this.#timeoutMs);
    Promise.resolve()
      .then(source)
      .then(
        (token) => settle(() => onToken(token)),
        (error: unknown) => fail(error instanceof Error ? error.message : String(error)),
      );
  }

  /** The session's token expires then, in milliseconds since 1970; undefined: never. */
  expiresAt(atMs: number | undefined): void {
    this.stop();
    if (atMs === undefined || typeof this.#source !== 'function') return;
    const leftMs = atMs - this.#environment.wallMs();
    const delayMs = leftMs > 0 ? Math.max(leftMs * REFRESH_AT, REFRESH_MIN_MS) : REFRESH_OVERDUE_MS;
    this.#cancel = this.#environment.schedule(() => this.#refresh(atMs), delayMs);
  }

  /** There is no session to refresh. */
  stop(): void {
    this.#cancel();
    this.#cancel = () => {};
  }

  #refresh(atMs: number): void {
    let isCurrent = true;
    // Another session has a token of its own.
    this.#cancel = () => {
      isCurrent = false;
    };
    const failed = (error: ClientError) => {
      if (!isCurrent) return;
      this.#listener.onError(error);
      this.expiresAt(atMs);
    };
    this.take((token) => {
      if (!isCurrent) return;
      this.#listener.refresh(token as string).then((nextMs) => {
        if (isCurrent && nextMs !== null) this.expiresAt(nextMs);
      }, failed);
    }, failed);
  }
}
