import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { randomName } from '../../src/random-name.ts';
import { type Client, TcpClient, WsClient } from '../e2e/clients.ts';
import { type GatewayProcess, startGateway, temporaryDirectory, UNLIMITED } from '../e2e/gateway-process.ts';
import { roomPushes, untilTold } from '../e2e/stage.ts';
import { KAFKA_BROKERS, REDIS_URL } from '../services/test-services.ts';

const DRAIN_MS = 4_000;
const NOTICE_MS = 800;
const GRACE_MS = 3_000;
const PEOPLE = 16;
const ROOM = 'moving';

const isMissing = KAFKA_BROKERS === undefined || REDIS_URL === undefined;

describe.skipIf(isMissing && !process.env.CI)('a replica that is to end', () => {
  const env = {
    ...UNLIMITED,
    TIDEGATE_KAFKA_BROKERS: KAFKA_BROKERS ?? '',
    TIDEGATE_KAFKA_REPLICATION: '1',
    TIDEGATE_REDIS_URL: REDIS_URL ?? '',
    TIDEGATE_PREFIX: `drain-${randomName(4, 'hex')}`,
    TIDEGATE_PARTITIONS: '4',
    TIDEGATE_PRESENCE_PUSH_MS: '50',
    TIDEGATE_GRACE_MS: String(GRACE_MS),
    TIDEGATE_RETRY_WINDOW_MS: '5000',
    TIDEGATE_DRAIN_MS: String(DRAIN_MS),
    TIDEGATE_DRAIN_NOTICE_MS: String(NOTICE_MS),
  };
  let directory: Awaited<ReturnType<typeof temporaryDirectory>>;
  let one: GatewayProcess;
  let two: GatewayProcess;
  let clients: Client[] = [];

  beforeEach(async () => {
    directory = await temporaryDirectory();
    [one, two] = await Promise.all([startGateway(directory.path, { env }), startGateway(directory.path, { env })]);
  }, 60_000);

  afterEach(async () => {
    for (const client of clients) client.close();
    clients = [];
    await Promise.all([one?.stop('SIGKILL'), two?.stop('SIGKILL')]);
    await directory.remove();
  });

  async function enter(at: GatewayProcess, user: string, since?: object): Promise<Client> {
    const isWs = user.endsWith('0') || user.endsWith('5');
    const client = isWs ? await WsClient.open(at.ports.http) : await TcpClient.open(at.ports.tcp);
    clients.push(client);
    await client.connect(user, { device: 'd' });
    await client.ok({ op: 'join', room: ROOM, ...(since !== undefined && { since }) });
    return client;
  }

  async function readiness(): Promise<number> {
    return (await fetch(`http://127.0.0.1:${one.ports.internal}/health/ready`)).status;
  }

  test('lets its sessions go one by one, serves each until then, and nobody is seen to leave who comes back', async () => {
    const watcher = await TcpClient.open(two.ports.tcp);
    clients.push(watcher);
    await watcher.connect('watcher', { device: 'd' });
    await watcher.ok({ op: 'join', room: ROOM, presence: 'full' });
    const names = Array.from({ length: PEOPLE }, (_, i) => `p${i}`);
    const people = await Promise.all(names.map((name) => enter(one, name)));
    for (const name of names) await untilTold(watcher, ROOM, 'joined', name);
    const before = roomPushes(watcher, ROOM).length;

    const signalledMs = performance.now();
    const exit = one.stop('SIGTERM');
    await expect.poll(readiness, { interval: 10 }).toBe(503);
    // Balancers have not noticed yet: whoever they lead here is served.
    const late = await enter(one, 'late');
    expect(performance.now() - signalledMs).toBeLessThan(NOTICE_MS);

    const toldMs: number[] = [];
    const afterMs: number[] = [];
    let published = 0;
    const backs: Client[] = [];
    await Promise.all(
      [...people, late].map(async (client, index) => {
        const name = names[index] ?? 'late';
        // Each is served as before until it is told.
        while (client.heard.every(({ push }) => push !== 'disconnect')) {
          const mid = `${name}-${published}`;
          const reply = client.ask({ op: 'publish', room: ROOM, mid, data: mid }).catch(() => null);
          const answer = await Promise.race([reply, client.disconnected().then(() => null)]);
          if (answer !== null) {
            expect(answer.error).toBeUndefined();
            published += 1;
          }
          await delay(50);
        }
        toldMs.push(performance.now() - signalledMs);
        const told = await client.disconnected();
        expect(told).toMatchObject({ code: 3000, reason: 'drain', reconnect: { afterMs: expect.any(Number) } });
        afterMs.push((told as unknown as { reconnect: { afterMs: number } }).reconnect.afterMs);
        const last = client.messages(ROOM).at(-1) as unknown as { epoch: string; offset: number };
        await delay(afterMs.at(-1));
        backs.push(await enter(two, name, { epoch: last.epoch, offset: last.offset }));
      }),
    );
    expect(await exit).toBe(0);
    expect(performance.now() - signalledMs).toBeLessThan(DRAIN_MS + 5_000);
    expect(Math.max(...afterMs)).toBeLessThanOrEqual(1_000);
    // Not before the notice is over, and not in one heap: in each third of the spread some.
    toldMs.sort((a, b) => a - b);
    expect(toldMs[0]).toBeGreaterThanOrEqual(NOTICE_MS);
    const thirdMs = ((DRAIN_MS - NOTICE_MS) * 0.8) / 3;
    const thirds = toldMs.map((ms) => Math.min(Math.floor((ms - NOTICE_MS) / thirdMs), 2));
    for (const third of [0, 1, 2]) expect(thirds.filter((each) => each === third).length).toBeGreaterThanOrEqual(3);
    expect(published).toBeGreaterThan(PEOPLE);

    // Longer than any grace: whoever was taken to have left would be told by now.
    await delay(GRACE_MS + 700);
    const { count } = await watcher.ok({ op: 'presence', room: ROOM });
    expect(count).toBe(PEOPLE + 2);
    const since = roomPushes(watcher, ROOM).slice(before);
    expect(since.filter(({ left }) => left !== undefined)).toEqual([]);
    // All that was acknowledged is there once, in order, for who stayed.
    const texts = watcher.messages(ROOM).map(({ data }) => data);
    expect(new Set(texts).size).toBe(texts.length);
    expect(texts.length).toBeGreaterThanOrEqual(published);
  });
});
