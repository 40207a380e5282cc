import type { Kafka, KafkaMessage } from 'kafkajs';
import { randomName } from '../random-name.ts';
import type { KafkaLogSettings } from './kafka-settings.ts';
import { fetchOffsets, KafkaSetupError, metaTopic } from './kafka-topics.ts';
import type { RangeReader } from './range-reader.ts';

/** Of what replicas say to each other. */
const VERSION = 1;
const READ_MS_MAX = 30_000;

/** What all replicas of a log agree on. */
interface LogMeta {
  readonly version: number;
  readonly epoch: string;
  readonly partitions: number;
  readonly windowMs: number;
}

/**
 * The log's epoch: what its first replica wrote. Of several that come at the same time the one whose record is first
 * has its way.
 *
 * @throws KafkaSetupError if this replica is configured in another way than the others
 */
export async function agreeOnEpoch(client: Kafka, reader: RangeReader, settings: KafkaLogSettings): Promise<string> {
  const meta = (await readMeta(client, reader, settings)) ?? (await proposeMeta(client, reader, settings));
  const ours: Omit<LogMeta, 'epoch'> = { version: VERSION, ...pick(settings) };
  for (const name of ['version', 'partitions', 'windowMs'] as const) {
    if (meta[name] === ours[name]) continue;
    throw new KafkaSetupError(
      `the replicas of this log have ${name} ${meta[name]}, and this one ${ours[name]}: they would decide differently`,
    );
  }
  return meta.epoch;
}

async function proposeMeta(client: Kafka, reader: RangeReader, settings: KafkaLogSettings): Promise<LogMeta> {
  const meta: LogMeta = { version: VERSION, epoch: randomName(12, 'base64url'), ...pick(settings) };
  const producer = client.producer({ allowAutoTopicCreation: false, createPartitioner: () => () => 0 });
  await producer.connect();
  try {
    // Each under a key of its own, so that none is compacted away.
    const messages = [{ key: meta.epoch, value: JSON.stringify(meta), partition: 0 }];
    await producer.send({ topic: metaTopic(settings).name, acks: -1, messages });
  } finally {
    await producer.disconnect();
  }
  const agreed = await readMeta(client, reader, settings);
  if (agreed === undefined)
    throw new KafkaSetupError(`${metaTopic(settings).name} does not keep what is written to it`);
  return agreed;
}

async function readMeta(client: Kafka, reader: RangeReader, settings: KafkaLogSettings): Promise<LogMeta | undefined> {
  const admin = client.admin();
  await admin.connect();
  const { first, end } = await fetchOffsets(admin, metaTopic(settings).name).finally(() => admin.disconnect());
  const [from = 0] = first;
  const [behind = 0] = end;
  if (behind <= from) return undefined;
  let found: LogMeta | undefined;
  const visit = (messages: readonly KafkaMessage[]): boolean => {
    for (const { value } of messages) found ??= parseMeta(value);
    return found === undefined && Number(messages.at(-1)?.offset) < behind - 1;
  };
  await reader.read(0, from, visit, READ_MS_MAX);
  return found;
}

function parseMeta(value: Buffer | null): LogMeta | undefined {
  try {
    const meta = JSON.parse(value?.toString() ?? '') as Partial<LogMeta>;
    return typeof meta.epoch === 'string' && typeof meta.version === 'number' ? (meta as LogMeta) : undefined;
  } catch {
    return undefined;
  }
}

function pick({ partitions, windowMs }: KafkaLogSettings): Pick<LogMeta, 'partitions' | 'windowMs'> {
  return { partitions, windowMs };
}
