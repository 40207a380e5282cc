import { once } from 'node:events';
import { connect } from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { REFUSALS_MAX } from '../../src/gateway/transport.ts';
import { BOUNDS } from '../../src/protocol/bounds.ts';
import { type Client, TcpClient, WsClient } from './clients.ts';
import { ENGINE, type GatewayProcess, startGateway, temporaryDirectory, UNLIMITED } from './gateway-process.ts';
import { scrape } from './metrics-page.ts';

let directory: Awaited<ReturnType<typeof temporaryDirectory>>;
let gateway: GatewayProcess;

beforeEach(async () => {
  directory = await temporaryDirectory();
});

afterEach(async () => {
  await gateway.stop('SIGKILL');
  await directory.remove();
});

async function start(env: Readonly<Record<string, string>> = {}): Promise<void> {
  gateway = await startGateway(directory.path, { env: { ...UNLIMITED, ...env } });
}

const transports = {
  tcp: () => TcpClient.open(gateway.ports.tcp),
  websocket: () => WsClient.open(gateway.ports.http),
} as const;

describe.each(Object.keys(transports) as (keyof typeof transports)[])('over %s', (transport) => {
  test('who does not read is ended as a slow consumer; the others get everything', async () => {
    await start();
    const slow: Client = await transports[transport]();
    const [writer, reader] = [await TcpClient.open(gateway.ports.tcp), await transports[transport]()];
    await slow.connect('slow');
    await slow.ok({ op: 'join', room: 'r' });
    await reader.connect('reader');
    await reader.ok({ op: 'join', room: 'r' });
    await writer.connect('writer');
    slow.pause();
    // More than the kernel's buffers on both sides and the outbox hold together.
    const data = 'x'.repeat(BOUNDS.dataBytesMax - 2);
    const count = 900;
    for (let i = 0; i < count; i += 1) {
      writer.send({ op: 'publish', id: i, room: 'r', mid: `m${i}`, data });
      // The reader is not to be slow itself, however busy the machine: less than its outbox is under way.
      if (i % 30 === 29) await reader.until('what was sent', () => reader.messages('r').length === i + 1);
    }
    await reader.until('all messages', () => reader.messages('r').length === count);
    expect(reader.closed).toBeNull();
    slow.resume();
    expect(await slow.disconnected()).toMatchObject({ code: 3001, reason: 'slow_consumer', reconnect: {} });
    if (transport === 'websocket') expect(slow.closed).toMatchObject({ code: 3001 });
    // What it did get was in order and without a hole, so that it can go on from there.
    const got = slow.messages('r').map(({ mid }) => mid);
    expect(got).toEqual(Array.from({ length: got.length }, (_, i) => `m${i}`));
    expect(got.length).toBeLessThan(count);
    const last = slow.messages('r').at(-1);
    const again = await transports[transport]();
    await again.connect('slow');
    const page = await again.ok({ op: 'join', room: 'r', since: { epoch: last?.epoch, offset: last?.offset } });
    expect(page).toMatchObject({ recovered: true });
    expect((page.messages as { mid: string }[])[0]?.mid).toBe(`m${got.length}`);
    for (const client of [writer, reader, again]) client.close();
  });

  test('replies never overflow: who asks without reading is not read, and gets every reply in the end', async () => {
    await start();
    const writer = await TcpClient.open(gateway.ports.tcp);
    await writer.connect('writer');
    const data = 'x'.repeat(BOUNDS.dataBytesMax - 2);
    for (let i = 0; i < 20; i += 1) writer.send({ op: 'publish', id: i, room: 'r', mid: `m${i}`, data });
    await writer.until('the acks', () => writer.heard.length === 21);
    const greedy: Client = await transports[transport]();
    await greedy.connect('greedy');
    greedy.pause();
    const count = 200;
    for (let i = 0; i < count; i += 1) greedy.send({ op: 'history', id: i, room: 'r', limit: 300 });
    // 200 pages of 256 KiB would be 50 MiB; what is not read is not made.
    const memory = async () => (await import('node:fs/promises')).readFile(`/proc/${gateway.pid}/statm`, 'utf8');
    const rssMiB = async () => (Number((await memory()).split(' ')[1]) * 4_096) / 1_048_576;
    const before = await rssMiB();
    for (let i = 0; i < 20; i += 1) await writer.ok({ op: 'ping' });
    expect((await rssMiB()) - before).toBeLessThan(40);
    greedy.resume();
    await greedy.until('every reply', () => greedy.heard.filter(({ ok }) => ok !== undefined).length === count + 1);
    expect(greedy.closed).toBeNull();
    for (const client of [writer, greedy]) client.close();
  });

  test('of connections that have not said connect there are only so many, and who has is none of them', async () => {
    await start({ TIDEGATE_HANDSHAKES_MAX: '2', TIDEGATE_RETRY_WINDOW_MS: '100' });
    const connected = await transports[transport]();
    await connected.connect('connected');
    const waiting = [await transports[transport](), await transports[transport]()];
    await expect.poll(async () => (await scrape(gateway)).value('handshakes')).toBe(2);
    const third: Client = await transports[transport]();
    expect(await third.disconnected()).toMatchObject({ code: 3003, reason: 'overloaded' });
    await waiting[0]?.connect('first');
    const fourth: Client = await transports[transport]();
    await fourth.connect('fourth');
    for (const client of [connected, ...waiting, fourth]) client.close();
  });

  test('a connection too many is told so, and finds room later', async () => {
    await start({ TIDEGATE_CONNECTIONS_MAX: '2', TIDEGATE_RETRY_WINDOW_MS: '100' });
    const [first, second] = [await transports[transport](), await transports[transport]()];
    await first.connect('first');
    await second.connect('second');
    const third: Client = await transports[transport]();
    expect(await third.disconnected()).toEqual({
      push: 'disconnect',
      code: 3003,
      reason: 'overloaded',
      reconnect: { afterMs: expect.any(Number) },
    });
    if (transport === 'websocket') expect(third.closed).toEqual({ code: 3003, reason: 'overloaded' });
    first.close();
    await first.untilClosed();
    let admitted: Client | undefined;
    while (admitted === undefined) {
      const client: Client = await transports[transport]();
      // Either the greeting to a guest or the push that sends it away.
      client.send({ op: 'connect', id: 1 });
      const said = await client.until('an answer', () => client.heard[0]);
      if (said.ok !== undefined) admitted = client;
      else client.close();
    }
    for (const client of [second, admitted]) client.close();
  });
});

test.each(['tcp', 'http'] as const)(
  'connections beyond those that are sent away are dropped, at the %s port',
  async (port) => {
    const [connectionsMax, beyond] = [5, 20];
    await start({ TIDEGATE_CONNECTIONS_MAX: String(connectionsMax) });
    let closed = 0;
    const sockets = Array.from({ length: connectionsMax + REFUSALS_MAX + beyond }, () => {
      const socket = connect(gateway.ports[port], '127.0.0.1');
      socket.on('error', () => {});
      return socket.on('close', () => {
        closed += 1;
      });
    });
    const dropped = async () => (await scrape(gateway)).value('connections_refused_total', { reason: 'dropped' });
    await expect.poll(dropped, { timeout: 10_000 }).toBeGreaterThanOrEqual(beyond);
    if (port === 'http') expect(closed).toBe(beyond);
    for (const socket of sockets) socket.destroy();
    // Those gone, there is room again.
    const client = port === 'tcp' ? await TcpClient.open(gateway.ports.tcp) : await WsClient.open(gateway.ports.http);
    await client.connect('ann');
    client.close();
  },
);

/** Where the library cannot stop reading. */
if (ENGINE === 'uws') {
  test.each([
    ['for one session', { TIDEGATE_INBOX_BYTES_MAX: '131072' }],
    ['for all of them', { TIDEGATE_INBOX_BYTES_MAX: '2000000', TIDEGATE_INBOXES_BYTES_MAX: '1048576' }],
  ])('commands that are not read are held up to a bound %s, and then the session ends', async (_, env) => {
    await start({ TIDEGATE_LIMIT_COMMANDS: '1:20', ...env });
    const neighbour = await WsClient.open(gateway.ports.http);
    await neighbour.connect('neighbour');
    const flood = await WsClient.open(gateway.ports.http);
    await flood.connect('flood');
    for (let id = 0; id < 9_000; id += 1) flood.send({ op: 'ping', id });
    expect(await flood.disconnected()).toEqual({
      push: 'disconnect',
      code: 3003,
      reason: 'too many commands wait',
      reconnect: { afterMs: expect.any(Number) },
    });
    await neighbour.ok({ op: 'ping' });
    expect((await scrape(gateway)).value('inbox_bytes')).toBe(0);
    neighbour.close();
  });
}

test('a WebSocket that is not admitted is told in the same write as the handshake', async () => {
  await start({ TIDEGATE_CONNECTIONS_MAX: '1' });
  const first = await WsClient.open(gateway.ports.http);
  const socket = connect(gateway.ports.http, '127.0.0.1');
  socket.write(
    `GET /ws HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n` +
      `Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${Buffer.alloc(16).toString('base64')}\r\n\r\n`,
  );
  const [chunk] = (await once(socket, 'data')) as [Buffer];
  const text = chunk.toString('latin1');
  expect(text).toMatch(/^HTTP\/1\.1 101 /);
  expect(text).toContain('"code":3003');
  // The close frame with 3003 comes last.
  expect(chunk.subarray(chunk.lastIndexOf(0x88))).toEqual(
    Buffer.from([0x88, 12, 0x0b, 0xbb, ...Buffer.from('overloaded')]),
  );
  socket.destroy();
  first.close();
});

test('a log that is slow sheds load in words, and nothing acknowledged is lost', async () => {
  await start({
    TIDEGATE_APPEND_QUEUE_RECORDS_MAX: '8',
    TIDEGATE_APPEND_QUEUE_WAIT_MS: '60000',
    TIDEGATE_APPEND_TIMEOUT_MS: '60000',
  });
  const writers = await Promise.all(Array.from({ length: 4 }, () => TcpClient.open(gateway.ports.tcp)));
  await Promise.all(writers.map((writer, i) => writer.connect(`writer-${i}`)));
  // While somebody else holds the file, every publish waits.
  const { DatabaseSync } = await import('node:sqlite');
  const other = new DatabaseSync(`${directory.path}/log.sqlite`, { timeout: 5_000 });
  other.exec('BEGIN IMMEDIATE');
  for (const writer of writers) {
    for (let i = 0; i < 8; i += 1) writer.send({ op: 'publish', id: i, room: 'r', mid: `m${i}`, data: i });
  }
  const answers = (kind: 'ok' | 'error') => (client: Client) =>
    client.heard.filter((said) => (said.id as number) < 8 && said[kind] !== undefined);
  for (const writer of writers) await writer.ok({ op: 'ping' });
  const refused = writers.flatMap(answers('error'));
  expect(refused).toHaveLength(24);
  expect(refused[0]?.error).toMatchObject({ code: 'overloaded', retryAfterMs: expect.any(Number) });
  other.exec('ROLLBACK');
  other.close();
  for (const writer of writers) {
    await writer.until('an answer to each', () => answers('ok')(writer).length + answers('error')(writer).length === 8);
  }
  const acked = writers.flatMap(answers('ok')).length;
  expect(acked).toBe(8);
  const [writer] = writers;
  const page = await writer?.ok({ op: 'history', room: 'r', limit: 300 });
  expect(page?.messages).toHaveLength(acked);
  for (const writer of writers) writer.close();
});

test('a WebSocket client that pings is answered', async () => {
  await start();
  const client = await WsClient.open(gateway.ports.http);
  await client.connect('ann');
  client.ws.ping('are you there');
  const [data] = (await once(client.ws, 'pong')) as [Buffer];
  expect(data.toString()).toBe('are you there');
  expect(client.ws.readyState).toBe(WebSocket.OPEN);
  client.close();
});
