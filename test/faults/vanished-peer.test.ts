import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect, type TestContext, test } from 'vitest';
import { UnacknowledgedWatch } from '../../src/tcp/unacknowledged.ts';
import { NetworkNamespace } from './network-namespace.ts';

const TIMEOUT_MS = 2_000;
const POLL_MS = 250;
/** For the first retransmission, two looks, and a busy machine. */
const LATE_MS = 2_500;
/** More than the kernels' buffers of both sides hold. */
const FLOOD_BYTES = 32 * 1_048_576;

const possible = await NetworkNamespace.isPossible();

/** A line to its input lets it read what it has not. */
const CLIENT = `
  const [host, port, mode] = process.argv.slice(1);
  const socket = require('node:net').connect({ host, port: Number(port) }, () => console.log('connected'));
  socket.on('error', () => {});
  let bytes = 0;
  socket.on('data', (chunk) => { bytes += chunk.length; });
  socket.on('end', () => console.log('read ' + bytes));
  if (mode === 'deaf') socket.pause();
  process.stdin.on('data', () => socket.resume());
`;

/** A server here that watches the one connection of a client in a namespace. */
class Scene {
  readonly namespace: NetworkNamespace;
  readonly socket: Socket;
  readonly client: ChildProcess;
  readonly watch: UnacknowledgedWatch;
  /** When the peer was found to have vanished. */
  vanishedMs: number | null = null;

  private constructor(namespace: NetworkNamespace, socket: Socket, client: ChildProcess) {
    this.namespace = namespace;
    this.socket = socket;
    this.client = client;
    this.watch = new UnacknowledgedWatch({ timeoutMs: TIMEOUT_MS, pollMs: POLL_MS });
    this.watch.add(socket, () => {
      this.vanishedMs = performance.now();
    });
  }

  static async make({ onTestFinished }: TestContext, mode: 'reads' | 'deaf', host?: '::'): Promise<Scene> {
    const namespace = await NetworkNamespace.create();
    onTestFinished(() => namespace.close());
    const server = createServer();
    onTestFinished(() => void server.close());
    server.listen(0, host ?? namespace.hostAddress);
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const accepted = once(server, 'connection');
    const client = namespace.run(process.execPath, ['-e', CLIENT, namespace.hostAddress, String(port), mode]);
    await once(client.stdout as NodeJS.ReadableStream, 'data');
    const [socket] = (await accepted) as [Socket];
    socket.on('error', () => {});
    const scene = new Scene(namespace, socket, client);
    onTestFinished(() => {
      scene.watch.close();
      socket.destroy();
    });
    expect(scene.watch.available).toBe(true);
    expect(scene.watch.size).toBe(1);
    return scene;
  }

  /** Writes a byte every so often, as does a room where something goes on. */
  chat(): void {
    const timer = setInterval(() => this.socket.write('x'), 100);
    this.socket.once('close', () => clearInterval(timer));
  }

  /** The timer that the kernel shows for the connection; 4: it probes a window of zero. */
  async kernelTimer(): Promise<number> {
    const file = this.socket.localAddress?.includes(':') ? '/proc/net/tcp6' : '/proc/net/tcp';
    const ports = [this.socket.localPort ?? 0, this.socket.remotePort ?? 0].map((port) => {
      return `:${port.toString(16).toUpperCase().padStart(4, '0')} `;
    });
    const lines = (await readFile(file, 'utf8')).split('\n');
    const line = lines.find((line) => ports.every((port) => line.includes(port)));
    return Number(/ (\d\d):[0-9A-F]{8} /.exec(line ?? '')?.[1]);
  }

  /** Writes more than the client takes, until its window is zero. */
  async flood(): Promise<void> {
    this.socket.write(Buffer.alloc(FLOOD_BYTES));
    while ((await this.kernelTimer()) !== 4) await delay(50);
  }

  /** Waits for the peer to be found. @returns after how many milliseconds */
  async found(withinMs: number): Promise<number> {
    const begun = performance.now();
    while (this.vanishedMs === null && performance.now() - begun < withinMs) await delay(20);
    expect(this.vanishedMs, `nothing found within ${withinMs} ms`).not.toBeNull();
    expect(this.watch.size).toBe(0);
    return (this.vanishedMs ?? Number.NaN) - begun;
  }
}

describe.skipIf(!possible).concurrent('a peer', { timeout: 60_000 }, () => {
  test.for([
    ['over IPv4', undefined],
    ['over IPv4 to a socket of both versions', '::'],
  ] as const)('that vanishes with bytes on their way is found, %s', async ([_, host], context) => {
    const scene = await Scene.make(context, 'reads', host);
    scene.chat();
    await delay(1_000);
    await scene.namespace.cutOff();
    const ms = await scene.found(TIMEOUT_MS + LATE_MS);
    expect(ms).toBeGreaterThanOrEqual(TIMEOUT_MS);
  });

  test('whose plug is pulled is found', async (context) => {
    const scene = await Scene.make(context, 'reads');
    scene.chat();
    await delay(1_000);
    await scene.namespace.unplug();
    await scene.found(TIMEOUT_MS + LATE_MS);
  });

  test('that vanishes while its window is zero is found', async (context) => {
    const scene = await Scene.make(context, 'deaf');
    const begun = performance.now();
    await scene.flood();
    // The first probes follow each other so fast that Linux doesn't answer all (tcp_invalid_ratelimit, 500 ms).
    await delay(2_000);
    expect(await scene.kernelTimer()).toBe(4);
    expect(scene.vanishedMs).toBeNull();
    // The second probe from now comes within three times the time for which the window has been zero.
    const zeroMs = performance.now() - begun;
    await scene.namespace.cutOff();
    const ms = await scene.found(3 * zeroMs + TIMEOUT_MS + LATE_MS);
    expect(ms).toBeGreaterThanOrEqual(TIMEOUT_MS);
  });

  test('that does not read is left alone, and gets every byte when it reads', async (context) => {
    const scene = await Scene.make(context, 'deaf');
    await scene.flood();
    for (let waitedMs = 0; waitedMs < 5 * TIMEOUT_MS; waitedMs += 500) {
      await delay(500);
      expect(await scene.kernelTimer()).toBe(4);
    }
    expect(scene.vanishedMs).toBeNull();
    expect(scene.watch.size).toBe(1);
    const read = once(scene.client.stdout as NodeJS.ReadableStream, 'data');
    scene.socket.end();
    scene.client.stdin?.write('read\n');
    expect(String(await read)).toBe(`read ${FLOOD_BYTES}\n`);
  });

  test('that is idle is left alone', async (context) => {
    const scene = await Scene.make(context, 'reads');
    await delay(3 * TIMEOUT_MS);
    expect(scene.vanishedMs).toBeNull();
    expect(scene.watch.size).toBe(1);
  });

  test('that is cut off again and again, each time for less than the timeout, is left alone', async (context) => {
    const scene = await Scene.make(context, 'reads');
    scene.chat();
    for (let i = 0; i < 4; i += 1) {
      await delay(1_000);
      await scene.namespace.cutOff();
      await delay(TIMEOUT_MS / 2);
      await scene.namespace.restore();
    }
    await delay(1_000);
    expect(scene.vanishedMs).toBeNull();
    expect(scene.watch.size).toBe(1);
  });
});
