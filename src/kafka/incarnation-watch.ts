import type { LogLines } from '../fanout/log-lines.ts';
import { kafkaTypeOf } from './kafka-error.ts';
import type { Incarnation, KafkaMeta } from './kafka-meta.ts';
import type { KafkaLogSettings } from './kafka-settings.ts';
import type { Offsets, TopicOffsets } from './topic-offsets.ts';

export interface IncarnationWatchContext {
  readonly settings: KafkaLogSettings;
  readonly topic: string;
  readonly offsets: TopicOffsets;
  readonly meta: KafkaMeta;
  readonly logger: LogLines;
  /** The one that this replica is in. */
  incarnation(): Incarnation;
  /** By partition: the offset behind the last record that this replica has read. */
  next(): readonly number[];
  /** By partition: the offset of the first record that it has. */
  seen(first: readonly number[]): void;
  /** Makes those that are not there. */
  ensureTopics(): Promise<void>;
  /** Another one is agreed on. */
  renew(incarnation: Incarnation): Promise<void>;
}

/**
 * Looks whether the topic is still the one that was begun with: kafkajs tells neither its id nor its leaders' epochs,
 * and reads on in another one as if nothing were. Says as well how far it has come, for those who start later.
 */
export class IncarnationWatch {
  readonly #context: IncarnationWatchContext;
  #timer: NodeJS.Timeout | null = null;
  #looking: Promise<void> | null = null;
  #refusal: string | undefined;
  #seemsLostSinceMs: number | null = null;
  #lostEpoch: string | undefined;
  #checkpoint: readonly number[] = [];
  #checkpointAtMs = Number.NEGATIVE_INFINITY;

  constructor(context: IncarnationWatchContext) {
    this.#context = context;
  }

  /** Why nothing can be published for now, in words. */
  get refusal(): string | undefined {
    return this.#refusal;
  }

  start(): void {
    this.#timer = setInterval(() => this.look(), this.#context.settings.watchMs).unref();
  }

  /** Looks now, unless that is under way. */
  look(): void {
    this.#looking ??= this.#look()
      .catch((error: unknown) => {
        this.#context.logger.warn({ error: (error as Error).message }, 'Kafka does not say how its topics are');
      })
      .finally(() => {
        this.#looking = null;
      });
  }

  /** The topic of that epoch is known to be gone. */
  lost(epoch: string): void {
    this.#lostEpoch = epoch;
    this.look();
  }

  /** Ends it, with a last word on how far this replica has come. */
  async stop(): Promise<void> {
    if (this.#timer !== null) clearInterval(this.#timer);
    await this.#looking;
    const { meta, incarnation, next, logger } = this.#context;
    if (this.#refusal !== undefined || this.#seemsLostSinceMs !== null) return;
    await meta.checkpoint(incarnation(), next()).catch((error: unknown) => {
      logger.warn({ error: (error as Error).message }, 'how far this replica has come could not be noted');
    });
  }

  async #look(): Promise<void> {
    const { topic, settings, meta, incarnation, next, seen, ensureTopics, renew } = this.#context;
    // As it was before the question: what is read meanwhile may be newer than the answer.
    const read = [...next()];
    const offsets = await this.#offsets();
    const end = offsets?.end ?? null;
    if (end !== null && end.length !== settings.partitions) {
      this.#refuse(`the topic ${topic} has ${end.length} partitions, not ${settings.partitions}`);
      return;
    }
    this.#refuse(undefined);
    if (this.#isLost(end === null || read.some((offset, partition) => offset > (end[partition] ?? 0)))) {
      await ensureTopics();
      await renew(await meta.renew(incarnation()));
      this.#seemsLostSinceMs = null;
      return;
    }
    const newest = await meta.newest();
    if (newest !== undefined && newest.generation > incarnation().generation) {
      await renew(newest);
      this.#seemsLostSinceMs = null;
    } else if (this.#seemsLostSinceMs === null) {
      seen(offsets?.first ?? []);
      await this.#say(end ?? []);
    }
  }

  /** A new leader may know less than has been read already, until its followers have told it that they have it too. */
  #isLost(seemsLost: boolean): boolean {
    if (this.#context.incarnation().epoch === this.#lostEpoch) return true;
    if (!seemsLost) this.#seemsLostSinceMs = null;
    else this.#seemsLostSinceMs ??= performance.now();
    const sinceMs = this.#seemsLostSinceMs;
    return sinceMs !== null && performance.now() - sinceMs >= this.#context.settings.lostAfterMs;
  }

  /** null: there is no such topic. */
  async #offsets(): Promise<Offsets | null> {
    try {
      return await this.#context.offsets.fetch();
    } catch (error) {
      if (kafkaTypeOf(error) === 'UNKNOWN_TOPIC_OR_PARTITION') return null;
      throw error;
    }
  }

  async #say(ends: readonly number[]): Promise<void> {
    const { settings, meta, incarnation } = this.#context;
    const isDue = performance.now() - this.#checkpointAtMs > settings.checkpointMs;
    if (!isDue || ends.every((end, partition) => end === this.#checkpoint[partition])) return;
    this.#checkpoint = ends;
    this.#checkpointAtMs = performance.now();
    await meta.checkpoint(incarnation(), ends);
  }

  #refuse(reason: string | undefined): void {
    if (reason !== undefined && this.#refusal !== reason) {
      this.#context.logger.error({ reason }, 'nothing can be published');
    }
    this.#refusal = reason;
  }
}
