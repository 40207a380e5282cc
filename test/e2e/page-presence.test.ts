import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { isBrowserMissing } from './browser.ts';
import { expectMessages, PATIENCE, PageStage, untilConnected } from './page-stage.ts';
import { toldOf, untilPresent } from './stage.ts';

describe.skipIf(isBrowserMissing)("the chat page's presence", () => {
  let stage: PageStage;

  beforeAll(async () => {
    stage = await PageStage.open({ TIDEGATE_GRACE_MS: '2000', TIDEGATE_ANONYMOUS_PRESENCE: 'seen/**,@user/*' });
  });

  afterEach(async () => {
    await stage.clear();
  });

  afterAll(async () => {
    await stage?.close();
  });

  test('shows who is here, how they are and on how many devices, as it changes', async () => {
    const room = 'seen/here';
    const ann = await stage.enter('ann', room);
    await expect.poll(() => ann.people(), PATIENCE).toEqual(['ann: Online']);
    const bob = await stage.tcp('bob', { device: 'phone' });
    await bob.ok({ op: 'join', room });
    await expect.poll(() => ann.people(), PATIENCE).toEqual(['ann: Online', 'bob: Online']);
    await bob.ok({ op: 'status', status: 'away', text: '\u202Elunch' });
    await expect.poll(() => ann.people(), PATIENCE).toEqual(['ann: Online', 'bob: Away, \u202Elunch']);
    const desk = await stage.tcp('bob', { device: 'desk' });
    await desk.ok({ op: 'join', room });
    await expect.poll(() => ann.people(), PATIENCE).toEqual(['ann: Online', 'bob: Online, 2 devices']);
    expect(await ann.page.getByRole('heading', { name: '2 here' }).isVisible()).toBe(true);
    for (const client of [bob, desk]) client.send({ op: 'quit', id: 1 });
    await expect.poll(() => ann.people(), PATIENCE).toEqual(['ann: Online']);
    expect(ann.complaints).toEqual([]);
  });

  test('tells others the own status, within its bytes, also after a reload', async () => {
    const room = 'seen/status';
    const watcher = await stage.tcp('watcher');
    await watcher.ok({ op: 'join', room, presence: 'full', visible: false });
    await watcher.ok({ op: 'watch', users: ['cleo'] });
    const cleo = await stage.enter('cleo', room);
    await untilPresent(watcher, room, 'cleo');
    await cleo.page.locator('#self').click();
    await cleo.page.getByLabel('Do not disturb').check();
    const text = cleo.page.getByLabel('What are you up to?');
    await text.fill('é'.repeat(71));
    expect(await cleo.page.locator('#status-left').textContent()).toBe('-2 left');
    await cleo.page.getByRole('button', { name: 'Save' }).click();
    expect(await cleo.page.locator('#status-complaint').textContent()).toBe('That is too long.');
    await text.fill('sanding <b>');
    await cleo.page.getByRole('button', { name: 'Save' }).click();
    const state = { user: 'cleo', status: 'dnd', text: 'sanding <b>', devices: 1 };
    await expect.poll(async () => (await watcher.ok({ op: 'presence', room })).users, PATIENCE).toEqual([state]);
    expect(await cleo.page.locator('#self').textContent()).toContain('sanding <b>');
    const changes = ['dnd 1', 'changed seen/status: dnd 1'];
    await expect.poll(() => toldOf(watcher, 'cleo'), PATIENCE).toEqual(expect.arrayContaining(changes));

    // Nobody sees a page that is reloaded go and come.
    const told = toldOf(watcher, 'cleo');
    await cleo.page.reload();
    await untilConnected(cleo, 'cleo');
    await expect.poll(() => cleo.people(), PATIENCE).toEqual(['cleo: Do not disturb, sanding <b>']);
    expect(await cleo.page.locator('#self').textContent()).toContain('sanding <b>');
    // The end of the grace, for another one who was cut off at the same time.
    const bird = await stage.tcp('bird');
    await bird.ok({ op: 'join', room });
    bird.close();
    await watcher.push('the end of the bird', ({ left }) => JSON.stringify(left ?? '').includes('bird'));
    expect(toldOf(watcher, 'cleo')).toEqual(told);
  });

  test('tells that somebody is typing, and that it is over', async () => {
    const room = 'seen/typing';
    const [dan, eli] = [await stage.enter('dan', room), await stage.enter('eli', room)];
    const heard = await stage.tcp('watcher');
    await heard.ok({ op: 'join', room, visible: false });
    const signals = () => heard.heard.filter(({ push }) => push === 'signal').map(({ from, data }) => ({ from, data }));
    const typing = eli.page.locator('#typing');
    await dan.page.locator('#text').pressSequentially('hello');
    await expect.poll(() => typing.textContent(), PATIENCE).toBe('dan is typing…');
    expect(await dan.page.locator('#typing').textContent()).toBe('');
    await dan.page.keyboard.press('Enter');
    await expectMessages(eli, ['dan: hello']);
    await expect.poll(() => typing.textContent(), PATIENCE).toBe('');
    // Once for five letters, and once when it was over.
    await expect.poll(signals, PATIENCE).toEqual([
      { from: 'dan', data: { typing: true } },
      { from: 'dan', data: { typing: false } },
    ]);

    await dan.page.locator('#text').pressSequentially('hm');
    await expect.poll(() => typing.textContent(), PATIENCE).toBe('dan is typing…');
    await dan.page.locator('#text').fill('');
    await expect.poll(() => typing.textContent(), PATIENCE).toBe('');
    for (const user of ['fay', 'gus', 'hal']) {
      const client = await stage.tcp(user);
      await client.ok({ op: 'join', room });
      await client.ok({ op: 'signal', room, data: { typing: true } });
    }
    await expect.poll(() => typing.textContent(), PATIENCE).toBe('Several people are typing…');
    // They never say that they have stopped.
    await expect.poll(() => typing.textContent(), PATIENCE).toBe('');
    for (const tab of [dan, eli]) expect(tab.complaints).toEqual([]);
  });

  test('is not shown where it may not be heard', async () => {
    const iris = await stage.enter('iris', 'unseen');
    await iris.say('alone?');
    await expectMessages(iris, ['iris: alone?']);
    expect(await iris.people()).toEqual([]);
  });
});
