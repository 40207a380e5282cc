import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { ChatPage, isBrowserMissing } from './browser.ts';
import { runTidegate } from './gateway-process.ts';
import { expectMessages, PATIENCE, PageStage, untilConnected } from './page-stage.ts';

describe.skipIf(isBrowserMissing)('the chat page', () => {
  let stage: PageStage;

  beforeAll(async () => {
    stage = await PageStage.open({ TIDEGATE_ANONYMOUS_PUBLISH: 'open/**' });
  });

  afterEach(async () => {
    await stage.clear();
  });

  afterAll(async () => {
    await stage?.close();
  });

  test('two tabs and a raw TCP socket share a room: each message once, in the same order', async () => {
    const room = 'open/shared';
    const [ann, bob] = [await stage.enter('ann', room), await stage.enter('bob', room)];
    const carl = await stage.tcp('carl');
    await carl.ok({ op: 'join', room });

    const expected: string[] = [];
    for (let round = 1; round <= 3; round += 1) {
      await ann.say(`ann's ${round}`);
      expected.push(`ann: ann's ${round}`);
      await expectMessages(bob, expected);
      await bob.say(`bob's ${round}`);
      expected.push(`bob: bob's ${round}`);
      await expectMessages(ann, expected);
      await stage.publish(carl, room, { text: `carl's ${round}` });
      expected.push(`carl: carl's ${round}`);
      await expectMessages(ann, expected);
      await expectMessages(bob, expected);
    }
    // All at once: in whatever order, but the same everywhere.
    const burst = 10;
    await Promise.all([
      stage.publishMany(carl, room, 'burst', burst),
      ...[ann, bob].map(async (tab) => {
        for (let i = 0; i < burst; i += 1) await tab.say(`burst ${i}`);
      }),
    ]);
    const total = expected.length + 3 * burst;
    await carl.until('all messages', () => carl.messages(room).length === total);
    const heard = carl.messages(room).map(({ from, data }) => `${from}: ${(data as { text: string }).text}`);
    await expectMessages(ann, heard);
    await expectMessages(bob, heard);
    expect(heard.slice(0, expected.length)).toEqual(expected);
    for (const user of ['ann', 'bob', 'carl']) {
      const own = heard.filter((message) => message.startsWith(`${user}: burst`));
      expect(own).toEqual(Array.from({ length: burst }, (_, i) => `${user}: burst ${i}`));
    }
    for (const tab of [ann, bob]) {
      await expect.poll(() => tab.outgoing(), PATIENCE).toBe(0);
      expect(tab.complaints).toEqual([]);
    }
  });

  test('what is written while the gateway is dead is delivered once, and nothing is lost or doubled', async () => {
    const room = 'open/killed';
    const before = await stage.tcp('carl');
    await stage.publishMany(before, room, 'before', 10);
    const ann = await stage.enter('ann', room);
    await ann.say('before too');
    const expected = [...Array.from({ length: 10 }, (_, i) => `carl: before ${i}`), 'ann: before too'];
    await expectMessages(ann, expected);

    await stage.gateway.stop('SIGKILL');
    const banner = ann.page.locator('#banner');
    await expect
      .poll(() => banner.textContent(), PATIENCE)
      .toMatch(/Can’t reach 127.0.0.1:\d+\s+(next try in \d+ s|trying now)/);
    // What counts the seconds is no news, each of them.
    expect(await banner.locator('[aria-live], [role]').count()).toBe(0);
    expect(await ann.page.locator('#banner-countdown').getAttribute('aria-hidden')).toBe('true');
    await ann.say('written meanwhile');
    await expect.poll(() => ann.outgoing(), PATIENCE).toBe(1);
    expect(await ann.page.locator('#outgoing .message').getAttribute('class')).toContain('waiting');

    await stage.startAgain();
    const after = await stage.tcp('carl');
    await after.ok({ op: 'join', room });
    // More than a page, so that the tab has to catch up in several.
    await stage.publishMany(after, room, 'after', 400);
    await untilConnected(ann, 'ann');
    await ann.say('after too');
    await after.until('all messages', () => after.messages(room).length === 402);

    for (const { from, data } of after.messages(room)) expected.push(`${from}: ${(data as { text: string }).text}`);
    await expectMessages(ann, expected);
    expect(new Set(expected).size).toBe(expected.length);
    expect(await ann.lines()).not.toContain('gap');
    await expect.poll(() => ann.outgoing(), PATIENCE).toBe(0);
    expect(await banner.isVisible()).toBe(false);
  });

  test('a log that was restored from a backup shows as a gap, and what is still there is not doubled', async () => {
    const room = 'open/restored';
    const carl = await stage.tcp('carl');
    const ann = await stage.enter('ann', room);
    for (const text of ['one', 'two']) await stage.publish(carl, room, { text });
    await expectMessages(ann, ['carl: one', 'carl: two']);
    const file = join(stage.directory, 'backup');
    expect(await runTidegate(['backup', file], { TIDEGATE_DATA_DIR: stage.directory })).toMatchObject({ code: 0 });
    await ann.say('lost with the disk');
    await expectMessages(ann, ['carl: one', 'carl: two', 'ann: lost with the disk']);

    await stage.gateway.stop();
    await expect.poll(() => ann.state(), PATIENCE).not.toBe('Connected as ann');
    const restored = join(stage.directory, 'restored');
    expect(await runTidegate(['restore', file], { TIDEGATE_DATA_DIR: restored })).toMatchObject({ code: 0 });
    await stage.startAgain(restored);
    await untilConnected(ann, 'ann');
    await ann.say('three');
    await expectMessages(ann, ['carl: one', 'carl: two', 'ann: lost with the disk', 'ann: three']);
    expect(await ann.lines()).toEqual(['day', 'message', 'message', 'message', 'gap', 'message']);
  });

  test('a message that is refused stays, with the reason, until it is sent again or thrown away', async () => {
    const ann = await stage.enter('ann', 'closed');
    await ann.say('not here');
    const failed = ann.page.locator('#outgoing .failed');
    await expect
      .poll(() => failed.getByRole('alert').allTextContents(), PATIENCE)
      .toEqual([expect.stringMatching(/^Not sent: .+/)]);
    expect(await failed.locator('.text').textContent()).toBe('not here');
    await failed.getByRole('button', { name: 'Try again' }).click();
    await expect.poll(() => failed.count(), PATIENCE).toBe(1);
    await failed.getByRole('button', { name: 'Discard' }).click();
    await expect.poll(() => ann.outgoing(), PATIENCE).toBe(0);
    expect(await ann.messages()).toEqual([]);
  });

  test('what is too long to be sent is said so, and can be made shorter', async () => {
    const room = 'open/long';
    const ann = await stage.enter('ann', room);
    // Two bytes each, and `{"text":""}` around it.
    const text = 'é'.repeat(8_187);
    await ann.say(text);
    expect(await ann.page.locator('#complaint').textContent()).toBe('Too long by 1 bytes');
    await ann.page.keyboard.press('Backspace');
    await ann.page.keyboard.press('Enter');
    await expectMessages(ann, [`ann: ${text.slice(1)}`]);
  });

  test('a reload keeps the session to itself, and a second tab has its own', async () => {
    const ann = await stage.enter('ann', 'open/devices');
    const popup = ann.page.context().waitForEvent('page');
    // Opened by a script, a tab begins with a copy of its opener's session storage.
    await ann.page.evaluate('void open(location.href)');
    const second = new ChatPage(await popup);
    await untilConnected(second, 'ann');
    await second.say('from the second');
    await expectMessages(ann, ['ann: from the second']);
    await ann.page.reload();
    await expectMessages(ann, ['ann: from the second']);
    await ann.say('from the first');
    await expectMessages(second, ['ann: from the second', 'ann: from the first']);
    expect(await ann.state()).toBe('Connected as ann');
  });

  test('a session that is replaced says so, and comes back when it is asked to', async () => {
    const tab = await stage.tab('/');
    await tab.page.addInitScript(`sessionStorage.setItem('tidegate.device', 'known')`);
    await tab.page.goto(stage.url('/?room=open/replaced&user=eve'));
    await untilConnected(tab, 'eve');
    await tab.say('first');
    await expectMessages(tab, ['eve: first']);
    const other = await stage.tcp('eve', { device: 'known' });
    const banner = tab.page.locator('#banner');
    await expect.poll(() => banner.textContent(), PATIENCE).toContain('This chat was opened in another place.');
    expect(other.closed).toBeNull();
    await banner.getByRole('button', { name: 'Use it here' }).click();
    await untilConnected(tab, 'eve');
    expect(await other.disconnected()).toMatchObject({ code: 3504 });
    await tab.say('second');
    await expectMessages(tab, ['eve: first', 'eve: second']);
  });
});
