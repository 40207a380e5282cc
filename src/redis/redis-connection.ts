import { type Redis, ReplyError } from 'ioredis';
import type { RedisSettings } from './redis-settings.ts';
import { RedisUnavailableError } from './redis-unavailable-error.ts';

/** Who uses a connection. Nothing of it may throw but `prepare`. */
export interface ConnectionUser {
  /** Says what must be said first, each time there is a connection. @throws Error where it can't be used */
  prepare(): Promise<void>;
  onUp(): void;
  /** It was lost, or could not be made; it is tried again. */
  onDown(error: Error): void;
}

/** What Redis answers while it is in no state to do what it is told, or this user has no right to. */
const REFUSAL =
  /(^|-)(LOADING|READONLY|MASTERDOWN|NOREPLICAS|MISCONF|OOM|BUSY|UNKILLABLE|NOPERM|NOAUTH)\b|The user executing the script/;

/** One connection to Redis, which comes back by itself. */
export class RedisConnection {
  readonly client: Redis;
  readonly #settings: RedisSettings;
  readonly #user: ConnectionUser;
  readonly #first = Promise.withResolvers<void>();
  #isUp = false;
  #isClosed = false;
  #reason: Error | null = null;
  #unanswered = 0;
  #made = 0;

  constructor(client: Redis, settings: RedisSettings, user: ConnectionUser) {
    this.client = client;
    this.#settings = settings;
    this.#user = user;
    client.on('ready', () => void this.#prepare());
    client.on('close', () => this.#lost());
    client.on('end', () => this.#ended());
    let refusals: string[] = [];
    client.on('sentinelError', ({ message }: Error) => refusals.push(message));
    client.on('connect', () => {
      refusals = [];
    });
    client.on('error', (error: Error) => {
      const isOfSentinels = error.message.startsWith('All sentinels are unreachable');
      // It was at the end of its list, and has asked none: it begins again with the first.
      if (isOfSentinels && refusals.length === 0) return;
      this.#reason = isOfSentinels ? new Error(refusals.join('; ')) : error;
      if (!isOfSentinels) return;
      refusals = [];
      // There is nothing yet that could close; the client goes on asking them.
      this.#lost();
    });
  }

  /** Resolves when the first attempt has come to its end, whichever that is. */
  open(): Promise<void> {
    this.#begin();
    return this.#first.promise;
  }

  get isUp(): boolean {
    return this.#isUp;
  }

  /** What was said and not answered, including what nobody waits for any more. */
  get unanswered(): number {
    return this.#unanswered;
  }

  /** Times that it came to be used. */
  get madeCount(): number {
    return this.#made;
  }

  /** @throws RedisUnavailableError, or a ReplyError if Redis refuses what it is told */
  ask<T>(send: (client: Redis) => Promise<T>): Promise<T> {
    const { commandTimeoutMs, unansweredMax } = this.#settings;
    if (this.#unanswered >= unansweredMax) {
      return Promise.reject(new RedisUnavailableError(`${unansweredMax} commands have no answer yet`, 'overfull'));
    }
    this.#unanswered += 1;
    return new Promise((resolve, reject) => {
      const expire = () => reject(new RedisUnavailableError(`no answer within ${commandTimeoutMs} ms`, 'timeout'));
      // A timer of a process that could not run comes before what it has been sent meanwhile: that is read first.
      const timer = setTimeout(() => setImmediate(expire), commandTimeoutMs);
      const settle = () => {
        this.#unanswered -= 1;
        clearTimeout(timer);
      };
      send(this.client).then(
        (answer) => {
          settle();
          resolve(answer);
        },
        (error: Error) => {
          settle();
          reject(failureOf(error));
        },
      );
    });
  }

  /** Makes it anew. */
  drop(reason: Error): void {
    // In other states there is nothing to drop, and ioredis would take it for an end.
    if (this.client.status !== 'ready') return;
    this.#reason = reason;
    this.client.disconnect(true);
  }

  close(): void {
    this.#isClosed = true;
    this.#isUp = false;
    this.client.disconnect();
  }

  async #prepare(): Promise<void> {
    const { stream } = this.client;
    try {
      await this.#user.prepare();
    } catch (error) {
      if (this.client.stream === stream) this.drop(error as Error);
      return;
    }
    if (this.client.stream !== stream || this.client.status !== 'ready') return;
    this.#isUp = true;
    this.#made += 1;
    this.#reason = null;
    this.#first.resolve();
    this.#user.onUp();
  }

  #begin(): void {
    // How it ends, its events tell.
    if (!this.#isClosed) this.client.connect().catch(() => {});
  }

  /** The client has given up, as it does where what Sentinel says is no address: nobody else would begin anew. */
  #ended(): void {
    this.#lost();
    setTimeout(() => this.#begin(), this.#settings.reconnectMsMax).unref();
  }

  #lost(): void {
    const reason = this.#reason ?? new Error('the connection was closed');
    this.#reason = null;
    this.#isUp = false;
    if (!this.#isClosed) this.#user.onDown(reason);
    this.#first.resolve();
  }
}

function failureOf(error: Error): Error {
  if (!(error instanceof ReplyError)) {
    const isUnsent = error.message.startsWith("Stream isn't writeable");
    return isUnsent
      ? new RedisUnavailableError('there is no connection', 'down')
      : new RedisUnavailableError('the connection was lost before the answer', 'lost');
  }
  if (REFUSAL.test(error.message)) return new RedisUnavailableError(error.message, 'refused');
  // ioredis adds what it was told: that is others' content, and as long as it likes.
  delete (error as Error & { command?: unknown }).command;
  return error;
}
