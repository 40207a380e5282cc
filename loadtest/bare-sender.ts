import type { Message, Producer } from 'kafkajs';
import { partitionOf } from '../src/fanout/partition.ts';
import type { BareKafkaPlan } from './bare-kafka-plan.ts';
import { clockUs, encodeBareRecord } from './bare-record.ts';
import type { PublicationSender } from './publish-schedule.ts';

/** Produces with one request under way: what comes meanwhile goes with the next one. */
export class BareSender implements PublicationSender {
  readonly #producer: Producer;
  readonly #topic: string;
  readonly #fail: (error: Error) => void;
  /** By key. */
  readonly #places: readonly { readonly key: string; readonly partition: number }[];
  /** From this thread's clock to that of all threads. */
  readonly #aheadUs = clockUs() - performance.now() * 1000;
  #waiting: Message[] = [];
  #isSending = false;
  sent = 0;
  batches = 0;

  constructor(producer: Producer, { topic, keys, partitions }: BareKafkaPlan, fail: (error: Error) => void) {
    this.#producer = producer;
    this.#topic = topic;
    this.#fail = fail;
    this.#places = Array.from({ length: keys }, (_, index) => {
      const key = `room-${String(index).padStart(5, '0')}`;
      return { key, partition: partitionOf(key, partitions) };
    });
  }

  publishAt(scheduledUs: number): boolean {
    const place = this.#places[this.sent % this.#places.length];
    const value = encodeBareRecord({ sequence: this.sent, dueUs: scheduledUs + this.#aheadUs });
    this.#waiting.push({ ...place, value });
    this.sent++;
    if (!this.#isSending) void this.#send();
    return true;
  }

  async #send(): Promise<void> {
    this.#isSending = true;
    try {
      // Once all that is due at the moment is here.
      await Promise.resolve();
      while (this.#waiting.length > 0) {
        const messages = this.#waiting.splice(0);
        await this.#producer.sendBatch({ acks: -1, topicMessages: [{ topic: this.#topic, messages }] });
        this.batches++;
      }
    } catch (error) {
      this.#fail(error as Error);
    }
    this.#isSending = false;
  }
}
