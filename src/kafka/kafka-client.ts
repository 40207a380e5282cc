import { Kafka, type KafkaConfig, logLevel, type PartitionerArgs } from 'kafkajs';
import type { LogLines } from '../fanout/log-lines.ts';
import type { KafkaLogSettings } from './kafka-settings.ts';

const CONNECT_MS_MAX = 3_000;
/** For what has no deadline of its own; a fetch has its wait on top. */
const REQUEST_MS_MAX = 10_000;

/** A client of its own: none of ours shares connections, so that one that hangs holds up nobody else. */
export function createClient(settings: KafkaLogSettings, logger: LogLines): Kafka {
  const { brokers, ssl, sasl, node } = settings;
  const config: KafkaConfig = {
    clientId: `tidegate-${node}`,
    brokers: [...brokers],
    connectionTimeout: CONNECT_MS_MAX,
    requestTimeout: REQUEST_MS_MAX,
    // Of what it does for itself, such as finding who coordinates a group; what we ask for is tried again by us.
    retry: { retries: 8, initialRetryTime: 100, maxRetryTime: 1_000 },
    logLevel: logLevel.WARN,
    logCreator: () => (entry) => {
      const { message, error, ...fields } = entry.log;
      const words = `kafkajs: ${message}`;
      const about = { namespace: entry.namespace, error: String(error ?? ''), ...addresses(fields) };
      // What a broker answers is for whoever asked: as that topics have just been made, and are not known everywhere.
      if (message.startsWith('Response ')) return;
      // Its errors are what we try again: ours say what could not be helped.
      if (entry.level === logLevel.ERROR) logger.warn(about, words);
      else logger.info(about, words);
    },
  };
  return new Kafka({ ...config, ssl, ...(sasl !== null && { sasl }) });
}

/** Of what it says of a line, what an operator can use: never stacks or buffers. */
function addresses(fields: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const { broker, topic, partition, groupId } = fields;
  return Object.fromEntries(
    Object.entries({ broker, topic, partition, groupId }).filter(([, value]) => value !== undefined),
  );
}

/** For producers: each message names its partition. */
export function partitionGiven({ message }: PartitionerArgs): number {
  return message.partition ?? 0;
}
