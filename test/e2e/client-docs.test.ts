import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { lastingPlace } from '../lasting-ports.ts';
import { isBrowserMissing, startBrowser } from './browser.ts';
import { type Client, TcpClient } from './clients.ts';
import { type GatewayProcess, startGateway, temporaryDirectory } from './gateway-process.ts';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const PATIENCE = { timeout: 15_000, interval: 50 };
const LINES_MAX = 24;

/** The example of docs/CLIENT.md that is marked as one to run there. */
async function example(where: 'node' | 'browser'): Promise<string> {
  const docs = await readFile(join(ROOT, 'docs/CLIENT.md'), 'utf8');
  const [, code] = new RegExp(`<!-- runs: ${where} -->\\n\`\`\`\\w+\\n([^]*?)\`\`\``).exec(docs) ?? [];
  if (code === undefined) throw new Error(`docs/CLIENT.md has no example for ${where}`);
  return code;
}

describe("the client's documented examples", () => {
  let directory: Awaited<ReturnType<typeof temporaryDirectory>>;
  let gateway: GatewayProcess;
  let env: Readonly<Record<string, string>>;
  /** The page of the example, and its `client.js`, as an application would serve them. */
  let pages: Server;
  let bot: ChildProcess | undefined;
  let browser: Browser | undefined;

  beforeAll(async () => {
    directory = await temporaryDirectory();
    const page = await example('browser');
    pages = createServer((request, response) => {
      const isScript = request.url === '/client.js';
      response.setHeader('Content-Type', isScript ? 'text/javascript' : 'text/html');
      if (isScript) void readFile(join(ROOT, 'dist/web/client.js')).then((script) => response.end(script));
      else response.end(page.replace("new URL('/ws', location.href.replace(/^http/, 'ws'))", `'${url()}'`));
    });
    pages.listen(0, '127.0.0.1');
    await once(pages, 'listening');
    const { port } = pages.address() as AddressInfo;
    env = { ...(await lastingPlace()), TIDEGATE_ORIGINS: `http://127.0.0.1:${port}` };
    gateway = await startGateway(directory.path, { env });
  });

  afterAll(async () => {
    bot?.kill('SIGKILL');
    await browser?.close();
    pages?.close();
    await gateway?.stop();
    await directory?.remove();
  });

  function url(): string {
    return `ws://127.0.0.1:${gateway.ports.http}/ws`;
  }

  async function connect(user: string): Promise<TcpClient> {
    const client = await TcpClient.open(gateway.ports.tcp);
    await client.connect(user);
    await client.ok({ op: 'join', room: 'lobby' });
    return client;
  }

  async function say(client: Client, text: string): Promise<void> {
    await client.ok({ op: 'publish', room: 'lobby', mid: crypto.randomUUID(), data: { text } });
  }

  const heard = (client: Client) =>
    client.messages('lobby').map(({ from, data }) => `${from}: ${(data as { text: string }).text}`);

  test('are as short as they say', async () => {
    for (const where of ['node', 'browser'] as const) {
      const lines = (await example(where)).split('\n').filter((line) => line.trim() !== '');
      expect(lines.length).toBeLessThanOrEqual(LINES_MAX);
    }
  });

  test('the one for Node greets who asks for it, also after the gateway was killed, and goes home', async () => {
    await mkdir(join(directory.path, 'bot/node_modules'), { recursive: true });
    await symlink(ROOT, join(directory.path, 'bot/node_modules/tidegate'));
    const file = join(directory.path, 'bot/bot.mjs');
    await writeFile(file, await example('node'));
    bot = spawn(process.execPath, [file], { env: { GATEWAY: url() }, stdio: ['ignore', 'ignore', 'pipe'] });
    let said = '';
    bot.stderr?.on('data', (chunk) => {
      said += chunk;
    });
    const ended = once(bot, 'exit');
    await expect.poll(() => said, PATIENCE).toContain('online');
    const first = await connect('ann');
    // It may hear only what is said after it joined.
    await expect.poll(async () => (await first.ok({ op: 'presence', room: 'lobby' })).count, PATIENCE).toBe(2);
    await say(first, 'hello bot');
    await first.until('a greeting', () => heard(first).includes('bot: hello ann'));

    await gateway.stop('SIGKILL');
    gateway = await startGateway(directory.path, { env });
    // Said while the bot is away, perhaps.
    const second = await connect('bob');
    await say(second, 'hello bot');
    await second.until('a greeting', () => heard(second).includes('bot: hello bob'));
    await say(second, 'go home, bot');
    expect(await ended).toEqual([0, null]);
    expect(said).not.toContain('missed');
    second.close();
  });

  test.skipIf(isBrowserMissing)('the one for a browser chats', async () => {
    browser = await startBrowser();
    const carl = await connect('carl');
    const page = await browser.newPage();
    await page.goto(`http://127.0.0.1:${(pages.address() as AddressInfo).port}/`);
    await expect.poll(() => page.locator('#state').textContent(), PATIENCE).toBe('online');
    await page.getByLabel('Message').fill('<b>hi</b>');
    await page.getByLabel('Message').press('Enter');
    await carl.until('the message', () => heard(carl).some((line) => line.endsWith(': <b>hi</b>')));
    await say(carl, 'hi there');
    await expect.poll(() => page.locator('li').allTextContents(), PATIENCE).toContain('carl: hi there');
    expect(await page.locator('li b').count()).toBe(0);
    carl.close();
  });
});

describe("the client's documented names", () => {
  const sources = Promise.all(
    [
      'docs/CLIENT.md',
      'src/client/client.ts',
      'src/client/options.ts',
      'src/client/state.ts',
      'src/client/room-events.ts',
      'src/client/client-error.ts',
    ].map((path) => readFile(join(ROOT, path), 'utf8')),
  );

  /** Members of an interface, by its text. */
  function membersOf(source: string, name: string): string[] {
    const [, body = ''] = new RegExp(`export interface ${name} \\{([^]*?)\\n\\}`).exec(source) ?? [];
    return [...body.matchAll(/^ {2}(?:readonly )?(\w+)\??:/gm)].map(([, member = '']) => member);
  }

  /** What the tables name in the first cell of a row. */
  function named(docs: string): Set<string> {
    const cells = [...docs.matchAll(/^\| (`[^|]*)\|/gm)].map(([, cell = '']) => cell);
    return new Set(cells.flatMap((cell) => [...cell.matchAll(/`(\w+)/g)].map(([, name = '']) => name)));
  }

  test('are all there are', async () => {
    const [docs = '', client = '', options = '', state = '', room = '', error = ''] = await sources;
    const states = [...state.matchAll(/\{ readonly name: '(\w+)'/g)].map(([, name = '']) => name);
    const roomStates = [...(/export type RoomState =([^;]*);/.exec(room)?.[1] ?? '').matchAll(/'(\w+)'/g)];
    const codes = [...(/ {2}\| ErrorCode([^;]*);/.exec(error)?.[1] ?? '').matchAll(/'(\w+)'/g)];
    const expected = [
      ...membersOf(options, 'ClientOptions'),
      ...membersOf(client, 'ClientEvents'),
      ...membersOf(room, 'RoomEvents'),
      ...states,
      ...codes.map(([, code = '']) => code),
    ];
    expect(states).toEqual(['connecting', 'online', 'resyncing', 'waiting', 'closed']);
    expect(codes).toHaveLength(7);
    expect(expected.filter((name) => !named(docs).has(name))).toEqual([]);
    for (const [, state = ''] of roomStates) expect(docs).toContain(`\`${state}\``);
    expect(roomStates).toHaveLength(4);
  });
});
