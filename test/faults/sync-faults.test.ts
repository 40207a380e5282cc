import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { TcpClient } from '../e2e/clients.ts';
import { startGateway, temporaryDirectory, UNLIMITED } from '../e2e/gateway-process.ts';
import { eventually, Load, readLog } from './load.ts';
import { isPossible, readiness, run } from './machine.ts';
import { Injection } from './system-calls.ts';

const possible = await isPossible(() => run('strace', '-f', '-o', '/dev/null', 'true'));

async function start(seed: number, env: Readonly<Record<string, string>> = {}) {
  const directory = await temporaryDirectory();
  onTestFinished(() => directory.remove());
  const load = new Load({ seed });
  onTestFinished(() => load.close());
  const data = join(directory.path, 'data');
  let gateway = await startGateway(data, { env: { ...UNLIMITED, ...env } });
  onTestFinished(async () => void (await gateway.stop('SIGKILL')));
  load.goTo(gateway.ports);
  await load.acks(100);
  let injections = 0;
  return {
    load,
    get gateway() {
      return gateway;
    },
    async inject(fault: string): Promise<Injection> {
      injections += 1;
      const injection = await Injection.into(gateway.pid, fault, join(directory.path, `injection-${injections}`));
      onTestFinished(() => injection.release());
      return injection;
    },
    /** Nothing was restarted so far. Now the process is killed, and its successor must know everything. */
    async settleAndVerify(): Promise<void> {
      expect(gateway.exited).toBe(false);
      expect(load.clients.every(({ connections }) => connections === 1)).toBe(true);
      await load.settle();
      load.goNowhere();
      await gateway.stop('SIGKILL');
      gateway = await startGateway(data, { env: UNLIMITED });
      load.goTo(gateway.ports);
      await load.settle();
      expect(load.oracle.judge(await readLog(gateway.ports, load.rooms))).toEqual([]);
    },
  };
}

test.skipIf(!possible)('a sync that fails now and then dooms no message', { timeout: 120_000 }, async () => {
  const { load, inject, settleAndVerify } = await start(20_260_104);
  const injection = await inject('error=EIO:when=3+7');
  await load.acks(400);
  await eventually('unknown outcomes', () => load.errorCount('unknown_outcome') > 0);
  const failed = await injection.count();
  await injection.release();
  await settleAndVerify();
  expect(failed).toBeGreaterThan(0);
  console.log(
    `${failed} syncs failed: ${load.errorCount('unknown_outcome')} unknown outcomes, ` +
      `${load.oracle.ackedCount} acknowledged, none lost or doubled`,
  );
});

test.skipIf(!possible)(
  'while every sync fails nothing is acknowledged, and then all goes on',
  {
    timeout: 120_000,
  },
  async () => {
    const machine = await start(20_260_105);
    const { load, gateway } = machine;
    const injection = await machine.inject('error=EIO');
    await eventually('unknown outcomes', () => load.errorCount('unknown_outcome') > 0);
    expect(await readiness(gateway)).toMatchObject({ status: 503, reason: expect.stringContaining('disk') });
    const more = async () => {
      const count = await injection.count();
      await eventually('the log to try again by itself', async () => (await injection.count()) > count + 2);
    };
    // What was committed before the first failure may still be on its way to a client.
    await more();
    const acked = load.oracle.ackedCount;
    await more();
    expect(load.oracle.ackedCount).toBe(acked);
    await injection.release();
    await eventually('readiness', async () => (await readiness(gateway)).status === 200);
    await load.acks(100);
    await machine.settleAndVerify();
  },
);

test.skipIf(!possible)(
  'a disk that takes seconds makes outcomes unknown, not messages lost or doubled',
  {
    timeout: 120_000,
  },
  async () => {
    const env = { TIDEGATE_APPEND_TIMEOUT_MS: '300', TIDEGATE_APPEND_QUEUE_WAIT_MS: '200' };
    const machine = await start(20_260_106, env);
    const { load, gateway } = machine;
    const injection = await machine.inject('delay_enter=2s');
    await eventually('unknown outcomes', () => load.errorCount('unknown_outcome') > 0);
    await eventually('not to be ready', async () => (await readiness(gateway)).status === 503);
    // What needs no disk goes on.
    const client = await TcpClient.open(gateway.ports.tcp);
    onTestFinished(() => client.close());
    await client.connect('visitor');
    await client.ok({ op: 'join', room: 'room-0', history: 10 });
    await eventually('a second slow sync', async () => (await injection.count()) > 1);
    await injection.release();
    await eventually('readiness', async () => (await readiness(gateway)).status === 200);
    await load.acks(100);
    await machine.settleAndVerify();
  },
);
