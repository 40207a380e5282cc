import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { type ChatPage, isBrowserMissing } from './browser.ts';
import { expectMessages, PATIENCE, PageStage } from './page-stage.ts';

interface Line {
  readonly text: string;
  /** Pixels below the top of what is seen. */
  readonly top: number;
}

/** Scrolls to `top` and tells which message is the first to be seen there, all before anything can come in above. */
function scrollTo(tab: ChatPage, top: number): Promise<Line> {
  return tab.page.evaluate(`(() => {
    scroller.scrollTop = ${top};
    const edge = scroller.getBoundingClientRect().top;
    const line = [...log.querySelectorAll('.message')].find((each) => each.getBoundingClientRect().top >= edge);
    return { text: line.querySelector('.text').textContent, top: line.getBoundingClientRect().top - edge };
  })()`);
}

/** Where that message is now. */
function topOf(tab: ChatPage, text: string): Promise<number> {
  return tab.page.evaluate(`(() => {
    const line = [...log.querySelectorAll('.message')].find((each) => each.querySelector('.text').textContent === '${text}');
    return line.getBoundingClientRect().top - scroller.getBoundingClientRect().top;
  })()`);
}

describe.skipIf(isBrowserMissing)("the chat page's history", () => {
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

  test('is read back to the beginning page by page, and what is looked at stays where it is', async () => {
    const room = 'old';
    await stage.publishMany(await stage.tcp('carl'), room, 'text', 350);
    const ann = await stage.enter('ann', room);
    await expect.poll(() => ann.messages(), PATIENCE).toContain('carl: text 349');
    const beginning = ann.page.getByRole('heading', { name: `Beginning of ${room}` });
    // The first hundred is more than what is seen, so that nothing older was asked for.
    expect((await ann.messages()).length).toBe(100);
    for (const count of [200, 300, 350]) {
      expect(await beginning.isVisible()).toBe(false);
      const line = await scrollTo(ann, 333);
      await expect.poll(async () => (await ann.messages()).length, PATIENCE).toBe(count);
      // In the same frame that it came in.
      expect(Math.abs((await topOf(ann, line.text)) - line.top)).toBeLessThan(1.5);
    }
    await ann.page.locator('#scroller').focus();
    await ann.page.keyboard.press('Home');
    await expect.poll(() => beginning.isVisible(), PATIENCE).toBe(true);
    await expectMessages(
      ann,
      Array.from({ length: 350 }, (_, i) => `carl: text ${i}`),
    );
    expect(ann.complaints).toEqual([]);
  });

  test('is bounded: the newest end is let go of, and come back to', async () => {
    const room = 'long';
    const carl = await stage.tcp('carl');
    for (let part = 0; part < 4; part += 1) await stage.publishMany(carl, room, `part ${part}`, 300);
    const ann = await stage.enter('ann', room);
    await ann.page.locator('#scroller').focus();
    const beginning = ann.page.getByRole('heading', { name: `Beginning of ${room}` });
    await expect
      .poll(async () => {
        await ann.page.keyboard.press('Home');
        return beginning.isVisible();
      }, PATIENCE)
      .toBe(true);
    const oldest = await ann.messages();
    expect(oldest).toHaveLength(1_000);
    expect([oldest[0], oldest.at(-1)]).toEqual(['carl: part 0 0', 'carl: part 3 99']);
    // What comes now belongs behind what is not there.
    await stage.publish(carl, room, { text: 'newest' });
    const jump = ann.page.locator('#jump');
    await expect.poll(() => jump.textContent(), PATIENCE).toContain('1 new message');
    expect(await ann.messages()).toEqual(oldest);
    await jump.click();
    await expect
      .poll(async () => (await ann.messages()).slice(-2), PATIENCE)
      .toEqual(['carl: part 3 299', 'carl: newest']);
    expect(await jump.isVisible()).toBe(false);
    // And back from there, without a hole.
    await scrollTo(ann, 0);
    await expect.poll(async () => (await ann.messages()).length, PATIENCE).toBeGreaterThan(200);
    const again = await ann.messages();
    const all = Array.from({ length: 4 }, (_, part) =>
      Array.from({ length: 300 }, (_, i) => `carl: part ${part} ${i}`),
    );
    expect(again).toEqual([...all.flat(), 'carl: newest'].slice(-again.length));
  });

  test('shows what comes only to who is at the end, and tells the others how much it is', async () => {
    const room = 'followed';
    const carl = await stage.tcp('carl');
    await stage.publishMany(carl, room, 'text', 60);
    const ann = await stage.enter('ann', room);
    await expect.poll(async () => (await ann.messages()).length, PATIENCE).toBe(60);
    const distance = () => ann.page.evaluate('scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight');
    await stage.publish(carl, room, { text: 'one more' });
    await expect.poll(() => ann.messages(), PATIENCE).toContain('carl: one more');
    expect(await distance()).toBeLessThan(2);

    const line = await scrollTo(ann, 200);
    for (const text of ['first', 'second']) await stage.publish(carl, room, { text });
    const jump = ann.page.locator('#jump');
    await expect.poll(() => jump.textContent(), PATIENCE).toContain('2 new messages');
    expect(Math.abs((await topOf(ann, line.text)) - line.top)).toBeLessThan(1.5);
    await jump.click();
    expect(await distance()).toBeLessThan(2);
    await expect.poll(() => jump.isVisible(), PATIENCE).toBe(false);
    // One's own message leads to the end.
    await scrollTo(ann, 200);
    await ann.say('mine');
    await expect.poll(distance, PATIENCE).toBeLessThan(2);
  });

  test('marks gaps where they are: live, and behind messages of their own page', async () => {
    const room = 'torn';
    const carl = await stage.tcp('carl');
    await stage.publishMany(carl, room, 'text', 150);
    const tab = await stage.tab('/');
    let isCut = false;
    await tab.page.routeWebSocket('**/ws', (client) => {
      const server = client.connectToServer();
      const historyIds = new Set<number>();
      client.onMessage((frame) => {
        for (const line of String(frame).split('\n')) {
          const { op, id } = JSON.parse(line) as { op: string; id: number };
          if (op === 'history') historyIds.add(id);
        }
        server.send(frame);
      });
      server.onMessage((frame) => {
        const lines = String(frame)
          .split('\n')
          .filter((line) => line !== '');
        for (const line of lines) {
          const said = JSON.parse(line) as { id?: number; ok?: Page; push?: string };
          const [torn, next] = said.ok?.messages?.slice(29, 31) ?? [];
          if (said.id !== undefined && historyIds.has(said.id) && said.ok && torn && next && !isCut) {
            isCut = true;
            const { epoch, offset } = torn;
            Object.assign(said.ok, { gap: { from: { epoch, offset: offset - 1 }, to: { epoch, offset } } });
            client.send(JSON.stringify(said));
          } else {
            client.send(line);
          }
        }
        const last = lines.at(-1) ?? '';
        if (!last.includes('text 149"') || !last.includes('"recovered"')) return;
        const { messages } = (JSON.parse(last) as { ok: Page }).ok;
        const { epoch, offset } = messages.at(-1) as Place;
        const gap = { from: { epoch, offset }, to: { epoch, offset: offset + 1 } };
        client.send(JSON.stringify({ push: 'resync', room, position: gap.to, gap }));
      });
    });
    await tab.page.goto(stage.url(`/?room=${room}&user=ann`));
    await expect.poll(async () => (await tab.messages()).at(-1), PATIENCE).toBe('carl: text 149');
    await expect.poll(async () => (await tab.lines()).at(-1), PATIENCE).toBe('gap');
    await scrollTo(tab, 0);
    await expectMessages(
      tab,
      Array.from({ length: 150 }, (_, i) => `carl: text ${i}`),
    );
    const lines = await tab.lines();
    const gaps = lines.flatMap((line, i) => (line === 'gap' ? [i] : []));
    // Behind the line of the day and thirty messages of fifty; and at the end.
    expect(gaps).toEqual([31, lines.length - 1]);
    expect(await tab.page.locator('.gap').first().textContent()).toBe('Messages may be missing here');
  });

  test('that cannot be read says so, and is read when asked again', async () => {
    const room = 'failing';
    await stage.publishMany(await stage.tcp('carl'), room, 'text', 120);
    const tab = await stage.tab('/');
    let failures = 1;
    await tab.page.routeWebSocket('**/ws', (client) => {
      const server = client.connectToServer();
      client.onMessage((frame) => {
        for (const line of String(frame).split('\n')) {
          const { op, id } = JSON.parse(line) as { op: string; id: number };
          if (op === 'history' && failures > 0) {
            failures -= 1;
            client.send(JSON.stringify({ id, error: { code: 'forbidden', message: 'not now' } }));
          } else {
            server.send(line);
          }
        }
      });
      server.onMessage((frame) => client.send(frame));
    });
    await tab.page.goto(stage.url(`/?room=${room}&user=ann`));
    await expect.poll(async () => (await tab.messages()).length, PATIENCE).toBe(100);
    await scrollTo(tab, 0);
    const again = tab.page.locator('#older-failed').getByRole('button', { name: 'Try again' });
    await again.click();
    await expect.poll(async () => (await tab.messages()).length, PATIENCE).toBe(120);
    expect(await again.isVisible()).toBe(false);
  });
});

interface Place {
  readonly epoch: string;
  readonly offset: number;
}

interface Page {
  readonly messages: readonly Place[];
}
