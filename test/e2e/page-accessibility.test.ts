import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import type { BrowserContextOptions } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { type ChatPage, isBrowserMissing } from './browser.ts';
import { expectMessages, PATIENCE, PageStage } from './page-stage.ts';

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

const LOOKS: readonly (readonly [string, BrowserContextOptions])[] = [
  ['light', { colorScheme: 'light' }],
  ['dark', { colorScheme: 'dark' }],
  ['phone', { viewport: { width: 390, height: 780 }, isMobile: true, hasTouch: true }],
];

describe.skipIf(isBrowserMissing)("the chat page's accessibility", () => {
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

  /** What axe finds on the page that is serious or worse. */
  async function faults({ page }: ChatPage): Promise<unknown> {
    return page.evaluate(`${AXE}; Promise.all(document.getAnimations().map(({ finished }) => finished)).then(() => axe.run()).then(({ violations }) =>
      violations.filter(({ impact }) => impact === 'serious' || impact === 'critical')
        .map(({ id, nodes }) => [id, ...nodes.map(({ html }) => html.slice(0, 200))]))`);
  }

  test.each(LOOKS)('axe finds nothing serious: %s', async (look, options) => {
    const context = await stage.context(options);
    const tab = await stage.tab('/', context);
    expect(await faults(tab)).toEqual([]);
    await tab.page.getByRole('button', { name: 'I have a token' }).click();
    expect(await faults(tab)).toEqual([]);

    const room = `axe-${look}`;
    const bob = await stage.tcp('bob');
    await bob.ok({ op: 'join', room });
    await bob.ok({ op: 'status', status: 'dnd', text: 'reading' });
    for (const text of ['hello', 'x'.repeat(3_000)]) await stage.publish(bob, room, { text });
    await stage.publish(bob, room, { n: 1 });
    await stage.publish(bob, '@user/ann', { text: 'psst' });
    const ann = await stage.enter('ann', room, context);
    await ann.say('hi');
    await expect.poll(async () => (await ann.messages()).length, PATIENCE).toBe(4);
    expect(await faults(ann)).toEqual([]);
    if (look === 'phone') {
      for (const drawer of ['Conversations', 'People']) {
        await ann.page.getByRole('button', { name: drawer }).click();
        expect(await faults(ann)).toEqual([]);
        expect(await ann.page.evaluate(`document.activeElement.closest('#sidebar, #people') !== null`)).toBe(true);
        // What is behind it can't be reached.
        expect(await ann.page.evaluate(`document.querySelector('#conversation').inert`)).toBe(true);
        await ann.page.keyboard.press('Escape');
        expect(await ann.page.evaluate('document.activeElement.id')).toMatch(/^open-/);
      }
      // Nothing that is touched is small.
      const small = `[...document.querySelectorAll('#chat button')].map((each) => [each.outerHTML, each.getBoundingClientRect()])
        .filter(([, { width, height }]) => width > 0 && (width < 40 || height < 40)).map(([html]) => html)`;
      expect(await ann.page.evaluate(small)).toEqual([]);
    } else {
      for (const opener of ['#join-open', '#write-open', '#self']) {
        await ann.page.locator(opener).click();
        expect(await faults(ann)).toEqual([]);
        await ann.page.keyboard.press('Escape');
      }
    }
  });

  test('what is new is read out, and what is old is not', async () => {
    const room = 'read-out';
    const bob = await stage.tcp('bob');
    await stage.publishMany(bob, room, 'old', 150);
    const context = await stage.context();
    // Each time something comes into the log: whether it would be read out.
    await context.addInitScript(`
      window.heard = [];
      addEventListener('DOMContentLoaded', () => new MutationObserver((changes) => {
        for (const { addedNodes } of changes) for (const node of addedNodes) {
          if (node.matches('.message') && log.ariaBusy !== 'true') heard.push(node.querySelector('.text').textContent);
        }
      }).observe(log, { childList: true }));
    `);
    const ann = await stage.enter('ann', room, context);
    await expect.poll(async () => (await ann.messages()).length, PATIENCE).toBe(100);
    await ann.page.evaluate('scroller.scrollTop = 0');
    await expect.poll(async () => (await ann.messages()).length, PATIENCE).toBe(150);
    const log = ann.page.getByRole('log');
    expect(await log.getAttribute('aria-live')).toBe('polite');
    await expect.poll(() => log.getAttribute('aria-busy'), PATIENCE).toBe('false');
    expect(await ann.page.evaluate('heard')).toEqual([]);
    await stage.publish(bob, room, { text: 'new' });
    await expect.poll(() => ann.page.evaluate('heard'), PATIENCE).toEqual(['new']);
    await ann.page.reload();
    await expectMessages(ann, [...Array.from({ length: 99 }, (_, i) => `bob: old ${i + 51}`), 'bob: new']);
    expect(await ann.page.evaluate('heard')).toEqual([]);
  });
});
