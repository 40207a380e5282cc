import type { SASLOptions } from 'kafkajs';
import type { Config } from './config.ts';
import { checkDataDirectory } from './fanout/data-directory.ts';
import { openEmbeddedLog } from './fanout/embedded-log.ts';
import { EMBEDDED_LOG_DEFAULTS } from './fanout/embedded-settings.ts';
import type { LogLines } from './fanout/log-lines.ts';
import type { ServedLog } from './fanout/served-log.ts';
import type { KeptHistory } from './fanout/shared-history.ts';
import type { KafkaLogFigures } from './kafka/kafka-log-figures.ts';
import { KAFKA_LOG_DEFAULTS, type KafkaLogSettings } from './kafka/kafka-settings.ts';
import { readAuthorities } from './pem-file.ts';

/** The log that a process serves, and what bounds it. */
export interface OpenLog {
  readonly log: ServedLog;
  /** What a log on Kafka has to tell beside; null: it is the embedded one. */
  readonly figures: (() => KafkaLogFigures) | null;
  /** Where it is in Kafka; null: it is the embedded one. */
  readonly topic: string | null;
  readonly bounds: { readonly readsQueuedMax: number; readonly dedupeEntriesMax: number };
}

/**
 * Opens the log that the settings name: on Kafka where they name brokers, else the embedded one.
 *
 * @param history where replicas keep what they have read of Kafka; null: nowhere
 * @param onFailure called when the embedded log can't go on and must be opened anew
 * @throws ConfigError, DataDirectoryError or KafkaSetupError, in words for the operator
 */
export async function openLog(
  config: Config,
  history: KeptHistory | null,
  logger: LogLines,
  onFailure: (error: Error) => void,
): Promise<OpenLog> {
  if (config.kafkaBrokers.length > 0) {
    // Who has no Kafka does without its library as well.
    const { openKafkaLog } = await import('./kafka/open-kafka-log.ts');
    const { roomsTopic } = await import('./kafka/kafka-topics.ts');
    const settings = kafkaSettings(config);
    const log = await openKafkaLog(settings, logger, history);
    history?.follow(log.past);
    return { log, figures: () => log.figures(), topic: roomsTopic(settings).name, bounds: settings };
  }
  const settings = {
    ...EMBEDDED_LOG_DEFAULTS,
    ...commonSettings(config),
    directory: config.dataDir,
    retentionBytes: config.retentionBytes,
    retentionIntervalMs: config.retentionIntervalMs,
    // For the tests that show what the sync is for; nothing else may turn it off.
    synced: process.env.TIDEGATE_TEST_UNSYNCED !== 'true',
    onFailure,
  };
  return { log: await openEmbeddedLog(settings, logger), figures: null, topic: null, bounds: settings };
}

/** What `tidegate check` says of the log. @throws ConfigError, DataDirectoryError or KafkaSetupError */
export async function describeLog(config: Config): Promise<string> {
  const { partitions, dataDir, prefix } = config;
  if (config.kafkaBrokers.length === 0) {
    return `embedded, ${partitions} partitions, in ${dataDir}: ${await checkDataDirectory(dataDir)}`;
  }
  const { createClient } = await import('./kafka/kafka-client.ts');
  const { checkKafka } = await import('./kafka/kafka-topics.ts');
  const settings = kafkaSettings(config);
  const silent = { info() {}, warn() {}, error() {} };
  const state = await checkKafka(createClient(settings, silent).admin(), settings);
  const brokers = settings.brokers.join(', ');
  return `on Kafka, ${brokers}, ${partitions} partitions, topics ${prefix}.*: ${state === 'empty' ? 'to be made' : 'good'}`;
}

function commonSettings(config: Config) {
  return {
    windowMs: config.dedupeWindowMs,
    queueRecordsMax: config.appendQueueRecordsMax,
    queueBytesMax: config.appendQueueBytesMax,
    queueWaitMsMax: config.appendQueueWaitMs,
    appendTimeoutMs: config.appendTimeoutMs,
    retentionMs: config.retentionMs,
    partitions: config.partitions,
  };
}

function kafkaSettings(config: Config): KafkaLogSettings {
  const { kafkaBrokers, kafkaTls, kafkaCa, kafkaSasl, kafkaUser, kafkaPassword } = config;
  return {
    ...KAFKA_LOG_DEFAULTS,
    ...commonSettings(config),
    brokers: kafkaBrokers,
    node: config.nodeId,
    prefix: config.prefix,
    replicationFactor: config.kafkaReplication,
    ssl: kafkaCa === null ? kafkaTls : { ca: [readAuthorities('TIDEGATE_KAFKA_CA', kafkaCa)] },
    // Both are there: the settings were checked.
    sasl: kafkaSasl === 'none' ? null : saslOf(kafkaSasl, kafkaUser ?? '', kafkaPassword ?? ''),
  };
}

function saslOf(
  mechanism: 'plain' | 'scram-sha-256' | 'scram-sha-512',
  username: string,
  password: string,
): SASLOptions {
  if (mechanism === 'plain') return { mechanism, username, password };
  return mechanism === 'scram-sha-256' ? { mechanism, username, password } : { mechanism, username, password };
}
