import { type CircuitBreakerPolicy, CircuitState, ConsecutiveBreaker, circuitBreaker, handleWhen } from 'cockatiel';
import type { Redis } from 'ioredis';
import type { LogLines } from '../fanout/log-lines.ts';
import { type CallKind, callKind } from './call-kinds.ts';
import { type ChannelListener, RedisChannels } from './redis-channels.ts';
import { createRedis } from './redis-client.ts';
import { RedisConnection } from './redis-connection.ts';
import { diagnose } from './redis-diagnosis.ts';
import { checkServer } from './redis-server.ts';
import { type RedisSettings, shownAddress } from './redis-settings.ts';
import { setupErrorOf, wordsOf } from './redis-setup-error.ts';
import { REDIS_FAILURES, type RedisFailure, RedisUnavailableError } from './redis-unavailable-error.ts';

/**
 * Milliseconds after which an open circuit may be tried: long ago, whatever the wall clock does that the library goes by, as
 * nobody but the probe tries it, and that has a timer.
 */
const TRIED_ANY_TIME_MS = Number.MIN_SAFE_INTEGER;

/** Of the times that a probe may be due, those in which it is while Redis answers: they make most of what an idle replica asks. */
const QUIET_TURNS = 3;

/** What a link comes to. Must not throw. */
export interface LinkListener {
  /** Commands are sent, for the first time or again; what Redis held may be another's by now. */
  onReady?(): void;
  /** Messages of all channels come, for the first time or again; some may have been missed. */
  onHearing?(): void;
}

/** A Lua script, and the name that metrics have for it. */
export interface Script {
  readonly name: string;
  readonly lua: string;
}

/** What a link has to tell of itself. */
export interface RedisFigures {
  readonly isUp: boolean;
  readonly isHearing: boolean;
  /** There is a connection, but no answer in time. */
  readonly isBroken: boolean;
  readonly unanswered: number;
  readonly unansweredMax: number;
  readonly channels: number;
  /** Connections made so far, and messages that were not sent. */
  readonly connections: { readonly commands: number; readonly subscriber: number };
  readonly shed: number;
  readonly failures: Readonly<Record<RedisFailure, number>>;
}

/**
 * One replica's way to Redis: a connection for commands with bounded waits, which are not sent while Redis does not
 * answer, and one for channels. Both come back by themselves, and are made anew where they have died without a word.
 */
export class RedisLink {
  readonly settings: RedisSettings;
  readonly #logger: LogLines;
  readonly #commands: RedisConnection;
  readonly #subscriber: RedisConnection;
  readonly #channels: RedisChannels;
  readonly #listeners: LinkListener[] = [];
  readonly #scripts = new Set<string>();
  readonly #failures = Object.fromEntries(REDIS_FAILURES.map((each) => [each, 0])) as Record<RedisFailure, number>;
  #shed = 0;
  /** Opens when commands in a row had no answer in time; what they were answered does not matter. */
  readonly #breaker: CircuitBreakerPolicy;
  #probing: NodeJS.Timeout | undefined;
  /** Numbers of the probe that was published last, and of the one heard last. */
  #probed = 0;
  #turns = 0;
  #heardProbe = 0;
  /** Since when Redis has had a probe that is not heard, nor is anything else; by the monotonic clock. */
  #unheardSinceMs: number | null = null;
  /** Why a connection can't be used; null: it can. */
  readonly #troubles: Record<'commands' | 'subscriber', Error | null> = { commands: null, subscriber: null };
  /** Told of each command that was answered in time: what it was for, and milliseconds. */
  onAnswered: (kind: CallKind, ms: number) => void = () => {};

  constructor(settings: RedisSettings, logger: LogLines) {
    this.settings = settings;
    this.#logger = logger;
    this.#commands = new RedisConnection(createRedis(settings, 'commands'), settings, {
      prepare: () => this.#checkServer(),
      onUp: () => this.#up(),
      onDown: (error) => this.#troubled('commands', error),
    });
    const subscriber = createRedis(settings, 'subscriber');
    subscriber.on('message', (channel: string, message: string) => {
      this.#unheardSinceMs = null;
      this.#told(channel, message);
    });
    this.#subscriber = new RedisConnection(subscriber, settings, {
      prepare: () => this.#channels.subscribeAll(),
      onUp: () => this.#hearing(),
      onDown: (error) => this.#troubled('subscriber', error),
    });
    const isTimeout = (error: unknown) => error instanceof RedisUnavailableError && error.failure === 'timeout';
    this.#breaker = circuitBreaker(handleWhen(isTimeout), {
      halfOpenAfter: TRIED_ANY_TIME_MS,
      breaker: new ConsecutiveBreaker(settings.breakAfter),
    });
    let isSaid = false;
    this.#breaker.onBreak(() => {
      if (!isSaid) logger.warn({}, 'Redis does not answer in time: it is not asked until it does');
      isSaid = true;
    });
    this.#breaker.onReset(() => {
      logger.info({}, 'Redis answers in time again');
      isSaid = false;
      if (this.isUp) this.#tellReady();
    });
    this.#channels = new RedisChannels(
      { ask: (send) => this.#hear(send) },
      {
        [this.#probeChannel]: (number) => {
          this.#heardProbe = Number(number);
        },
      },
    );
  }

  /**
   * Begins. Resolves when Redis is there, or can't be reached for now: then the log says so, and it is tried again all the
   * time; see {@link isUp}.
   *
   * @throws RedisSetupError where Redis is there and can't be used, in words for the operator
   */
  async open(): Promise<void> {
    this.#probing = setInterval(() => this.#probe(), this.settings.probeMs);
    await Promise.all([this.#commands.open(), this.#subscriber.open()]);
    const trouble = this.#troubles.commands ?? this.#troubles.subscriber;
    const refusal = trouble && (setupErrorOf(trouble, this.settings) ?? (await diagnose(this.settings)));
    if (refusal === null) return;
    this.close();
    throw refusal;
  }

  /** Commands without an answer, those that nobody waits for any more included. */
  get inFlight(): number {
    return this.#commands.unanswered;
  }

  /** Commands are sent; false: they are refused at once. */
  get isUp(): boolean {
    return this.#commands.isUp && !this.#isBroken;
  }

  /** What is published is heard. */
  get isHearing(): boolean {
    return this.#subscriber.isUp;
  }

  /** What keeps Redis from being used, in words for the operator; null: nothing. */
  get trouble(): string | null {
    const trouble = this.#troubles.commands ?? this.#troubles.subscriber;
    return trouble && wordsOfTrouble(trouble, this.settings);
  }

  figures(): RedisFigures {
    return {
      isUp: this.isUp,
      isHearing: this.isHearing,
      isBroken: this.#commands.isUp && this.#isBroken,
      unanswered: this.#commands.unanswered + this.#subscriber.unanswered,
      unansweredMax: 2 * this.settings.unansweredMax,
      channels: this.#channels.size,
      connections: { commands: this.#commands.madeCount, subscriber: this.#subscriber.madeCount },
      shed: this.#shed,
      failures: this.#failures,
    };
  }

  key(...parts: readonly (string | number)[]): string {
    return [`{${this.settings.prefix}}`, ...parts].join(':');
  }

  listen(listener: LinkListener): void {
    this.#listeners.push(listener);
  }

  /** Runs a command. @throws RedisUnavailableError, or ioredis' ReplyError where Redis refuses it */
  call(command: string, ...args: readonly (string | number | Buffer)[]): Promise<unknown> {
    return this.#run(callKind(command.toLowerCase()), (client) => client.call(command, ...args));
  }

  /**
   * Runs a script, whose first and only key is the prefix's: all it touches lies in that slot.
   *
   * @throws RedisUnavailableError, or ioredis' ReplyError where the script fails
   */
  run({ name, lua }: Script, ...args: readonly (string | number | Buffer)[]): Promise<unknown> {
    if (!this.#scripts.has(name)) {
      this.#commands.client.defineCommand(name, { lua, numberOfKeys: 1 });
      this.#scripts.add(name);
    }
    return this.#run(callKind(name), (client) => scriptOf(client, name)(this.key(), ...args));
  }

  /** Says something to whoever listens now. False: it is not said, as Redis is down or too much is under way. */
  publish(channel: string, message: string): boolean {
    if (!this.isUp || this.inFlight >= this.settings.inFlightMax) {
      this.#shed += 1;
      return false;
    }
    this.call('PUBLISH', channel, message).catch(() => {});
    return true;
  }

  /**
   * Resolves when all that is published later is heard, by this one listener of the channel; where the connection is
   * lost, from when it is back on. It is asked for at the end of this turn of the loop, together with others.
   *
   * @throws RedisUnavailableError; it is heard all the same once Redis is back
   */
  subscribe(channel: string, listener: ChannelListener): Promise<void> {
    return this.#channels.subscribe(channel, listener);
  }

  unsubscribe(channel: string): void {
    this.#channels.unsubscribe(channel);
  }

  /** Resolves when all that was published before has been heard. @throws RedisUnavailableError */
  async heard(): Promise<void> {
    await this.#hear((client) => client.ping());
  }

  close(): void {
    clearInterval(this.#probing);
    this.#commands.close();
    this.#subscriber.close();
  }

  get #isBroken(): boolean {
    return this.#breaker.state !== CircuitState.Closed;
  }

  get #probeChannel(): string {
    return this.key('probe', this.settings.node);
  }

  async #run(kind: CallKind, send: (client: Redis) => Promise<unknown>): Promise<unknown> {
    const startedMs = performance.now();
    try {
      if (!this.#commands.isUp) throw new RedisUnavailableError('there is no connection', 'down');
      if (this.#isBroken) throw new RedisUnavailableError('it has not answered lately', 'broken');
      const answer = await this.#breaker.execute(() => this.#commands.ask(send));
      this.onAnswered(kind, performance.now() - startedMs);
      return answer;
    } catch (error) {
      this.#count(error);
      throw error;
    }
  }

  async #hear<T>(send: (client: Redis) => Promise<T>): Promise<T> {
    try {
      return await this.#subscriber.ask(send);
    } catch (error) {
      this.#count(error);
      throw error;
    }
  }

  /** Whatever may be published there, by whichever version: it ends no process. */
  #told(channel: string, message: string): void {
    try {
      this.#channels.onMessage(channel, message);
    } catch (error) {
      // Not its words, which may have some of the message.
      this.#logger.error({ error: (error as Error).name }, 'what was published through Redis is not understood');
    }
  }

  #count(error: unknown): RedisFailure | null {
    const failure = error instanceof RedisUnavailableError ? error.failure : null;
    if (failure !== null) this.#failures[failure] += 1;
    if (failure === 'refused') this.#logger.warn({}, wordsOfTrouble(error as Error, this.settings));
    return failure;
  }

  /** Finds out whether Redis answers, where nobody may ask it, and whether what is published is heard. */
  #probe(): void {
    if (!this.#commands.isUp) return;
    if (this.#isUnheard()) {
      // What came while this process could not run is read before it is judged.
      setImmediate(() => {
        if (this.#isUnheard()) this.#subscriber.drop(new Error('what is published is not heard'));
      });
    }
    this.#turns += 1;
    if (!this.#isBroken && this.#turns % QUIET_TURNS !== 0) return;
    this.#probed += 1;
    const number = this.#probed;
    this.#breaker
      .execute(() => this.#commands.ask((client) => client.publish(this.#probeChannel, String(number))))
      .then(
        () => {
          if (this.#heardProbe < number && this.isHearing) this.#unheardSinceMs ??= performance.now();
        },
        (error) => this.#count(error),
      );
  }

  #isUnheard(): boolean {
    return this.#unheardSinceMs !== null && performance.now() - this.#unheardSinceMs >= this.settings.silenceMs;
  }

  #up(): void {
    this.#troubles.commands = null;
    this.#logger.info({}, 'Redis can be asked');
    if (this.#isBroken) this.#probe();
    else this.#tellReady();
  }

  #tellReady(): void {
    for (const each of this.#listeners) each.onReady?.();
  }

  #hearing(): void {
    this.#troubles.subscriber = null;
    this.#unheardSinceMs = null;
    this.#logger.info({}, 'what is published through Redis is heard');
    for (const each of this.#listeners) each.onHearing?.();
  }

  #troubled(role: 'commands' | 'subscriber', error: Error): void {
    const before = this.#troubles[role];
    this.#troubles[role] = error;
    if (role === 'subscriber') this.#unheardSinceMs = null;
    // It is tried again all the time: the log has what is new in it.
    const said = [before, role === 'commands' ? this.#troubles.subscriber : this.#troubles.commands];
    if (said.some((each) => each !== null && wordsOf(each) === wordsOf(error))) return;
    this.#logger.warn({ connection: role }, wordsOfTrouble(error, this.settings));
  }

  async #checkServer(): Promise<void> {
    const { version, mayEvict } = await checkServer(this.#commands, this.settings, this.key());
    if (mayEvict) {
      const words = 'Redis may drop keys where memory is short, and with them who is present: see its maxmemory-policy';
      this.#logger.warn({ version }, words);
    }
  }
}

function wordsOfTrouble(error: Error, settings: RedisSettings): string {
  const refusal = setupErrorOf(error, settings);
  if (refusal !== null) return refusal.message;
  const isThere = error instanceof RedisUnavailableError && error.failure === 'refused';
  const what = isThere ? "can't be used for now" : "can't be reached";
  return `Redis ${what} at ${shownAddress(settings)}: ${wordsOf(error)}`;
}

/** A command that was defined on the client. */
function scriptOf(client: Redis, name: string): (...args: readonly unknown[]) => Promise<unknown> {
  const script = (client as unknown as Record<string, (...args: readonly unknown[]) => Promise<unknown>>)[name];
  if (script === undefined) throw new Error(`the script ${name} was not defined`);
  return script.bind(client);
}
