import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { findHaproxy, HAPROXY } from '../../cluster/haproxy.ts';
import { type Client, TcpClient, WsClient } from '../e2e/clients.ts';
import { UNLIMITED } from '../e2e/gateway-process.ts';
import type { Ports } from '../e2e/replica.ts';
import { eventually } from '../faults/load.ts';
import { KAFKA_BROKERS } from '../services/test-services.ts';
import { ClusterCommand } from './cluster-command.ts';
import { Traffic } from './traffic.ts';

const GATEWAYS = ['gateway-1', 'gateway-2', 'gateway-3'];
const PER_ADDRESS = 15;
/** Waits as short as a machine with other things to do allows. */
const SETTINGS = {
  ...UNLIMITED,
  TIDEGATE_WS_ENGINE: 'uws',
  TIDEGATE_PARTITIONS: '4',
  TIDEGATE_DRAIN_MS: '3000',
  TIDEGATE_DRAIN_NOTICE_MS: '1200',
  TIDEGATE_GRACE_MS: '5000',
  TIDEGATE_PRESENCE_LEASE_MS: '4000',
  TIDEGATE_RETRY_WINDOW_MS: '200',
  TIDEGATE_SESSIONS_PER_ADDRESS: `${PER_ADDRESS}`,
};

const isHaproxyMissing = !process.env.CI && (await findHaproxy()) === null;
const areServicesMissing = KAFKA_BROKERS === undefined && !process.env.CI;
if (isHaproxyMissing) console.warn(`\nTESTS ARE LEFT OUT: those of the cluster, as this is missing: ${HAPROXY}\n`);

async function temporaryCommand(settings: Readonly<Record<string, string>> = {}) {
  const directory = await mkdtemp(join(tmpdir(), 'tidegate-cluster-'));
  return { directory, command: new ClusterCommand(directory, settings) };
}

function isThere(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

describe.skipIf(isHaproxyMissing || areServicesMissing)('npm run cluster', () => {
  let cluster: ClusterCommand;
  let directory: string;
  let ports: Ports;

  beforeAll(async () => {
    ({ directory, command: cluster } = await temporaryCommand(SETTINGS));
    cluster.up(['--replicas', '3']);
    ports = await cluster.ports();
  }, 120_000);

  afterAll(async () => {
    await cluster.run('down');
    await rm(directory, { recursive: true, force: true });
  }, 60_000);

  async function tcpFrom(address: string): Promise<Client> {
    const client = await TcpClient.open(ports.tcp, '127.0.0.1', address);
    onTestFinished(() => client.close());
    return client;
  }

  async function webFrom(address: string, headers: Readonly<Record<string, string>> = {}): Promise<Client> {
    const client = await WsClient.open(ports.http, { localAddress: address, headers });
    onTestFinished(() => client.close());
    return client;
  }

  test('leads clients of both transports to all replicas, where they talk with one another', async () => {
    expect((await fetch(`http://127.0.0.1:${ports.http}/`)).status).toBe(200);
    const clients: Client[] = [];
    for (let i = 0; i < GATEWAYS.length; i++) {
      for (const open of [tcpFrom, webFrom]) clients.push(await open('127.0.0.1'));
    }
    const nodes = new Set<string>();
    for (const [index, client] of clients.entries()) {
      const { node } = await client.connect(`talker-${index}`);
      nodes.add(`${client.constructor.name} ${node}`);
      await client.ok({ op: 'join', room: 'talk' });
    }
    expect([...nodes].sort()).toEqual(
      ['TcpClient', 'WsClient'].flatMap((kind) => GATEWAYS.map((gateway) => `${kind} ${gateway}`)),
    );
    for (const [index, client] of clients.entries()) {
      await client.ok({ op: 'publish', room: 'talk', mid: `talk-${index}`, data: { index } });
    }
    for (const client of clients) {
      await client.until('everything', () => client.messages('talk').length === clients.length);
      expect(new Set(client.messages('talk').map(({ mid }) => mid)).size).toBe(clients.length);
    }
  });

  test('tells replicas the addresses of clients, whatever they say themselves', async () => {
    const [full, other] = ['127.0.0.77', '127.0.0.78'];
    const isLetIn = async (client: Client) => 'ok' in (await client.ask({ op: 'connect' }));
    // As many as all replicas take of one address. One after the other, so that they are led to each in turn.
    let taken = 0;
    while (await isLetIn(await tcpFrom(full))) taken += 1;
    expect(taken).toBeGreaterThanOrEqual(PER_ADDRESS);
    expect(taken).toBeLessThanOrEqual(GATEWAYS.length * PER_ADDRESS);
    while (taken < GATEWAYS.length * PER_ADDRESS) if (await isLetIn(await tcpFrom(full))) taken += 1;
    expect(await isLetIn(await webFrom(full))).toBe(false);
    expect(await isLetIn(await webFrom(full, { 'X-Forwarded-For': other }))).toBe(false);
    expect(await isLetIn(await webFrom(other))).toBe(true);
    expect(await isLetIn(await webFrom(other, { 'X-Forwarded-For': full }))).toBe(true);
    expect(await isLetIn(await tcpFrom(other))).toBe(true);
  });

  test('starts a replica again that is killed, and its clients go on elsewhere', { timeout: 60_000 }, async () => {
    const traffic = await Traffic.start('kill', ports);
    onTestFinished(() => traffic.close());
    const killed = (await cluster.list()).get('gateway-2')?.pid as number;
    const victims = traffic.people.filter(({ client }) => client.session?.node === 'gateway-2');
    expect(victims.length).toBeGreaterThan(0);
    process.kill(killed, 'SIGKILL');
    await cluster.said(/warn +gateway-2 was ended by SIGKILL; it is started again/);
    await eventually('everybody to be elsewhere', () => victims.every(({ sessionCount }) => sessionCount > 1));
    await traffic.acks(100);
    await cluster.said(/gateway-2 is ready again/);
    const again = (await cluster.list()).get('gateway-2');
    expect(again?.isReady).toBe(true);
    expect(again?.pid).not.toBe(killed);
    expect(await traffic.judge()).toEqual([]);
    expect(traffic.flaps).toEqual([]);
    expect(traffic.returns).toBe(victims.length);
  });

  test('rolls: each restart costs its clients one reconnect, and nobody is seen to leave', {
    timeout: 90_000,
  }, async () => {
    const traffic = await Traffic.start('roll', ports);
    onTestFinished(() => traffic.close());
    const before = await cluster.list();
    const rolling = cluster.run('roll');
    await cluster.said(/gateway-1 is told to drain/);
    const second = await cluster.run('roll');
    expect(second).toMatchObject({ code: 1, stdout: 'the replicas are being restarted already\n' });
    const { code, stdout } = await rolling;
    expect(code, stdout).toBe(0);
    const words = GATEWAYS.flatMap((name) => [
      `${name} is told to drain`,
      `${name} has ended with 0; starting it`,
      `${name} is ready`,
    ]);
    expect(stdout).toBe(`${[...words, 'all 3 replicas were restarted'].join('\n')}\n`);
    const after = await cluster.list();
    for (const name of GATEWAYS) expect(after.get(name)?.pid).not.toBe(before.get(name)?.pid);

    await traffic.acks(100);
    expect(await traffic.judge()).toEqual([]);
    expect(traffic.flaps).toEqual([]);
    for (const [user, stays] of traffic.stays) {
      // Who was led to one that had its turn later went on once more then, and else only once; never for anything else.
      const left = stays.slice(0, -1).map(({ node }) => node);
      expect(left, user).toEqual([...new Set(left)].sort());
    }
    for (const { user, losses, sessionCount } of traffic.people) {
      expect(losses, user).toEqual(Array(sessionCount - 1).fill('drain'));
    }
    expect(traffic.returns).toBeGreaterThanOrEqual(traffic.people.length / GATEWAYS.length);
  });

  test('ends everything when it is told to', { timeout: 60_000 }, async () => {
    const listed = await cluster.list();
    expect([...listed.keys()]).toEqual([...GATEWAYS, 'haproxy', 'redis', 'kafka 1']);
    expect((await cluster.run('status')).code).toBe(0);
    expect(await cluster.end('SIGINT')).toBe(0);
    // They have ended; whoever inherits them takes notice some time.
    const left = () => [...listed.values()].filter(({ pid }) => isThere(pid));
    await eventually('all of it to be gone', () => left().length === 0);
    expect(cluster.lines.at(-1)).toMatch(/cluster +info +all is stopped$/);
    expect(await cluster.run('status')).toMatchObject({ code: 3, stdout: 'no cluster runs\n' });
    expect(await cluster.run('roll')).toMatchObject({ code: 1, stdout: 'no cluster runs\n' });
  });
});

describe.skipIf(areServicesMissing)('npm run cluster that is killed', () => {
  test('leaves word of what it has begun, which is ended then', { timeout: 60_000 }, async () => {
    const { directory, command } = await temporaryCommand();
    onTestFinished(async () => {
      await command.run('down');
      await rm(directory, { recursive: true, force: true });
    });
    command.up([]);
    await command.said(/starting Kafka/);
    await command.end('SIGKILL');
    const { code, stdout } = await command.run('status');
    expect(code).toBe(3);
    expect(stdout).toMatch(/^no cluster runs; redis(, kafka 1)? of one that was killed do: npm run cluster -- down$/m);
    expect(await command.run('down')).toMatchObject({ code: 0 });
    expect((await command.run('status')).stdout).toBe('no cluster runs\n');
  });
});

test.each([
  [['begin']],
  [['--replicas', '10']],
  [['--brokers', '2']],
  [['--http-port', 'x']],
  [['roll', '--replicas', '2']],
])('npm run cluster is not used as %j', async (args) => {
  const { directory, command } = await temporaryCommand();
  onTestFinished(() => rm(directory, { recursive: true, force: true }));
  const { code, stdout, stderr } = await command.run(...args);
  expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
  expect(stderr).toContain('npm run cluster -- roll');
});

test('npm run cluster tells of a setting that is wrong before it starts anything', async () => {
  const { directory, command } = await temporaryCommand({ TIDEGATE_DRAIN_MS: 'soon' });
  onTestFinished(() => rm(directory, { recursive: true, force: true }));
  const { code, stderr } = await command.run('up');
  expect({ code, stderr }).toEqual({
    code: 1,
    stderr: expect.stringMatching(/^TIDEGATE_DRAIN_MS: "soon" is not valid/),
  });
});
