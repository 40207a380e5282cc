import { existsSync } from 'node:fs';
import { afterEach, describe, expect, test } from 'vitest';
import { codeOf, midOf, publish } from '../contract/room-log-fixture.ts';
import { KAFKA_BROKERS } from '../services/test-services.ts';
import { API } from './kafka-proxy.ts';
import { KafkaStage } from './kafka-stage.ts';

const LIBRARY = ['x86_64', 'aarch64']
  .map((machine) => `/usr/lib/${machine}-linux-gnu/faketime/libfaketime.so.1`)
  .find((path) => existsSync(path));
const OFF_MS_MAX = 5_000;

describe.skipIf((KAFKA_BROKERS === undefined || LIBRARY === undefined) && !process.env.CI)(
  'a broker whose clock',
  () => {
    let stage: KafkaStage | undefined;

    afterEach(async () => {
      await stage?.close();
      stage = undefined;
    }, 60_000);

    test.each([30, -30])(
      'is off by %d s keeps every promise, and makes replicas say so',
      async (seconds) => {
        stage = await KafkaStage.open({
          env: {
            LD_PRELOAD: LIBRARY ?? '',
            FAKETIME: `${seconds > 0 ? '+' : ''}${seconds}s`,
            FAKETIME_DONT_FAKE_MONOTONIC: '1',
            // What it does for waits on the monotonic clock keeps Java from waiting at all.
            FAKETIME_FORCE_MONOTONIC_FIX: '0',
          },
        });
        const settings = { attemptTimeoutMs: 500, appendTimeoutMs: 2_000, recordLifeMs: 4_000 };
        // Of a life that is longer than the clock is off: until something was appended a replica can't know.
        const first = await stage.log('clock');
        const offMs = (await first.log.append(publish('r', 'first'))).position;
        expect(offMs.offset).toBe(0);
        const ts = first.tailed[0]?.ts ?? 0;
        expect(Math.abs(ts - Date.now() - seconds * 1000)).toBeLessThan(OFF_MS_MAX);
        expect(first.log.state()).toMatchObject({ writable: false, reason: expect.stringContaining('clock') });
        expect(Math.abs(first.log.figures().skewMs - 30_000)).toBeLessThan(OFF_MS_MAX);
        // It is served all the same: once, and known again.
        expect(await first.log.append(publish('r', 'first'))).toMatchObject({ duplicate: true });
        await first.log.append(publish('r', 'second'));

        // Deadlines are in the broker's time: what comes late is late there.
        const late = await stage.log('clock', settings);
        await codeOf(late.log.append(publish('r', 'learns')));
        await late.log.append(publish('r', 'third'));
        stage.proxy.rule = ({ kind, api }) => (kind === 'request' && api === API.produce ? 'hold' : 'pass');
        expect(await codeOf(late.log.append(publish('r', 'late')))).toBe('unknown_outcome');
        await new Promise((resolve) => setTimeout(resolve, 3_000));
        stage.proxy.rule = () => 'pass';
        stage.proxy.release();
        await expect.poll(() => first.log.outcomes.zombie).toBeGreaterThan(0);
        expect(first.tailed.map(midOf)).not.toContain('late');
        expect((await late.log.append(publish('r', 'late'))).duplicate).toBe(false);
        await expect.poll(() => first.tailed.map(midOf).at(-1)).toBe('late');
      },
      90_000,
    );
  },
);
