import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { randomName } from '../../src/random-name.ts';
import { ApiClient } from '../e2e/api-client.ts';
import { type Client, type Said, TcpClient, WsClient } from '../e2e/clients.ts';
import { type GatewayProcess, startGateway, temporaryDirectory } from '../e2e/gateway-process.ts';
import { toldOf, untilTold } from '../e2e/stage.ts';
import { KAFKA_BROKERS, REDIS_URL } from '../services/test-services.ts';

/** Longer than a session is still seen whose device has come to another replica, and than presence waits to be told. */
const SETTLED_MS = 1_200;

const isMissing = KAFKA_BROKERS === undefined || REDIS_URL === undefined;

describe.skipIf(isMissing && !process.env.CI)('two replicas that share Kafka and Redis', () => {
  const env = {
    TIDEGATE_KAFKA_BROKERS: KAFKA_BROKERS ?? '',
    TIDEGATE_KAFKA_REPLICATION: '1',
    TIDEGATE_REDIS_URL: REDIS_URL ?? '',
    TIDEGATE_PREFIX: `two-${randomName(4, 'hex')}`,
    TIDEGATE_PARTITIONS: '4',
    TIDEGATE_SESSIONS_PER_USER: '3',
  };
  let directory: Awaited<ReturnType<typeof temporaryDirectory>>;
  let one: GatewayProcess;
  let two: GatewayProcess;
  const clients: Client[] = [];

  beforeAll(async () => {
    directory = await temporaryDirectory();
    [one, two] = await Promise.all([startGateway(directory.path, { env }), startGateway(directory.path, { env })]);
  }, 60_000);

  afterEach(() => {
    for (const client of clients.splice(0)) client.close();
  });

  afterAll(async () => {
    await Promise.all([one?.stop('SIGKILL'), two?.stop('SIGKILL')]);
    await directory.remove();
  });

  const transports = {
    tcp: (gateway: GatewayProcess) => TcpClient.open(gateway.ports.tcp),
    websocket: (gateway: GatewayProcess) => WsClient.open(gateway.ports.http),
  } as const;

  async function opened(gateway: GatewayProcess, transport: keyof typeof transports): Promise<Client> {
    const client = await transports[transport](gateway);
    clients.push(client);
    return client;
  }

  interface Who {
    readonly user: string;
    readonly device?: string;
    readonly rooms?: readonly string[];
    readonly transport?: keyof typeof transports;
  }

  /** As a client that comes back: what it says first is one write. */
  async function client(
    gateway: GatewayProcess,
    { user, device, rooms = [], transport = 'tcp' }: Who,
  ): Promise<Client> {
    const opening = await opened(gateway, transport);
    const connects = { op: 'connect', id: 0, user, ...(device !== undefined && { device }) };
    const joins = rooms.map((room, i) => ({ op: 'join', id: i + 1, room, presence: 'full' }));
    opening.sendRaw([connects, ...joins].map((command) => `${JSON.stringify(command)}\n`).join(''));
    await opening.until('its replies', () => opening.heard.filter(({ id }) => id !== undefined).length > rooms.length);
    return opening;
  }

  const refusal = ({ heard }: Client) => heard.find(({ id }) => id === 0)?.error as Said | undefined;
  const signalsOf = ({ heard }: Client) => heard.filter(({ push }) => push === 'signal');
  const devicesOf = async (user: string) =>
    (await new ApiClient(one.ports.internal).get(`/api/v1/users/${user}/presence`)).json.devices;
  const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

  test('signals reach whoever is in the room on the other one, by whatever transport, and come back to nobody', async () => {
    const rooms = ['signals'];
    const [ann, bob, cy, dan] = await Promise.all([
      client(one, { user: 'ann', rooms }),
      client(one, { user: 'bob', rooms, transport: 'websocket' }),
      client(two, { user: 'cy', rooms }),
      client(two, { user: 'dan', rooms, transport: 'websocket' }),
    ]);
    const outsider = await client(two, { user: 'eve', rooms: ['elsewhere'] });
    // Rooms are heard some moments after they are joined.
    for (const [from, to] of [
      [ann, dan],
      [cy, bob],
    ] as const) {
      await vi.waitFor(async () => {
        await from.ok({ op: 'signal', room: 'signals', data: 'first' });
        expect(signalsOf(to)).not.toEqual([]);
      });
    }
    const all = [ann, bob, cy, dan];
    for (const [n, each] of all.entries()) await each.ok({ op: 'signal', room: 'signals', data: { n } });
    const sent = all.map((_, n) => ({
      push: 'signal',
      room: 'signals',
      from: ['ann', 'bob', 'cy', 'dan'][n],
      data: { n },
    }));
    const isLater = ({ data }: Said) => data !== 'first';
    for (const each of all) {
      await each.until('all signals', () => signalsOf(each).filter(isLater).length >= sent.length);
      const order = ({ from }: Said) => String(from);
      expect(
        signalsOf(each)
          .filter(isLater)
          .sort((a, b) => order(a).localeCompare(order(b))),
      ).toEqual(sent);
    }
    await pause(200);
    expect(all.map((each) => signalsOf(each).filter(isLater).length)).toEqual(all.map(() => sent.length));
    expect(signalsOf(outsider)).toEqual([]);
  });

  test('a device that comes to the other one takes its place there, and nobody sees it go', async () => {
    const rooms = Array.from({ length: 12 }, (_, i) => `moving-${i}`);
    const watcher = await client(two, { user: 'watcher', rooms });
    await watcher.ok({ op: 'watch', users: ['mover'] });
    const old = await client(one, { user: 'mover', device: 'phone', rooms });
    for (const room of rooms) await untilTold(watcher, room, 'joined', 'mover');
    await old.ok({ op: 'status', status: 'dnd', text: 'busy' });
    await watcher.until('the watched user', () => toldOf(watcher, 'mover').includes('dnd 1'));
    for (const room of rooms) await untilTold(watcher, room, 'changed', 'mover');
    const told = toldOf(watcher, 'mover');
    const moved = await client(two, { user: 'mover', device: 'phone', rooms });
    expect(await old.disconnected()).toEqual({ push: 'disconnect', code: 3504, reason: 'replaced', reconnect: null });
    await pause(SETTLED_MS);
    expect(toldOf(watcher, 'mover')).toEqual(told);
    expect(moved.closed).toBeNull();
    // And back again, by a connection that is cut off first.
    moved.close();
    const again = await client(one, { user: 'mover', device: 'phone', rooms });
    await pause(SETTLED_MS);
    expect(toldOf(watcher, 'mover')).toEqual(told);
    expect(await again.ok({ op: 'presence', user: 'mover' })).toMatchObject({ devices: 1, partial: false });
  });

  test('who says goodbye on one is gone, though a session of the device was in its grace on the other', async () => {
    const rooms = ['goodbye'];
    const watcher = await client(one, { user: 'watcher', rooms });
    const old = await client(one, { user: 'leaver', device: 'phone', rooms });
    await untilTold(watcher, 'goodbye', 'joined', 'leaver');
    old.close();
    const back = await client(two, { user: 'leaver', device: 'phone', rooms });
    back.send({ op: 'quit', id: 9 });
    await untilTold(watcher, 'goodbye', 'left', 'leaver');
  });

  test('an operator reaches a user’s sessions on both, whichever is asked', async () => {
    const sessions = await Promise.all([
      client(one, { user: 'target', rooms: ['kicks'] }),
      client(two, { user: 'target', rooms: ['kicks'], transport: 'websocket' }),
      client(two, { user: 'target' }),
    ]);
    const [first, second] = [one, two].map(({ ports }) => new ApiClient(ports.internal));
    const removed = (count: number) => ({ sessions: count, partial: false });
    expect((await first?.post('/api/v1/rooms/kicks/kick', { user: 'target' }))?.json).toEqual(removed(2));
    for (const each of sessions.slice(0, 2)) {
      expect(await each.push('left', ({ push }) => push === 'left')).toMatchObject({ room: 'kicks', code: 'kicked' });
    }
    const disconnect = { code: 3000, reason: 'moved' };
    expect((await second?.post('/api/v1/users/target/disconnect', disconnect))?.json).toEqual(removed(3));
    for (const each of sessions) expect(await each.disconnected()).toMatchObject(disconnect);
    expect((await second?.post('/api/v1/users/target/disconnect'))?.json).toEqual(removed(0));
  });

  test('the cap on a user’s sessions is one over both', async () => {
    const places = [one, two, two] as const;
    for (const [i, gateway] of places.entries()) {
      expect(refusal(await client(gateway, { user: 'many', device: `d${i}` }))).toBeUndefined();
    }
    // A session counts elsewhere some moments after it has connected.
    await vi.waitFor(async () => expect(await devicesOf('many')).toBe(places.length));
    for (const gateway of [one, two]) {
      const beyond = await client(gateway, { user: 'many', device: 'd3' });
      expect(refusal(beyond)).toMatchObject({ code: 'limit_exceeded' });
      expect(await beyond.disconnected()).toMatchObject({ code: 3505 });
    }
    // A device that moves takes no place of another's.
    expect(refusal(await client(one, { user: 'many', device: 'd1' }))).toBeUndefined();
  });
});
