import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import { describe, expect, onTestFinished, test } from 'vitest';
import { temporaryDirectory } from './gateway-process.ts';
import { SdkStage } from './sdk-stage.ts';
import { Stage } from './stage.ts';

const CLIENT = new URL('../../src/client/client.ts', import.meta.url).href;

/** What each program below begins with. It says lines, and what keeps it alive besides its input and output. */
const BEGINNING = `
  const { Client } = await import(${JSON.stringify(CLIENT)});
  const say = (...words) => console.log(JSON.stringify(words));
  const alive = () => process.getActiveResourcesInfo().filter((kind) => !/^(Pipe|TTY|File|CloseReq)/.test(kind));
  const told = new Promise((resolve) => process.stdin.once('data', resolve)).then(() => process.stdin.destroy());
`;

/** A program of somebody who uses the library, in a process of its own. */
class Program {
  readonly #child: ChildProcess;
  readonly #lines: AsyncIterator<string>;
  #errors = '';

  constructor(code: string, env: Readonly<Record<string, string>> = {}) {
    const args = ['--no-warnings', '--input-type=module', '-e', BEGINNING + code];
    this.#child = spawn(process.execPath, args, { env: { PATH: process.env.PATH, ...env } });
    this.#lines = createInterface({ input: this.#child.stdout as NodeJS.ReadableStream })[Symbol.asyncIterator]();
    this.#child.stderr?.on('data', (chunk: Buffer) => {
      this.#errors += chunk.toString();
    });
    onTestFinished(() => void this.#child.kill('SIGKILL'));
  }

  /** The next line that it says. @throws with its standard error if it ends before */
  async line(): Promise<unknown> {
    const { value, done } = await this.#lines.next();
    if (done) throw new Error(`it said no more: ${this.#errors}`);
    return JSON.parse(value);
  }

  /** What it waits for. */
  tell(): void {
    this.#child.stdin?.write('\n');
  }

  /** Resolves with how it ended, by itself. */
  async end(): Promise<unknown> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) await once(this.#child, 'exit');
    return [this.#child.exitCode, this.#errors];
  }
}

const NOTHING_LEFT = [0, ''];

describe('a program that closes its client ends by itself', { timeout: 60_000 }, () => {
  test('whatever it did before', async () => {
    const { proxy } = await SdkStage.forTest();
    const program = new Program(`
      const client = new Client({ url: 'ws://127.0.0.1:${proxy.port}/ws', user: 'ann' });
      client.on('error', (error) => say('error', error.message));
      await client.connect();
      const room = client.room('r');
      await room.join({ presence: 'full', history: 10 });
      await client.watch(['bob']);
      await client.status('away', 'tea');
      const reading = (async () => { for await (const { data } of room) say(data); })();
      await room.publish('hello');
      await room.signal('typing');
      await client.close();
      await reading;
      setImmediate(() => say('closed', alive()));
      await told;
    `);
    expect(await program.line()).toEqual(['hello']);
    expect(await program.line()).toEqual(['closed', []]);
    program.tell();
    expect(await program.end()).toEqual(NOTHING_LEFT);
  });

  test('while it waits for a gateway that was lost', async () => {
    const own = await SdkStage.forTest();
    const program = new Program(`
      const client = new Client({ url: 'ws://127.0.0.1:${own.proxy.port}/ws' });
      await client.connect();
      const room = client.room('r');
      await room.join();
      client.on('state', async ({ name }) => {
        if (name !== 'waiting') return;
        const publishing = room.publish('too late').catch(({ code }) => say(code));
        await client.close();
        await publishing;
        setImmediate(() => say('closed', alive()));
      });
      say('joined');
      await told;
    `);
    expect(await program.line()).toEqual(['joined']);
    await own.stage.gateway.stop('SIGKILL');
    expect(await program.line()).toEqual(['closed']);
    expect(await program.line()).toEqual(['closed', []]);
    program.tell();
    expect(await program.end()).toEqual(NOTHING_LEFT);
  });

  test('while it waits for a token that nobody gives', async () => {
    const program = new Program(`
      const client = new Client({ url: 'ws://127.0.0.1:9/ws', token: () => new Promise(() => say('asked')) });
      const connecting = client.connect().catch(({ code }) => say(code));
      await told;
      await Promise.all([connecting, client.close()]);
      setImmediate(() => say('closed', alive()));
    `);
    expect(await program.line()).toEqual(['asked']);
    program.tell();
    expect(await program.line()).toEqual(['closed']);
    expect(await program.line()).toEqual(['closed', []]);
    expect(await program.end()).toEqual(NOTHING_LEFT);
  });

  test('while it connects to who does not answer', async () => {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    onTestFinished(() => void server.close());
    const { port } = server.address() as { port: number };
    const program = new Program(`
      const client = new Client({ url: 'ws://127.0.0.1:${port}/ws' });
      client.connect().catch(({ code }) => say(code));
      await told;
      await client.close();
      say('closed');
    `);
    await once(server, 'connection');
    program.tell();
    expect(await program.line()).toEqual(['closed']);
    expect(await program.line()).toEqual(['closed']);
    expect(await program.end()).toEqual(NOTHING_LEFT);
  });
});

test('one that never connected keeps nothing alive', async () => {
  const program = new Program(`
    const client = new Client({ url: 'ws://127.0.0.1:9/ws' });
    client.room('r');
    process.stdin.destroy();
    say(alive());
  `);
  expect(await program.line()).toEqual([[]]);
  expect(await program.end()).toEqual(NOTHING_LEFT);
});

describe('over TLS', { timeout: 60_000 }, () => {
  /** A gateway with a certificate of its own, and the file that makes it trusted. */
  async function secure(): Promise<{ url: string; certificate: string }> {
    const directory = await temporaryDirectory();
    onTestFinished(() => directory.remove());
    const [certificate, key] = [join(directory.path, 'cert.pem'), join(directory.path, 'key.pem')];
    const name = ['-subj', '/CN=tidegate test', '-addext', 'subjectAltName=IP:127.0.0.1'];
    const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1'];
    await promisify(execFile)('openssl', [
      ...['req', '-x509', '-nodes', '-days', '2', ...curve, ...name, '-keyout', key, '-out', certificate],
    ]);
    const stage = await Stage.open({ TIDEGATE_TLS_CERT: certificate, TIDEGATE_TLS_KEY: key });
    onTestFinished(() => stage.close());
    return { url: `wss://127.0.0.1:${stage.gateway.ports.http}/ws`, certificate };
  }

  const program = (url: string) => `
    const client = new Client({ url: '${url}' });
    client.on('state', async ({ name, reason }) => {
      if (name !== 'waiting') return;
      say(name, reason);
      await client.close();
    });
    await client.connect().catch(() => process.exit(3));
    const room = client.room('r');
    room.on('message', async ({ data }) => {
      say(data);
      await client.close();
    });
    await room.join();
    await room.publish('hello').catch(() => {});
    process.stdin.destroy();
  `;

  test('it talks to whom it trusts', async () => {
    const { url, certificate } = await secure();
    const trusting = new Program(program(url), { NODE_EXTRA_CA_CERTS: certificate });
    expect(await trusting.line()).toEqual(['hello']);
    expect(await trusting.end()).toEqual(NOTHING_LEFT);
  });

  test('and to nobody else', async () => {
    const { url } = await secure();
    const wary = new Program(program(url));
    expect(await wary.line()).toEqual(['waiting', 'no connection']);
    expect(await wary.end()).toEqual([3, '']);
  });
});
