import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Redis as Connection } from 'ioredis';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { stopDaemon } from '../../services/daemon.ts';
import { lastingPorts } from '../../services/ports.ts';
import { Redis } from '../../services/redis.ts';
import { randomName } from '../../src/random-name.ts';
import { type Client, TcpClient, WsClient } from '../e2e/clients.ts';
import { type GatewayProcess, startGateway, temporaryDirectory, UNLIMITED } from '../e2e/gateway-process.ts';
import { roomPushes, toldOf, untilPresent, untilTold } from '../e2e/stage.ts';
import { KAFKA_BROKERS } from '../services/test-services.ts';
import { untilIt } from './presence-stage.ts';

const GRACE_MS = 1_500;
const LEASE_MS = 1_500;
/** What is scheduled in between, on a machine that has other things to do. */
const SLACK_MS = 5_000;

async function flush(url: string): Promise<void> {
  const connection = new Connection(url);
  await connection.flushall();
  connection.disconnect();
}

interface Who {
  readonly count: number;
  readonly partial: boolean;
  readonly users: readonly { readonly user: string; readonly devices: number }[];
}

describe.skipIf(KAFKA_BROKERS === undefined && !process.env.CI)('two replicas on one Redis', () => {
  let directory: Awaited<ReturnType<typeof temporaryDirectory>>;
  let redisDirectory: string;
  let redis: Redis;
  let env: Record<string, string>;
  let one: GatewayProcess;
  let two: GatewayProcess;
  let clients: Client[] = [];
  let names = 0;

  beforeAll(async () => {
    directory = await temporaryDirectory();
    redisDirectory = await mkdtemp(join(tmpdir(), 'tidegate-redis-'));
    const [port = 0] = await lastingPorts(1);
    redis = await Redis.start(redisDirectory, port);
    env = {
      ...UNLIMITED,
      TIDEGATE_KAFKA_BROKERS: KAFKA_BROKERS ?? '',
      TIDEGATE_KAFKA_REPLICATION: '1',
      TIDEGATE_PARTITIONS: '4',
      TIDEGATE_REDIS_URL: redis.url,
      TIDEGATE_PREFIX: `presence-${randomName(4, 'hex')}`,
      TIDEGATE_GRACE_MS: String(GRACE_MS),
      TIDEGATE_PRESENCE_LEASE_MS: String(LEASE_MS),
      TIDEGATE_PRESENCE_HEAL_MS: '1000',
      TIDEGATE_PRESENCE_REAP_PAUSE_MS: '3000',
      TIDEGATE_PRESENCE_PUSH_MS: '50',
    };
    [one, two] = await Promise.all([start(), start()]);
  }, 60_000);

  afterEach(() => {
    for (const client of clients) client.close();
    clients = [];
  });

  afterAll(async () => {
    await Promise.all([one?.stop('SIGKILL'), two?.stop('SIGKILL')]);
    await stopDaemon(redis.daemon, 0);
    await directory.remove();
    await rm(redisDirectory, { recursive: true, force: true });
  });

  function start(): Promise<GatewayProcess> {
    return startGateway(directory.path, { env });
  }

  function fresh(kind: string): string {
    names += 1;
    return `${kind}-${names}`;
  }

  async function client(at: GatewayProcess, user: string, more: object = {}, isWs = false): Promise<Client> {
    const opened = isWs ? await WsClient.open(at.ports.http) : await TcpClient.open(at.ports.tcp);
    clients.push(opened);
    await opened.connect(user, more);
    return opened;
  }

  async function joined(at: GatewayProcess, user: string, room: string, more: object = {}): Promise<Client> {
    const member = await client(at, user, more);
    await member.ok({ op: 'join', room });
    return member;
  }

  async function watcherAt(at: GatewayProcess, room: string, ...users: readonly string[]): Promise<Client> {
    const watcher = await client(at, fresh('watcher'), {}, true);
    await watcher.ok({ op: 'join', room, presence: 'full', visible: false });
    await watcher.ok({ op: 'watch', users });
    return watcher;
  }

  const who = async (asker: Client, room: string) => (await asker.ok({ op: 'presence', room })) as unknown as Who;
  const untilWho = (asker: Client, room: string, what: string, isSo: (found: Who) => boolean) =>
    untilIt(
      what,
      async () => {
        const said = await asker.ask({ op: 'presence', room });
        return (said.ok ?? { count: -1, partial: true, users: [] }) as Who;
      },
      isSo,
    );

  function expectRising(watcher: Client, room: string): void {
    const versions = roomPushes(watcher, room).map(({ version }) => version);
    expect(versions).toEqual([...new Set(versions)].sort((x, y) => x - y));
  }

  test('tell of a user with a device on each, and count them once', async () => {
    const [room, ann] = [fresh('room'), fresh('ann')];
    const watcher = await watcherAt(two, room, ann);
    const phone = await joined(one, ann, room, { device: 'phone' });
    await untilPresent(watcher, room, ann);
    const desk = await joined(two, ann, room, { device: 'desk' });
    await watcher.until('two devices', () => toldOf(watcher, ann).includes('online 2'));
    expect(await who(watcher, room)).toMatchObject({ count: 1, partial: false, users: [{ user: ann, devices: 2 }] });
    await phone.ok({ op: 'status', status: 'dnd', text: 'busy' });
    await watcher.until('dnd', () => toldOf(watcher, ann).includes('dnd 2'));
    phone.send({ op: 'quit', id: 1 });
    await watcher.until('one device', () => toldOf(watcher, ann).at(-1)?.endsWith('online 1'));
    desk.send({ op: 'quit', id: 1 });
    await untilTold(watcher, room, 'left', ann);
    expectRising(watcher, room);
  });

  test('show nothing of a reconnect to the other one within the grace, and the end after it', async () => {
    const [room, ann, bob] = [fresh('room'), fresh('ann'), fresh('bob')];
    const watcher = await watcherAt(two, room, ann, bob);
    const first = await joined(one, ann, room, { device: 'phone' });
    const lost = await joined(one, bob, room);
    await untilPresent(watcher, room, ann);
    await untilPresent(watcher, room, bob);
    const before = toldOf(watcher, ann).length;
    first.close();
    lost.close();
    const closedMs = performance.now();
    await joined(two, ann, room, { device: 'phone' });
    await untilTold(watcher, room, 'left', bob);
    expect(performance.now() - closedMs).toBeGreaterThan(GRACE_MS - 100);
    expect(toldOf(watcher, ann)).toHaveLength(before);
    expect(await who(watcher, room)).toMatchObject({ count: 1, users: [{ user: ann, devices: 1 }] });
  });

  test('drop the sessions of one that is killed after lease and grace, and not before; who came back is not seen to go', async () => {
    const [room, ann, bob] = [fresh('room'), fresh('ann'), fresh('bob')];
    const watcher = await watcherAt(two, room, ann, bob);
    await joined(one, ann, room, { device: 'phone' });
    await joined(one, bob, room);
    await joined(two, bob, room, { device: 'desk' });
    await untilPresent(watcher, room, ann);
    await watcher.until('two devices', () => toldOf(watcher, bob).includes('online 2'));
    const eve = fresh('eve');
    await joined(one, eve, room, { device: 'phone' });
    await untilTold(watcher, room, 'joined', eve);
    await one.stop('SIGKILL');
    const killedMs = performance.now();
    await joined(two, eve, room, { device: 'phone' });
    await untilTold(watcher, room, 'left', ann);
    const goneMs = performance.now() - killedMs;
    expect(goneMs).toBeGreaterThan(GRACE_MS);
    expect(goneMs).toBeLessThan(LEASE_MS + GRACE_MS + SLACK_MS);
    await watcher.until('bob to have one device', () => toldOf(watcher, bob).at(-1)?.endsWith('online 1'));
    expect(toldOf(watcher, eve).filter((told) => /left|offline/.test(told))).toEqual([]);
    const { users } = await who(watcher, room);
    expect(users.map(({ user }) => user).sort()).toEqual([bob, eve].sort());
    expectRising(watcher, room);
    one = await start();
  });

  test('see everybody of one that was stopped for longer than lease and grace again, and no ghost', async () => {
    const [room, ann, bob] = [fresh('room'), fresh('ann'), fresh('bob')];
    const watcher = await watcherAt(two, room, ann, bob);
    const stays = await joined(one, ann, room);
    const goes = await joined(one, bob, room);
    await untilPresent(watcher, room, ann);
    await untilPresent(watcher, room, bob);
    process.kill(one.pid, 'SIGSTOP');
    try {
      await untilTold(watcher, room, 'left', ann);
      await untilTold(watcher, room, 'left', bob);
      goes.close();
    } finally {
      process.kill(one.pid, 'SIGCONT');
    }
    await watcher.until(
      'ann again',
      () => roomPushes(watcher, room).filter(({ joined: list }) => list?.some(({ user }) => user === ann)).length === 2,
    );
    expect(await stays.ok({ op: 'ping' })).toBeDefined();
    await untilWho(watcher, room, 'ann alone', ({ users }) => users.length === 1 && users[0]?.user === ann);
    await delay(LEASE_MS + GRACE_MS);
    expect(await who(watcher, room)).toMatchObject({ count: 1, users: [{ user: ann }] });
    expectRising(watcher, room);
  });

  test('fill a Redis again that was emptied, and nobody is seen to go', async () => {
    const [room, ann, bob] = [fresh('room'), fresh('ann'), fresh('bob')];
    const watcher = await watcherAt(two, room, ann, bob);
    await joined(one, ann, room);
    await joined(two, bob, room);
    await untilPresent(watcher, room, ann);
    await untilPresent(watcher, room, bob);
    await flush(redis.url);
    await untilWho(watcher, room, 'both', ({ count, partial }) => count === 2 && !partial);
    const cat = fresh('cat');
    await joined(one, cat, room);
    await watcher.until('three', () => roomPushes(watcher, room).at(-1)?.count === 3);
    const told = [ann, bob].flatMap((user) => toldOf(watcher, user));
    expect(told.filter((each) => /left|offline/.test(each))).toEqual([]);
    expectRising(watcher, room);
  });

  test('go on without Redis, tell what they know as partial, and all again once it is back', async () => {
    const [room, ann, bob] = [fresh('room'), fresh('ann'), fresh('bob')];
    const watcher = await watcherAt(two, room, ann, bob);
    await joined(one, ann, room);
    const talker = await joined(two, bob, room);
    await untilPresent(watcher, room, ann);
    await untilPresent(watcher, room, bob);
    await stopDaemon(redis.daemon, 0);
    await untilWho(watcher, room, 'bob alone', ({ count, partial }) => partial && count === 1);
    await watcher.until('a partial push', () => roomPushes(watcher, room).at(-1)?.partial === true);
    // Chat goes on, and so does who comes and goes here.
    const dan = fresh('dan');
    const newcomer = await joined(one, dan, room);
    await talker.ok({ op: 'publish', room, mid: 'm1', data: 'still here' });
    await newcomer.until('the message', () => newcomer.messages(room).length === 1);
    await watcher.until('the message', () => watcher.messages(room).length === 1);
    await untilWho(newcomer, room, 'a partial answer there as well', ({ partial }) => partial);
    const cat = fresh('cat');
    await joined(two, cat, room);
    await untilTold(watcher, room, 'joined', cat);
    redis = await Redis.start(redisDirectory, Number(new URL(redis.url).port));
    await untilWho(watcher, room, 'all four', ({ count, partial }) => count === 4 && !partial);
    await watcher.until('that it is whole', () => {
      const last = roomPushes(watcher, room).at(-1);
      return last?.count === 4 && last.partial === false;
    });
    const told = [ann, bob].flatMap((user) => toldOf(watcher, user));
    expect(told.filter((each) => /left|offline/.test(each))).toEqual([]);
    expectRising(watcher, room);
  });
});
