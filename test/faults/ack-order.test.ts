import { randomUUID } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { type Client, TcpClient, WsClient } from '../e2e/clients.ts';
import { startGateway, temporaryDirectory, UNLIMITED } from '../e2e/gateway-process.ts';
import { isPossible, run } from './machine.ts';
import { followPublishes, readTrace, traced, type Way } from './system-calls.ts';

const SINGLE = 24;
const BATCHES = 6;
const BATCH = 16;
const ROOMS = ['ann/1', 'ann/2', 'ann/3'];

const possible = await isPossible(() => run('strace', '-f', '-o', '/dev/null', 'true'));

/** Publishes one by one and in batches, over both transports, under the tracer, and follows each. */
async function observe(env: Readonly<Record<string, string>>): Promise<Way[]> {
  const directory = await temporaryDirectory();
  onTestFinished(() => directory.remove());
  const trace = join(directory.path, 'trace');
  const gateway = await startGateway(join(directory.path, 'data'), {
    env: { ...UNLIMITED, ...env },
    prefix: traced(trace),
  });
  onTestFinished(async () => void (await gateway.stop('SIGKILL')));
  const clients: Client[] = [await TcpClient.open(gateway.ports.tcp), await WsClient.open(gateway.ports.http)];
  const mids: string[] = [];
  const publish = (client: Client) => {
    const mid = randomUUID();
    mids.push(mid);
    const room = ROOMS[mids.length % ROOMS.length];
    return client.ok({ op: 'publish', room, mid, data: 'x'.repeat(mids.length * 10) });
  };
  for (const client of clients) {
    await client.connect('ann');
    for (const room of ROOMS) await client.ok({ op: 'join', room });
  }
  for (const client of clients) {
    for (let i = 0; i < SINGLE; i++) await publish(client);
    for (let i = 0; i < BATCHES; i++) await Promise.all(Array.from({ length: BATCH }, () => publish(client)));
  }
  // Both have joined all rooms.
  for (const client of clients) {
    await client.until('all messages', () => client.messages().length === mids.length);
  }
  await gateway.stop('SIGKILL');
  return followPublishes(readTrace(await readFile(trace, 'utf8')), mids);
}

test.skipIf(!possible)('nobody is told of a publish before it was synced', { timeout: 120_000 }, async () => {
  const ways = await observe({});
  expect(ways.filter(({ toldTooEarly }) => toldTooEarly > 0)).toEqual([]);
  // The publisher's reply, and a push to each of the two.
  expect(ways.every(({ told }) => told === 3)).toBe(true);
  expect(ways).toHaveLength(2 * (SINGLE + BATCHES * BATCH));
});

test.skipIf(!possible)('without the sync, all are told too early', { timeout: 120_000 }, async () => {
  const ways = await observe({ TIDEGATE_TEST_UNSYNCED: 'true' });
  expect(ways.filter(({ told, toldTooEarly }) => told !== 3 || toldTooEarly !== 3)).toEqual([]);
});
