import type { LogLines } from '../fanout/log-lines.ts';
import type { SharedHistory } from '../fanout/shared-history.ts';
import { randomName } from '../random-name.ts';
import { createClient } from './kafka-client.ts';
import { KafkaLog } from './kafka-log.ts';
import { KafkaMeta } from './kafka-meta.ts';
import type { KafkaLogSettings } from './kafka-settings.ts';
import { setupErrorOf } from './kafka-setup-error.ts';
import { ensureTopics, metaTopic, onceKnown, roomsTopic, type TopicSpec } from './kafka-topics.ts';
import { RangeReader } from './range-reader.ts';
import { TopicOffsets } from './topic-offsets.ts';

/**
 * Opens the log of rooms in a Kafka cluster, making its topics where there are none, and resolves when all that
 * decisions need is known.
 *
 * @param history where replicas keep what they have decided, if they do
 * @throws KafkaSetupError if Kafka can't be reached, or what is there is not as it must be
 */
export async function openKafkaLog(
  settings: KafkaLogSettings,
  logger: LogLines,
  history: SharedHistory | null = null,
): Promise<KafkaLog> {
  const client = createClient(settings, logger);
  const admin = client.admin({ retry: { retries: 3 } });
  const group = `${settings.prefix}-${settings.node}-${randomName(6, 'base64url')}`;
  const readerOf = ({ name, partitions }: TopicSpec, purpose: string) =>
    new RangeReader({
      ...{ topic: name, partitions },
      group: `${group}-${purpose}`,
      createClient: () => createClient(settings, logger),
    });
  const metaReader = readerOf(metaTopic(settings), 'meta');
  const meta = new KafkaMeta(client, metaReader, settings);
  const reader = readerOf(roomsTopic(settings), 'past');
  try {
    await admin.connect();
    await ensureTopics(admin, settings);
    const offsets = new TopicOffsets(admin, roomsTopic(settings).name);
    const fetchEnds = async () => (await offsets.fetch()).end;
    const { incarnation, ends } = await onceKnown(() => meta.agree(fetchEnds));
    // So that a replica that may not write does not come to serve.
    await meta.checkpoint(incarnation, ends);
    const log = new KafkaLog({ settings, logger, admin, meta, reader, group, incarnation, offsets, history }, ends);
    await log.start();
    return log;
  } catch (error) {
    await Promise.all([admin.disconnect(), reader.close(), meta.close()]);
    throw setupErrorOf(error, settings);
  }
}
