import type { RedisConnection } from './redis-connection.ts';

/** Called with what was published, as text. What it throws is logged, and that is all. */
export type ChannelListener = (message: string) => void;

/** Channels in one command: all of a large replica's at once would keep others waiting. */
const CHANNELS_PER_COMMAND = 500;

/**
 * The channels that are heard over a connection. What changes in one turn of the loop is said at its end, in one command
 * where it is about as many channels as that may have; in the order of the calls, for each channel.
 */
export class RedisChannels {
  readonly #connection: Pick<RedisConnection, 'ask'>;
  readonly #listeners: Map<string, ChannelListener>;
  /** Whether channels are to be heard, as it is to be said; null: there is nothing to say. */
  #changes: { readonly wanted: Map<string, boolean>; readonly said: Promise<void> } | null = null;

  /** @param always those that are heard from the first connection on */
  constructor(connection: Pick<RedisConnection, 'ask'>, always: Readonly<Record<string, ChannelListener>> = {}) {
    this.#connection = connection;
    this.#listeners = new Map(Object.entries(always));
  }

  get size(): number {
    return this.#listeners.size;
  }

  onMessage(channel: string, message: string): void {
    this.#listeners.get(channel)?.(message);
  }

  /** Resolves when all that is published later is heard. @throws RedisUnavailableError */
  subscribe(channel: string, listener: ChannelListener): Promise<void> {
    this.#listeners.set(channel, listener);
    return this.#change(channel, true);
  }

  unsubscribe(channel: string): void {
    if (!this.#listeners.delete(channel)) return;
    // A connection that is lost has lost its channels too.
    this.#change(channel, false).catch(() => {});
  }

  /** Says all of them anew, to a connection that was made anew. @throws RedisUnavailableError */
  async subscribeAll(): Promise<void> {
    // What is subscribed from now on says so itself.
    const all = [...this.#listeners.keys()];
    for (let at = 0; at < all.length; at += CHANNELS_PER_COMMAND) {
      const still = all.slice(at, at + CHANNELS_PER_COMMAND).filter((channel) => this.#listeners.has(channel));
      if (still.length > 0) await this.#connection.ask((client) => client.subscribe(...still));
    }
  }

  #change(channel: string, isHeard: boolean): Promise<void> {
    if (this.#changes === null) {
      const wanted = new Map<string, boolean>();
      this.#changes = { wanted, said: this.#say(wanted) };
    }
    this.#changes.wanted.set(channel, isHeard);
    return this.#changes.said;
  }

  async #say(wanted: ReadonlyMap<string, boolean>): Promise<void> {
    await new Promise<void>((resolve) => setImmediate(resolve));
    this.#changes = null;
    const of = (isHeard: boolean) => [...wanted].filter(([, each]) => each === isHeard).map(([channel]) => channel);
    // All at once, so that nothing said later comes before.
    await Promise.all([
      ...chunksOf(of(true)).map((some) => this.#connection.ask((client) => client.subscribe(...some))),
      ...chunksOf(of(false)).map((some) => this.#connection.ask((client) => client.unsubscribe(...some))),
    ]);
  }
}

function chunksOf(channels: readonly string[]): readonly (readonly string[])[] {
  const count = Math.ceil(channels.length / CHANNELS_PER_COMMAND);
  return Array.from({ length: count }, (_, i) => {
    return channels.slice(i * CHANNELS_PER_COMMAND, (i + 1) * CHANNELS_PER_COMMAND);
  });
}
