import { setTimeout as delay } from 'node:timers/promises';
import { expect, onTestFinished, test } from 'vitest';
import { startGateway, temporaryDirectory, UNLIMITED } from '../e2e/gateway-process.ts';
import { REPLICAS } from '../e2e/replica-count.ts';
import { Load, readLog } from './load.ts';

/** Two replicas on Kafka take seconds to start. */
const ROUNDS = REPLICAS === 1 ? 20 : 6;

test('killed again and again under load, it loses, doubles and reorders nothing', { timeout: 180_000 }, async () => {
  const directory = await temporaryDirectory();
  onTestFinished(() => directory.remove());
  const load = new Load({ seed: 20_260_101 });
  onTestFinished(() => load.close());
  let gateway = await startGateway(directory.path, { env: UNLIMITED });
  onTestFinished(async () => void (await gateway.stop('SIGKILL')));
  load.goTo(gateway.ports);

  for (let round = 0; round < ROUNDS; round++) {
    // The moment is random, but not before something was at stake.
    await load.acks(load.random.int(20, 600));
    if (load.random.next() < 0.3) load.random.pick(load.clients).drop();
    await delay(load.random.int(0, 20));
    load.goNowhere();
    await gateway.stop('SIGKILL');
    gateway = await startGateway(directory.path, { env: UNLIMITED });
    load.goTo(gateway.ports);
  }
  await load.settle();

  const log = await readLog(gateway.ports, load.rooms);
  expect(load.oracle.judge(log)).toEqual([]);
  expect(load.clients.every(({ connections }) => connections > ROUNDS)).toBe(true);
  expect(load.oracle.ackedCount).toBe(load.oracle.published.size);
  // Some kills came between a commit and its answer, where a retry could double a message.
  expect(load.oracle.duplicateCount).toBeGreaterThan(0);
  console.log(
    `${ROUNDS} kills: ${load.oracle.ackedCount} publishes acknowledged, ` +
      `${load.oracle.duplicateCount} of them found there by a retry, none lost`,
  );
});
