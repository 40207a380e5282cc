import type { Browser, BrowserContext, BrowserContextOptions } from 'playwright-core';
import { expect } from 'vitest';
import { lastingPlace } from '../lasting-ports.ts';
import { ChatPage, startBrowser } from './browser.ts';
import { type Client, TcpClient } from './clients.ts';
import { type GatewayProcess, startGateway, temporaryDirectory, UNLIMITED } from './gateway-process.ts';

/** How long the page may take for something. */
export const PATIENCE = { timeout: 15_000, interval: 50 };

/** A gateway and a browser, with what was opened on both. */
export class PageStage {
  readonly #env: Readonly<Record<string, string>>;
  readonly #directory: Awaited<ReturnType<typeof temporaryDirectory>>;
  readonly #browser: Browser;
  readonly #contexts: BrowserContext[] = [];
  readonly #clients: Client[] = [];
  #gateway: GatewayProcess;
  #mids = 0;

  private constructor(
    env: Readonly<Record<string, string>>,
    directory: Awaited<ReturnType<typeof temporaryDirectory>>,
    browser: Browser,
    gateway: GatewayProcess,
  ) {
    this.#env = env;
    this.#directory = directory;
    this.#browser = browser;
    this.#gateway = gateway;
  }

  static async open(env: Readonly<Record<string, string>> = {}): Promise<PageStage> {
    const quick = { TIDEGATE_RETRY_WINDOW_MS: '200', TIDEGATE_PRESENCE_PUSH_MS: '50', TIDEGATE_DRAIN_MS: '200' };
    const all = { ...UNLIMITED, ...quick, ...(await lastingPlace()), ...env };
    const directory = await temporaryDirectory();
    const [browser, gateway] = await Promise.all([startBrowser(), startGateway(directory.path, { env: all })]);
    return new PageStage(all, directory, browser, gateway);
  }

  get gateway(): GatewayProcess {
    return this.#gateway;
  }

  get directory(): string {
    return this.#directory.path;
  }

  url(path: string): string {
    return `http://127.0.0.1:${this.#gateway.ports.http}${path}`;
  }

  /** Starts a gateway on the ports of the one before, which has ended. */
  async startAgain(directory = this.#directory.path): Promise<void> {
    this.#gateway = await startGateway(directory, { env: this.#env });
  }

  /** A browser of its own, with its own storage. */
  async context(options: BrowserContextOptions = {}): Promise<BrowserContext> {
    const context = await this.#browser.newContext({ viewport: { width: 1280, height: 720 }, ...options });
    this.#contexts.push(context);
    return context;
  }

  async tab(path: string, context?: BrowserContext): Promise<ChatPage> {
    const tab = new ChatPage(await (context ?? (await this.context())).newPage());
    await tab.page.goto(this.url(path));
    return tab;
  }

  /** A tab in the room, connected. */
  async enter(user: string, room: string, context?: BrowserContext): Promise<ChatPage> {
    const tab = await this.tab(`/?${new URLSearchParams({ room, user })}`, context);
    await untilConnected(tab, user);
    return tab;
  }

  async tcp(user: string, more: object = {}): Promise<TcpClient> {
    const client = await this.terminal();
    await client.connect(user, more);
    return client;
  }

  /** A connection that has said nothing yet, as of somebody with netcat. */
  async terminal(): Promise<TcpClient> {
    const client = await TcpClient.open(this.#gateway.ports.tcp);
    this.#clients.push(client);
    return client;
  }

  async publish(client: Client, room: string, data: unknown): Promise<void> {
    this.#mids += 1;
    await client.ok({ op: 'publish', room, mid: `mid-${this.#mids}`, data });
  }

  /** Texts `<name> 0`, `<name> 1` and so on, all in one go. */
  async publishMany(client: Client, room: string, name: string, count: number): Promise<void> {
    await Promise.all(Array.from({ length: count }, (_, i) => this.publish(client, room, { text: `${name} ${i}` })));
  }

  /** Ends what one test has opened. */
  async clear(): Promise<void> {
    for (const client of this.#clients.splice(0)) client.close();
    for (const context of this.#contexts.splice(0)) await context.close();
  }

  async close(): Promise<void> {
    await this.clear();
    await this.#browser.close();
    await this.#gateway.stop('SIGKILL');
    await this.#directory.remove();
  }
}

export async function untilConnected(tab: ChatPage, user: string): Promise<void> {
  await expect.poll(() => tab.state(), PATIENCE).toBe(`Connected as ${user}`);
}

export async function expectMessages(tab: ChatPage, messages: readonly string[]): Promise<void> {
  await expect.poll(() => tab.messages(), PATIENCE).toEqual(messages);
}
