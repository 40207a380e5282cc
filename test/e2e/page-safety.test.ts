import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { mintToken } from '../../src/identity/development-token.ts';
import { isBrowserMissing } from './browser.ts';
import { expectMessages, PATIENCE, PageStage, untilConnected } from './page-stage.ts';

const SECRET = 'shared secret of 32 bytes or more';
const UNADDRESSED = { issuer: null, audience: null };
const ALL = { join: ['**'], publish: ['**'], presence: ['**'] };
const COUNT_VIOLATIONS = `
  window.violations = [];
  addEventListener('securitypolicyviolation', ({ violatedDirective }) => violations.push(violatedDirective));
`;

describe.skipIf(isBrowserMissing)("the chat page's safety", () => {
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

  test('what others write stays text, and within its own box', async () => {
    const room = 'hostile';
    const context = await stage.context();
    await context.addInitScript(COUNT_VIOLATIONS);
    const ann = await stage.enter('ann', room, context);
    const mallory = await stage.tcp('mallory');
    await mallory.ok({ op: 'join', room });
    const texts = [
      `<img src=x onerror="document.title='run'">`,
      `<script>document.title='run'</script><style>body{display:none}</style>`,
      `javascript:document.title='run'`,
      '\u202Eright to left\u0000\u001B[31m\u0007\u2028end',
      'x'.repeat(5_000),
      `z${'\u0335\u0489'.repeat(500)}`,
    ];
    for (const text of texts) await stage.publish(mallory, room, { text });
    for (const data of [{ text: 5 }, '<b>', null, [1, { a: '<i>' }]]) await stage.publish(mallory, room, data);
    await mallory.ok({ op: 'status', status: 'away', text: `<img src=x>\u202E${'\u0489'.repeat(30)}` });

    const shown = [...texts, '{"text":5}', '"<b>"', 'null', '[1,{"a":"<i>"}]'].map((text) => `mallory: ${text}`);
    await expectMessages(ann, shown);
    const strange = ann.page.locator('#log, #people-list').locator('img, script, style, b, i, a');
    expect(await strange.count()).toBe(0);
    expect(await ann.page.title()).toBe(`${room} · tidegate`);
    const isTooWide = `document.documentElement.scrollWidth > innerWidth ||
      [scroller, ...document.querySelectorAll('#people-list, .lists')].some((each) => each.scrollWidth > each.clientWidth)`;
    for (const width of [1280, 800, 360]) {
      await ann.page.setViewportSize({ width, height: 720 });
      expect(await ann.page.evaluate(isTooWide)).toBe(false);
    }
    // The same as history.
    await ann.reload();
    await expectMessages(ann, shown);
    expect(ann.complaints).toEqual([]);
    expect(await ann.page.evaluate('violations')).toEqual([]);
  });

  test('nothing is asked of others, no policy is broken, and nothing inline is run', async () => {
    const context = await stage.context();
    await context.addInitScript(COUNT_VIOLATIONS);
    const ann = await stage.enter('ann', 'policy', context);
    await ann.say('hello');
    await expectMessages(ann, ['ann: hello']);
    await ann.page.locator('#self').click();
    await ann.page.keyboard.press('Escape');
    await ann.page.getByRole('button', { name: 'New message' }).click();
    await ann.page.keyboard.type('bob');
    await ann.page.keyboard.press('Enter');
    await ann.say('hi');
    await expectMessages(ann, ['ann: hi']);
    expect(await ann.page.evaluate('violations')).toEqual([]);
    expect([...ann.hosts]).toEqual([new URL(stage.url('/')).host]);
    expect(ann.complaints).toEqual([]);

    await ann.page.evaluate(`(() => {
      const script = document.createElement('script');
      script.textContent = 'window.wasRun = true';
      document.body.append(script);
      document.body.insertAdjacentHTML('beforeend', '<img src=x onerror="window.wasRun = true"><p style="color:red">');
    })()`);
    await expect.poll(() => ann.page.evaluate('violations.length'), PATIENCE).toBeGreaterThanOrEqual(2);
    expect(await ann.page.evaluate('window.wasRun')).toBe(undefined);
  });

  test('a token leads in, is seen by nobody, and is asked for where it is missing or refused', async () => {
    const own = await PageStage.open({ TIDEGATE_AUTH: 'jwt', TIDEGATE_JWT_SECRET: SECRET });
    try {
      const token = await mintToken({ secret: SECRET, user: 'tess', ttlMs: 60_000, ...UNADDRESSED, ...ALL });
      const tab = await own.tab('/?room=vault&user=tess');
      await expect
        .poll(() => tab.page.locator('#enter-complaint').textContent(), PATIENCE)
        .toBe('This gateway asks for a token.');
      const field = tab.page.getByLabel('Token', { exact: true });
      await field.fill('nonsense');
      await tab.page.getByRole('button', { name: 'Enter', exact: true }).click();
      expect(await tab.page.locator('#enter-complaint').textContent()).toBe('That is no token.');
      await field.fill(`${token.slice(0, -8)}AAAAAAAA`);
      await tab.page.getByRole('button', { name: 'Enter', exact: true }).click();
      await expect
        .poll(() => tab.page.locator('#enter-complaint').textContent(), PATIENCE)
        .toBe('The token was refused.');
      await field.fill(token);
      await tab.page.getByRole('button', { name: 'Enter', exact: true }).click();
      await untilConnected(tab, 'tess');
      await tab.say('in');
      await expectMessages(tab, ['tess: in']);
      expect(tab.page.url()).toBe(own.url('/?room=vault'));
      await tab.page.reload();
      await untilConnected(tab, 'tess');

      const linked = await own.tab(`/?room=vault#token=${token}`);
      await untilConnected(linked, 'tess');
      expect(linked.page.url()).toBe(own.url('/?room=vault'));
      expect(await linked.page.evaluate('JSON.stringify(localStorage)')).not.toContain(token.slice(-20));
      await linked.page.locator('#self').click();
      await linked.page.getByRole('button', { name: 'Leave the chat' }).click();
      await expect
        .poll(() => linked.page.getByRole('button', { name: 'Enter', exact: true }).isVisible(), PATIENCE)
        .toBe(true);
      expect(await linked.page.evaluate('JSON.stringify(sessionStorage)')).not.toContain(token.slice(-20));
    } finally {
      await own.close();
    }
  });

  test('who is taken out of a room is told so, and may ask again', async () => {
    const ann = await stage.enter('ann', 'strict');
    await ann.say('something');
    await expectMessages(ann, ['ann: something']);
    const api = `http://127.0.0.1:${stage.gateway.ports.internal}/api/v1`;
    const kick = await fetch(`${api}/rooms/strict/kick`, { method: 'POST', body: JSON.stringify({ user: 'ann' }) });
    expect(kick.ok).toBe(true);
    const ended = ann.page.locator('#ended');
    await expect.poll(() => ended.textContent(), PATIENCE).toContain('You were taken out of this room.');
    await stage.publish(await stage.tcp('bob'), 'strict', { text: 'meanwhile' });
    await ended.getByRole('button', { name: 'Join again' }).click();
    await expectMessages(ann, ['ann: something', 'bob: meanwhile']);
    expect(await ended.isVisible()).toBe(false);
  });
});
