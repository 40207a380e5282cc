import { Kafka } from 'kafkajs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { randomName } from '../../src/random-name.ts';
import { type Client, TcpClient, WsClient } from '../e2e/clients.ts';
import {
  type GatewayProcess,
  runTidegate,
  startGateway,
  temporaryDirectory,
  UNLIMITED,
} from '../e2e/gateway-process.ts';
import { scrape } from '../e2e/metrics-page.ts';
import { KAFKA_BROKERS } from '../services/test-services.ts';

describe.skipIf(KAFKA_BROKERS === undefined && !process.env.CI)('two replicas on one Kafka', () => {
  const env = {
    ...UNLIMITED,
    TIDEGATE_KAFKA_BROKERS: KAFKA_BROKERS ?? '',
    TIDEGATE_KAFKA_REPLICATION: '1',
    TIDEGATE_PREFIX: `replicas-${randomName(4, 'hex')}`,
    TIDEGATE_PROBE_MS: '1000',
  };
  let directory: Awaited<ReturnType<typeof temporaryDirectory>>;
  let one: GatewayProcess;
  let two: GatewayProcess;
  const clients: Client[] = [];

  beforeAll(async () => {
    directory = await temporaryDirectory();
    [one, two] = await Promise.all([startGateway(directory.path, { env }), startGateway(directory.path, { env })]);
  }, 60_000);

  afterAll(async () => {
    for (const client of clients) client.close();
    await Promise.all([one?.stop('SIGKILL'), two?.stop('SIGKILL')]);
    await directory.remove();
  });

  async function tcp(gateway: GatewayProcess, user: string): Promise<Client> {
    const client = await TcpClient.open(gateway.ports.tcp);
    clients.push(client);
    await client.connect(user);
    return client;
  }

  async function ws(gateway: GatewayProcess, user: string): Promise<Client> {
    const client = await WsClient.open(gateway.ports.http);
    clients.push(client);
    await client.connect(user);
    return client;
  }

  test('share rooms: one order, each message once, whoever publishes where', async () => {
    const room = 'shared';
    const writers = [await tcp(one, 'ann'), await ws(two, 'ben')];
    const readers = [await tcp(two, 'cay'), await ws(one, 'dan'), ...writers];
    for (const reader of readers) await reader.ok({ op: 'join', room });
    const publishing = writers.map(async (writer, index) => {
      for (let n = 0; n < 50; n++) await writer.ok({ op: 'publish', room, mid: `m${n}`, data: { index, n } });
    });
    await Promise.all(publishing);
    for (const reader of readers) await reader.until('all messages', () => reader.messages(room).length >= 100);
    const [first, ...others] = readers.map((reader) => reader.messages(room));
    expect(first).toHaveLength(100);
    for (const other of others) expect(other).toEqual(first);
    for (const index of [0, 1]) {
      const own = first?.map(({ data }) => data as { index: number; n: number }).filter((data) => data.index === index);
      expect(own?.map(({ n }) => n)).toEqual(Array.from({ length: 50 }, (_, n) => n));
    }
    // History is the same from both, and so is resuming from the middle.
    const pages = await Promise.all(
      [await tcp(one, 'eve'), await tcp(two, 'eve')].map((reader) => reader.ok({ op: 'history', room, limit: 300 })),
    );
    expect(pages[0]?.messages).toEqual(pages[1]?.messages);
    const { epoch, offset } = (first ?? [])[39] as unknown as { epoch: string; offset: number };
    const resumed = await (await tcp(two, 'fay')).ok({ op: 'join', room, since: { epoch, offset } });
    expect(resumed).toMatchObject({ recovered: true, more: false });
    expect((resumed.messages as unknown[]).length).toBe(60);
  });

  test('know a publish that was retried at the other one', async () => {
    const room = 'retried';
    const publish = { op: 'publish', room, mid: 'm', data: 1 };
    const first = await (await tcp(one, 'ann')).ok(publish);
    const elsewhere = await tcp(two, 'ann');
    expect(await elsewhere.ok(publish)).toEqual({ ...first, duplicate: true });
    expect(await elsewhere.errorCode({ ...publish, data: 2 })).toBe('mid_conflict');
  });

  test('have presence each for itself, and say so', async () => {
    const ann = await tcp(one, 'ann');
    await ann.ok({ op: 'join', room: 'here' });
    const seen = await (await tcp(one, 'ben')).ok({ op: 'presence', room: 'here' });
    expect(seen).toMatchObject({ count: 1, partial: true });
    expect(await (await tcp(two, 'ben')).ok({ op: 'presence', room: 'here' })).toMatchObject({
      count: 0,
      partial: true,
    });
  });

  test('prove their delivery, and tell what they read', async () => {
    await expect
      .poll(async () => (await fetch(`http://127.0.0.1:${one.ports.internal}/health/delivery`)).status, {
        timeout: 20_000,
      })
      .toBe(200);
    const { families } = await scrape(one);
    const sampleOf = (name: string, labels: Readonly<Record<string, string>> = {}): number => {
      const samples = families.get(name)?.samples ?? [];
      const found = samples.find((each) =>
        Object.entries(labels).every(([label, value]) => each.labels[label] === value),
      );
      return found?.value ?? Number.NaN;
    };
    expect(sampleOf('tidegate_log_records_total', { outcome: 'delivered' })).toBeGreaterThan(100);
    expect(sampleOf('tidegate_log_records_total', { outcome: 'malformed' })).toBe(0);
    expect(sampleOf('tidegate_log_batches_total', { result: 'sent' })).toBeGreaterThan(10);
    expect(families.get('tidegate_log_lag_records')?.samples).toHaveLength(16);
    expect(sampleOf('tidegate_log_tail_restarts_total')).toBe(0);
    expect(sampleOf('tidegate_log_writable')).toBe(1);
  });

  test('lose nothing with one of them', async () => {
    const room = 'survivor';
    const reader = await tcp(two, 'cay');
    await reader.ok({ op: 'join', room });
    const writer = await tcp(one, 'ann');
    for (let n = 0; n < 20; n++) await writer.ok({ op: 'publish', room, mid: `m${n}`, data: n });
    await one.stop('SIGKILL');
    const again = await tcp(two, 'ann');
    expect(await again.ok({ op: 'publish', room, mid: 'm19', data: 19 })).toMatchObject({ duplicate: true });
    await again.ok({ op: 'publish', room, mid: 'm20', data: 20 });
    await reader.until('all messages', () => reader.messages(room).length >= 21);
    expect(reader.messages(room).map(({ data }) => data)).toEqual(Array.from({ length: 21 }, (_, n) => n));
    // A new one knows what there is.
    one = await startGateway(directory.path, { env });
    const page = await (await tcp(one, 'dan')).ok({ op: 'history', room, limit: 300 });
    expect(page.messages).toHaveLength(21);
  }, 60_000);

  test.each([
    [{ TIDEGATE_PARTITIONS: '8' }, 'has 16 partitions, not 8'],
    [{ TIDEGATE_DEDUPE_WINDOW_MS: '100000' }, 'windowMs 180000, and this one 100000'],
  ])('refuse one that is set up otherwise: %j', async (other, words) => {
    await expect(startGateway(directory.path, { env: { ...env, ...other } })).rejects.toThrow(words);
  });

  test('are checked before they are started', async () => {
    const good = await runTidegate(['check'], env);
    expect(good).toMatchObject({ code: 0 });
    expect(good.stdout).toContain(
      `log        on Kafka, ${env.TIDEGATE_KAFKA_BROKERS}, 16 partitions, topics ${env.TIDEGATE_PREFIX}.*`,
    );
    const nowhere = await runTidegate(['check'], { ...env, TIDEGATE_KAFKA_BROKERS: '127.0.0.1:1' });
    expect(nowhere.code).toBe(1);
    expect(nowhere.stderr).toContain("Kafka can't be reached");
    expect(nowhere.stderr).not.toMatch(/\n\s+at /);
  });

  test('are gone from Kafka when they have ended in good order', async () => {
    const admin = new Kafka({ clientId: 'test', brokers: (KAFKA_BROKERS ?? '').split(','), logLevel: 0 }).admin();
    await admin.connect();
    try {
      const groups = async () =>
        (await admin.listGroups()).groups.filter(({ groupId }) => groupId.startsWith(env.TIDEGATE_PREFIX));
      const before = await groups();
      const gateway = await startGateway(directory.path, { env });
      expect((await groups()).length).toBeGreaterThan(before.length);
      expect(await gateway.stop()).toBe(0);
      const { groups: described } = await admin.describeGroups((await groups()).map(({ groupId }) => groupId));
      const alive = described.filter(({ members }) => members.length > 0);
      expect(alive.length).toBeLessThanOrEqual(before.length);
    } finally {
      await admin.disconnect();
    }
  });
});
