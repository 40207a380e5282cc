import { setTimeout as delay } from 'node:timers/promises';
import type { Admin, Kafka } from 'kafkajs';
import { kafkaTypeOf } from './kafka-error.ts';
import type { KafkaLogSettings } from './kafka-settings.ts';
import { KafkaSetupError, setupErrorOf } from './kafka-setup-error.ts';

/** A topic, and the settings without which the log's promises don't hold. */
export interface TopicSpec {
  readonly name: string;
  readonly partitions: number;
  readonly config: Readonly<Record<string, string>>;
}

/** Kafka's number for a topic among what has settings; kafkajs' own name for it can't be imported by a module. */
const TOPIC_RESOURCE = 2;
const TOPIC_EXISTS = 'TOPIC_ALREADY_EXISTS';
/** What a broker says of a topic that was made a moment ago, of which it has not heard yet. */
const NOT_HEARD_OF = ['UNKNOWN_TOPIC_OR_PARTITION', 'LEADER_NOT_AVAILABLE'];
const BECOMES_KNOWN_MS_MAX = 15_000;
const BECOMES_KNOWN_POLL_MS = 50;

/** Sees whether a log can be served from there, and makes nothing. @throws KafkaSetupError */
export async function checkKafka(admin: Admin, settings: KafkaLogSettings): Promise<'empty' | 'there'> {
  try {
    await admin.connect();
    const known = await admin.listTopics();
    const specs = [roomsTopic(settings), metaTopic(settings)].filter(({ name }) => known.includes(name));
    for (const spec of specs) await verifyTopic(admin, spec, settings);
    return specs.length === 0 ? 'empty' : 'there';
  } catch (error) {
    throw setupErrorOf(error, settings);
  } finally {
    await admin.disconnect();
  }
}

export function roomsTopic(settings: KafkaLogSettings): TopicSpec {
  const { prefix, partitions, retentionMs } = settings;
  return {
    name: `${prefix}.rooms`,
    partitions,
    config: {
      // Times are the log's, so that all replicas decide alike.
      'message.timestamp.type': 'LogAppendTime',
      'cleanup.policy': 'delete',
      'unclean.leader.election.enable': 'false',
      'min.insync.replicas': minInsyncOf(settings),
      'retention.ms': String(retentionMs),
    },
  };
}

export function metaTopic(settings: KafkaLogSettings): TopicSpec {
  return {
    name: `${settings.prefix}.meta`,
    partitions: 1,
    config: {
      'cleanup.policy': 'compact',
      'unclean.leader.election.enable': 'false',
      'min.insync.replicas': minInsyncOf(settings),
    },
  };
}

function minInsyncOf({ replicationFactor }: KafkaLogSettings): string {
  return replicationFactor >= 3 ? '2' : '1';
}

/**
 * Makes the topics unless they are there, and sees whether they are as they must be. Those that are there are never
 * altered: other settings of theirs would be lost.
 *
 * @throws KafkaSetupError if they are not, or an error of kafkajs's
 */
export async function ensureTopics(admin: Admin, settings: KafkaLogSettings): Promise<void> {
  const specs = [roomsTopic(settings), metaTopic(settings)];
  // Where they are there, nobody needs the right to make them.
  const known = await admin.listTopics();
  for (const { name, partitions, config } of specs.filter((spec) => !known.includes(spec.name))) {
    const configEntries = Object.entries(config).map(([key, value]) => ({ name: key, value }));
    const { replicationFactor } = settings;
    try {
      await admin.createTopics({
        topics: [{ topic: name, numPartitions: partitions, replicationFactor, configEntries }],
        // It may ask a broker that has not heard of the topic yet, and gives up then.
        waitForLeaders: false,
      });
    } catch (error) {
      if (isAlreadyThere(error)) continue;
      throw setupErrorOf(firstOf(error as Error), settings, `the topic ${name} can't be made`);
    }
  }
  for (const spec of specs) await onceKnown(() => verifyTopic(admin, spec, settings));
}

/**
 * Does something with topics that may just have been made: brokers learn of them one after the other, and each is
 * asked at random.
 */
export async function onceKnown<T>(work: () => Promise<T>): Promise<T> {
  const endMs = performance.now() + BECOMES_KNOWN_MS_MAX;
  for (;;) {
    try {
      return await work();
    } catch (error) {
      if (!NOT_HEARD_OF.includes(kafkaTypeOf(error) ?? '') || performance.now() > endMs) throw error;
      await delay(BECOMES_KNOWN_POLL_MS);
    }
  }
}

/** The same where they may be gone: an admin that has known a topic can't make it again, as it asks for it first. */
export async function ensureTopicsAnew(client: Kafka, settings: KafkaLogSettings): Promise<void> {
  const admin = client.admin();
  await admin.connect();
  await ensureTopics(admin, settings).finally(() => admin.disconnect());
}

async function verifyTopic(admin: Admin, spec: TopicSpec, settings: KafkaLogSettings): Promise<void> {
  const { topics } = await admin.fetchTopicMetadata({ topics: [spec.name] });
  const partitions = topics[0]?.partitions.length ?? 0;
  if (partitions !== spec.partitions) {
    throw new KafkaSetupError(
      `the topic ${spec.name} has ${partitions} partitions, not ${spec.partitions}: rooms would be looked for in the wrong ones`,
    );
  }
  const { resources } = await admin.describeConfigs({
    resources: [{ type: TOPIC_RESOURCE, name: spec.name }],
    includeSynonyms: false,
  });
  const found = new Map(resources[0]?.configEntries.map(({ configName, configValue }) => [configName, configValue]));
  for (const name of ['message.timestamp.type', 'cleanup.policy', 'unclean.leader.election.enable']) {
    const wanted = spec.config[name];
    if (wanted !== undefined && found.get(name) !== wanted) {
      throw new KafkaSetupError(`the topic ${spec.name} has ${name}=${found.get(name)}, and needs ${wanted}`);
    }
  }
  const retentionMs = Number(found.get('retention.ms') ?? -1);
  const neededMs = settings.windowMs + settings.slackMs;
  if (spec.config['retention.ms'] !== undefined && retentionMs >= 0 && retentionMs < neededMs) {
    throw new KafkaSetupError(`the topic ${spec.name} has retention.ms=${retentionMs}, and needs ${neededMs} or more`);
  }
}

function isAlreadyThere(error: unknown): boolean {
  const { type, errors = [] } = error as { type?: string; errors?: readonly { type?: string }[] };
  return type === TOPIC_EXISTS || (errors.length > 0 && errors.every((each) => each.type === TOPIC_EXISTS));
}

/** kafkajs tells of topics together; one at a time is asked for. */
function firstOf(error: Error & { errors?: readonly Error[] }): Error {
  return error.errors?.[0] ?? error;
}
