import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, rename, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { connect as connectTls } from 'node:tls';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { TcpClient, WsClient } from './clients.ts';
import { type GatewayProcess, runTidegate, startGateway, temporaryDirectory } from './gateway-process.ts';

let directory: Awaited<ReturnType<typeof temporaryDirectory>>;
const gateways: GatewayProcess[] = [];

beforeEach(async () => {
  directory = await temporaryDirectory();
});

afterEach(async () => {
  for (const gateway of gateways.splice(0)) await gateway.stop('SIGKILL');
  await directory.remove();
});

async function start(env: Readonly<Record<string, string>> = {}): Promise<GatewayProcess> {
  const gateway = await startGateway(join(directory.path, 'data'), { env });
  gateways.push(gateway);
  return gateway;
}

describe('the command line', () => {
  test('--version and --help', async () => {
    const version = await runTidegate(['--version']);
    expect(version).toMatchObject({ code: 0, stderr: '' });
    expect(version.stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
    const help = await runTidegate(['--help']);
    expect(help).toMatchObject({ code: 0, stderr: '' });
    const names = ['TIDEGATE_HTTP_PORT', 'TIDEGATE_DATA_DIR', 'TIDEGATE_KAFKA_BROKERS', 'TIDEGATE_REDIS_URL'];
    for (const name of [...names, 'tidegate restore FILE']) {
      expect(help.stdout).toContain(name);
    }
  });

  test.each([
    [['dance'], {}, /cannot understand "dance"/],
    [['--dance'], {}, /Unknown option '--dance'/],
    [[], { TIDEGATE_PROT: '1' }, /TIDEGATE_PROT is no setting/],
    [
      [],
      { TIDEGATE_HTTP_PORT: '99999' },
      /TIDEGATE_HTTP_PORT: "99999" is not valid; expected an integer from 0 to 65535/,
    ],
    [[], { TIDEGATE_AUTH: 'jwt' }, /TIDEGATE_AUTH: "jwt" needs either/],
    [['--user', 'ann'], {}, /--user belongs to tidegate token/],
    [['token', '--user', 'ann'], {}, /TIDEGATE_JWT_SECRET/],
    [['token'], { TIDEGATE_JWT_SECRET: 'x' }, /--user NAME is missing/],
    [['token', '--user', 'ann', '--ttl', '5y'], { TIDEGATE_JWT_SECRET: 'x' }, /--ttl "5y" is no time/],
    [['token', '--user', 'a b'], { TIDEGATE_JWT_SECRET: 'x' }, /user: expected/],
    [[], { TIDEGATE_REDIS_URL: 'redis://x' }, /TIDEGATE_REDIS_URL: replicas share their rooms through Kafka/],
    [[], { TIDEGATE_REDIS_URL: 'secret' }, /TIDEGATE_REDIS_URL: the value given is not valid; expected redis:/],
    [[], { TIDEGATE_KAFKA_BROKERS: 'kafka' }, /TIDEGATE_KAFKA_BROKERS: "kafka" is not valid; expected host:port/],
    [[], { TIDEGATE_KAFKA_SASL: 'plain', TIDEGATE_KAFKA_USER: 'u' }, /go together/],
    [[], { TIDEGATE_PREFIX: 'a b' }, /TIDEGATE_PREFIX: "a b" is not valid/],
    [[], { TIDEGATE_HOST: '0.0.0.0' }, /TIDEGATE_PUBLIC_ANONYMOUS=true/],
    [[], { TIDEGATE_TLS_CERT: '/x.pem' }, /go together/],
  ])('%j with %j is refused in words', async (args, env, message) => {
    const result = await runTidegate(args, env as Record<string, string>);
    expect(result.code).toBe(1);
    expect(result.stderr).toMatch(message);
    expect(result.stderr).not.toMatch(/\n\s+at /);
  });

  test('what Kubernetes sets for a service of that name is ignored', async () => {
    const env = { TIDEGATE_SERVICE_HOST: '10.0.0.1', TIDEGATE_PORT: 'tcp://10.0.0.1:80', TIDEGATE_PORT_80_TCP: 'x' };
    expect(await runTidegate(['check'], { ...env, TIDEGATE_DATA_DIR: join(directory.path, 'data') })).toMatchObject({
      code: 0,
    });
  });

  test('check tells what is in effect and whether the directory is good', async () => {
    const data = join(directory.path, 'data');
    const fresh = await runTidegate(['check'], { TIDEGATE_DATA_DIR: data, TIDEGATE_PREFIX: 'x' });
    expect(fresh).toMatchObject({ code: 0, stderr: '' });
    expect(fresh.stdout).toContain('16 partitions');
    expect(fresh.stdout).toContain('TIDEGATE_PREFIX is set, but without effect');
    expect(fresh.stdout).toContain("presence   this process's own");
    expect(fresh.stdout).toMatch(/^websocket {2}uWebSockets\.js, .* as pinned$/m);
    const plain = await runTidegate(['check'], { TIDEGATE_DATA_DIR: data, TIDEGATE_WS_ENGINE: 'ws' });
    expect(plain.stdout).toContain('websocket  ws, as TIDEGATE_WS_ENGINE wants');
    expect(plain.stdout).toContain('traces     none');
    await mkdir(data);
    await writeFile(join(data, 'letter.txt'), 'not ours');
    const foreign = await runTidegate(['check'], { TIDEGATE_DATA_DIR: data });
    expect(foreign.code).toBe(1);
    expect(foreign.stderr).toContain(data);
  });

  test('a second gateway on the same directory is refused in words, and check tells who has it', async () => {
    const gateway = await start();
    const env = { TIDEGATE_DATA_DIR: join(directory.path, 'data') };
    const second = await runTidegate([], { ...env, TIDEGATE_HTTP_PORT: '0', TIDEGATE_TCP_PORT: '0' });
    expect(second.code).toBe(1);
    expect(second.stderr).toContain(`in use by another tidegate process (pid ${gateway.pid})`);
    const check = await runTidegate(['check'], env);
    expect(check).toMatchObject({ code: 0, stdout: expect.stringContaining(`in use by process ${gateway.pid}`) });
  });

  test('a port that is taken is named', async () => {
    const gateway = await start();
    const second = await runTidegate([], {
      TIDEGATE_DATA_DIR: join(directory.path, 'other'),
      TIDEGATE_HTTP_PORT: String(gateway.ports.http),
    });
    expect(second.code).toBe(1);
    expect(second.stderr).toContain(`EADDRINUSE: address already in use 127.0.0.1:${gateway.ports.http}`);
  });

  test('backup of a running gateway, and restore under a new epoch', async () => {
    const gateway = await start();
    const ann = await TcpClient.open(gateway.ports.tcp);
    await ann.connect('ann');
    const before = await ann.ok({ op: 'publish', room: 'r', mid: 'm1', data: 'kept' });
    const file = join(directory.path, 'backup.sqlite');
    const made = await runTidegate(['backup', file], { TIDEGATE_DATA_DIR: join(directory.path, 'data') });
    expect(made).toMatchObject({ code: 0, stderr: '' });
    await ann.ok({ op: 'publish', room: 'r', mid: 'm2', data: 'later' });
    ann.close();

    const restored = join(directory.path, 'restored');
    expect(await runTidegate(['restore', file], { TIDEGATE_DATA_DIR: restored })).toMatchObject({
      code: 0,
      stderr: '',
    });
    expect(await runTidegate(['restore', file], { TIDEGATE_DATA_DIR: restored })).toMatchObject({ code: 1 });
    const second = await startGateway(restored);
    gateways.push(second);
    const bob = await TcpClient.open(second.ports.tcp);
    await bob.connect('bob');
    const reply = await bob.ok({ op: 'join', room: 'r', since: { epoch: before.epoch, offset: before.offset } });
    expect(reply).toMatchObject({ recovered: false, gap: { from: null } });
    expect((reply.position as { epoch: string }).epoch).not.toBe(before.epoch);
    expect((reply.messages as { data: unknown }[]).map(({ data }) => data)).toEqual(['kept']);
    bob.close();
  });
});

describe('the end', () => {
  test.each(['SIGTERM', 'SIGINT'] as const)('%s settles what is under way and tells every session', async (signal) => {
    const gateway = await start();
    const [ann, bob] = [await TcpClient.open(gateway.ports.tcp), await WsClient.open(gateway.ports.http)];
    const person = await TcpClient.open(gateway.ports.tcp);
    await ann.connect('ann');
    await bob.connect('bob');
    await bob.ok({ op: 'join', room: 'r' });
    person.sendRaw('/connect carl\n');
    await person.until('a word', () => person.words.length > 0);
    for (let i = 0; i < 20; i += 1) ann.send({ op: 'publish', id: i, room: 'r', mid: `m${i}`, data: i });
    await ann.until('an ack', () => ann.heard.find(({ id }) => id === 0));
    expect(await gateway.stop(signal)).toBe(0);
    for (const client of [ann, bob]) {
      const said = await client.disconnected();
      expect(said).toEqual({
        push: 'disconnect',
        code: 3000,
        reason: 'drain',
        reconnect: { afterMs: expect.any(Number) },
      });
    }
    expect(bob.closed).toEqual({ code: 3000, reason: 'drain' });
    expect(person.words.at(-1)).toMatch(/^! disconnected: this node goes away \(3000 drain\)/);
    // Every command that was executed is answered, and every acknowledged message was delivered.
    const acked = ann.heard.filter(({ ok }) => (ok as { mid?: string } | undefined)?.mid !== undefined).length;
    expect(bob.messages('r').length).toBeGreaterThanOrEqual(acked);
    expect(gateway.logs.at(-1)).toMatchObject({ msg: 'drained' });
  });

  test('a second signal ends at once', async () => {
    // A client that does not end its side keeps the drain waiting for it.
    const gateway = await start();
    const lingering = connect({ port: gateway.ports.tcp, host: '127.0.0.1', allowHalfOpen: true });
    lingering.write('{"op":"connect","id":1}\n');
    await once(lingering, 'data');
    lingering.on('error', () => {});
    process.kill(gateway.pid, 'SIGTERM');
    // npm may pass one signal on twice: that one doesn't count.
    process.kill(gateway.pid, 'SIGTERM');
    await new Promise((resolve) => setTimeout(resolve, 1_200));
    expect(gateway.exited).toBe(false);
    expect(await gateway.stop('SIGTERM')).toBe(1);
    lingering.destroy();
  });

  test('readiness is false while draining, liveness stays', async () => {
    const gateway = await start();
    const get = async (path: string) => {
      const response = await fetch(`http://127.0.0.1:${gateway.ports.internal}${path}`);
      return { status: response.status, body: await response.json() };
    };
    expect(await get('/health/live')).toEqual({ status: 200, body: { live: true } });
    expect(await get('/health/ready')).toEqual({ status: 200, body: { ready: true } });
    expect(await get('/health/elsewhere')).toMatchObject({ status: 404 });
  });
});

describe('TLS', () => {
  async function certificate(name: string): Promise<{ cert: string; key: string }> {
    const cert = join(directory.path, `${name}.pem`);
    const key = join(directory.path, `${name}.key`);
    const args = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '1'];
    const openssl = spawn('openssl', [...args, '-subj', `/CN=${name}`, '-keyout', key, '-out', cert]);
    expect(await once(openssl, 'close')).toEqual([0, null]);
    return { cert, key };
  }

  test('both public ports speak it, and a plain client is no client', async () => {
    const { cert, key } = await certificate('localhost');
    const gateway = await start({ TIDEGATE_TLS_CERT: cert, TIDEGATE_TLS_KEY: key });
    const options = { rejectUnauthorized: false };
    const tcp = await TcpClient.openTls({ port: gateway.ports.tcp, host: '127.0.0.1', ...options });
    const ws = await WsClient.open(0, options, `wss://127.0.0.1:${gateway.ports.http}/ws`);
    await tcp.connect('tcp');
    await ws.connect('ws');
    await ws.ok({ op: 'join', room: 'r' });
    await tcp.ok({ op: 'publish', room: 'r', mid: 'm', data: 'x'.repeat(10_000) });
    await ws.until('the message', () => ws.messages('r')[0]);
    const plain = await TcpClient.open(gateway.ports.tcp);
    plain.sendRaw('{"op":"connect","id":1}\n');
    await plain.untilClosed();
    expect(plain.heard).toEqual([]);
    for (const client of [tcp, ws]) client.close();
  });

  test('a changed certificate is used for new connections, and one that does not fit is not', async () => {
    const { cert, key } = await certificate('localhost');
    const gateway = await start({ TIDEGATE_TLS_CERT: cert, TIDEGATE_TLS_KEY: key });
    const commonName = async (port: number) => {
      const socket = connectTls({ port, host: '127.0.0.1', rejectUnauthorized: false });
      await once(socket, 'secureConnect');
      const { subject } = socket.getPeerCertificate();
      socket.destroy();
      return subject.CN;
    };
    expect(await commonName(gateway.ports.tcp)).toBe('localhost');
    const options = { rejectUnauthorized: false };
    const earlier = await WsClient.open(0, options, `wss://127.0.0.1:${gateway.ports.http}/ws`);
    await earlier.connect('earlier');
    await earlier.ok({ op: 'join', room: 'r' });
    const next = await certificate('chat.example');
    await rename(next.cert, cert);
    // The pair does not fit until the key follows.
    const logged = (words: string) => () => gateway.logs.some(({ msg }) => String(msg).includes(words));
    await expect.poll(logged('cannot be used'), { timeout: 15_000 }).toBe(true);
    expect(await commonName(gateway.ports.tcp)).toBe('localhost');
    await rename(next.key, key);
    await expect.poll(logged('certificate read again'), { timeout: 15_000 }).toBe(true);
    for (const port of [gateway.ports.tcp, gateway.ports.http]) expect(await commonName(port)).toBe('chat.example');
    // Who was there before goes on, together with who has come since.
    const later = await WsClient.open(0, options, `wss://127.0.0.1:${gateway.ports.http}/ws`);
    await later.connect('later');
    await later.ok({ op: 'publish', room: 'r', mid: 'm', data: 'still there' });
    await earlier.until('the message', () => earlier.messages('r')[0]);
    for (const client of [earlier, later]) client.close();
  });
});

test('a token for trying things out lets its user in, and does what it says', async () => {
  const env = { TIDEGATE_AUTH: 'jwt', TIDEGATE_JWT_SECRET: 'a secret of at least 32 bytes, for a test' };
  const minted = await runTidegate(['token', '--user', 'ann', '--ttl', '5m', '--join', 'tea,team/*'], env);
  expect(minted).toMatchObject({ code: 0, stderr: '' });
  const gateway = await start(env);
  const client = await TcpClient.open(gateway.ports.tcp);
  const begunMs = Date.now();
  const { user, expiresAtMs } = await client.ok({ op: 'connect', token: minted.stdout.trim() });
  expect(user).toBe('ann');
  expect(Number(expiresAtMs) - begunMs).toBeGreaterThan(280_000);
  expect(Number(expiresAtMs) - begunMs).toBeLessThan(305_000);
  await client.ok({ op: 'join', room: 'team/a' });
  expect(await client.ask({ op: 'join', room: 'elsewhere' })).toMatchObject({ error: { code: 'forbidden' } });
  await client.ok({ op: 'publish', room: 'elsewhere', mid: 'm', data: 1 });
});

test('V8 knows the option that it is given on one core', () => {
  expect(execFileSync(process.execPath, ['--v8-options'], { encoding: 'utf8' })).toContain('--parallel-scavenge ');
});

test('every setting of the fixed names is known', async () => {
  const env = {
    TIDEGATE_HEARTBEAT_MS: '25000',
    TIDEGATE_LIMIT_COMMANDS: '0',
    TIDEGATE_API_KEYS: 'a,b',
    TIDEGATE_SESSIONS_PER_ADDRESS: '5',
    TIDEGATE_PREFIX: 'x',
    TIDEGATE_TICKET_SECRET: 'secret',
    TIDEGATE_JWT_SECRET: 'secret',
    TIDEGATE_JWKS_URL: 'https://example.test/jwks',
    TIDEGATE_JWT_ISSUER: 'i',
    TIDEGATE_JWT_AUDIENCE: 'a',
    TIDEGATE_KAFKA_REPLICATION: '3',
    TIDEGATE_ORIGINS: 'https://example.test',
    TIDEGATE_HOSTS: 'example.test',
    TIDEGATE_NODE_ID: 'node-1',
  };
  const gateway = await start(env);
  const warned = gateway.logs.filter(({ msg }) => String(msg).includes('without effect')).map(({ name }) => name);
  expect(warned).toEqual(expect.arrayContaining(['TIDEGATE_PREFIX', 'TIDEGATE_JWT_SECRET', 'TIDEGATE_JWT_ISSUER']));
  expect(warned).not.toContain('TIDEGATE_API_KEYS');
  expect(warned).not.toContain('TIDEGATE_HOSTS');
  expect(JSON.stringify(gateway.logs)).not.toContain('secret');
});
