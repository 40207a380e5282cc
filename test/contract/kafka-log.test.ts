import { setTimeout as delay } from 'node:timers/promises';
import { describe } from 'vitest';
import type { RoomLog } from '../../src/fanout/room-log.ts';
import type { KeptHistory } from '../../src/fanout/shared-history.ts';
import { KAFKA_LOG_DEFAULTS, type KafkaLogSettings } from '../../src/kafka/kafka-settings.ts';
import { openKafkaLog } from '../../src/kafka/open-kafka-log.ts';
import { randomName } from '../../src/random-name.ts';
import { HISTORY_DEFAULTS } from '../../src/redis/history-settings.ts';
import { RedisHistory } from '../../src/redis/redis-history.ts';
import { RedisLink } from '../../src/redis/redis-link.ts';
import { REDIS_DEFAULTS } from '../../src/redis/redis-settings.ts';
import { KAFKA_BROKERS, REDIS_URL } from '../services/test-services.ts';
import { describeRoomLog, type RoomLogUnderTest } from './room-log.contract.ts';

const silent = { info() {}, warn() {}, error() {} };

/** A history, how it is waited for, and how it is let go of. */
interface Opened {
  readonly history: KeptHistory | null;
  written(): Promise<void>;
  close(): Promise<void>;
}

const NONE: Opened = { history: null, async written() {}, async close() {} };

/** A log that is read when all that has come through its tail has got into its history. */
function readLater(log: RoomLog, written: () => Promise<void>): RoomLog {
  return {
    get epoch() {
      return log.epoch;
    },
    partitions: log.partitions,
    append: (request) => log.append(request),
    tail: (onBatch, onBreak) => log.tail(onBatch, onBreak),
    async read(request) {
      await written();
      return log.read(request);
    },
    ends: () => log.ends(),
    untilCurrent: (room) => log.untilCurrent(room),
    close: () => log.close(),
  };
}

async function openSubject(
  changes: Partial<KafkaLogSettings>,
  openHistory: (prefix: string) => Promise<Opened>,
): Promise<RoomLogUnderTest> {
  const prefix = `contract-${randomName(6, 'hex')}`;
  const brokers = (KAFKA_BROKERS ?? '').split(',');
  const settings = { ...KAFKA_LOG_DEFAULTS, brokers, prefix, node: 'one', replicationFactor: 1, ...changes };
  const open = async () => {
    const kept = await openHistory(prefix);
    const log = await openKafkaLog(settings, silent, kept.history);
    kept.history?.follow(log.past);
    const close = async () => {
      await log.close();
      await kept.close();
    };
    return { log: readLater(log, kept.written), close };
  };
  let current = await open();
  return {
    log: current.log,
    async reopen() {
      await current.close();
      current = await open();
      return current.log;
    },
    dispose: () => current.close(),
  };
}

describe.skipIf(KAFKA_BROKERS === undefined && !process.env.CI)('on a real Kafka', () => {
  describeRoomLog('the log on Kafka', ({ partitions }) => {
    return openSubject({ partitions }, async () => NONE);
  });

  describe.skipIf(REDIS_URL === undefined && !process.env.CI)('and Redis', () => {
    // Little is in memory, so that under load it is read from Redis.
    describeRoomLog('the log on Kafka with its history in Redis', ({ partitions }) => {
      const few = { partitions, recentRecordsMax: 100 * partitions, windowMs: 1_500, slackMs: 200 };
      return openSubject(few, async (prefix) => {
        const link = new RedisLink({ ...REDIS_DEFAULTS, url: REDIS_URL ?? '', prefix, node: 'one' }, silent);
        await link.open();
        const history = new RedisHistory(link, { ...HISTORY_DEFAULTS, writeMs: 5 }, silent);
        const written = async () => {
          for (;;) {
            const { led, behind } = history.figures();
            if (led === partitions && behind === 0) return;
            await delay(2);
          }
        };
        const close = async () => {
          await history.close();
          link.close();
        };
        return { history, written, close };
      });
    });
  });
});
