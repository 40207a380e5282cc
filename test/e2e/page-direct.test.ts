import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { isBrowserMissing } from './browser.ts';
import { expectMessages, PATIENCE, PageStage, untilConnected } from './page-stage.ts';

describe.skipIf(isBrowserMissing)("the chat page's direct messages", () => {
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

  test('go both ways, show in all tabs of both, and are there after a reload', async () => {
    const [ann, bob] = [await stage.enter('ann', 'square'), await stage.enter('bob', 'square')];
    await ann.page.getByRole('button', { name: /bob/ }).click();
    expect(await ann.page.getByRole('heading', { level: 1 }).textContent()).toContain('bob');
    await ann.say('psst');
    await expectMessages(ann, ['ann: psst']);
    await expect.poll(() => bob.list('Direct messages'), PATIENCE).toEqual(['ann 1 unread']);
    expect(await bob.messages()).toEqual([]);
    await bob.open('@ann');
    await bob.say('what?');
    const talk = ['ann: psst', 'bob: what?'];
    await expectMessages(ann, talk);
    await expectMessages(bob, talk);
    await expect.poll(() => ann.outgoing(), PATIENCE).toBe(0);

    const second = await stage.tab('/?dm=bob&user=ann', ann.page.context());
    await untilConnected(second, 'ann');
    await expectMessages(second, talk);
    await second.say('nothing');
    talk.push('ann: nothing');
    for (const tab of [ann, bob, second]) await expectMessages(tab, talk);
    for (const tab of [ann, bob]) {
      await tab.reload();
      await expectMessages(tab, talk);
    }
    // Another browser of hers, which remembers nothing.
    const other = await stage.enter('ann', 'square');
    await expect.poll(() => other.list('Direct messages'), PATIENCE).toEqual(['bob']);
    await other.open('@bob');
    await expectMessages(other, talk);
    for (const tab of [ann, bob, second, other]) expect(tab.complaints).toEqual([]);
  });

  test('come from and go to those who type them in a terminal', async () => {
    const eve = await stage.enter('eve', 'square');
    const terminal = await stage.terminal();
    terminal.sendRaw('/connect finn\n/msg eve hello from nc\n');
    await terminal.until('sent', () => terminal.words.find((line) => line.startsWith('# sent to')));
    await expect.poll(() => eve.list('Direct messages'), PATIENCE).toEqual(['finn 1 unread']);
    await eve.open('@finn');
    await expectMessages(eve, ['finn: hello from nc']);
    await eve.say('hello back');
    await terminal.until('the answer', () => terminal.words.find((line) => line === '[@user/finn] eve: hello back'));
    await expectMessages(eve, ['finn: hello from nc', 'eve: hello back']);
  });

  test('that were closed stay so until something new comes', async () => {
    const lou = await stage.enter('lou', 'lounge');
    const max = await stage.tcp('max');
    await stage.publish(max, '@user/lou', { text: 'one' });
    await expect.poll(() => lou.list('Direct messages'), PATIENCE).toEqual(['max 1 unread']);
    await lou.open('@max');
    await expectMessages(lou, ['max: one']);
    await lou.page.getByRole('button', { name: 'Close this conversation' }).click();
    await expect.poll(() => lou.list('Direct messages'), PATIENCE).toEqual([]);
    await lou.page.reload();
    await untilConnected(lou, 'lou');
    await expect.poll(() => lou.people(), PATIENCE).toEqual(['lou: Online']);
    expect(await lou.list('Direct messages')).toEqual([]);
    await stage.publish(max, '@user/lou', { text: 'two' });
    await expect.poll(() => lou.list('Direct messages'), PATIENCE).toEqual(['max 1 unread']);
    await lou.open('@max');
    await expectMessages(lou, ['max: one', 'max: two']);
    expect(await lou.lines()).toEqual(['day', 'message', 'new', 'message']);
  });

  test('cannot be put into the mouth of another one', async () => {
    const gil = await stage.enter('gil', 'square');
    const mallory = await stage.tcp('mallory');
    await stage.publish(mallory, '@user/gil', { text: 'look what he wrote', to: 'hana' });
    await expect.poll(() => gil.list('Direct messages'), PATIENCE).toEqual(['mallory 1 unread']);
  });

  test('tell how the partner is, and begin from a name', async () => {
    const ivy = await stage.enter('ivy', 'square');
    await ivy.page.getByRole('button', { name: 'New message' }).click();
    await ivy.page.keyboard.type('jack');
    await ivy.page.keyboard.press('Enter');
    const subtitle = ivy.page.locator('#subtitle');
    await expect.poll(() => subtitle.textContent(), PATIENCE).toBe('Offline');
    const jack = await stage.tcp('jack');
    await expect.poll(() => subtitle.textContent(), PATIENCE).toBe('Online');
    await jack.ok({ op: 'status', status: 'dnd', text: 'writing' });
    await expect.poll(() => subtitle.textContent(), PATIENCE).toBe('Do not disturb · writing');
    await jack.ok({ op: 'ping' });
    jack.send({ op: 'quit', id: 1 });
    await expect.poll(() => subtitle.textContent(), PATIENCE).toBe('Offline · last here just now');
  });

  test('are found again by scrolling back through all the others', async () => {
    const kim = await stage.enter('kim', 'square');
    const [lee, loud] = [await stage.tcp('lee'), await stage.tcp('loud')];
    await stage.publish(lee, '@user/kim', { text: 'long ago' });
    for (let part = 0; part < 2; part += 1) await stage.publishMany(loud, '@user/kim', 'noise', 200);
    await stage.publish(lee, '@user/kim', { text: 'just now' });
    await expect.poll(() => kim.list('Direct messages'), PATIENCE).toEqual(['lee 2 unread', 'loud 99+ unread']);
    await kim.page.reload();
    await untilConnected(kim, 'kim');
    await kim.open('@lee');
    await expectMessages(kim, ['lee: long ago', 'lee: just now']);
    const beginning = kim.page.getByRole('heading', { name: 'Beginning of your messages with lee' });
    await expect.poll(() => beginning.isVisible(), PATIENCE).toBe(true);
  });
});
