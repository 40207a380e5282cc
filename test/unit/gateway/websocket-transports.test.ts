import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { WebSocket, WebSocketServer } from 'ws';
import { Resets } from '../../../src/gateway/resets.ts';
import type { Transport, TransportListener } from '../../../src/gateway/transport.ts';
import { WsTransport } from '../../../src/gateway/ws-transport.ts';
import { TimerWheel } from '../../../src/limits/timer-wheel.ts';
import { UwsPort } from './uws-port.ts';

/** A port that gives each WebSocket the transport of one library. */
interface Port {
  listen(): Promise<number>;
  /** What comes next. */
  accepted(): Promise<Transport & { attach(listener: TransportListener): void }>;
  close(): Promise<void>;
}

class WsPort implements Port {
  readonly #server = createServer();
  readonly #resets = new Resets(this.#server, false);
  readonly #wheel = new TimerWheel();
  readonly #webSockets = new WebSocketServer({ noServer: true, clientTracking: false });

  async listen(): Promise<number> {
    this.#server.listen(0, '127.0.0.1');
    await once(this.#server, 'listening');
    return (this.#server.address() as AddressInfo).port;
  }

  accepted(): Promise<WsTransport> {
    return new Promise((resolve) => {
      this.#server.once('upgrade', (request, socket: Duplex, head: Buffer) => {
        this.#webSockets.handleUpgrade(request, socket, head, (ws) =>
          resolve(new WsTransport(ws, socket, '192.0.2.1', this.#resets, this.#wheel)),
        );
      });
    });
  }

  async close(): Promise<void> {
    const closed = once(this.#server, 'close');
    this.#server.close();
    this.#server.closeAllConnections();
    await closed;
  }
}

interface Pair {
  readonly client: WebSocket;
  readonly transport: Transport;
  readonly heard: string[];
  readonly lines: string[];
  readonly bytes: string[];
}

let port: Port;
let pair: Pair;

async function open(): Promise<Pair> {
  const heard: string[] = [];
  const lines: string[] = [];
  const bytes: string[] = [];
  const number = await port.listen();
  const accepted = port.accepted();
  const client = new WebSocket(`ws://127.0.0.1:${number}`);
  client.on('error', () => {});
  const opened = once(client, 'open');
  const transport = await accepted;
  transport.attach({
    onBytes: () => bytes.push('bytes'),
    onReadable() {
      for (let line = transport.read(); line !== null; line = transport.read()) lines.push(String(line));
    },
    onOverrun: () => heard.push('overrun'),
    onDrained() {},
    onInputEnd: () => heard.push('input end'),
    onClosed: (isLeaving) => heard.push(isLeaving ? 'left' : 'closed'),
  });
  await opened;
  return { client, transport, heard, lines, bytes };
}

/** A close frame with any code: FIN and opcode 8, masked with zeros. */
async function sendClose(client: WebSocket, code: number): Promise<void> {
  const socket = (client as unknown as { _socket: Duplex })._socket;
  const frame = Buffer.from([0x88, 0x82, 0, 0, 0, 0, code >> 8, code & 0xff]);
  await new Promise<void>((resolve) => {
    socket.write(frame, () => resolve());
  });
}

async function until(done: () => boolean): Promise<void> {
  const deadline = performance.now() + 2_000;
  while (!done() && performance.now() < deadline) await new Promise((resolve) => setTimeout(resolve, 5));
}

describe.each([
  ['ws', () => new WsPort()],
  ['uWebSockets.js', () => new UwsPort()],
])('the transport on %s', (_library, createPort) => {
  beforeEach(async () => {
    port = createPort();
    pair = await open();
  });

  afterEach(async () => {
    pair.client.terminate();
    await port.close();
  });
  it('splits messages into lines, each message ending one', async () => {
    pair.client.send('{"id":1}\n{"id":2}\r\n');
    pair.client.send('{"id":3}');
    await until(() => pair.lines.length >= 4);
    expect(pair.lines).toEqual(['{"id":1}', '{"id":2}', '', '{"id":3}']);
  });

  it('tells once that the connection is gone, when the client closes it', async () => {
    const closed = once(pair.client, 'close');
    pair.client.close(1000);
    await closed;
    await until(() => pair.heard.length > 0);
    expect(pair.heard).toEqual(['left']);
  });

  it.each([
    ['no code', undefined, 'left'],
    ['the code of a page that is closed', 1001, undefined],
  ])('tells whether the client said goodbye, with %s', async (_name, code, heard) => {
    if (code === undefined) pair.client.close();
    // The library's own check keeps 1001 from clients; browsers send it.
    else await sendClose(pair.client, code);
    await until(() => pair.heard.length > 0);
    expect(pair.heard).toEqual([heard ?? 'closed']);
  });

  it('tells of bytes that are no whole message', async () => {
    pair.client.ping();
    await until(() => pair.bytes.length > 0);
    expect(pair.bytes.length).toBeGreaterThan(0);
    expect(pair.lines).toEqual([]);
  });

  it('tells once that the connection is gone, when the client vanishes', async () => {
    pair.client.terminate();
    await until(() => pair.heard.length > 0);
    expect(pair.heard).toEqual(['closed']);
  });

  it('tells once that the connection is gone, when we close it', async () => {
    const closed = once(pair.client, 'close');
    pair.transport.close(3504, 'replaced');
    pair.transport.close(3504, 'replaced');
    const [code, reason] = (await closed) as [number, Buffer];
    expect([code, String(reason)]).toEqual([3504, 'replaced']);
    await until(() => pair.heard.length > 0);
    expect(pair.heard).toEqual(['closed']);
  });

  it('tells once that the connection is gone, when we destroy it', async () => {
    pair.transport.terminate();
    await until(() => pair.heard.length > 0);
    expect(pair.heard).toEqual(['closed']);
  });
});
