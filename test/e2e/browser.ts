import { existsSync } from 'node:fs';
import { type Browser, chromium, type Page } from 'playwright-core';

const EXECUTABLE = '/usr/bin/chromium';

/** Where there is no browser its tests are skipped, except in CI, where they fail. */
export const isBrowserMissing = !process.env.CI && !existsSync(EXECUTABLE);

export async function startBrowser(): Promise<Browser> {
  return chromium.launch({
    executablePath: EXECUTABLE,
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  });
}

/** A page of the chat in a tab of its own, and what it complained about. */
export class ChatPage {
  readonly page: Page;
  /** Console errors, violations of the content security policy among them, and uncaught exceptions. */
  readonly complaints: string[] = [];
  /** Hosts that anything was asked of. */
  readonly hosts = new Set<string>();

  constructor(page: Page) {
    this.page = page;
    page.on('console', (message) => {
      if (message.type() === 'error') this.complaints.push(`${message.text()} (${message.location().url})`);
    });
    page.on('pageerror', (error) => this.complaints.push(String(error)));
    page.on('dialog', (dialog) => {
      this.complaints.push(`dialog: ${dialog.message()}`);
      void dialog.accept();
    });
    page.on('request', (request) => this.hosts.add(new URL(request.url()).host));
    page.on('websocket', (socket) => this.hosts.add(new URL(socket.url()).host));
  }

  /** Reloads once the service worker is there, so that none is being fetched meanwhile. */
  async reload(): Promise<void> {
    await this.page.evaluate('navigator.serviceWorker.ready.then(() => true)');
    await this.page.reload();
  }

  /** The messages that are shown, in their order, as `user: text`. */
  async messages(): Promise<string[]> {
    // In one look, so that it is one moment's.
    return this.page
      .getByRole('log')
      .locator('.message')
      .evaluateAll((all) =>
        all.map((message) => {
          const part = (name: string) => message.querySelector(name)?.textContent;
          return `${part('.from')}: ${part('.text')}`;
        }),
      );
  }

  /** What stands in the log, in order: `message`, `gap`, `day` or `new`. */
  async lines(): Promise<string[]> {
    return this.page
      .getByRole('log')
      .locator('> *')
      .evaluateAll((all) => all.map((line) => line.classList.item(0) ?? ''));
  }

  async state(): Promise<string> {
    return (await this.page.getByRole('status').textContent()) ?? '';
  }

  /** Messages of one's own that are not in the log yet. */
  async outgoing(): Promise<number> {
    return this.page.locator('#outgoing .message').count();
  }

  async say(text: string): Promise<void> {
    await this.page.getByLabel('Message', { exact: true }).fill(text);
    await this.page.keyboard.press('Enter');
  }

  /** Rooms or direct messages of the list, as `name` or `name 3 unread`; the current one in brackets. */
  async list(title: 'Rooms' | 'Direct messages'): Promise<string[]> {
    return this.page
      .getByRole('list', { name: title })
      .locator('.item')
      .evaluateAll((all) =>
        all.map((item) => {
          const words = [item.querySelector('.name'), item.querySelector('.count')].flatMap(
            (part) => part?.textContent ?? [],
          );
          return item.ariaCurrent === 'true' ? `[${words.join(' ')}]` : words.join(' ');
        }),
      );
  }

  /** Opens what has that name in the list. */
  async open(name: string): Promise<void> {
    await this.page.locator(`#sidebar [data-key="${name}"]`).click();
  }

  /** Who is here, as `name: status`, and what they say of it and on how many devices. */
  async people(): Promise<string[]> {
    return this.page.locator('#people-list .person').evaluateAll((all) =>
      all.map((person) => {
        const part = (name: string) => person.querySelector(name)?.textContent;
        const more = [part('.status-text'), part('.devices')].filter((words) => words !== undefined);
        return [`${part('.name')}: ${part('.dot')}`, ...more].join(', ');
      }),
    );
  }

  /** As if the tab were put behind another one, or in front again. */
  async setVisible(isVisible: boolean): Promise<void> {
    await this.page.evaluate(`
      Object.defineProperty(document, 'visibilityState', { value: '${isVisible ? 'visible' : 'hidden'}', configurable: true });
      document.dispatchEvent(new Event('visibilitychange'));
    `);
  }
}
