import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ALL, codeOf, midOf, midsOf, publish } from '../contract/room-log-fixture.ts';
import { KAFKA_BROKERS } from '../services/test-services.ts';
import { API } from './kafka-proxy.ts';
import { KafkaStage } from './kafka-stage.ts';

const ROOMS = Array.from({ length: 8 }, (_, index) => `room-${index}`);
const MIDS = Array.from({ length: 20 }, (_, index) => `m${index}`);

describe.skipIf(KAFKA_BROKERS === undefined && !process.env.CI)('a broker that answers its clients nothing', () => {
  let stage: KafkaStage;

  beforeAll(async () => {
    // The others believe it to be well, and on a busy machine each other too, so that nobody else is made a leader.
    stage = await KafkaStage.open({ brokers: 3, properties: { 'broker.session.timeout.ms': '60000' } });
  }, 180_000);

  afterAll(() => stage?.close(), 60_000);

  test('holds up the partitions that it leads, and no others', async () => {
    const { log, tailed } = await stage.log('stuck', { attemptTimeoutMs: 1_000, appendTimeoutMs: 8_000 });
    // The brokers have just begun, and take some seconds to have a coordinator for the tail's group.
    await Promise.all(ROOMS.map((room) => log.append(publish(room, 'first'))));
    const leaderOf = await stage.leaders('stuck.rooms');
    const [stuckRoom = ''] = ROOMS;
    const free = ROOMS.filter((room) => leaderOf(room) !== leaderOf(stuckRoom));
    expect(free.length).toBeGreaterThan(0);
    const proxy = stage.proxyOf(leaderOf(stuckRoom));
    proxy.rule = ({ api }) => (api === API.produce || api === API.fetch ? 'hold' : 'pass');
    let heldCode: unknown;
    const held = codeOf(log.append(publish(stuckRoom, 'held'))).then((code) => {
      heldCode = code;
    });
    await Promise.all(MIDS.flatMap((mid) => free.map((room) => log.append(publish(room, mid)))));
    expect(heldCode).toBeUndefined();
    await held;
    expect(heldCode).toBe('unknown_outcome');
    proxy.rule = () => 'pass';
    proxy.release();
    const again = await log.append(publish(stuckRoom, 'held'));
    const midsTailed = (room: string) => tailed.filter((each) => each.room === room).map(midOf);
    expect(midsTailed(stuckRoom)).toEqual(['first', 'held']);
    expect(midsOf(await log.read({ room: stuckRoom, ...ALL }))).toEqual(['first', 'held']);
    expect(again.position.offset).toBe(tailed.findLast(({ room }) => room === stuckRoom)?.offset);
    for (const room of free) expect(midsTailed(room)).toEqual(['first', ...MIDS]);
  }, 60_000);
});
