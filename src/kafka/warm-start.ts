import type { KafkaMessage } from 'kafkajs';
import type { KafkaLogSettings } from './kafka-settings.ts';
import type { RangeReader } from './range-reader.ts';
import type { Offsets, TopicOffsets } from './topic-offsets.ts';

const FIND_MS_MAX = 10_000;

export interface WarmStartContext {
  readonly settings: KafkaLogSettings;
  readonly reader: RangeReader;
  readonly offsets: TopicOffsets;
}

/** The offset to begin a partition at so that what is decided behind its end is decided right. */
export async function warmStart(
  partition: number,
  { first, end }: Offsets,
  { settings, reader, offsets }: WarmStartContext,
): Promise<number> {
  const begin = first[partition] ?? 0;
  const behind = end[partition] ?? 0;
  if (behind <= begin) return behind;
  let lastMs = 0;
  const visit = (messages: readonly KafkaMessage[]): boolean => {
    lastMs = Number(messages.at(-1)?.timestamp);
    return false;
  };
  await reader.read(partition, behind - 1, visit, FIND_MS_MAX);
  // From the log's time, never from a clock here.
  const { windowMs, slackMs } = settings;
  return Math.max(begin, await offsets.at(partition, lastMs - windowMs - slackMs));
}
