import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { ALL, codeOf, midsOf, positionOf, publish } from '../contract/room-log-fixture.ts';
import { KAFKA_BROKERS } from '../services/test-services.ts';
import { API, type Frame } from './kafka-proxy.ts';
import { KafkaStage, type OpenedLog } from './kafka-stage.ts';

const PATIENCE = { timeout: 20_000, interval: 20 };

describe.skipIf(KAFKA_BROKERS === undefined && !process.env.CI)('a replica that is behind another', () => {
  let stage: KafkaStage;
  let one: OpenedLog;
  let two: OpenedLog;

  beforeAll(async () => {
    stage = await KafkaStage.open();
  }, 120_000);

  afterEach(() => stage.clear());

  afterAll(() => stage?.close());

  /** Opens both, and holds back what the second one would read. */
  async function open(prefix: string): Promise<void> {
    [one, two] = [await stage.log(prefix, { node: 'one' }), await stage.log(prefix, { node: 'two' })];
    for (const mid of ['a', 'b']) await one.log.append(publish('r', mid));
    await expect.poll(() => two.tailed.length, PATIENCE).toBe(2);
    stage.proxy.rule = ({ kind, api, client }: Frame) =>
      kind === 'reply' && api === API.fetch && client === 'tidegate-two' ? 'hold' : 'pass';
  }

  function letGo(): void {
    stage.proxy.rule = () => 'pass';
    stage.proxy.release();
  }

  test('lets readers wait until it knows what was acknowledged there', async () => {
    await open('waits');
    await one.log.append(publish('r', 'c'));
    expect(two.tailed).toHaveLength(2);
    const reads = Array.from({ length: 3 }, () =>
      two.log.untilCurrent('r').then(() => two.log.read({ room: 'r', ...ALL })),
    );
    setTimeout(letGo, 300);
    for (const page of await Promise.all(reads)) expect(midsOf(page)).toEqual(['a', 'b', 'c']);
  });

  test('for long takes no place that it does not know yet for a gap', async () => {
    await open('long');
    const { position } = await one.log.append(publish('r', 'c'));
    const startedMs = performance.now();
    await two.log.untilCurrent('r');
    expect(performance.now() - startedMs).toBeGreaterThan(900);
    expect(two.tailed).toHaveLength(2);
    for (const place of ['after', 'before']) {
      expect(await codeOf(two.log.read({ room: 'r', ...ALL, [place]: position }))).toBe('unavailable');
    }
    // What it knows can be read all the same, and what nobody knows is of another log.
    const known = await two.log.read({ room: 'r', ...ALL });
    expect(midsOf(known)).toEqual(['a', 'b']);
    const first = positionOf(two.tailed[0] as (typeof two.tailed)[0]);
    expect(midsOf(await two.log.read({ room: 'r', ...ALL, after: first }))).toEqual(['b']);
    const beyond = { ...position, offset: position.offset + 1 };
    expect((await two.log.read({ room: 'r', ...ALL, after: beyond })).gap).toMatchObject({ from: null });
    letGo();
    await expect.poll(() => two.tailed.length, PATIENCE).toBe(3);
    expect(await two.log.read({ room: 'r', ...ALL, after: position })).toEqual({
      publications: [],
      source: 'memory',
      more: false,
    });
  });

  test('is not waited for by everybody where Kafka does not answer', async () => {
    await open('silent');
    stage.proxy.rule = ({ client }: Frame) => (client === 'tidegate-two' ? 'hold' : 'pass');
    await two.log.untilCurrent('r');
    const startedMs = performance.now();
    for (let i = 0; i < 20; i++) await two.log.untilCurrent('r');
    expect(performance.now() - startedMs).toBeLessThan(1_500);
    expect(midsOf(await two.log.read({ room: 'r', ...ALL }))).toEqual(['a', 'b']);
  });

  test('at both of which the same is published at a time has added it once, and says so once', async () => {
    [one, two] = [await stage.log('once', { node: 'one' }), await stage.log('once', { node: 'two' })];
    for (let round = 0; round < 20; round++) {
      const request = publish('r', `m${round}`);
      const outcomes = await Promise.all([one, two, one, two].map(({ log }) => log.append(request)));
      expect(new Set(outcomes.map(({ position }) => position.offset)).size).toBe(1);
      expect(outcomes.filter(({ duplicate }) => !duplicate)).toHaveLength(1);
    }
    expect(one.tailed).toHaveLength(20);
  });
});
