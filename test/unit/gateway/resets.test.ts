import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, Socket } from 'node:net';
import { PassThrough } from 'node:stream';
import { connect as connectTls, createServer as createTlsServer, TLSSocket } from 'node:tls';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Resets } from '../../../src/gateway/resets.ts';

/** A key that both sides know, so that no certificate is needed. */
const PSK = { psk: Buffer.alloc(16, 7), identity: 'test' };
const TLS = { ciphers: 'PSK', minVersion: 'TLSv1.2', maxVersion: 'TLSv1.2' } as const;

interface Peer {
  /** Ours. */
  readonly accepted: Socket;
  readonly client: Socket;
  /** How the client's side ended: the error's code, or `end`. */
  readonly ended: Promise<string>;
}

describe.each([
  ['TCP', false],
  ['TLS', true],
])('over %s', (_name, isTls) => {
  let server: Server;
  let resets: Resets;
  const clients: Socket[] = [];

  beforeEach(async () => {
    server = isTls ? createTlsServer({ ...TLS, pskCallback: () => PSK.psk }) : createServer();
    resets = new Resets(server, isTls);
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
  });

  afterEach(async () => {
    for (const client of clients.splice(0)) client.destroy();
    const closed = once(server, 'close');
    server.close();
    await closed;
  });

  async function open(): Promise<Peer> {
    const { port } = server.address() as AddressInfo;
    const accepting = once(server, isTls ? 'secureConnection' : 'connection');
    const to = { port, host: '127.0.0.1' };
    const client = isTls
      ? connectTls({ ...TLS, ...to, pskCallback: () => PSK, checkServerIdentity: () => undefined })
      : connect(to);
    clients.push(client);
    const ended = new Promise<string>((resolve) => {
      client.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
      client.on('end', () => resolve('end'));
    });
    const connected = once(client, isTls ? 'secureConnect' : 'connect');
    const [accepted] = (await accepting) as [Socket];
    await connected;
    accepted.on('error', () => {});
    client.resume();
    return { accepted, client, ended };
  }

  it('the peer sees a reset, and ours is gone', async () => {
    const { accepted, ended } = await open();
    const closed = once(accepted, 'close');
    resets.reset(accepted);
    expect(await ended).toBe('ECONNRESET');
    await closed;
    expect(accepted.destroyed).toBe(true);
    // Idempotent.
    resets.reset(accepted);
  });

  it('nothing that waits to be sent keeps it', async () => {
    const { accepted, client, ended } = await open();
    client.pause();
    accepted.write(Buffer.alloc(64 * 1_048_576));
    accepted.end();
    // As long as data waits, the end behind it is not under way: megabytes are with our kernel, and go with a reset.
    await new Promise((resolve) => setTimeout(resolve, 200));
    const closed = once(accepted, 'close');
    resets.reset(accepted);
    await closed;
    client.resume();
    // What its kernel had before is the client's.
    await ended;
    expect(client.bytesRead).toBeLessThan(1_048_576);
  });

  it('neither does an end that is under way', async () => {
    const { accepted, ended } = await open();
    // Not by `once`, which an error would end.
    const closed = new Promise<string>((resolve) => accepted.on('close', () => resolve('closed')));
    accepted.end();
    resets.reset(accepted);
    const late = new Promise<string>((resolve) => setTimeout(resolve, 2_000, 'never closed'));
    expect(await Promise.race([closed, late])).toBe('closed');
    await ended;
  });

  it('nobody else is reset', async () => {
    const [first, second, third] = [await open(), await open(), await open()];
    resets.reset(second.accepted);
    expect(await second.ended).toBe('ECONNRESET');
    for (const { accepted, client } of [first, third]) {
      accepted.write('still here');
      const [heard] = (await once(client, 'data')) as [Buffer];
      expect(heard.toString()).toBe('still here');
    }
  });

  it('a connection that has ended in good order is left alone', async () => {
    const { accepted, client, ended } = await open();
    accepted.resume();
    const closed = once(accepted, 'close');
    client.end();
    accepted.end();
    await closed;
    resets.reset(accepted);
    expect(await ended).toBe('end');
  });
});

describe('a TLS connection whose peer has vanished unnoticed', () => {
  /** What both a raw socket and the one above it know of a peer on one port. */
  function from<T extends Socket>(socket: T): T {
    const peer = { remoteAddress: '192.0.2.1', remotePort: 50_000, localPort: 443 };
    for (const [key, value] of Object.entries(peer)) Object.defineProperty(socket, key, { value });
    return socket;
  }

  it('is not taken for another one that has come from the same port since', () => {
    const server = createTlsServer();
    // Only what resets itself listens, and not the server to its own connections.
    server.removeAllListeners('connection');
    const resets = new Resets(server, true);
    const connections = [1, 2].map(() => {
      const raw = from(new Socket());
      const tls = from(new TLSSocket(raw, { isServer: true }));
      tls.on('error', () => {});
      server.emit('connection', raw);
      server.emit('secureConnection', tls);
      return { raw, tls };
    });
    const [gone, next] = connections;
    resets.reset(gone?.tls as TLSSocket);
    expect(next?.raw.destroyed).toBe(false);
    expect(gone?.raw.destroyed).toBe(true);
    resets.reset(next?.tls as TLSSocket);
    expect(next?.raw.destroyed).toBe(true);
  });
});

describe('what is no socket', () => {
  it('is destroyed', () => {
    const stream = new PassThrough();
    new Resets(createServer(), false).reset(stream);
    expect(stream.destroyed).toBe(true);
  });
});
