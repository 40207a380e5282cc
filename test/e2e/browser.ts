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

  constructor(page: Page) {
    this.page = page;
    page.on('console', (message) => {
      if (message.type() === 'error') this.complaints.push(message.text());
    });
    page.on('pageerror', (error) => this.complaints.push(String(error)));
    page.on('dialog', (dialog) => {
      this.complaints.push(`dialog: ${dialog.message()}`);
      void dialog.dismiss();
    });
  }

  /** The messages of the room, in the order shown, as `user: text`. */
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

  async state(): Promise<string> {
    return (await this.page.getByRole('status').textContent()) ?? '';
  }

  /** Messages of one's own that the server has not confirmed, or refused. */
  async outgoing(): Promise<number> {
    return this.page.locator('#outgoing .message').count();
  }

  async say(text: string): Promise<void> {
    await this.page.getByLabel('Message', { exact: true }).fill(text);
    await this.page.keyboard.press('Enter');
  }
}
