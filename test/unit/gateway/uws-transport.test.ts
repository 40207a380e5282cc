import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import type { TransportListener } from '../../../src/gateway/transport.ts';
import { SENT } from '../../../src/gateway/uws-library.ts';
import type { UwsTransport } from '../../../src/gateway/uws-transport.ts';
import { Random } from '../../faults/random.ts';
import { UwsPort, uws } from './uws-port.ts';

let port: UwsPort;
let client: WebSocket;
let transport: UwsTransport;
let heard: string[];
/** Whether the session reads what comes. */
let isReading: boolean;
let lines: string[];

beforeEach(async () => {
  port = new UwsPort();
  const number = await port.listen();
  const accepted = port.accepted();
  client = new WebSocket(`ws://127.0.0.1:${number}`);
  client.on('error', () => {});
  const opened = once(client, 'open');
  transport = await accepted;
  heard = [];
  lines = [];
  isReading = true;
  const listener: TransportListener = {
    onBytes() {},
    onReadable: read,
    onOverrun: () => heard.push('overrun'),
    onDrained: () => heard.push('drained'),
    onInputEnd() {},
    onClosed: () => heard.push('closed'),
  };
  transport.attach(listener);
  await opened;
});

afterEach(async () => {
  client.terminate();
  await until(() => heard.includes('closed'));
  expect(port.inboxBytes.bytes).toBe(0);
  await port.close();
});

function read(): void {
  while (isReading) {
    const line = transport.read();
    if (line === null) return;
    lines.push(String(line));
  }
}

async function until(done: () => boolean): Promise<void> {
  const deadline = performance.now() + 10_000;
  while (!done() && performance.now() < deadline) await delay(5);
  expect(done()).toBe(true);
}

/** What arrives at the client, as lines. */
function arrivals(): string[] {
  const arrived: string[] = [];
  client.on('message', (data: Buffer) => arrived.push(...data.toString().split('\n')));
  return arrived;
}

describe('what is written', () => {
  it.each([1, 2, 3])('arrives whole and in order however slowly it is read, seed %i', async (seed) => {
    const random = new Random(seed);
    const arrived = arrivals();
    const expected: string[] = [];
    let bytesMax = 0;
    let taken = 0;
    let writes = 0;
    client.pause();
    for (let left = 200; left > 0; ) {
      // First not at all, until more waits than the library keeps by default before it leaves messages out.
      if (bytesMax > 1_000_000) {
        left -= 1;
        if (random.next() < 0.3) client.pause();
        if (random.next() < 0.3) client.resume();
      }
      const chunks = Array.from({ length: random.int(1, 5) }, () => {
        const padding = 'x'.repeat(random.next() < 0.25 ? random.int(0, 200_000) : random.int(0, 300));
        const line = `${expected.length} ${padding}`;
        expected.push(line);
        return Buffer.from(line);
      });
      writes += 1;
      transport.write(chunks, () => {
        taken += 1;
      });
      bytesMax = Math.max(bytesMax, transport.bufferedBytes);
      if (random.next() < 0.3) await delay(1);
    }
    client.resume();
    await until(() => arrived.length === expected.length);
    expect(arrived).toEqual(expected);
    await until(() => taken === writes);
    expect(transport.bufferedBytes).toBe(0);
    expect(heard).toContain('drained');
  });

  it('waits for a peer that reads nothing as references, and is counted', async () => {
    client.pause();
    const shared = Buffer.from('x'.repeat(100_000));
    let written = 0;
    while (transport.bufferedBytes < 20_000_000) {
      transport.write([shared]);
      written += shared.length;
    }
    const { rss } = process.memoryUsage();
    for (let i = 0; i < 1_000; i += 1) transport.write([shared]);
    expect(transport.bufferedBytes).toBeGreaterThan(100_000_000);
    expect(process.memoryUsage().rss - rss).toBeLessThan(20_000_000);
    expect(written).toBeGreaterThan(20_000_000);
  });

  it('arrives before the close that follows it', async () => {
    const arrived = arrivals();
    client.pause();
    for (let i = 0; i < 100; i += 1) transport.write([Buffer.from(`${i} ${'x'.repeat(100_000)}`)]);
    expect(transport.bufferedBytes).toBeGreaterThan(0);
    transport.close(3000, 'drain');
    transport.write([Buffer.from('too late')]);
    client.resume();
    const [code, reason] = (await once(client, 'close')) as [number, Buffer];
    expect([code, String(reason)]).toEqual([3000, 'drain']);
    expect(arrived.map((line) => Number(line.split(' ')[0]))).toEqual(Array.from({ length: 100 }, (_, i) => i));
  });
});

describe('a session that does not read', () => {
  const line = (i: number) => `${i} ${'x'.repeat(100)}`;

  it('finds everything when it reads again, in order', async () => {
    isReading = false;
    client.send(`${line(0)}\n${line(1)}`);
    for (let i = 2; i < 10; i += 1) client.send(line(i));
    await until(() => port.inboxBytes.bytes > 10 * 100);
    isReading = true;
    read();
    client.send(line(10));
    await until(() => lines.length === 11);
    expect(lines).toEqual(Array.from({ length: 11 }, (_, i) => line(i)));
    expect(port.inboxBytes.bytes).toBe(0);
  });

  it('goes on in the middle of a message', async () => {
    client.send(`${line(0)}\n${line(1)}\n${line(2)}`);
    await until(() => lines.length === 3);
    isReading = false;
    client.send(`${line(3)}\n${line(4)}`);
    await until(() => port.inboxBytes.bytes > 0);
    isReading = true;
    lines.push(String(transport.read()));
    isReading = false;
    client.send(line(5));
    await until(() => port.inboxBytes.bytes > 200);
    isReading = true;
    read();
    expect(lines).toEqual(Array.from({ length: 6 }, (_, i) => line(i)));
  });

  it.each([
    ['of many bytes', (i: number) => line(i)],
    ['without any', () => ''],
  ])('is told when more messages %s came than are held, and hears nothing more', async (_name, make) => {
    isReading = false;
    for (let i = 0; i < 100; i += 1) client.send(make(i));
    await until(() => heard.length > 0);
    isReading = true;
    read();
    client.send(line(100));
    await delay(20);
    expect(heard).toEqual(['overrun']);
    expect(lines).toEqual([]);
    expect(port.inboxBytes.bytes).toBe(0);
  });
});

it('the library by itself leaves messages out in silence, beyond a bound of its own', async () => {
  const { App, DISABLED, us_socket_local_port, us_listen_socket_close } = uws();
  const statuses = new Set<number>();
  const token = await new Promise<object>((resolve) => {
    App()
      .ws('/', {
        compression: DISABLED,
        maxPayloadLength: 1_024,
        maxBackpressure: 65_536,
        idleTimeout: 120,
        sendPingsAutomatically: true,
        upgrade: (response, request, context) =>
          response.upgrade({}, request.getHeader('sec-websocket-key'), '', '', context),
        open(socket) {
          for (let i = 0; i < 500; i += 1) statuses.add(socket.send(Buffer.alloc(100_000, 'x'), false, false));
        },
        message() {},
        ping() {},
        pong() {},
        drain() {},
        close() {},
      })
      .listen('127.0.0.1', 0, (listening) => {
        resolve(listening as object);
      });
  });
  const reader = new WebSocket(`ws://127.0.0.1:${us_socket_local_port(token)}`);
  let arrived = 0;
  reader.on('message', () => {
    arrived += 1;
  });
  await once(reader, 'message');
  await delay(200);
  expect(statuses).toContain(SENT.dropped);
  expect(arrived).toBeLessThan(500);
  reader.terminate();
  us_listen_socket_close(token);
});
