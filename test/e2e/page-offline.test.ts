import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { isBrowserMissing } from './browser.ts';
import { expectMessages, PATIENCE, PageStage, untilConnected } from './page-stage.ts';

describe.skipIf(isBrowserMissing)('the chat page without its gateway', () => {
  let stage: PageStage;

  beforeAll(async () => {
    stage = await PageStage.open();
  });

  afterEach(async () => {
    await stage.clear();
  });

  afterAll(async () => {
    await stage?.close();
  });

  test('opens all the same, says what is wrong, and comes alive when it can', async () => {
    const context = await stage.context();
    const ann = await stage.enter('ann', 'shell', context);
    await ann.page.evaluate('navigator.serviceWorker.ready.then(() => true)');
    const cached = `caches.open('tidegate-shell').then((cache) => cache.keys()).then((keys) =>
      keys.map(({ url }) => new URL(url).pathname + new URL(url).search).sort())`;
    const shell = ['/', '/chat.css', '/chat.js', '/client.js', '/icon.svg'];
    expect(await ann.page.evaluate(cached)).toEqual(shell);
    // One page, whatever its query says.
    await ann.page.reload();
    await untilConnected(ann, 'ann');
    expect(await ann.page.evaluate(cached)).toEqual(shell);

    await stage.gateway.stop('SIGKILL');
    await ann.page.reload();
    const banner = ann.page.locator('#banner');
    await expect.poll(() => banner.textContent(), PATIENCE).toMatch(/Can’t reach 127.0.0.1:\d+\s+next try in \d+ s/);
    await ann.say('from before');
    await context.setOffline(true);
    await expect.poll(() => banner.textContent(), PATIENCE).toContain('You’re offline');
    // What waits would be lost with the page, so that leaving it is asked about.
    expect(ann.complaints.some((words) => words.startsWith('dialog'))).toBe(false);
    await ann.page.reload();
    expect(ann.complaints.some((words) => words.startsWith('dialog'))).toBe(true);
    await expect.poll(() => banner.textContent(), PATIENCE).toContain('You’re offline');
    await ann.say('written offline');

    await stage.startAgain();
    await context.setOffline(false);
    await untilConnected(ann, 'ann');
    await expectMessages(ann, ['ann: written offline']);
    expect(await banner.isVisible()).toBe(false);
  });

  test('takes the newest files whenever they can be had, and hands on what is not its own', async () => {
    const tab = await stage.enter('bob', 'newest');
    await tab.page.evaluate('navigator.serviceWorker.ready.then(() => true)');
    await tab.page.evaluate(
      `caches.open('tidegate-shell').then((cache) => cache.put('/chat.css', new Response('old')))`,
    );
    const fetched = `Promise.all(['/chat.css', '/sw.js', '/nothing'].map((path) =>
      fetch(path).then((response) => response.text().then((text) => [response.status, text.length > 3]))))`;
    expect(await tab.page.evaluate(fetched)).toEqual([
      [200, true],
      [200, true],
      [404, expect.anything()],
    ]);
    const keys = `caches.open('tidegate-shell').then((cache) => cache.keys()).then((keys) => keys.length)`;
    expect(await tab.page.evaluate(keys)).toBe(5);
  });

  test('works where there are no service workers', async () => {
    const context = await stage.context();
    await context.addInitScript(
      `Object.defineProperty(Navigator.prototype, 'serviceWorker', { get: () => undefined })`,
    );
    const carol = await stage.enter('carol', 'plain', context);
    await carol.say('hello');
    await expectMessages(carol, ['carol: hello']);
    expect(carol.complaints).toEqual([]);
  });
});
