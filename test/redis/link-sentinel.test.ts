import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { type AddressInfo, createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type Daemon, startDaemon, stopDaemon, untilReady } from '../../services/daemon.ts';
import { HOST, lastingPorts } from '../../services/ports.ts';
import type { SentinelSettings } from '../../src/redis/redis-settings.ts';
import { makeAuthority, makeCertificate } from '../certificates.ts';
import { REDIS_URL } from '../services/test-services.ts';
import { createLink, RedisServer } from './redis-stage.ts';

const NAME = 'primary-of-ours';
const PASSWORD = 'open-sesame';
/** Where there are Sentinels nobody is asked at the URL's host. */
const NOWHERE = 'redis://nowhere.invalid';

describe.skipIf(REDIS_URL === undefined && !process.env.CI)('a Redis that Sentinels lead to', () => {
  let directory: string;
  const servers: RedisServer[] = [];
  const sentinels: Daemon[] = [];
  const sockets: Server[] = [];

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'tidegate-sentinel-'));
  });

  afterEach(async () => {
    for (const socket of sockets.splice(0)) socket.close();
    await Promise.all(sentinels.splice(0).map((each) => stopDaemon(each, 1_000)));
    await Promise.all(servers.splice(0).map((each) => each.kill()));
    await rm(directory, { recursive: true, force: true });
  });

  async function server(...args: readonly string[]): Promise<RedisServer> {
    const started = await RedisServer.start(directory, args);
    servers.push(started);
    return started;
  }

  /** Starts one that can decide alone. Resolves with its port, once it knows the primary, and its replica if it has one. */
  async function sentinel(primaryPort: number, lines: readonly string[] = []): Promise<number> {
    const [port = 0] = await lastingPorts(1);
    const file = join(directory, `sentinel-${port}.conf`);
    const isTls = lines.some((line) => line.startsWith('tls-'));
    const settings = [
      ...(isTls ? ['port 0', `tls-port ${port}`] : [`port ${port}`]),
      `bind ${HOST}`,
      `dir ${directory}`,
      ...lines,
      `sentinel monitor ${NAME} ${HOST} ${primaryPort} 1`,
      `sentinel down-after-milliseconds ${NAME} 1000`,
      `sentinel failover-timeout ${NAME} 3000`,
    ];
    await writeFile(file, `${settings.join('\n')}\n`);
    const logFile = join(directory, `sentinel-${port}.log`);
    const daemon = await startDaemon('redis-server', [file, '--sentinel'], logFile);
    sentinels.push(daemon);
    const said = servers.length > 1 ? '+slave' : '+monitor';
    await untilReady('redis-sentinel', daemon, logFile, 15_000, async () =>
      (await readFile(logFile, 'utf8')).includes(said),
    );
    return port;
  }

  const settingsOf = (port: number, more: Partial<SentinelSettings> = {}): SentinelSettings => {
    return { name: NAME, addresses: [{ host: HOST, port }], user: null, password: null, ...more };
  };

  async function refusal(sentinels: SentinelSettings, url = NOWHERE): Promise<string> {
    const { link, lines } = createLink({ url, sentinels });
    const error = await link.open().then(
      () => new Error('it was opened'),
      (each: Error) => each,
    );
    link.close();
    expect(JSON.stringify([lines, error, error.message])).not.toContain('sesame');
    expect([error.name, error.message]).toEqual(['RedisSetupError', expect.any(String)]);
    return error.message;
  }

  test('is found again where another one has become the primary', { timeout: 60_000 }, async () => {
    const first = await server();
    const second = await server('--replicaof', HOST, String(first.port));
    const port = await sentinel(first.port);
    // Of those that are named one is not there, and one hangs.
    const silent = createServer((client) => client.on('error', () => {}));
    sockets.push(silent);
    await new Promise<void>((resolve) => silent.listen(0, HOST, resolve));
    const addresses = [
      { host: HOST, port: 1 },
      { host: HOST, port: (silent.address() as AddressInfo).port },
      { host: HOST, port },
    ];
    const { link, lines } = createLink({ url: NOWHERE, sentinels: settingsOf(port, { addresses }) });
    const counts = { ready: 0, hearing: 0 };
    link.listen({
      onReady: () => {
        counts.ready += 1;
      },
      onHearing: () => {
        counts.hearing += 1;
      },
    });
    const heard: string[] = [];
    try {
      await link.open();
      await expect.poll(() => link.isUp && link.isHearing).toBe(true);
      await link.subscribe(link.key('c'), (message) => heard.push(message));
      await link.call('SET', link.key('x'), 'first');
      await expect.poll(() => second.cli(['GET', '{test}:x']), { timeout: 10_000 }).toBe('first');
      // It hangs: its connections stay, and say nothing.
      first.pause();
      await expect.poll(() => second.cli(['ROLE']), { timeout: 30_000 }).toMatch(/^master/);
      const set = () => link.call('SET', link.key('x'), 'second').catch(() => 'not yet');
      await expect.poll(set, { timeout: 15_000 }).toBe('OK');
      expect(await second.cli(['GET', '{test}:x'])).toBe('second');
      const shout = async () => {
        await second.cli(['PUBLISH', '{test}:c', 'from the second']);
        return heard[0];
      };
      await expect.poll(shout, { timeout: 15_000 }).toBe('from the second');
      expect(counts.ready).toBeGreaterThan(1);
      expect(counts.hearing).toBeGreaterThan(1);
      // One of the Sentinels has answered all the time: they were never what was wrong.
      const wrong = lines.filter(({ level }) => level !== 'info').map(({ message }) => message.split(': ').at(-1));
      expect(new Set([...wrong, 'it does not answer', 'what is published is not heard']).size).toBeLessThanOrEqual(3);
      expect(wrong).not.toContain('');
    } finally {
      link.close();
    }
  });

  test('is asked for with a password, and over TLS', async () => {
    await makeAuthority(directory, 'ca');
    await makeCertificate(directory, 'ca', 'redis');
    const [ca, cert, key] = ['ca.pem', 'redis.pem', 'redis.key'].map((name) => join(directory, name));
    const files = { 'tls-cert-file': cert, 'tls-key-file': key, 'tls-ca-cert-file': ca, 'tls-auth-clients': 'no' };
    const args = Object.entries(files).map(([name, value]) => [name, value ?? ''] as const);
    const primary = await server('--requirepass', PASSWORD, ...args.flatMap(([name, value]) => [`--${name}`, value]));
    const port = await sentinel(primary.port, [
      ...args.map(([name, value]) => `${name} ${value}`),
      'tls-replication yes',
      `user default off`,
      `user asker on >${PASSWORD} -@all +hello +auth +client|setname +sentinel|get-master-addr-by-name`,
    ]);
    const sentinels = settingsOf(port, { user: 'asker', password: PASSWORD });
    const url = `rediss://:${PASSWORD}@nowhere.invalid`;
    const tls = { ca: await readFile(ca ?? '', 'utf8') };
    const { link, lines } = createLink({ url, sentinels, tls });
    try {
      await link.open();
      expect([link.isUp, link.trouble]).toEqual([true, null]);
      expect(JSON.stringify(lines)).not.toContain('sesame');
    } finally {
      link.close();
    }
    // In the clear it would be another one, and whoever listens on the way has the password.
    const said = await refusal(sentinels, `redis://:${PASSWORD}@nowhere.invalid`);
    expect(said).toContain('it speaks TLS there: TIDEGATE_REDIS_URL must begin with rediss:');
  });

  test('is refused in words where Sentinels refuse, or know of none', async () => {
    const primary = await server();
    const open = await sentinel(primary.port);
    expect(await refusal(settingsOf(open, { name: 'unknown' }))).toContain(
      'the Sentinels know no primary of that name, see TIDEGATE_REDIS_SENTINEL_NAME',
    );
    const secured = await sentinel(primary.port, [`requirepass ${PASSWORD}`]);
    for (const password of [null, 'close-sesame']) {
      expect(await refusal(settingsOf(secured, { password }))).toContain(
        'see TIDEGATE_REDIS_SENTINEL_USER and TIDEGATE_REDIS_SENTINEL_PASSWORD',
      );
    }
    expect(await refusal(settingsOf(primary.port))).toContain('what listens there is no Sentinel');
  });

  test('is looked for on and on, where no Sentinel is there, or what it says is no address', async () => {
    const primary = await server();
    const [port = 0] = await lastingPorts(1);
    const { link } = createLink({ url: NOWHERE, sentinels: settingsOf(port) });
    try {
      await link.open();
      expect([link.isUp, link.trouble]).toEqual([false, expect.stringContaining('failed to connect to sentinel')]);
      let answer = '*2\r\n$9\r\n127.0.0.1\r\n$1\r\nx\r\n';
      const fake = createServer((client) => {
        client.on('error', () => {});
        client.on('data', (bytes) => {
          for (const command of bytes.toString().split(/^\*/m).slice(1)) {
            client.write(command.includes('get-master-addr') ? answer : '+OK\r\n');
          }
        });
      });
      sockets.push(fake);
      await new Promise<void>((resolve) => fake.listen(port, HOST, resolve));
      expect((fake.address() as AddressInfo).port).toBe(port);
      // The client of the library gives up there.
      await expect.poll(() => link.trouble, { timeout: 5_000 }).toContain('Port should be');
      answer = `*2\r\n$9\r\n127.0.0.1\r\n$${String(primary.port).length}\r\n${primary.port}\r\n`;
      await expect.poll(() => link.isUp && link.isHearing, { timeout: 5_000 }).toBe(true);
    } finally {
      link.close();
    }
  });
});
