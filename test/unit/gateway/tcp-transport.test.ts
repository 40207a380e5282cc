import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { connect as connectTls, createServer as createTlsServer } from 'node:tls';
import { afterEach, describe, expect, it } from 'vitest';
import { Outbox, OutboxFlusher, UnsharedBytes } from '../../../src/gateway/outbox.ts';
import { Resets } from '../../../src/gateway/resets.ts';
import { TimerWheel } from '../../../src/limits/timer-wheel.ts';
import { LineSplitter } from '../../../src/protocol/line-splitter.ts';
import { TcpTransport } from '../../../src/tcp/tcp-transport.ts';
import { UnacknowledgedWatch } from '../../../src/tcp/unacknowledged.ts';

/** A key that both sides know, so that no certificate is needed. */
const PSK = { psk: Buffer.alloc(16, 7), identity: 'test' };
const TLS = { ciphers: 'PSK', minVersion: 'TLSv1.2', maxVersion: 'TLSv1.2' } as const;

const wheel = new TimerWheel();
const unacknowledged = new UnacknowledgedWatch();
let server: Server;
let client: Socket;

async function open(isTls: boolean): Promise<{ outbox: Outbox; unshared: UnsharedBytes }> {
  server = isTls ? createTlsServer({ ...TLS, pskCallback: () => PSK.psk }) : createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const accepted = once(server, isTls ? 'secureConnection' : 'connection');
  client = isTls
    ? connectTls({ ...TLS, port, host: '127.0.0.1', pskCallback: () => PSK, checkServerIdentity: () => undefined })
    : connect(port, '127.0.0.1');
  client.on('error', () => {});
  const [socket] = (await accepted) as [Socket];
  socket.on('error', () => {});
  const transport = new TcpTransport(socket, '192.0.2.1', new LineSplitter(), {
    wheel,
    resets: new Resets(server, isTls),
    unacknowledged,
  });
  const unshared = new UnsharedBytes(2 ** 30);
  const outbox = new Outbox(transport, new OutboxFlusher(), unshared, { goOn: () => {} });
  transport.attach({
    onBytes() {},
    onOverrun() {},
    onReadable() {},
    onDrained: () => outbox.drained(),
    onInputEnd() {},
    onClosed: () => outbox.close(),
  });
  return { outbox, unshared };
}

afterEach(async () => {
  client.destroy();
  wheel.close();
  const closed = once(server, 'close');
  server.close();
  await closed;
});

describe('what only one session gets', () => {
  it.each([
    ['TCP', false],
    ['TLS', true],
  ])('is no longer counted once the client has read it, over %s', async (_name, isTls) => {
    const { outbox, unshared } = await open(isTls);
    let read = 0;
    client.on('data', (chunk: Buffer) => {
      read += chunk.length;
    });
    for (let i = 1; i <= 20; i += 1) {
      outbox.addUnshared(Buffer.alloc(100, 'x'));
      outbox.flush();
      while (read < i * 100) await once(client, 'data');
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(outbox.bytes).toBe(0);
    expect(unshared.bytes).toBe(0);
  });

  it.each([
    ['TCP', false],
    ['TLS', true],
  ])('is no longer counted once a slow client has read the little that had to wait, over %s', async (_name, isTls) => {
    const { outbox, unshared } = await open(isTls);
    client.pause();
    let written = 0;
    // Until the kernel takes no more: what is left is too little for the socket to tell when it is gone.
    while (outbox.bytes === 0) {
      outbox.addUnshared(Buffer.alloc(8_192, 'x'));
      outbox.flush();
      written += 8_192;
    }
    expect(outbox.bytes).toBeLessThan(65_536);
    expect(unshared.bytes).toBeGreaterThan(0);
    let read = 0;
    client.on('data', (chunk: Buffer) => {
      read += chunk.length;
    });
    client.resume();
    await expect.poll(() => read).toBe(written);
    await expect.poll(() => unshared.bytes).toBe(0);
  });
});
