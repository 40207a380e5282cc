import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { randomName } from '../../src/random-name.ts';
import { rightsOf } from '../../src/redis/redis-setup-error.ts';
import { makeAuthority, makeCertificate } from '../certificates.ts';
import { TcpClient } from '../e2e/clients.ts';
import { type GatewayProcess, runTidegate, startGateway, temporaryDirectory } from '../e2e/gateway-process.ts';
import { scrape } from '../e2e/metrics-page.ts';
import { untilTold } from '../e2e/stage.ts';
import { KAFKA_BROKERS } from '../services/test-services.ts';
import { RedisServer } from './redis-stage.ts';

const PREFIX = `secured-${randomName(4, 'hex')}`;
const ADMIN = 'password-of-the-admin';
/** With what a URL can't have as it is. */
const PASSWORD = 'open/sesame:#1';
const LEASE_MS = 1_000;

describe.skipIf(KAFKA_BROKERS === undefined && !process.env.CI)('a Redis with TLS, certificates and users', () => {
  let directory: Awaited<ReturnType<typeof temporaryDirectory>>;
  let redis: RedisServer;
  const gateways: GatewayProcess[] = [];
  const file = (name: string) => join(directory.path, name);

  beforeAll(async () => {
    directory = await temporaryDirectory();
    await Promise.all(['ca', 'other-ca'].map((name) => makeAuthority(directory.path, name)));
    await Promise.all(['redis', 'replica'].map((name) => makeCertificate(directory.path, 'ca', name)));
    const tls = ['--tls-cert-file', file('redis.pem'), '--tls-key-file', file('redis.key'), '--tls-ca-cert-file'];
    const user = ['--user', 'replica', 'on', `>${PASSWORD}`, ...rightsOf(PREFIX).split(' ')];
    redis = await RedisServer.start(directory.path, [...tls, file('ca.pem'), '--requirepass', ADMIN, ...user]);
  }, 60_000);

  afterEach(async () => {
    await Promise.all(gateways.splice(0).map((gateway) => gateway.stop('SIGKILL')));
  });

  afterAll(async () => {
    await redis?.kill();
    await directory.remove();
  });

  function environment(more: Readonly<Record<string, string>> = {}): Record<string, string> {
    return {
      TIDEGATE_KAFKA_BROKERS: KAFKA_BROKERS ?? '',
      TIDEGATE_KAFKA_REPLICATION: '1',
      TIDEGATE_PARTITIONS: '4',
      TIDEGATE_PREFIX: PREFIX,
      TIDEGATE_REDIS_URL: `rediss://replica:${encodeURIComponent(PASSWORD)}@127.0.0.1:${redis.port}/2`,
      TIDEGATE_REDIS_CA: file('ca.pem'),
      TIDEGATE_REDIS_CERT: file('replica.pem'),
      TIDEGATE_REDIS_KEY: file('replica.key'),
      TIDEGATE_PRESENCE_LEASE_MS: String(LEASE_MS),
      TIDEGATE_GRACE_MS: '0',
      ...more,
    };
  }

  async function start(more: Readonly<Record<string, string>> = {}): Promise<GatewayProcess> {
    const env = { ...environment(more), TIDEGATE_LOG_LEVEL: 'trace' };
    const gateway = await startGateway(directory.path, { env });
    gateways.push(gateway);
    return gateway;
  }

  /** What an operator asks Redis. */
  function cli(...command: readonly string[]): Promise<string> {
    const files = ['--cacert', file('ca.pem'), '--cert', file('replica.pem'), '--key', file('replica.key')];
    return redis.cli(command, ['--tls', ...files, '-a', ADMIN]);
  }

  /** Whether a line says so. */
  const says = (gateway: GatewayProcess, words: string) => gateway.logs.some(({ msg }) => String(msg).includes(words));

  /** No password, as it is or in a URL, and no stack. */
  function expectHarmless(said: string): void {
    for (const secret of ['sesame', 'PRIVATE KEY']) expect(said).not.toContain(secret);
    expect(said).not.toMatch(/(\n|\\n)\s+at /);
  }

  test('shares presence of replicas that have the rights which are told, and no others', async () => {
    const [one, two] = await Promise.all([start(), start()]);
    const [ann, bob] = await Promise.all([one, two].map(({ ports }) => TcpClient.open(ports.tcp)));
    if (ann === undefined || bob === undefined) throw new Error('unreachable');
    await ann.connect('ann');
    await ann.ok({ op: 'join', room: 'r', presence: 'full' });
    await bob.connect('bob');
    await bob.ok({ op: 'join', room: 'r' });
    await untilTold(ann, 'r', 'joined', 'bob');
    expect(await bob.ok({ op: 'presence', room: 'r' })).toMatchObject({ count: 2, partial: false });
    // A replica that is gone at once is reaped.
    await two.stop('SIGKILL');
    await untilTold(ann, 'r', 'left', 'bob');
    const metrics = await scrape(one);
    const value = (name: string, labels = {}) => metrics.value(name, labels);
    const states = ['redis_up', 'redis_hearing', 'redis_broken', 'presence_shared'].map((name) => value(name));
    expect(states).toEqual([1, 1, 0, 1]);
    for (const call of ['lease', 'presence_write', 'presence_read', 'reap']) {
      expect(value('redis_call_seconds_count', { call }), call).toBeGreaterThan(0);
    }
    expect(value('redis_connections_total', { connection: 'commands' })).toBe(1);
    expect(value('redis_channels')).toBeGreaterThanOrEqual(3);
    expect(value('redis_failures_total', { reason: 'refused' })).toBe(0);
    expect(await cli('ACL', 'LOG')).toBe('');
    expect(await cli('-n', '2', 'DBSIZE')).not.toBe('0');
    ann.close();
    bob.close();
    expect(await one.stop()).toBe(0);
    expectHarmless(JSON.stringify(one.logs));
    const checked = await runTidegate(['check'], environment());
    expect(checked).toMatchObject({ code: 0, stderr: '' });
    expect(checked.stdout).toContain(`presence   in Redis, 127.0.0.1:${redis.port}, keys {${PREFIX}}*: good`);
  }, 60_000);

  test.each([
    [
      'a wrong password',
      () => ({ TIDEGATE_REDIS_URL: `rediss://replica:close%2Fsesame@127.0.0.1:${redis.port}` }),
      'WRONGPASS',
    ],
    [
      'another authority',
      () => ({ TIDEGATE_REDIS_CA: file('other-ca.pem') }),
      'TIDEGATE_REDIS_CA must have the authority',
    ],
    [
      'no certificate',
      () => ({ TIDEGATE_REDIS_CERT: '', TIDEGATE_REDIS_KEY: '' }),
      'TIDEGATE_REDIS_CERT and TIDEGATE_REDIS_KEY',
    ],
    ['another prefix', () => ({ TIDEGATE_PREFIX: 'elsewhere' }), 'its user needs these rights: ~{elsewhere}* '],
    [
      'a key that is no other',
      () => ({ TIDEGATE_REDIS_KEY: file('redis.key') }),
      'is not the key of the certificate in',
    ],
    ['a file that is no key', () => ({ TIDEGATE_REDIS_KEY: file('redis.pem') }), 'is no PEM file of a private key'],
    [
      'a file that is no certificate',
      () => ({ TIDEGATE_REDIS_CERT: file('redis.key') }),
      'is no PEM file of certificates',
    ],
  ])(
    'serves nobody with %s, and check says the same',
    async (_, env, words) => {
      const started = await start(env()).then(
        () => 'it was started',
        (error: Error) => error.message,
      );
      expect(started).toContain(words);
      const checked = await runTidegate(['check'], environment(env()));
      expect(checked).toMatchObject({ code: 1, stdout: '' });
      expect(checked.stderr).toContain(words);
      for (const said of [started, checked.stderr]) expectHarmless(said);
    },
    60_000,
  );

  test('need not be there when a replica starts', async () => {
    await redis.kill();
    try {
      const checked = await runTidegate(['check'], environment());
      expect(checked).toMatchObject({ code: 1, stdout: '' });
      expect(checked.stderr).toContain(`Redis can't be reached at 127.0.0.1:${redis.port}: connect ECONNREFUSED`);
      const gateway = await start();
      expect(says(gateway, "Redis can't be reached")).toBe(true);
      const ready = await fetch(`http://127.0.0.1:${gateway.ports.internal}/health/ready`);
      expect(ready.status).toBe(200);
      const ann = await TcpClient.open(gateway.ports.tcp);
      await ann.connect('ann');
      await ann.ok({ op: 'join', room: 'r' });
      expect(await ann.ok({ op: 'presence', room: 'r' })).toMatchObject({ count: 1, partial: true });
      expect((await scrape(gateway)).value('redis_up')).toBe(0);
      await redis.restart();
      await expect.poll(() => says(gateway, 'presence is shared'), { timeout: 15_000 }).toBe(true);
      const metrics = await scrape(gateway);
      expect([metrics.value('redis_up'), metrics.value('presence_shared')]).toEqual([1, 1]);
      const presence = () => ann.ok({ op: 'presence', room: 'r' });
      await expect.poll(presence, { timeout: 15_000 }).toMatchObject({ count: 1, partial: false });
      ann.close();
      expect(await gateway.stop()).toBe(0);
    } finally {
      await redis.kill();
      await redis.restart();
    }
  }, 60_000);
});
