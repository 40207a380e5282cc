import { describe } from 'vitest';
import { KAFKA_LOG_DEFAULTS } from '../../src/kafka/kafka-settings.ts';
import { openKafkaLog } from '../../src/kafka/open-kafka-log.ts';
import { randomName } from '../../src/random-name.ts';
import { KAFKA_BROKERS } from '../services/test-services.ts';
import { describeRoomLog } from './room-log.contract.ts';

const silent = { info() {}, warn() {}, error() {} };

describe.skipIf(KAFKA_BROKERS === undefined && !process.env.CI)('on a real Kafka', () => {
  describeRoomLog('the log on Kafka', async ({ partitions }) => {
    const settings = {
      ...KAFKA_LOG_DEFAULTS,
      brokers: (KAFKA_BROKERS ?? '').split(','),
      prefix: `contract-${randomName(6, 'hex')}`,
      node: 'one',
      partitions,
      replicationFactor: 1,
    };
    const open = () => openKafkaLog(settings, silent);
    const first = await open();
    let current = first;
    return {
      log: first,
      async reopen() {
        await current.close();
        current = await open();
        return current;
      },
      async dispose() {
        await current.close();
      },
    };
  });
});
