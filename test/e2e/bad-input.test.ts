import { once } from 'node:events';
import { connect as connectTcp } from 'node:net';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { WebSocket } from 'ws';
import { BOUNDS } from '../../src/protocol/bounds.ts';
import { type Client, TcpClient, WsClient } from './clients.ts';
import { ENGINE, type GatewayProcess, startGateway, temporaryDirectory } from './gateway-process.ts';

let gateway: GatewayProcess;
let directory: Awaited<ReturnType<typeof temporaryDirectory>>;
let neighbour: Client;
const clients: Client[] = [];

beforeAll(async () => {
  directory = await temporaryDirectory();
  gateway = await startGateway(directory.path, {
    env: { TIDEGATE_CONNECT_TIMEOUT_MS: '1000', TIDEGATE_FIRST_LINE_TIMEOUT_MS: '1500', TIDEGATE_GREETING_MS: '100' },
  });
});

afterAll(async () => {
  await gateway.stop();
  await directory.remove();
});

// Whatever one client does wrong, another one in the same room sees nothing of it.
beforeEach(async () => {
  neighbour = await TcpClient.open(gateway.ports.tcp);
  await neighbour.connect('neighbour');
  await neighbour.ok({ op: 'join', room: 'lobby' });
});

afterEach(async () => {
  expect(await neighbour.ok({ op: 'ping' })).toBeDefined();
  expect(neighbour.heard.filter(({ push }) => push !== undefined)).toEqual([]);
  neighbour.close();
  for (const client of clients.splice(0)) client.close();
  const { logs } = gateway;
  expect(logs.filter(({ level }) => (level as number) >= 50)).toEqual([]);
});

async function tcp(): Promise<TcpClient> {
  const client = await TcpClient.open(gateway.ports.tcp);
  clients.push(client);
  return client;
}

async function ws(): Promise<WsClient> {
  const client = await WsClient.open(gateway.ports.http);
  clients.push(client);
  return client;
}

/** The error with `id: null` that one line is answered with. */
async function refusal(client: Client, line: string | Buffer): Promise<{ code: string; message: string }> {
  const before = client.heard.length;
  client.sendRaw(line);
  const reply = await client.until('an error', () => client.heard[before]);
  expect(reply.id).toBeNull();
  return reply.error as { code: string; message: string };
}

describe.each([
  ['tcp', tcp],
  ['websocket', ws],
])('over %s', (_, open) => {
  test.each([
    ['no JSON', '{"op":'],
    ['a scalar', '{}[]'],
    ['an unknown op', '{"op":"dance"}'],
    ['a lone surrogate', '{"op":"ping","x":"\\ud800"}'],
    ['a duplicate id', '{"op":"ping","id":1,"id":2}'],
    ['an id that is not one', '{"op":"ping","id":1.0}'],
    ['no id', '{"op":"ping"}'],
    ['nesting without end', `{"op":${'['.repeat(20_000)}`],
  ])('%s is refused and the session goes on', async (_name, line) => {
    const client = await open();
    await client.connect('clumsy');
    expect(await refusal(client, `${line}\n`)).toMatchObject({ code: 'bad_request' });
    await client.ok({ op: 'ping' });
  });

  test.each([
    ['an unknown key', { op: 'ping', extra: 1 }, 'extra'],
    ['a wrong type', { op: 'join', room: 7 }, 'room'],
    ['a name with other characters', { op: 'join', room: 'a b' }, 'room'],
    ['a missing field', { op: 'publish', room: 'lobby', data: 1 }, 'mid'],
    ['too much data', { op: 'publish', room: 'lobby', mid: 'm', data: 'x'.repeat(BOUNDS.dataBytesMax - 1) }, 'data'],
    ['a bad position', { op: 'join', room: 'lobby', since: { epoch: 'e', offset: 1.5 } }, 'since'],
    ['a bound exceeded', { op: 'history', room: 'lobby', limit: 301 }, 'limit'],
    ['a lone surrogate', { op: 'publish', room: 'lobby', mid: 'm', data: '\ud800' }, 'surrogate'],
  ])('%s is answered with the id and names the field', async (_name, command, field) => {
    const client = await open();
    await client.connect('clumsy');
    const { error } = await client.ask(command);
    expect(error).toMatchObject({ code: 'bad_request', message: expect.stringContaining(field) });
  });

  test('nesting deeper than 32 levels is refused, with the id', async () => {
    const client = await open();
    await client.connect('clumsy');
    client.sendRaw(`{"op":"ping","id":5,"x":${'['.repeat(32)}${']'.repeat(32)}}\n`);
    const reply = await client.until('the error', () => client.heard.find(({ id }) => id === 5));
    expect(reply.error).toMatchObject({ code: 'bad_request', message: expect.stringContaining('32') });
  });

  test('ten lines in a row that cannot be read end the session', async () => {
    const client = await open();
    await client.connect('clumsy');
    for (let i = 0; i < 9; i += 1) client.sendRaw('{nonsense\n');
    await client.ok({ op: 'ping' });
    for (let i = 0; i < 10; i += 1) client.sendRaw('{nonsense\n');
    expect(await client.disconnected()).toMatchObject({ code: 3501, reason: 'protocol_error', reconnect: null });
    expect(client.heard.filter(({ id }) => id === null)).toHaveLength(19);
  });

  test('an id that is still unanswered cannot be used again', async () => {
    const client = await open();
    await client.connect('clumsy');
    const publish = (mid: string) => JSON.stringify({ op: 'publish', id: 9, room: 'elsewhere', mid, data: 1 });
    client.sendRaw(`${publish('m1')}\n${publish('m2')}\n`);
    await client.until('a refusal', () => client.heard.find(({ id }) => id === null));
    await client.until('the ack', () => client.heard.find(({ id }) => id === 9));
    await client.ok({ op: 'ping' });
    expect(client.heard.filter(({ id }) => id === 9)).toHaveLength(1);
  });

  test('who does not connect in time is sent away', async () => {
    const client = await open();
    client.send({ op: 'ping', id: 1 });
    expect(await client.disconnected()).toMatchObject({
      code: 3006,
      reason: 'connect_timeout',
      reconnect: { afterMs: expect.any(Number) },
    });
  });
});

describe('raw TCP', () => {
  test('bytes that are not UTF-8 are refused', async () => {
    const client = await tcp();
    await client.connect('clumsy');
    const line = Buffer.concat([
      Buffer.from('{"op":"ping","id":1,"x":"'),
      Buffer.from([0xff, 0xfe]),
      Buffer.from('"}\n'),
    ]);
    expect(await refusal(client, line)).toMatchObject({
      code: 'bad_request',
      message: expect.stringContaining('UTF-8'),
    });
  });

  test('one byte at a time is as good as all at once', async () => {
    const client = await tcp();
    for (const byte of Buffer.from('{"op":"connect","id":1,"user":"slow"}\r\n\r\n{"op":"ping","id":2}\n')) {
      client.socket.write(Buffer.from([byte]));
      await new Promise((resolve) => setImmediate(resolve));
    }
    await client.until('both replies', () => client.heard.length === 2);
    expect(client.heard.map(({ id }) => id)).toEqual([1, 2]);
  });

  test('a line that is too long ends the session', async () => {
    const client = await tcp();
    await client.connect('clumsy');
    client.sendRaw(`{"op":"ping","id":1,"x":"${'x'.repeat(BOUNDS.frameBytesMax)}`);
    expect(await client.disconnected()).toMatchObject({ code: 3501, reconnect: null });
  });

  test('a line of just the bound is read', async () => {
    const client = await tcp();
    await client.connect('clumsy');
    const line = (padding: string) => `{"op":"ping","id":77}${padding}`;
    client.sendRaw(`${line(' '.repeat(BOUNDS.frameBytesMax - line('').length))}\n`);
    await client.until('the reply', () => client.heard.find(({ id }) => id === 77));
  });

  test('half a line at the end is not executed, the lines before it are answered', async () => {
    const client = await tcp();
    client.socket.end(
      '{"op":"connect","id":1,"user":"u"}\n{"op":"publish","id":2,"room":"r","mid":"half","data":1}\n{"op":"pi',
    );
    await client.untilClosed();
    expect(client.heard.map(({ id }) => id)).toEqual([1, 2]);
    expect(client.heard.every(({ ok }) => ok !== undefined)).toBe(true);
  });

  test.each([
    ['HTTP', 'GET / HTTP/1.1\r\nHost: localhost\r\n\r\n'],
    ['HTTP, later', 'POST /x HTTP/1.0\r\n'],
    ['a TLS hello', Buffer.from('16030100', 'hex')],
  ])('%s is closed without a word', async (_, bytes) => {
    const client = await tcp();
    client.sendRaw(bytes);
    await client.untilClosed();
    expect([...client.heard, ...client.words]).toEqual([]);
  });

  test('who says nothing is greeted, and sent away when the time for a first line is over', async () => {
    const client = await tcp();
    await client.until('the greeting', () => client.words.length > 0);
    expect(client.words.every((line) => line.startsWith('#'))).toBe(true);
    expect(await client.disconnected()).toMatchObject({ code: 3006, reason: 'connect_timeout' });
  });

  test('a reset in the middle of a line harms nobody', async () => {
    const socket = connectTcp(gateway.ports.tcp, '127.0.0.1');
    await once(socket, 'connect');
    socket.write('{"op":"connect","id":1,"user":"u"}\n{"op":"join","id":2,"room":"lobby"}\n{"op"');
    await once(socket, 'data');
    socket.resetAndDestroy();
    await neighbour.ok({ op: 'ping' });
  });
});

describe('WebSocket', () => {
  /** uWebSockets.js ends a connection whose frames are wrong without a close frame; its peer sees this code. */
  const ABRUPT = 1006;
  const codeOf = (code: number) => (ENGINE === 'ws' ? code : ABRUPT);

  /** Sends one raw frame, masked with zeros, past the client library's checks. */
  function frame(opcode: number, payload: Buffer): Buffer {
    const header = Buffer.from([0x80 | opcode, 0x80 | payload.length, 0, 0, 0, 0]);
    return Buffer.concat([header, payload]);
  }

  function rawSocket(client: WsClient): { write(bytes: Buffer): void } {
    // The library keeps its socket to itself; a hostile client would not use the library.
    return (client.ws as WebSocket & { _socket: { write(bytes: Buffer): void } })._socket;
  }

  test('a binary message closes with 1003', async () => {
    const client = await ws();
    client.ws.send(Buffer.from('{"op":"ping","id":1}'));
    expect(await client.untilClosed()).toMatchObject({ code: 1003 });
  });

  test('bad UTF-8 closes, with 1007 where the library says one', async () => {
    const client = await ws();
    rawSocket(client).write(frame(1, Buffer.from([0x7b, 0xff])));
    expect(await client.untilClosed()).toMatchObject({ code: codeOf(1007) });
  });

  test('an oversize message closes with 1009', async () => {
    const client = await ws();
    client.ws.send('x'.repeat(BOUNDS.frameBytesMax + 1));
    expect(await client.untilClosed()).toMatchObject({ code: 1009 });
  });

  test('a message far above the bound closes before all of it came, with 1009 where the library says one', async () => {
    const client = await ws();
    client.ws.send('x'.repeat(8 * BOUNDS.frameBytesMax));
    expect(await client.untilClosed()).toMatchObject({ code: codeOf(1009) });
  });

  test('a message of just the bound is read', async () => {
    const client = await ws();
    await client.connect('clumsy');
    client.ws.send(`{"op":"ping","id":77}${' '.repeat(BOUNDS.frameBytesMax - 21)}`);
    await client.until('the reply', () => client.heard.find(({ id }) => id === 77));
  });

  test('a frame that breaks RFC 6455 closes, with 1002 where the library says one', async () => {
    const client = await ws();
    rawSocket(client).write(Buffer.from([0xf1, 0x80, 0, 0, 0, 0]));
    expect(await client.untilClosed()).toMatchObject({ code: codeOf(1002) });
  });

  test('compression is not agreed to', async () => {
    const client = await ws();
    expect(client.ws.extensions).toBe('');
  });
});
