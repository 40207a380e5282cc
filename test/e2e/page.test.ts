import { join } from 'node:path';
import type { Browser } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { ChatPage, isBrowserMissing, startBrowser } from './browser.ts';
import { type Client, TcpClient } from './clients.ts';
import {
  type GatewayProcess,
  type Ports,
  runTidegate,
  startGateway,
  temporaryDirectory,
  UNLIMITED,
} from './gateway-process.ts';

/** What a scripted server is sent. */
interface Command {
  readonly op: string;
  readonly id?: number;
  readonly mid?: string;
  readonly data?: unknown;
}

const PATIENCE = { timeout: 15_000, interval: 50 };

/** Settings of a gateway that takes over the ports of another. */
function onPorts({ http, tcp, internal }: Ports): Record<string, string> {
  return {
    TIDEGATE_HTTP_PORT: String(http),
    TIDEGATE_TCP_PORT: String(tcp),
    TIDEGATE_INTERNAL_PORT: String(internal),
  };
}

describe.skipIf(isBrowserMissing)('the chat page', () => {
  let directory: Awaited<ReturnType<typeof temporaryDirectory>>;
  let gateway: GatewayProcess;
  let browser: Browser;
  const tabs: ChatPage[] = [];
  const clients: Client[] = [];
  let mids = 0;

  beforeAll(async () => {
    directory = await temporaryDirectory();
    gateway = await startGateway(directory.path, { env: UNLIMITED });
    browser = await startBrowser();
  });

  afterEach(async () => {
    for (const client of clients.splice(0)) client.close();
    for (const { page } of tabs.splice(0)) await page.context().close();
  });

  afterAll(async () => {
    await browser?.close();
    await gateway?.stop();
    await directory?.remove();
  });

  async function openTab(path: string): Promise<ChatPage> {
    const context = await browser.newContext();
    const tab = new ChatPage(await context.newPage());
    tabs.push(tab);
    await tab.page.goto(`http://127.0.0.1:${gateway.ports.http}${path}`);
    return tab;
  }

  /** A tab in the room, connected. */
  async function enter(user: string, room: string): Promise<ChatPage> {
    const tab = await openTab(`/?${new URLSearchParams({ room, user })}`);
    await expect.poll(() => tab.state(), PATIENCE).toBe(`Connected as ${user}`);
    return tab;
  }

  async function connectTcp(user: string): Promise<TcpClient> {
    const client = await TcpClient.open(gateway.ports.tcp);
    clients.push(client);
    await client.connect(user);
    return client;
  }

  async function publish(client: Client, room: string, data: unknown): Promise<void> {
    mids += 1;
    await client.ok({ op: 'publish', room, mid: `mid-${mids}`, data });
  }

  async function expectMessages(tab: ChatPage, messages: readonly string[]): Promise<void> {
    await expect.poll(() => tab.messages(), PATIENCE).toEqual(messages);
  }

  test('two tabs and a raw TCP socket share a room: each message once, in the same order', async () => {
    const room = 'shared';
    const [ann, bob] = [await enter('ann', room), await enter('bob', room)];
    const carl = await connectTcp('carl');
    await carl.ok({ op: 'join', room });

    const expected: string[] = [];
    for (let round = 1; round <= 3; round += 1) {
      await ann.say(`ann's ${round}`);
      expected.push(`ann: ann's ${round}`);
      await expectMessages(bob, expected);
      await bob.say(`bob's ${round}`);
      expected.push(`bob: bob's ${round}`);
      await expectMessages(ann, expected);
      await publish(carl, room, { text: `carl's ${round}` });
      expected.push(`carl: carl's ${round}`);
      await expectMessages(ann, expected);
      await expectMessages(bob, expected);
    }
    // All at once: in whatever order, but the same everywhere.
    const burst = 20;
    await Promise.all([
      ...Array.from({ length: burst }, (_, i) => publish(carl, room, { text: `burst ${i}` })),
      (async () => {
        for (let i = 0; i < burst; i += 1) await ann.say(`burst ${i}`);
      })(),
      (async () => {
        for (let i = 0; i < burst; i += 1) await bob.say(`burst ${i}`);
      })(),
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
      expect(await tab.outgoing()).toBe(0);
      expect(tab.complaints).toEqual([]);
    }
  });

  test('what others write stays text', async () => {
    const room = 'hostile';
    const ann = await enter('ann', room);
    const mallory = await connectTcp('mallory');
    const texts = [
      `<img src=x onerror="document.title='run'">`,
      `<script>document.title='run'</script><style>body{display:none}</style>`,
      `javascript:document.title='run'`,
      '\u202Eright to left\u0000\u001B[31m\u0007\u2028end',
      'x'.repeat(5_000),
      `z${'\u0335\u0489'.repeat(500)}`,
    ];
    for (const text of texts) await publish(mallory, room, { text });
    for (const data of [{ text: 5 }, '<b>', null, [1, { a: '<i>' }]]) await publish(mallory, room, data);

    const shown = [...texts, '{"text":5}', '"<b>"', 'null', '[1,{"a":"<i>"}]'].map((text) => `mallory: ${text}`);
    await expectMessages(ann, shown);
    const strange = ann.page.getByRole('log').locator('img, script, style, b, i, a');
    expect(await strange.count()).toBe(0);
    expect(await ann.page.title()).toBe(`${room} · tidegate`);
    const isTooWide =
      'document.documentElement.scrollWidth > innerWidth || scroller.scrollWidth > scroller.clientWidth';
    expect(await ann.page.evaluate(isTooWide)).toBe(false);
    // The same as history.
    await ann.page.reload();
    await expectMessages(ann, shown);
    expect(ann.complaints).toEqual([]);
  });

  test('the form leads into the room, by keyboard alone', async () => {
    const tab = await openTab('/');
    const { keyboard } = tab.page;
    await keyboard.type('not allowed!');
    await keyboard.press('Enter');
    expect(await tab.page.getByRole('log').isVisible()).toBe(false);
    await keyboard.press('ControlOrMeta+A');
    await keyboard.type('dora');
    await keyboard.press('Tab');
    await keyboard.type('harbour');
    await keyboard.press('Enter');
    await expect.poll(() => tab.state(), PATIENCE).toBe('Connected as dora');
    expect(new URL(tab.page.url()).search).toBe('?user=dora&room=harbour');
    await keyboard.type('hello');
    await keyboard.press('Enter');
    await expectMessages(tab, ['dora: hello']);
    expect(tab.complaints).toEqual([]);
  });

  test('a name that the URL gives wrong is asked for', async () => {
    const tab = await openTab(`/?${new URLSearchParams({ room: 'a room', user: 'ann' })}`);
    expect(await tab.page.getByLabel('Room').inputValue()).toBe('a room');
    expect(await tab.page.getByRole('button', { name: 'Enter' }).isVisible()).toBe(true);
  });

  test('a reload keeps the session to itself, and a second tab has its own', async () => {
    const room = 'devices';
    const ann = await enter('ann', room);
    const popup = ann.page.context().waitForEvent('page');
    // Opened by a script, a tab begins with a copy of its opener's session storage.
    await ann.page.evaluate('void open(location.href)');
    const second = new ChatPage(await popup);
    await expect.poll(() => second.state(), PATIENCE).toBe('Connected as ann');
    await second.say('from the second');
    await expectMessages(ann, ['ann: from the second']);
    await ann.page.reload();
    await expectMessages(ann, ['ann: from the second']);
    await ann.say('from the first');
    await expectMessages(second, ['ann: from the second', 'ann: from the first']);
    expect(await ann.state()).toBe('Connected as ann');
  });

  test('a session that is replaced says so and does not come back', async () => {
    const tab = await openTab('/');
    await tab.page.addInitScript(`sessionStorage.setItem('device', 'known')`);
    await tab.page.goto(`http://127.0.0.1:${gateway.ports.http}/?room=replaced&user=eve`);
    await expect.poll(() => tab.state(), PATIENCE).toBe('Connected as eve');
    const client = await TcpClient.open(gateway.ports.tcp);
    clients.push(client);
    await client.connect('eve', { device: 'known' });
    await expect.poll(() => tab.state(), PATIENCE).toBe('Closed by the server: replaced');
    expect(await tab.page.getByLabel('Message', { exact: true }).isDisabled()).toBe(true);
    expect(client.closed).toBeNull();
  });

  test('a killed gateway comes back, and so does the tab: nothing lost, nothing twice', async () => {
    const room = 'killed';
    const before = await connectTcp('carl');
    const expected: string[] = [];
    for (let i = 0; i < 10; i += 1) {
      await publish(before, room, { text: `before ${i}` });
      expected.push(`carl: before ${i}`);
    }
    const ann = await enter('ann', room);
    await ann.say('before too');
    expected.push('ann: before too');
    await expectMessages(ann, expected);

    const { ports } = gateway;
    await gateway.stop('SIGKILL');
    await expect.poll(() => ann.state(), PATIENCE).not.toBe('Connected as ann');
    await ann.say('written meanwhile');
    expect(await ann.outgoing()).toBe(1);

    gateway = await startGateway(directory.path, { env: { ...UNLIMITED, ...onPorts(ports) } });
    const after = await connectTcp('carl');
    await after.ok({ op: 'join', room });
    // More than a page, so that the tab has to catch up in several.
    for (let i = 0; i < 400; i += 1) await publish(after, room, { text: `after ${i}` });
    await expect.poll(() => ann.state(), PATIENCE).toBe('Connected as ann');
    await ann.say('after too');
    await after.until('all messages', () => after.messages(room).length === 402);

    for (const { from, data } of after.messages(room)) expected.push(`${from}: ${(data as { text: string }).text}`);
    await expectMessages(ann, expected);
    expect(new Set(expected).size).toBe(expected.length);
    expect(await ann.page.locator('.gap').count()).toBe(0);
    expect(await ann.outgoing()).toBe(0);
  });

  test('a log that was restored from a backup shows as a gap, and what is still there is not doubled', async () => {
    const room = 'restored';
    const carl = await connectTcp('carl');
    const ann = await enter('ann', room);
    for (const text of ['one', 'two']) await publish(carl, room, { text });
    await expectMessages(ann, ['carl: one', 'carl: two']);
    const file = join(directory.path, 'backup');
    expect(await runTidegate(['backup', file], { TIDEGATE_DATA_DIR: directory.path })).toMatchObject({ code: 0 });
    await ann.say('lost with the disk');
    await expectMessages(ann, ['carl: one', 'carl: two', 'ann: lost with the disk']);

    await gateway.stop();
    await expect.poll(() => ann.state(), PATIENCE).not.toBe('Connected as ann');
    const restored = join(directory.path, 'restored');
    expect(await runTidegate(['restore', file], { TIDEGATE_DATA_DIR: restored })).toMatchObject({ code: 0 });
    gateway = await startGateway(restored, { env: { ...UNLIMITED, ...onPorts(gateway.ports) } });
    await expect.poll(() => ann.state(), PATIENCE).toBe('Connected as ann');
    await ann.say('three');
    await expectMessages(ann, ['carl: one', 'carl: two', 'ann: lost with the disk', 'ann: three']);
    expect(
      await ann.page
        .getByRole('log')
        .locator('> *')
        .evaluateAll((all) => all.map((line) => line.getAttribute('class'))),
    ).toEqual(['message', 'message', 'message own', 'gap', 'message own']);
  });

  test('a publish whose answer was lost is sent again as it was, and shows once', async () => {
    const tab = await openTab('/');
    const publishes: Command[] = [];
    await tab.page.routeWebSocket('**/ws', (client) => {
      const server = client.connectToServer();
      let isCut = false;
      client.onMessage((frame) => {
        const command = JSON.parse(String(frame)) as Command;
        if (command.op === 'publish') {
          publishes.push(command);
          isCut = publishes.length === 1;
        }
        server.send(frame);
      });
      server.onMessage((frame) => {
        if (!isCut) client.send(frame);
        else if (String(frame).includes('"duplicate"')) void client.close({ code: 1001 });
      });
    });
    await tab.page.goto(`http://127.0.0.1:${gateway.ports.http}/?room=unanswered&user=ann`);
    await expect.poll(() => tab.state(), PATIENCE).toBe('Connected as ann');
    await tab.say('first');
    await tab.say('second');
    await expectMessages(tab, ['ann: first', 'ann: second']);
    await expect.poll(() => tab.outgoing(), PATIENCE).toBe(0);
    const [first, again, second] = publishes;
    expect(publishes).toHaveLength(3);
    expect({ ...again, id: first?.id }).toEqual(first);
    expect(second?.mid).not.toBe(first?.mid);
  });

  test('pages, resync, heartbeats and refusals go by the protocol', async () => {
    const room = 'scripted';
    const tab = await openTab('/');
    const epoch = 'e1';
    const sent: Command[] = [];
    let say = (_said: object): void => {};
    const message = (offset: number) => ({ room, epoch, offset, from: 'bob', mid: `m${offset}`, ts: 1, data: offset });
    const page = (from: number, to: number, more: boolean) => ({
      room,
      position: { epoch, offset: to },
      messages: Array.from({ length: to - from + 1 }, (_, i) => message(from + i)),
      more,
    });
    const answers: Record<string, object[]> = {
      connect: [{ ok: { heartbeatMs: 0, retryWindowMs: 0 } }],
      join: [
        { error: { code: 'unavailable', message: 'later', retryAfterMs: 1 } },
        { ok: { ...page(1, 3, false), recovered: false } },
        { ok: { ...page(8, 9, true), recovered: true } },
      ],
      history: [
        { error: { code: 'overloaded', message: 'later', retryAfterMs: 1 } },
        { ok: { ...page(9, 11, true) } },
        { ok: { ...page(15, 16, false), gap: { from: { epoch, offset: 11 }, to: { epoch, offset: 14 } } } },
      ],
      publish: [
        { error: { code: 'overloaded', message: 'later', retryAfterMs: 1 } },
        { ok: { room, mid: '', epoch, offset: 17, duplicate: false } },
        { error: { code: 'forbidden', message: 'not here' } },
      ],
    };
    await tab.page.routeWebSocket('**/ws', (client) => {
      say = (said) => client.send(JSON.stringify(said));
      client.onMessage((frame) => {
        const command = JSON.parse(String(frame)) as Command;
        sent.push(command);
        const answer = answers[command.op]?.shift();
        if (answer !== undefined) say({ id: command.id, ...answer });
      });
    });
    await tab.page.clock.install();
    await tab.page.goto(`http://127.0.0.1:${gateway.ports.http}/?room=${room}&user=ann`);
    const upTo = (offsets: number[]) => offsets.map((offset) => `bob: ${offset}`);
    await expectMessages(tab, upTo([1, 2, 3]));
    for (const offset of [2, 3, 4]) say({ push: 'message', ...message(offset) });
    await expectMessages(tab, upTo([1, 2, 3, 4]));

    say({ push: 'heartbeat' });
    say({ push: 'of a later version' });
    say({
      push: 'resync',
      room,
      position: { epoch, offset: 7 },
      gap: { from: { epoch, offset: 4 }, to: { epoch, offset: 7 } },
    });
    await expectMessages(tab, upTo([1, 2, 3, 4, 8, 9, 10, 11, 15, 16]));
    expect(await tab.page.locator('.gap').count()).toBe(2);
    expect(sent.map(({ op }) => op)).toEqual([
      ...['connect', 'join', 'join', 'pong', 'join', 'history', 'history', 'history'],
    ]);
    expect(sent[1]).toMatchObject({ room, history: 50 });
    expect(sent[4]).toMatchObject({ room, since: { epoch, offset: 7 } });
    expect(sent[5]).toMatchObject({ room, after: { epoch, offset: 9 } });
    expect(sent[6]).toMatchObject({ room, after: { epoch, offset: 9 } });
    expect(sent[7]).toMatchObject({ room, after: { epoch, offset: 11 } });

    await tab.say('taken at the second try');
    await tab.say('refused');
    await expect.poll(() => tab.page.getByRole('alert').allTextContents(), PATIENCE).toEqual(['Not sent: not here']);
    const [first, again, refused] = sent.slice(8);
    expect(first).toMatchObject({ op: 'publish', room, data: { text: 'taken at the second try' } });
    expect({ ...again, id: first?.id }).toEqual(first);
    expect(refused).toMatchObject({ op: 'publish', room, data: { text: 'refused' } });
    expect(await tab.outgoing()).toBe(1);

    await tab.say('never answered');
    await expect.poll(() => sent.length, PATIENCE).toBe(12);
    await tab.page.clock.fastForward(40_000);
    expect(await tab.page.getByRole('alert').count()).toBe(1);
    await tab.page.clock.fastForward(20_000);
    const notices = ['Not sent: not here', 'Not confirmed by the server in time'];
    await expect.poll(() => tab.page.getByRole('alert').allTextContents(), PATIENCE).toEqual(notices);
    expect(sent.length).toBe(12);
    expect(tab.complaints).toEqual([]);
  });
});
