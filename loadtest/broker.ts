import { mkdtemp } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { isRunning } from '../services/daemon.ts';
import { Kafka } from '../services/kafka.ts';
import { fetchKafkaJars } from '../services/kafka-jars.ts';
import { missingForKafka } from '../services/missing.ts';
import { killAtExit } from './children.ts';

/** Where Kafka's jars are kept, as for the other uses of services/. */
const CACHE = fileURLToPath(new URL('../.cache', import.meta.url));
const ID = 1;

/** What it takes to run a broker and is not there, in words. */
export function missingForBroker(): Promise<string[]> {
  return missingForKafka(CACHE);
}

/** A Kafka of one broker, for as long as a part of the bench takes, and killed at the latest when this process exits. */
export class Broker {
  readonly #kafka: Kafka;
  readonly #untie: () => void;

  private constructor(kafka: Kafka) {
    this.#kafka = kafka;
    this.#untie = killAtExit({
      kill: (signal) => {
        if (this.#isRunning) process.kill(this.pid, signal);
      },
    });
  }

  /** Starts it with a data directory of its own inside `directory`, which is never removed here. */
  static async start(directory: string): Promise<Broker> {
    const kafka = new Kafka({
      directory: await mkdtemp(join(directory, 'kafka-')),
      jars: await fetchKafkaJars(CACHE),
      ports: await Kafka.freePorts(1),
      isForSpeed: true,
    });
    const broker = new Broker(kafka);
    try {
      await kafka.start();
      return broker;
    } catch (error) {
      await broker.stop();
      throw error;
    }
  }

  get pid(): number {
    return this.#kafka.daemons.get(ID)?.pid ?? 0;
  }

  /** As clients want it: `host:port`. */
  get address(): string {
    return this.#kafka.brokers;
  }

  async stop(): Promise<void> {
    await this.#kafka.stop();
    this.#untie();
  }

  get #isRunning(): boolean {
    const daemon = this.#kafka.daemons.get(ID);
    return daemon !== undefined && isRunning(daemon);
  }
}
