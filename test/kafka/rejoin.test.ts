import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { KAFKA_BROKERS } from '../services/test-services.ts';
import { API, type Frame } from './kafka-proxy.ts';
import { KafkaStage } from './kafka-stage.ts';
import { expectWhole, underLoad } from './load.ts';

const REJOINS = 5;
const REBALANCE_IN_PROGRESS = 27;
/** Of a heartbeat's reply: its length, its number and how long to hold back, then what is wrong. */
const ERROR_CODE_AT = 12;

describe.skipIf(KAFKA_BROKERS === undefined && !process.env.CI)('a tail', () => {
  let stage: KafkaStage;

  beforeAll(async () => {
    stage = await KafkaStage.open();
  }, 120_000);

  afterAll(() => stage?.close());

  test('whose group is joined anew, again and again, passes over nothing and hands on nothing twice', async () => {
    const settings = { heartbeatMs: 100 };
    const logs = [await stage.log('rejoin', settings), await stage.log('rejoin', settings)];
    let rejoins = 0;
    let isDue = false;
    const rule = ({ kind, api, bytes }: Frame) => {
      if (kind !== 'reply' || api !== API.heartbeat || !isDue) return 'pass';
      isDue = false;
      rejoins += 1;
      const told = Buffer.from(bytes);
      told.writeInt16BE(REBALANCE_IN_PROGRESS, ERROR_CODE_AT);
      return told;
    };
    stage.proxy.rule = rule;
    const rooms = Array.from({ length: 6 }, (_, index) => `room-${index}`);
    const report = await underLoad(logs, rooms, async () => {
      for (let due = 0; due < REJOINS; due++) {
        await delay(200);
        isDue = true;
        await expect.poll(() => isDue, { timeout: 5_000, interval: 10 }).toBe(false);
      }
      await delay(500);
    });
    await expectWhole(report, logs);
    expect(rejoins).toBe(REJOINS);
    const rejoined = logs.flatMap(({ lines }) => lines).filter(({ message }) => message.includes('re-joining'));
    expect(rejoined).toHaveLength(REJOINS);
    for (const { breaks, log } of logs) {
      expect(breaks).toEqual([]);
      expect(log.figures().tailRestarts).toBe(0);
    }
  }, 60_000);
});
