import {
  BrokenCircuitError,
  type CircuitBreakerPolicy,
  CircuitState,
  ConsecutiveBreaker,
  circuitBreaker,
  handleWhen,
} from 'cockatiel';
import { type Redis, ReplyError } from 'ioredis';
import type { LogLines } from '../fanout/log-lines.ts';
import { createRedis } from './redis-client.ts';
import type { RedisSettings } from './redis-settings.ts';

/** Redis does not answer, or is not asked just now; what was sent may have taken effect. */
export class RedisUnavailableError extends Error {
  override readonly name = 'RedisUnavailableError';
}

/** Called with what was published, as text. Must not throw. */
export type ChannelListener = (message: string) => void;

/** What a connection comes to: `ready` each time it is there (anew), `lost` when it is gone. */
export interface LinkListener {
  /** Commands can be sent, for the first time or again; what Redis held may be another's by now. */
  onReady?(): void;
  /** Messages of all channels come, for the first time or again; some may have been missed. */
  onHearing?(): void;
}

/** A Lua script, and the name that metrics have for it. */
export interface Script {
  readonly name: string;
  readonly lua: string;
}

/**
 * One replica's way to Redis: a connection for commands, behind a breaker and with bounded waits, and one for channels.
 * Both come back by themselves.
 */
export class RedisLink {
  readonly settings: RedisSettings;
  readonly #logger: LogLines;
  readonly #commands: Redis;
  readonly #subscriber: Redis;
  readonly #breaker: CircuitBreakerPolicy;
  readonly #channels = new Map<string, ChannelListener>();
  readonly #listeners: LinkListener[] = [];
  readonly #scripts = new Set<string>();
  #inFlight = 0;
  #closed = false;
  readonly counts = { sent: 0, failed: 0, timedOut: 0, refused: 0, shed: 0 };
  /** Told of each command that was answered: its name, and milliseconds. */
  onAnswered: (name: string, ms: number) => void = () => {};

  constructor(settings: RedisSettings, logger: LogLines) {
    this.settings = settings;
    this.#logger = logger;
    this.#commands = createRedis(settings, 'commands');
    this.#subscriber = createRedis(settings, 'subscriber');
    this.#breaker = circuitBreaker(
      // What Redis answers, it answers: that it can't do something is no reason not to ask it.
      handleWhen((error) => !(error instanceof ReplyError)),
      { halfOpenAfter: settings.retryMs, breaker: new ConsecutiveBreaker(settings.breakAfter) },
    );
    this.#breaker.onBreak(() => {
      this.#logger.warn({}, 'Redis does not answer: it is asked again in a while');
      // A connection that hangs would do so for minutes.
      if (!this.#closed && this.#commands.status === 'ready') this.#commands.disconnect(true);
    });
    this.#breaker.onReset(() => this.#logger.info({}, 'Redis answers again'));
    this.#commands.on('ready', () => {
      for (const each of this.#listeners) each.onReady?.();
    });
    this.#subscriber.on('ready', () => void this.#resubscribe());
    this.#subscriber.on('message', (channel: string, message: string) => this.#channels.get(channel)?.(message));
    for (const client of [this.#commands, this.#subscriber]) {
      client.on('error', (error: Error) => this.#logger.info({ error: error.message }, 'a connection to Redis fails'));
    }
  }

  /** Connects. @throws Error where Redis can't be reached or refuses, as ioredis says it */
  async open(): Promise<void> {
    await Promise.all([this.#commands.connect(), this.#subscriber.connect()]);
  }

  /** Commands without an answer. */
  get inFlight(): number {
    return this.#inFlight;
  }

  get channelCount(): number {
    return this.#channels.size;
  }

  /** Commands are sent; false: they are refused at once. */
  get isUp(): boolean {
    return this.#commands.status === 'ready' && this.#breaker.state !== CircuitState.Open;
  }

  get isHearing(): boolean {
    return this.#subscriber.status === 'ready';
  }

  key(...parts: readonly (string | number)[]): string {
    return [`{${this.settings.prefix}}`, ...parts].join(':');
  }

  listen(listener: LinkListener): void {
    this.#listeners.push(listener);
  }

  /** Runs a command. @throws RedisUnavailableError, or ioredis' ReplyError where Redis refuses it */
  call(command: string, ...args: readonly (string | number | Buffer)[]): Promise<unknown> {
    return this.#run(command, () => this.#commands.call(command, ...args) as Promise<unknown>);
  }

  /**
   * Runs a script, whose first and only key is the prefix's: all it touches lies in that slot.
   *
   * @throws RedisUnavailableError, or ioredis' ReplyError where the script fails
   */
  run({ name, lua }: Script, ...args: readonly (string | number | Buffer)[]): Promise<unknown> {
    if (!this.#scripts.has(name)) {
      this.#commands.defineCommand(name, { lua, numberOfKeys: 1 });
      this.#scripts.add(name);
    }
    const command = (this.#commands as unknown as Record<string, (...all: unknown[]) => Promise<unknown>>)[name];
    return this.#run(name, () => command?.call(this.#commands, this.key(), ...args) ?? Promise.resolve());
  }

  /** Says something to whoever listens now. False: it is not said, as Redis is down or too much is under way. */
  publish(channel: string, message: string): boolean {
    if (!this.isUp || this.#inFlight >= this.settings.inFlightMax) {
      this.counts.shed += 1;
      return false;
    }
    this.call('PUBLISH', channel, message).catch(() => {});
    return true;
  }

  /**
   * Resolves when all that is published later is heard, by this one listener of the channel; where the connection is
   * lost, from when it is back on.
   *
   * @throws RedisUnavailableError; it is heard all the same once Redis is back
   */
  async subscribe(channel: string, listener: ChannelListener): Promise<void> {
    this.#channels.set(channel, listener);
    await this.#answered(() => this.#subscriber.subscribe(channel));
  }

  unsubscribe(channel: string): void {
    this.#channels.delete(channel);
    if (this.isHearing) this.#subscriber.unsubscribe(channel).catch(() => {});
  }

  /** Resolves when all that was published before has been heard. @throws RedisUnavailableError */
  async heard(): Promise<void> {
    await this.#answered(() => this.#subscriber.ping());
  }

  close(): void {
    this.#closed = true;
    this.#commands.disconnect();
    this.#subscriber.disconnect();
  }

  async #run(name: string, send: () => Promise<unknown>): Promise<unknown> {
    const startedMs = performance.now();
    try {
      const answer = await this.#breaker.execute(async () => {
        this.counts.sent += 1;
        this.#inFlight += 1;
        try {
          return await send();
        } finally {
          this.#inFlight -= 1;
        }
      });
      this.onAnswered(name, performance.now() - startedMs);
      return answer;
    } catch (error) {
      throw this.#failureOf(error);
    }
  }

  #failureOf(error: unknown): unknown {
    if (error instanceof ReplyError) return error;
    const { message } = error as Error;
    if (error instanceof BrokenCircuitError) this.counts.refused += 1;
    else if (message === 'Command timed out') this.counts.timedOut += 1;
    else this.counts.failed += 1;
    return new RedisUnavailableError(`Redis is not available: ${message}`);
  }

  async #answered(send: () => Promise<unknown>): Promise<void> {
    try {
      await send();
    } catch (error) {
      throw error instanceof ReplyError ? error : new RedisUnavailableError((error as Error).message);
    }
  }

  async #resubscribe(): Promise<void> {
    try {
      if (this.#channels.size > 0) await this.#subscriber.subscribe(...this.#channels.keys());
    } catch (error) {
      if (this.#closed) return;
      this.#logger.warn({ error: (error as Error).message }, 'the channels of Redis are not heard');
      this.#subscriber.disconnect(true);
      return;
    }
    for (const each of this.#listeners) each.onHearing?.();
  }
}
