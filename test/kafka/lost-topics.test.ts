import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { partitionOf } from '../../src/fanout/partition.ts';
import { ALL, codeOf, midOf, midsOf, publish } from '../contract/room-log-fixture.ts';
import { KAFKA_BROKERS } from '../services/test-services.ts';
import { API } from './kafka-proxy.ts';
import { KafkaStage } from './kafka-stage.ts';

const PARTITIONS = 4;
const PATIENCE = { timeout: 20_000, interval: 50 };
const QUICK = { watchMs: 200, lostAfterMs: 1_000, checkpointMs: 0 };

describe.skipIf(KAFKA_BROKERS === undefined && !process.env.CI)('a topic', () => {
  let stage: KafkaStage;

  beforeAll(async () => {
    stage = await KafkaStage.open();
  }, 120_000);

  afterEach(() => stage.clear());

  afterAll(() => stage?.close());

  test.each([
    ['anew', ['anew.rooms']],
    ['both', ['both.rooms', 'both.meta']],
  ])(
    'that is deleted and made anew is another log, with another epoch, for all replicas alike: %s',
    async (prefix, topics) => {
      const [one, two] = [await stage.log(prefix, QUICK), await stage.log(prefix, QUICK)];
      for (let index = 0; index < 10; index++) await one.log.append(publish('r', `m${index}`));
      const { epoch } = one.log;
      expect(two.log.epoch).toBe(epoch);
      await stage.admin((client) => client.deleteTopics({ topics }));
      await expect.poll(() => one.log.epoch, PATIENCE).not.toBe(epoch);
      await expect.poll(() => two.log.epoch, PATIENCE).toBe(one.log.epoch);
      expect(one.breaks.toSorted()).toEqual([0, 1, 2, 3]);
      expect(two.breaks.toSorted()).toEqual([0, 1, 2, 3]);
      const { position } = await one.log.append(publish('r', 'new'));
      expect(position).toEqual({ epoch: one.log.epoch, offset: 0 });
      await expect.poll(() => two.tailed.map(midOf).at(-1), PATIENCE).toBe('new');
      const after = { epoch, offset: 9 };
      for (const { log } of [one, two]) {
        const page = await log.read({ room: 'r', ...ALL, after });
        expect(midsOf(page)).toEqual(['new']);
        expect(page.gap).toEqual({ from: null, to: { epoch: log.epoch, offset: -1 } });
      }
    },
  );

  test('that was made anew while no replica ran is another log as well', async () => {
    const first = await stage.log('asleep', QUICK);
    const { epoch } = first.log;
    await first.log.append(publish('r', 'm0'));
    await first.log.close();
    await stage.admin(async (client) => {
      await client.deleteTopics({ topics: ['asleep.rooms'] });
      await expect.poll(() => client.listTopics(), PATIENCE).not.toContain('asleep.rooms');
    });
    const second = await stage.log('asleep', QUICK);
    expect(second.log.epoch).not.toBe(epoch);
    expect((await second.log.append(publish('r', 'm0'))).duplicate).toBe(false);
  });

  test('that somebody else makes anew at once is known by the first append to it', async () => {
    const unhurried = { watchMs: 200, lostAfterMs: 3_600_000 };
    const [one, two] = [await stage.log('replaced', unhurried), await stage.log('replaced', unhurried)];
    for (let index = 0; index < 5; index++) await one.log.append(publish('r', `m${index}`));
    await expect.poll(() => two.tailed.length, PATIENCE).toBe(5);
    const { epoch } = one.log;
    const topic = { topic: 'replaced.rooms', numPartitions: PARTITIONS };
    const configEntries = [{ name: 'message.timestamp.type', value: 'LogAppendTime' }];
    await stage.admin((client) => client.deleteTopics({ topics: [topic.topic] }));
    await stage.admin((client) => client.createTopics({ topics: [{ ...topic, configEntries }] }));
    expect(await codeOf(one.log.append(publish('r', 'm5')))).toBe('unknown_outcome');
    for (const { log } of [one, two]) await expect.poll(() => log.epoch, PATIENCE).not.toBe(epoch);
    expect(two.log.epoch).toBe(one.log.epoch);
    // It is there, but of the log that is lost.
    expect((await one.log.append(publish('r', 'm5'))).duplicate).toBe(false);
    await expect.poll(() => two.tailed.map(midOf).at(-1), PATIENCE).toBe('m5');
    expect(two.tailed.map(midOf)).toEqual(['m0', 'm1', 'm2', 'm3', 'm4', 'm5']);
    expect(two.log.outcomes.other_epoch).toBe(1);
  });

  test('that is given partitions behind our back is not written to, in words', async () => {
    const { log, lines } = await stage.log('grown', QUICK);
    await log.append(publish('r', 'before'));
    await stage.admin((client) =>
      client.createPartitions({ topicPartitions: [{ topic: 'grown.rooms', count: PARTITIONS + 1 }] }),
    );
    await expect.poll(() => log.state().writable, PATIENCE).toBe(false);
    expect(log.state().reason).toBe('the topic grown.rooms has 5 partitions, not 4');
    expect(lines.map(({ message }) => message)).toContain('nothing can be published');
    expect(await codeOf(log.append(publish('r', 'behind')))).toBe('unavailable');
    await expect(stage.log('grown', QUICK)).rejects.toThrow('the topic grown.rooms has 5 partitions, not 4');
  });

  test('whose records are deleted before a replica has read them breaks there, and goes on behind', async () => {
    const settings = { ...QUICK, appendTimeoutMs: 3_000 };
    const [writer, reader] = [await stage.log('passed', settings), await stage.log('passed', settings)];
    const partition = partitionOf('r', PARTITIONS);
    await writer.log.append(publish('r', 'm0'));
    await expect.poll(() => reader.tailed.length).toBe(1);
    // Nobody reads for a while, and the writer's own answers wait.
    stage.proxy.rule = ({ kind, api }) => (kind === 'reply' && api === API.fetch ? 'hold' : 'pass');
    const waiting = Array.from({ length: 5 }, (_, index) => codeOf(writer.log.append(publish('r', `lost${index}`))));
    await expect.poll(() => stage.recordCount('passed.rooms'), PATIENCE).toBe(6);
    await stage.admin(async (client) => {
      // Without having asked for them it does not know the topic.
      await client.fetchTopicOffsets('passed.rooms');
      await client.deleteTopicRecords({ topic: 'passed.rooms', partitions: [{ partition, offset: '6' }] });
    });
    stage.proxy.rule = () => 'pass';
    stage.proxy.cutAll();
    await expect.poll(() => reader.breaks, PATIENCE).toContain(partition);
    await writer.log.append(publish('r', 'behind'));
    await expect.poll(() => reader.tailed.map(midOf).at(-1), PATIENCE).toBe('behind');
    const page = await reader.log.read({ room: 'r', ...ALL, after: { epoch: reader.log.epoch, offset: 0 } });
    expect(midsOf(page)).toEqual(['behind']);
    expect(page.gap).toEqual({
      from: { epoch: reader.log.epoch, offset: 0 },
      to: { epoch: reader.log.epoch, offset: 5 },
    });
    await Promise.all(waiting);
  });

  test('passes over what others have written there, and says so', async () => {
    const { log, tailed, lines } = await stage.log('strange');
    const partition = partitionOf('r', PARTITIONS);
    const producer = stage.client().producer({ createPartitioner: () => () => partition });
    await producer.connect();
    await producer.send({
      topic: 'strange.rooms',
      messages: [
        { key: 'r', value: 'hello', partition },
        { key: null, value: null, partition },
        { key: 'r', value: '{"room":"r","from":"u","mid":"m","data":1}', partition, headers: { v: '2' } },
        { key: 'r', value: '{"room":"r","from":"u","mid":"m","data":1}', partition, headers: { v: '1' } },
      ],
    });
    await producer.disconnect();
    const { position } = await log.append(publish('r', 'm'));
    expect(position.offset).toBe(4);
    expect(tailed.map(midOf)).toEqual(['m']);
    expect(log.outcomes).toMatchObject({ delivered: 1, foreign: 2, newer: 1, malformed: 1 });
    const skipped = lines.filter(({ message }) => message === 'a record in Kafka does not count');
    expect(skipped.map(({ fields }) => (fields as { offset: number }).offset)).toEqual([0, 1, 2, 3]);
  });

  test.each([
    ['of another time', { 'message.timestamp.type': 'CreateTime' }, 'message.timestamp.type=CreateTime'],
    ['of too short a memory', { 'retention.ms': '1000' }, 'retention.ms=1000'],
    ['that forgets what is old', { 'cleanup.policy': 'compact' }, 'cleanup.policy=compact'],
  ])('%s is refused, in words', async (name, config, words) => {
    const prefix = `refused-${name.replaceAll(' ', '-')}`;
    const good = { 'message.timestamp.type': 'LogAppendTime', 'cleanup.policy': 'delete' };
    const configEntries = Object.entries({ ...good, ...config }).map(([key, value]) => ({ name: key, value }));
    await stage.admin((client) =>
      client.createTopics({ topics: [{ topic: `${prefix}.rooms`, numPartitions: PARTITIONS, configEntries }] }),
    );
    await expect(stage.log(prefix)).rejects.toThrow(words);
  });

  test('of replicas with another window is refused, in words', async () => {
    await stage.log('window');
    await expect(stage.log('window', { windowMs: 100_000 })).rejects.toThrow(
      'the replicas of this log have windowMs 180000, and this one 100000',
    );
  });
});
