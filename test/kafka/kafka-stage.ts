import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Admin, Kafka as Client } from 'kafkajs';
import { Kafka } from '../../services/kafka.ts';
import { fetchKafkaJars } from '../../services/kafka-jars.ts';
import { partitionOf } from '../../src/fanout/partition.ts';
import type { SharedHistory } from '../../src/fanout/shared-history.ts';
import type { KafkaLog } from '../../src/kafka/kafka-log.ts';
import { KAFKA_LOG_DEFAULTS, type KafkaLogSettings } from '../../src/kafka/kafka-settings.ts';
import { openKafkaLog } from '../../src/kafka/open-kafka-log.ts';
import type { Publication } from '../../src/protocol/publication.ts';
import { randomName } from '../../src/random-name.ts';
import { KafkaProxy } from './kafka-proxy.ts';

const CACHE = fileURLToPath(new URL('../../.cache', import.meta.url));

/** A log that was opened, and what its tail has handed on. */
export interface OpenedLog {
  readonly log: KafkaLog;
  readonly tailed: Publication[];
  /** Partitions in which the tail broke. */
  readonly breaks: number[];
  /** What it told its operator. */
  readonly lines: { readonly fields: object; readonly message: string }[];
}

export interface KafkaStageOptions {
  /** 1 unless told otherwise. */
  readonly brokers?: number;
  readonly properties?: Readonly<Record<string, string>>;
  readonly env?: Readonly<Record<string, string>>;
}

/** A Kafka of a test's own, reached through proxies. */
export class KafkaStage {
  readonly kafka: Kafka;
  /** By the broker's id, counted from 1. */
  readonly proxies: readonly KafkaProxy[];
  readonly #directory: string;
  readonly #logs: KafkaLog[] = [];

  private constructor(kafka: Kafka, proxies: readonly KafkaProxy[], directory: string) {
    this.kafka = kafka;
    this.proxies = proxies;
    this.#directory = directory;
  }

  static async open({ brokers = 1, ...more }: KafkaStageOptions = {}): Promise<KafkaStage> {
    const directory = await mkdtemp(join(tmpdir(), 'tidegate-kafka-'));
    const jars = await fetchKafkaJars(CACHE);
    const ports = await Kafka.freePorts(brokers);
    const proxies = await Promise.all(ports.map(({ client }) => KafkaProxy.open(() => client)));
    const kafka = new Kafka({
      directory,
      jars,
      ports,
      advertised: proxies.map(({ port }) => port),
      ...more,
    });
    const stage = new KafkaStage(kafka, proxies, directory);
    try {
      await kafka.start();
    } catch (error) {
      await stage.close();
      throw error;
    }
    return stage;
  }

  get proxy(): KafkaProxy {
    return this.proxies[0] as KafkaProxy;
  }

  proxyOf(brokerId: number): KafkaProxy {
    const proxy = this.proxies[brokerId - 1];
    if (proxy === undefined) throw new Error(`there is no broker ${brokerId}`);
    return proxy;
  }

  get brokers(): string[] {
    return this.proxies.map(({ port }) => `127.0.0.1:${port}`);
  }

  /** A log of its own, or another replica of one: by the prefix. */
  async log(
    prefix: string,
    settings: Partial<KafkaLogSettings> = {},
    history: SharedHistory | null = null,
  ): Promise<OpenedLog> {
    const lines: OpenedLog['lines'] = [];
    const say = (fields: object, message: string) => lines.push({ fields, message });
    const replicationFactor = this.proxies.length;
    const log = await openKafkaLog(
      {
        ...KAFKA_LOG_DEFAULTS,
        brokers: this.brokers,
        prefix,
        node: randomName(4, 'hex'),
        partitions: 4,
        replicationFactor,
        ...settings,
      },
      { info: say, warn: say, error: say },
      history,
    );
    this.#logs.push(log);
    const tailed: Publication[] = [];
    const breaks: number[] = [];
    log.tail(
      (publications) => tailed.push(...publications),
      (partition) => breaks.push(partition),
    );
    return { log, tailed, breaks, lines };
  }

  /** A client that goes to the brokers through the proxies as well. */
  client(): Client {
    return new Client({ clientId: 'test', brokers: this.brokers, logLevel: 0 });
  }

  async admin<T>(work: (admin: Admin) => Promise<T>): Promise<T> {
    const client = this.client().admin();
    await client.connect();
    try {
      return await work(client);
    } finally {
      await client.disconnect();
    }
  }

  /** By room: the id of the broker that leads its partition. */
  async leaders(topic: string): Promise<(room: string) => number> {
    const { topics } = await this.admin((client) => client.fetchTopicMetadata({ topics: [topic] }));
    const partitions = topics[0]?.partitions ?? [];
    return (room) => {
      const partition = partitionOf(room, partitions.length);
      return partitions.find(({ partitionId }) => partitionId === partition)?.leader ?? -1;
    };
  }

  /** What stands in a topic, whether it counts or not. */
  async recordCount(topic: string): Promise<number> {
    const offsets = await this.admin((client) => client.fetchTopicOffsets(topic));
    return offsets.reduce((sum, { high, low }) => sum + Number(high) - Number(low), 0);
  }

  /** Closes the logs and makes the proxies let everything pass. */
  async clear(): Promise<void> {
    for (const proxy of this.proxies) {
      proxy.rule = () => 'pass';
      proxy.release();
    }
    await Promise.all(this.#logs.splice(0).map((log) => log.close()));
  }

  async close(): Promise<void> {
    await this.clear();
    await this.kafka.stop();
    for (const proxy of this.proxies) proxy.close();
    await rm(this.#directory, { recursive: true, force: true });
  }
}
