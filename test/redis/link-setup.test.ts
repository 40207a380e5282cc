import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { type AddressInfo, createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { diagnose } from '../../src/redis/redis-diagnosis.ts';
import type { RedisSettings } from '../../src/redis/redis-settings.ts';
import { rightsOf } from '../../src/redis/redis-setup-error.ts';
import { makeAuthority, makeCertificate } from '../certificates.ts';
import { REDIS_URL } from '../services/test-services.ts';
import { createLink, RedisServer } from './redis-stage.ts';

const PASSWORD = 'open-sesame';
const RIGHTS = rightsOf('test').split(' ');
const OF_SCRIPT = "ERR The user executing the script can't run this command or subcommand";
/** What a user lacks, and the words of Redis about it. */
const LACKS: readonly (readonly [name: string, without: string, words: string])[] = [
  ['info', '+info', "NOPERM this user has no permissions to run the 'info' command"],
  ['scripts', '+eval', "NOPERM this user has no permissions to run the 'eval' command"],
  ['keys', '~{test}*', 'NOPERM this user has no permissions to access one of the keys used as arguments'],
  ['hashes', '+evalsha', "NOPERM this user has no permissions to run the 'evalsha' command"],
  ['channels', '&{test}:*', "ERR The user executing the script can't publish to the channel"],
  ['subscribe', '+subscribe', "NOPERM this user has no permissions to run the 'subscribe' command"],
  ['write', '+@write', OF_SCRIPT],
  ['read', '+@read', OF_SCRIPT],
  ['publish', '+publish', OF_SCRIPT],
  ['pubsub', '+pubsub', OF_SCRIPT],
  ['time', '+time', OF_SCRIPT],
];

describe.skipIf(REDIS_URL === undefined && !process.env.CI)('how Redis is set up', () => {
  let directory: string;
  const servers: RedisServer[] = [];
  const sockets: Server[] = [];
  let plain: RedisServer;
  let secured: RedisServer;
  let mutual: RedisServer;
  let cluster: RedisServer;

  const pem = (name: string) => readFileSync(join(directory, name), 'utf8');

  async function server(...args: readonly string[]): Promise<RedisServer> {
    const started = await RedisServer.start(directory, args);
    servers.push(started);
    return started;
  }

  /** Listens, and says something to whoever says something. */
  async function listener(answer: (bytes: Buffer) => string): Promise<number> {
    const socket = createServer((client) => {
      client.on('error', () => {});
      client.on('data', (bytes) => client.write(answer(bytes)));
    });
    sockets.push(socket);
    await new Promise<void>((resolve) => socket.listen(0, '127.0.0.1', resolve));
    return (socket.address() as AddressInfo).port;
  }

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'tidegate-redis-setup-'));
    await Promise.all(['ca', 'other-ca'].map((name) => makeAuthority(directory, name)));
    await makeCertificate(directory, 'ca', 'redis');
    await makeCertificate(directory, 'ca', 'replica');
    await makeCertificate(directory, 'other-ca', 'stranger');
    const file = (name: string) => join(directory, name);
    const users = [
      ['full', RIGHTS] as const,
      ...LACKS.map(([name, without]) => [name, withoutRight(without)] as const),
    ];
    const acl = users.flatMap(([name, rights]) => ['--user', name, 'on', `>${PASSWORD}`, ...rights]);
    const tls = ['--tls-cert-file', file('redis.pem'), '--tls-key-file', file('redis.key')];
    const trust = [...tls, '--tls-ca-cert-file', file('ca.pem')];
    [plain, secured, mutual, cluster] = await Promise.all([
      server('--requirepass', PASSWORD, ...acl),
      server(...trust, '--tls-auth-clients', 'no'),
      server(...trust),
      server('--cluster-enabled', 'yes', '--cluster-config-file', file('nodes.conf')),
    ]);
  });

  afterAll(async () => {
    for (const socket of sockets) socket.close();
    await Promise.all(servers.map((each) => each.kill()));
    await rm(directory, { recursive: true, force: true });
  });

  function withoutRight(right: string): readonly string[] {
    return RIGHTS.filter((each) => each !== right);
  }

  const at = ({ port }: { port: number }, user = '', scheme = 'redis') => `${scheme}://${user}127.0.0.1:${port}`;
  const full = (name: string) => `${name}:${PASSWORD}@`;

  /** The words with which a link is refused, which hold no secret. */
  async function refusal(settings: Partial<RedisSettings> & Pick<RedisSettings, 'url'>): Promise<string> {
    const { link, lines } = createLink(settings);
    try {
      await link.open();
    } catch (error) {
      expect(error).toMatchObject({ name: 'RedisSetupError' });
      const all = JSON.stringify([lines, error, { ...(error as Error) }, (error as Error).message]);
      expect(all).not.toMatch(/sesame|PRIVATE KEY/);
      return (error as Error).message;
    } finally {
      link.close();
    }
    throw new Error('it was opened');
  }

  async function expectOpen(settings: Partial<RedisSettings> & Pick<RedisSettings, 'url'>): Promise<void> {
    const { link, lines } = createLink(settings);
    try {
      await link.open();
      expect([link.isUp, link.isHearing, link.trouble]).toEqual([true, true, null]);
      expect(await link.call('SET', link.key('x'), '1')).toBe('OK');
      expect(lines.map(({ level }) => level)).toEqual(['info', 'info']);
    } finally {
      link.close();
    }
  }

  describe.concurrent('is used', () => {
    test('with a password', () => expectOpen({ url: at(plain, `:${PASSWORD}@`) }));
    test('with a user that has the rights which are told', () => expectOpen({ url: at(plain, full('full')) }));
    test('with a certificate of the authority', () =>
      expectOpen({ url: at(secured, '', 'rediss'), tls: { ca: pem('ca.pem') } }));
    test('with a certificate of ours', () =>
      expectOpen({
        url: at(mutual, '', 'rediss'),
        tls: { ca: pem('ca.pem'), cert: pem('replica.pem'), key: pem('replica.key') },
      }));

    test('in the database of the URL, by scripts too', async () => {
      const { link } = createLink({ url: `${at(plain, `:${PASSWORD}@`)}/3` });
      try {
        await link.open();
        await link.run({ name: 'put', lua: "return redis.call('SET', KEYS[1] .. ':third', 1)" });
        const cli = (database: string) => plain.cli(['EXISTS', '{test}:third'], ['-a', PASSWORD, '-n', database]);
        expect([await cli('3'), await cli('0')]).toEqual(['1', '0']);
      } finally {
        link.close();
      }
    });
  });

  describe.concurrent('is refused, in words,', () => {
    test.each([
      [
        'a wrong password',
        () => at(plain, ':close-sesame@'),
        'WRONGPASS invalid username-password pair',
        'are none of its',
      ],
      [
        'an unknown user',
        () => at(plain, full('nobody')),
        'WRONGPASS invalid username-password pair',
        'are none of its',
      ],
      [
        'no password',
        () => at(plain),
        'NOAUTH',
        'it wants a password, or a user and a password, in TIDEGATE_REDIS_URL',
      ],
      ['no such database', () => `${at(plain, full('full'))}/99`, 'ERR DB index is out of range', 'it has no database'],
      ['a cluster', () => at(cluster), 'it is a Redis Cluster', 'a single primary, or one that Sentinels name'],
    ])('%s', async (_, url, words, advice) => {
      const said = await refusal({ url: url() });
      expect(said).toContain(`Redis can't be used at ${new URL(url()).host}: ${words}`);
      expect(said).toContain(advice);
    });

    test.each(LACKS)('a user without the right: %s', async (name, _, words) => {
      const said = await refusal({ url: at(plain, full(name)) });
      expect(said).toContain(words);
      expect(said).toContain(`its user needs these rights: ${RIGHTS.join(' ')}`);
    });

    test('TLS where there is none', async () => {
      expect(await refusal({ url: at(plain, '', 'rediss') })).toContain(
        'it speaks no TLS there: TIDEGATE_REDIS_URL must begin with redis:',
      );
    });

    test.each([['secured'], ['mutual']])('no TLS where there is some (%s)', async (name) => {
      expect(await refusal({ url: at(name === 'secured' ? secured : mutual) })).toContain(
        'it speaks TLS there: TIDEGATE_REDIS_URL must begin with rediss:',
      );
    });

    test.each([
      ['an authority that is none of its', () => ({ ca: pem('other-ca.pem') })],
      ['no authority but those that Node knows', () => ({})],
    ])('%s', async (_, tls) => {
      const said = await refusal({ url: at(secured, '', 'rediss'), tls: tls() });
      expect(said).toContain(
        'self-signed certificate in certificate chain: TIDEGATE_REDIS_CA must have the authority that signs its certificate',
      );
    });

    test('a certificate of another address', async () => {
      const url = `rediss://localhost:${secured.port}`;
      expect(await refusal({ url, tls: { ca: pem('ca.pem') } })).toContain(
        "Hostname/IP does not match certificate's altnames",
      );
    });

    test.each([
      ['no certificate of ours', () => ({}), 'certificate required'],
      [
        'one of ours that it does not know',
        () => ({ cert: pem('stranger.pem'), key: pem('stranger.key') }),
        'unknown ca',
      ],
    ])('%s', async (_, tls, words) => {
      const said = await refusal({ url: at(mutual, '', 'rediss'), tls: { ca: pem('ca.pem'), ...tls() } });
      expect(said).toContain(
        `${words}: it wants a certificate that it knows: TIDEGATE_REDIS_CERT and TIDEGATE_REDIS_KEY`,
      );
    });

    test('no certificate of ours, also where the connection only breaks', async () => {
      const { link } = createLink({ url: at(mutual, '', 'rediss'), tls: { ca: pem('ca.pem') } });
      for (let i = 0; i < 5; i += 1) {
        expect((await diagnose(link.settings))?.message).toContain('certificate required: it wants a certificate');
      }
    });

    test('what is no Redis', async () => {
      const port = await listener(() => 'HTTP/1.1 400 Bad Request\r\n\r\n');
      expect(await refusal({ url: at({ port }) })).toContain('what listens there is no Redis');
    });

    test('one that is too old', async () => {
      const port = await infoServer(() => ['redis_version:6.0.16', 'role:master']);
      expect(await refusal({ url: at({ port }) })).toContain('it is version 6.0.16, and 6.2 or newer is needed');
    });
  });

  /** A server that is asked for what it says of itself, and has nothing else to say. */
  function infoServer(facts: () => readonly string[]): Promise<number> {
    return listener((bytes) => {
      const commands = bytes.toString().split(/^\*/m).slice(1);
      const info = facts().join('\r\n');
      return commands
        .map((command) => (/\ninfo\r/i.test(command) ? `$${info.length}\r\n${info}\r\n` : '+OK\r\n'))
        .join('');
    });
  }

  test('is used once it has read its data', async () => {
    let loading = 1;
    const port = await infoServer(() => ['redis_version:7.0.15', 'role:master', `loading:${loading}`]);
    const { link } = createLink({ url: at({ port }) });
    try {
      await link.open();
      expect([link.isUp, link.trouble]).toEqual([
        false,
        `Redis can't be used for now at 127.0.0.1:${port}: it reads its data`,
      ]);
      loading = 0;
      await expect.poll(() => link.isUp).toBe(true);
    } finally {
      link.close();
    }
  });

  test.each([
    ['says nothing', () => ''],
    ['goes at once', null],
  ])('one that %s may come to itself', async (_, answer) => {
    const port = answer === null ? 1 : await listener(answer);
    const { link } = createLink({ url: at({ port }) });
    try {
      await link.open();
      expect(link.isUp).toBe(false);
      expect(link.trouble).toContain(`Redis can't be reached at 127.0.0.1:${port}: `);
    } finally {
      link.close();
    }
  });
});
