import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { codeOf, midOf, publish } from '../contract/room-log-fixture.ts';
import { KAFKA_BROKERS } from '../services/test-services.ts';
import { FakeTrace } from '../unit/fake-trace.ts';
import { API, type Frame } from './kafka-proxy.ts';
import { KafkaStage } from './kafka-stage.ts';

describe.skipIf(KAFKA_BROKERS === undefined && !process.env.CI)('publishes to Kafka', () => {
  let stage: KafkaStage;

  beforeAll(async () => {
    stage = await KafkaStage.open();
  }, 120_000);

  afterEach(() => stage.clear());

  afterAll(() => stage.close());

  test('whose reply is lost behind the append count once, and are answered', async () => {
    const { log, tailed } = await stage.log('lost');
    let cuts = 3;
    stage.proxy.rule = ({ kind, api }: Frame) => {
      // Until then the tail does not tell either, or they would not be sent again.
      if (kind === 'reply' && api === API.fetch && cuts > 0) return 'hold';
      if (kind !== 'reply' || api !== API.produce || cuts === 0) return 'pass';
      cuts -= 1;
      if (cuts === 0) setTimeout(() => stage.proxy.release(), 300);
      return 'cut';
    };
    const outcomes = await Promise.all(Array.from({ length: 20 }, (_, index) => log.append(publish('r', `m${index}`))));
    expect(outcomes.every(({ duplicate }) => !duplicate)).toBe(true);
    await log.append(publish('r', 'last'));
    const mids = [...Array.from({ length: 20 }, (_, index) => `m${index}`), 'last'];
    expect(tailed.map(midOf)).toEqual(mids);
    expect(cuts).toBe(0);
    // They are there several times.
    expect(await stage.recordCount('lost.rooms')).toBeGreaterThan(mids.length);
  });

  test('whose request is held until the next try has succeeded count once', async () => {
    const { log, tailed } = await stage.log('held', { attemptTimeoutMs: 500 });
    let isFirst = true;
    stage.proxy.rule = ({ kind, api }: Frame) => {
      if (kind !== 'request' || api !== API.produce || !isFirst) return 'pass';
      isFirst = false;
      return 'hold';
    };
    const first = await log.append(publish('r', 'first'));
    expect(isFirst).toBe(false);
    const second = await log.append(publish('r', 'second'));
    stage.proxy.release();
    await expect.poll(() => stage.recordCount('held.rooms')).toBe(3);
    await log.append(publish('r', 'third'));
    expect(tailed.map(midOf)).toEqual(['first', 'second', 'third']);
    expect([first.duplicate, second.duplicate]).toEqual([false, false]);
    expect(await log.append(publish('r', 'first'))).toEqual({ ...first, duplicate: true });
  });

  test('that nobody waits for any more do not count once their deadline has passed', async () => {
    const settings = { attemptTimeoutMs: 300, appendTimeoutMs: 600, recordLifeMs: 1_000 };
    const { log, tailed, lines } = await stage.log('zombie', settings);
    const trace = new FakeTrace();
    stage.proxy.rule = ({ kind, api }: Frame) => (kind === 'request' && api === API.produce ? 'hold' : 'pass');
    expect(await codeOf(log.append({ ...publish('r', 'late'), trace }))).toBe('unknown_outcome');
    await new Promise((resolve) => setTimeout(resolve, 1_000));
    stage.proxy.rule = () => 'pass';
    stage.proxy.release();
    await expect.poll(() => log.outcomes.zombie).toBeGreaterThan(0);
    expect(tailed).toEqual([]);
    // Whoever looks into the publish finds what became of it.
    expect(trace.told.slice(0, 3)).toEqual(['queued', expect.stringMatching(/^sending to \d+ with 1$/), 'retrying']);
    const { trace_id } = trace.ids;
    for (const [message, fields] of [
      ['records could not be sent to Kafka', trace.ids],
      ['a record in Kafka does not count', { kind: 'zombie', trace_id }],
    ] as const)
      expect(lines).toContainEqual({ message, fields: expect.objectContaining(fields) });
    // It was never there: the same publish counts now.
    expect((await log.append(publish('r', 'late'))).duplicate).toBe(false);
    expect(tailed.map(midOf)).toEqual(['late']);
  });

  test('retried at another replica while the answer of the first is lost count once, at the same offset', async () => {
    const [one, two] = [await stage.log('two'), await stage.log('two')];
    stage.proxy.rule = ({ kind, api }: Frame) => (kind === 'reply' && api === API.produce ? 'drop' : 'pass');
    const first = one.log.append(publish('r', 'm'));
    await expect.poll(() => two.tailed.length).toBe(1);
    stage.proxy.rule = () => 'pass';
    const again = await two.log.append(publish('r', 'm'));
    expect(again.duplicate).toBe(true);
    expect((await first).position).toEqual(again.position);
    expect(one.tailed.map(midOf)).toEqual(['m']);
    expect(two.tailed).toEqual(one.tailed);
  });
});
