import { expect, onTestFinished, test } from 'vitest';
import type { Position } from '../../src/protocol/position.ts';
import { temporaryDirectory } from '../e2e/gateway-process.ts';
import { BULK_ROOM, FAULT_COUNT, FAULTS, Faults, LastingGateway, schedule } from './client-faults.ts';
import { eventually, readLog } from './load.ts';
import { LoadClient } from './load-client.ts';
import { Oracle } from './oracle.ts';
import { Random } from './random.ts';
import { SdkClient, type SdkClientOptions, Tally } from './sdk-clients.ts';

const MESSAGES = 10_000;
const DATA_BYTES = 300;
const ROOMS = ['room-0', 'room-1', 'room-2'];

/** Clients of our library on one gateway, all judged by one oracle. */
class Clients {
  readonly oracle = new Oracle();
  readonly all: SdkClient[] = [];
  readonly #port: number;
  readonly #random: Random;

  constructor(port: number, random: Random) {
    this.#port = port;
    this.#random = random;
  }

  async open(user: string, more: Partial<SdkClientOptions> = {}): Promise<SdkClient> {
    const shared = { port: this.#port, random: this.#random, oracle: this.oracle };
    const client = await SdkClient.open({ user, ...shared, ...more });
    this.all.push(client);
    return client;
  }

  async close(): Promise<void> {
    await Promise.all(this.all.map((client) => client.close()));
  }
}

test('clients that are cut off in every way lose, double and reorder nothing', { timeout: 180_000 }, async () => {
  const begunMs = performance.now();
  const seed = Number(process.env.TIDEGATE_TEST_SEED ?? Math.floor(Math.random() * 1e6));
  const random = new Random(seed);
  const directory = await temporaryDirectory();
  onTestFinished(() => directory.remove());
  const gateway = await LastingGateway.start(directory.path);
  onTestFinished(async () => void (await gateway.process.stop('SIGKILL')));
  const { ports } = gateway.process;
  const clients = new Clients(ports.http, random);
  onTestFinished(() => clients.close());
  const { oracle } = clients;

  const answers = new Tally();
  const lagging = { delayMs: 5 };
  const publishers = [
    await clients.open('publisher-0', { answers }),
    await clients.open('publisher-1', { answers, ...lagging }),
    await clients.open('publisher-2', { answers }),
  ];
  const readers = [await clients.open('reader-0'), await clients.open('reader-1', lagging)];
  const silenced = [await clients.open('mute'), await clients.open('deaf-0'), await clients.open('deaf-1')];
  const direct = await clients.open('direct', { delayMs: null });
  const [slow, bulk] = [await clients.open('slow'), await clients.open('bulk')];
  const begins = new Map<string, Position>();
  // The first of the publishers hears itself, too.
  for (const client of [...readers, ...silenced, direct, ...publishers.slice(0, 1)]) {
    for (const room of ROOMS) begins.set(room, await client.listen(room));
  }
  for (const client of [slow, direct]) await client.listen(BULK_ROOM);
  const tcp = new LoadClient({
    ...{ transport: 'tcp', user: 'tcp', reads: ROOMS, publishes: ROOMS, random: new Random(seed + 1), oracle },
    ...{ dataBytesMax: DATA_BYTES, burstMax: 3, restMsMax: 60, where: async () => ports },
  });
  tcp.start();
  onTestFinished(() => tcp.close());

  const faults = new Faults(gateway, random, { clients: [...publishers, ...readers], silenced, slow, bulk });
  const share = Math.ceil(MESSAGES / FAULT_COUNT / publishers.length);
  const chunk = share * publishers.length;
  const publishing: Promise<void>[] = [];
  for (const [index, fault] of schedule(random).entries()) {
    for (const client of [...publishers, ...silenced.slice(0, 1)]) {
      publishing.push(client.publish(share, ROOMS, DATA_BYTES));
    }
    // While these are being answered, or still those before them.
    await answers.reaches(index * chunk + random.int(-2 * chunk, chunk / 2));
    await faults.make(fault);
    if (index === Math.floor(FAULT_COUNT / 3)) {
      for (const [room, begin] of begins) (await clients.open(`late-${room}`)).iterate(room, begin, 20);
    }
  }
  await Promise.all([...publishing, faults.settle()]);
  tcp.publishing = false;
  await eventually('the last acks', () => oracle.ackedCount === oracle.published.size || oracle.violations.length > 0);
  await eventually(
    'the last messages',
    () => (tcp.hasAll && clients.all.every(({ hasAll }) => hasAll)) || oracle.violations.length > 0,
  );

  expect(oracle.judge(await readLog(ports, [...ROOMS, BULK_ROOM])).slice(0, 20), `seed ${seed}`).toEqual([]);
  expect(oracle.ackedCount).toBeGreaterThanOrEqual(MESSAGES);
  // Some publishes were in the log when their answer was lost.
  expect(oracle.duplicateCount).toBeGreaterThan(0);
  const reconnects = clients.all.map(({ sessionCount }) => sessionCount - 1);
  expect(Math.min(...reconnects)).toBeGreaterThanOrEqual(1);
  const kinds = Object.entries(FAULTS).map(([fault, count]) => `${count} ${fault}`);
  console.log(
    `${oracle.ackedCount} messages to ${oracle.readings.length} readings, ${FAULT_COUNT} faults ` +
      `(${kinds.join(', ')}): ${reconnects.reduce((sum, count) => sum + count)} reconnects, ` +
      `${oracle.duplicateCount} resent publishes were there already, none lost; ` +
      `${((performance.now() - begunMs) / 1_000).toFixed(1)} s`,
  );
});
