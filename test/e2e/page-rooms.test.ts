import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { isBrowserMissing } from './browser.ts';
import { expectMessages, PATIENCE, PageStage, untilConnected } from './page-stage.ts';

describe.skipIf(isBrowserMissing)("the chat page's rooms", () => {
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

  test('the entrance leads into a room by keyboard alone, and so does all the rest', async () => {
    const tab = await stage.tab('/?room=harbour');
    const { keyboard } = tab.page;
    await keyboard.type('not allowed!');
    await keyboard.press('Enter');
    expect(await tab.page.getByRole('log').isVisible()).toBe(false);
    await keyboard.press('ControlOrMeta+A');
    await keyboard.type('dora');
    await keyboard.press('Tab');
    expect(await tab.page.locator('#enter-room').inputValue()).toBe('harbour');
    await keyboard.press('Enter');
    await untilConnected(tab, 'dora');
    expect(new URL(tab.page.url()).search).toBe('?room=harbour&user=dora');
    await keyboard.type('hello');
    await keyboard.press('Shift+Enter');
    await keyboard.type('there');
    await keyboard.press('Enter');
    await expectMessages(tab, ['dora: hello\nthere']);

    // A dialog takes the focus, keeps it, gives it back on Escape, and to the composer when a room was chosen.
    const focused = () => tab.page.evaluate('document.activeElement.id');
    const join = tab.page.getByRole('button', { name: 'Join a room' });
    await join.focus();
    await keyboard.press('Enter');
    expect(await focused()).toBe('join-name');
    for (let i = 0; i < 4; i += 1) await keyboard.press('Tab');
    expect(
      await tab.page.evaluate(`document.activeElement === document.body || !!document.activeElement.closest('dialog')`),
    ).toBe(true);
    await keyboard.press('Escape');
    expect(await focused()).toBe('join-open');
    await keyboard.press('Enter');
    await keyboard.type('@user/bob');
    await keyboard.press('Enter');
    expect(await tab.page.locator('#join-complaint').textContent()).toContain('not with @ in front');
    await keyboard.press('ControlOrMeta+A');
    await keyboard.type('attic');
    await keyboard.press('Enter');
    expect(await focused()).toBe('text');
    await expect.poll(() => tab.list('Rooms'), PATIENCE).toEqual(['[attic]', 'harbour']);

    await tab.page.locator('[data-key="attic"]').focus();
    await keyboard.press('ArrowDown');
    await keyboard.press('Enter');
    await expect.poll(() => tab.list('Rooms'), PATIENCE).toEqual(['attic', '[harbour]']);
    expect(await focused()).toBe('text');
    await keyboard.press('Alt+ArrowUp');
    await expect.poll(() => tab.list('Rooms'), PATIENCE).toEqual(['[attic]', 'harbour']);
    expect(new URL(tab.page.url()).search).toBe('?room=attic&user=dora');
    await tab.page.goBack();
    await expect.poll(() => tab.list('Rooms'), PATIENCE).toEqual(['attic', '[harbour]']);
    expect(tab.complaints).toEqual([]);
  });

  test('what is asked for wrongly by the address is asked for again', async () => {
    const tab = await stage.tab(`/?${new URLSearchParams({ room: 'a room', user: 'ann' })}`);
    expect(await tab.page.locator('#enter-room').inputValue()).toBe('a room');
    expect(await tab.page.getByLabel('Your name').inputValue()).toBe('ann');
    expect(await tab.page.getByRole('button', { name: 'Enter', exact: true }).isVisible()).toBe(true);
  });

  test('messages in other rooms and behind a hidden tab are unread, also after a reload', async () => {
    const carl = await stage.tcp('carl');
    const ann = await stage.enter('ann', 'kitchen');
    await stage.publish(carl, 'kitchen', { text: 'seen' });
    await expectMessages(ann, ['carl: seen']);
    for (const room of ['garden', 'cellar']) {
      await ann.page.getByRole('button', { name: 'Join a room' }).click();
      await ann.page.keyboard.type(room);
      await ann.page.keyboard.press('Enter');
    }
    await expect.poll(() => ann.list('Rooms'), PATIENCE).toEqual(['[cellar]', 'garden', 'kitchen']);
    for (let i = 0; i < 2; i += 1) await stage.publish(carl, 'kitchen', { text: `kitchen ${i}` });
    await stage.publishMany(carl, 'garden', 'garden', 130);
    const counts = ['[cellar]', 'garden 99+ unread', 'kitchen 2 unread'];
    await expect.poll(() => ann.list('Rooms'), PATIENCE).toEqual(counts);
    expect(await ann.page.title()).toBe('(99+) cellar · tidegate');

    await ann.page.reload();
    await untilConnected(ann, 'ann');
    await expect.poll(() => ann.list('Rooms'), PATIENCE).toEqual(counts);
    // Unread begins behind a line.
    await ann.open('kitchen');
    await expectMessages(ann, ['carl: seen', 'carl: kitchen 0', 'carl: kitchen 1']);
    expect(await ann.lines()).toEqual(['day', 'message', 'new', 'message', 'message']);
    await expect.poll(() => ann.list('Rooms'), PATIENCE).toEqual(['cellar', 'garden 99+ unread', '[kitchen]']);
    await ann.open('garden');
    await expect.poll(() => ann.page.title(), PATIENCE).toBe('garden · tidegate');

    await ann.setVisible(false);
    await stage.publish(carl, 'garden', { text: 'behind' });
    await expect.poll(() => ann.page.title(), PATIENCE).toBe('(1) garden · tidegate');
    await ann.setVisible(true);
    await expect.poll(() => ann.page.title(), PATIENCE).toBe('garden · tidegate');
    await expect.poll(async () => (await ann.lines()).slice(-2), PATIENCE).toEqual(['new', 'message']);
    // Read here is read in another tab of the same browser.
    const second = await stage.enter('ann', 'cellar', ann.page.context());
    await expect.poll(() => second.list('Rooms'), PATIENCE).toEqual(['[cellar]', 'garden', 'kitchen']);
    await ann.open('cellar');
    await stage.publish(carl, 'garden', { text: 'for both' });
    await expect.poll(() => second.list('Rooms'), PATIENCE).toEqual(['[cellar]', 'garden 1 unread', 'kitchen']);
    await ann.open('garden');
    await expect.poll(() => second.list('Rooms'), PATIENCE).toEqual(['[cellar]', 'garden', 'kitchen']);
  });

  test('a room is left for good, and the others are joined again after a reload', async () => {
    const watcher = await stage.tcp('watcher');
    await watcher.ok({ op: 'join', room: 'left', presence: 'full', visible: false });
    const ann = await stage.enter('ann', 'left');
    await watcher.push('ann', ({ room, joined }) => room === 'left' && joined !== undefined);
    await ann.page.getByRole('button', { name: 'Join a room' }).click();
    await ann.page.keyboard.type('kept');
    await ann.page.keyboard.press('Enter');
    await ann.open('left');
    await ann.page.getByRole('button', { name: 'Leave this room' }).click();
    await watcher.push('no ann', ({ room, left }) => room === 'left' && left !== undefined);
    await expect.poll(() => ann.list('Rooms'), PATIENCE).toEqual(['[kept]']);
    await ann.page.reload();
    await untilConnected(ann, 'ann');
    await expect.poll(() => ann.list('Rooms'), PATIENCE).toEqual(['[kept]']);
    await ann.page.getByRole('button', { name: 'Leave this room' }).click();
    await expect.poll(() => ann.page.getByText('You are in no room.').isVisible(), PATIENCE).toBe(true);
  });

  test('a link to a room is copied, or shown where there is no clipboard, and leads there', async () => {
    const context = await stage.context({ permissions: ['clipboard-read', 'clipboard-write'] });
    const ann = await stage.enter('ann', 'team/tea', context);
    const link = stage.url('/?room=team%2Ftea');
    await ann.page.getByRole('button', { name: 'Copy link' }).click();
    await expect.poll(() => ann.page.locator('#share').textContent(), PATIENCE).toContain('Copied');
    expect(await ann.page.evaluate('navigator.clipboard.readText()')).toBe(link);

    const bare = await stage.context();
    await bare.addInitScript(`Object.defineProperty(navigator, 'clipboard', { value: undefined })`);
    const bob = await stage.tab('/?room=team%2Ftea', bare);
    expect(await bob.page.locator('#enter-room').inputValue()).toBe('team/tea');
    await bob.page.getByLabel('Your name').fill('bob');
    await bob.page.keyboard.press('Enter');
    await untilConnected(bob, 'bob');
    await bob.page.getByRole('button', { name: 'Copy link' }).click();
    const field = bob.page.getByLabel('Copy it from here');
    expect(await field.inputValue()).toBe(link);
    expect(await bob.page.evaluate('getSelection().toString()')).toBe(link);
    // The next time, the name is known.
    await bob.page.goto(stage.url('/'));
    expect(await bob.page.getByLabel('Your name').inputValue()).toBe('bob');
    expect(await bob.page.locator('#enter-room').inputValue()).toBe('team/tea');
  });
});
