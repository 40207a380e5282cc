import type { Socket } from 'node:net';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { freeze } from '../faults/machine.ts';
import { isBrowserMissing, startBrowser } from './browser.ts';
import type { Client, TcpClient, WsClient } from './clients.ts';
import { REPLICAS } from './replica-count.ts';
import {
  roomPushes,
  Stage,
  type TransportName,
  toldOf,
  type UserState,
  untilPresent,
  untilTold,
  userPushes,
} from './stage.ts';
import { testOfOneProcess } from './test-of-one-process.ts';

const GRACE_MS = 1_500;
const PATIENCE = { timeout: 15_000, interval: 50 };

let stage: Stage;
let names = 0;

beforeAll(async () => {
  stage = await Stage.open({
    TIDEGATE_GRACE_MS: String(GRACE_MS),
    TIDEGATE_PRESENCE_PUSH_MS: '50',
    TIDEGATE_LIMIT_COMMANDS: '0',
  });
});

afterAll(async () => {
  await stage?.close();
});

function fresh(kind: string): string {
  names += 1;
  return `${kind}-${names}`;
}

/** A room and a user in it, both watched by somebody. */
interface Scene {
  readonly room: string;
  readonly user: string;
  readonly watcher: Client;
  /** Resolves when somebody who was cut off now would be gone: what was before is over too. */
  graceOver(): Promise<void>;
}

async function scene(on = stage, others: readonly string[] = []): Promise<Scene> {
  const [room, user, canary] = [fresh('room'), fresh('ann'), fresh('canary')];
  const watcher = await on.client(fresh('watcher'));
  for (const each of [room, ...others]) {
    await watcher.ok({ op: 'join', room: each, presence: 'full', visible: false });
  }
  await watcher.ok({ op: 'watch', users: [user, canary] });
  return {
    room,
    user,
    watcher,
    async graceOver() {
      const bird = await on.client(canary, { device: fresh('cage') });
      for (const each of [room, ...others]) await bird.ok({ op: 'join', room: each });
      const seen = toldOf(watcher, canary).filter((told) => told.startsWith('left') || told.startsWith('off')).length;
      bird.close();
      const expected = seen + 2 + others.length;
      await watcher.until(
        'the end of the canary',
        () =>
          toldOf(watcher, canary).filter((told) => told.startsWith('left') || told.startsWith('off')).length ===
          expected,
      );
    },
  };
}

function socketOf(client: Client): Socket {
  const { socket } = client as TcpClient;
  // `ws` has no other way to reach it.
  return socket ?? (client as unknown as { ws: { _socket: Socket } }).ws._socket;
}

function raw(client: WsClient): WsClient['ws'] {
  return client.ws;
}

const ENDS: readonly [string, TransportName, (client: Client) => void][] = [
  ['a destroyed TCP socket', 'tcp', (client) => client.close()],
  ['a reset', 'tcp', (client) => socketOf(client).resetAndDestroy()],
  ['a FIN', 'tcp', (client) => socketOf(client).end()],
  ['a destroyed WebSocket', 'ws', (client) => raw(client as WsClient).terminate()],
  ['a reset WebSocket', 'ws', (client) => socketOf(client).resetAndDestroy()],
  ['a close 1001', 'ws', (client) => raw(client as WsClient).close(1001)],
  ['a close 4000', 'ws', (client) => raw(client as WsClient).close(4000, 'silence')],
];

const GOODBYES: readonly [string, TransportName, (client: Client) => void][] = [
  ['quit over TCP', 'tcp', (client) => client.send({ op: 'quit', id: 1 })],
  ['quit over WebSocket', 'ws', (client) => client.send({ op: 'quit', id: 1 })],
  ['a close 1000', 'ws', (client) => raw(client as WsClient).close(1000)],
  ['a close without a code', 'ws', (client) => raw(client as WsClient).close()],
];

describe.concurrent('within the grace', () => {
  test.each(ENDS)('%s and a new session of the device show nothing', async (_, transport, end) => {
    const { room, user, watcher, graceOver } = await scene();
    const first = await stage.client(user, { device: 'd' }, transport);
    await first.ok({ op: 'join', room });
    await first.ok({ op: 'status', status: 'away', text: 'tea' });
    await untilTold(watcher, room, 'joined', user);
    await watcher.until('away', () => toldOf(watcher, user).includes('away 1'));
    const told = toldOf(watcher, user);
    end(first);
    await first.untilClosed();
    const state = { user, status: 'away', text: 'tea', devices: 1 };
    expect((await watcher.ok({ op: 'presence', room })).users).toEqual([state]);
    const second = await stage.client(user, { device: 'd' }, transport);
    await second.ok({ op: 'join', room });
    expect((await watcher.ok({ op: 'presence', room })).users).toEqual([state]);
    await graceOver();
    expect((await watcher.ok({ op: 'presence', room })).users).toEqual([state]);
    expect(await watcher.ok({ op: 'presence', user })).toMatchObject(state);
    const now = toldOf(watcher, user);
    // The status may have been told in the room a little later than as the user's.
    expect(now.filter((each) => !each.startsWith('changed'))).toEqual(
      told.filter((each) => !each.startsWith('changed')),
    );
    expect(now.filter((each) => each.startsWith('changed')).length).toBeLessThanOrEqual(1);
  });

  test('a device that comes back under another name makes two devices, then one', async () => {
    const { room, user, watcher, graceOver } = await scene();
    const first = await stage.client(user, { device: 'd' });
    await first.ok({ op: 'join', room });
    await untilPresent(watcher, room, user);
    const told = toldOf(watcher, user).length;
    first.close();
    const second = await stage.client(user, { device: 'e' });
    await second.ok({ op: 'join', room });
    await watcher.until('two', () => toldOf(watcher, user).includes('online 2'));
    await graceOver();
    expect(toldOf(watcher, user).slice(told).sort()).toEqual(
      ['online 2', `changed ${room}: online 2`, 'online 1', `changed ${room}: online 1`].sort(),
    );
    expect(userPushes(watcher, user).map(({ devices }) => devices)).toEqual([1, 2, 1]);
  });

  test('a session that is replaced shows nothing, and its status goes on', async () => {
    const { room, user, watcher, graceOver } = await scene();
    const first = await stage.client(user, { device: 'd' });
    await first.ok({ op: 'status', status: 'dnd', text: 'busy' });
    await first.ok({ op: 'join', room });
    await untilPresent(watcher, room, user, 'dnd 1');
    const told = toldOf(watcher, user);
    const second = await stage.client(user, { device: 'd' }, 'ws');
    expect(await first.disconnected()).toMatchObject({ code: 3504, reason: 'replaced', reconnect: null });
    await second.ok({ op: 'join', room });
    await graceOver();
    expect(toldOf(watcher, user)).toEqual(told);
    expect((await watcher.ok({ op: 'presence', room })).users).toEqual([
      { user, status: 'dnd', text: 'busy', devices: 1 },
    ]);
    // And when the second one leaves, nothing of the first one is left.
    second.send({ op: 'quit', id: 1 });
    await untilTold(watcher, room, 'left', user);
    await watcher.until('offline', () => toldOf(watcher, user).includes('offline 0'));
  });

  test('many flaps show nothing, and the end shows once', async () => {
    const { room, user, watcher, graceOver } = await scene();
    let client = await stage.client(user, { device: 'd' });
    await client.ok({ op: 'join', room });
    await untilPresent(watcher, room, user);
    const told = toldOf(watcher, user);
    for (let i = 0; i < 40; i += 1) {
      client.close();
      client = await stage.client(user, { device: 'd' }, i % 2 ? 'tcp' : 'ws');
      await client.ok({ op: 'join', room });
      if (client.closed === null && i % 2 === 0) raw(client as WsClient).terminate();
    }
    await graceOver();
    expect(toldOf(watcher, user)).toEqual(told);
    client.close();
    await untilTold(watcher, room, 'left', user);
    await watcher.until('offline', () => toldOf(watcher, user).includes('offline 0'));
    expect(toldOf(watcher, user)).toHaveLength(told.length + 2);
  });

  // Each comes to another replica, and so many of those take longer than the grace is here.
  testOfOneProcess("one device's flaps do not cost the other one its grace", async () => {
    const { room, user, watcher, graceOver } = await scene();
    const phone = await stage.client(user, { device: 'phone' });
    await phone.ok({ op: 'join', room });
    let desk = await stage.client(user, { device: 'desk' });
    await watcher.until('two', () => toldOf(watcher, user).includes(`online 2`));
    await watcher.until('two in the room', () => toldOf(watcher, user).some((told) => told.endsWith(': online 2')));
    const told = toldOf(watcher, user);
    phone.close();
    for (let i = 0; i < 20; i += 1) {
      desk.close();
      desk = await stage.client(user, { device: 'desk' });
    }
    expect(await watcher.ok({ op: 'presence', user })).toMatchObject({ devices: 2 });
    const again = await stage.client(user, { device: 'phone' });
    await again.ok({ op: 'join', room });
    await graceOver();
    expect(toldOf(watcher, user)).toEqual(told);
  });

  test('who comes back to one of two rooms only has left the other one when the grace is over', async () => {
    const other = fresh('room');
    const { room, user, watcher } = await scene(stage, [other]);
    const first = await stage.client(user, { device: 'd' });
    for (const each of [room, other]) await first.ok({ op: 'join', room: each });
    await untilTold(watcher, room, 'joined', user);
    await untilTold(watcher, other, 'joined', user);
    const begun = performance.now();
    first.close();
    const second = await stage.client(user, { device: 'd' });
    await second.ok({ op: 'join', room });
    const left = await untilTold(watcher, other, 'left', user);
    expect(left.left).toEqual([{ user, status: 'online', devices: 1 }]);
    expect(performance.now() - begun).toBeGreaterThan(GRACE_MS * 0.9);
    const elsewhere = toldOf(watcher, user).filter((told) => !told.includes(other));
    expect(elsewhere.sort()).toEqual([`joined ${room}: online 1`, 'online 1']);
  });

  test('who comes back and leaves the room is out at once', async () => {
    const { room, user, watcher } = await scene();
    const first = await stage.client(user, { device: 'd' });
    await first.ok({ op: 'join', room });
    await untilTold(watcher, room, 'joined', user);
    first.close();
    const second = await stage.client(user, { device: 'd' });
    await second.ok({ op: 'join', room });
    const begun = performance.now();
    await second.ok({ op: 'leave', room });
    await untilTold(watcher, room, 'left', user);
    expect(performance.now() - begun).toBeLessThan(GRACE_MS / 2);
    expect(await watcher.ok({ op: 'presence', user })).toMatchObject({ status: 'online', devices: 1 });
  });

  test('who comes back and says goodbye is gone at once', async () => {
    const { room, user, watcher } = await scene();
    const first = await stage.client(user, { device: 'd' });
    await first.ok({ op: 'join', room });
    await untilTold(watcher, room, 'joined', user);
    first.close();
    const second = await stage.client(user, { device: 'd' });
    await second.ok({ op: 'ping' });
    const begun = performance.now();
    second.send({ op: 'quit', id: 1 });
    await untilTold(watcher, room, 'left', user);
    await watcher.until('offline', () => toldOf(watcher, user).includes('offline 0'));
    expect(performance.now() - begun).toBeLessThan(GRACE_MS / 2);
  });

  test.each(['cut off', 'replaced'])('who was %s, comes back and quits in one breath is no ghost', async (how) => {
    const { room, user, watcher, graceOver } = await scene();
    const first = await stage.client(user, { device: 'd' });
    await first.ok({ op: 'join', room });
    await untilTold(watcher, room, 'joined', user);
    if (how === 'cut off') {
      first.close();
      await first.untilClosed();
    }
    const second = await stage.tcp();
    second.sendRaw(`{"op":"connect","id":1,"user":"${user}","device":"d"}\n{"op":"quit","id":2}\n`);
    await second.untilClosed();
    await graceOver();
    expect(await watcher.ok({ op: 'presence', room })).toMatchObject({ count: 0 });
    expect(await watcher.ok({ op: 'presence', user })).toMatchObject({ status: 'offline', devices: 0 });
    expect(toldOf(watcher, user).filter((told) => told.startsWith('left'))).toHaveLength(1);
    expect(toldOf(watcher, user).filter((told) => told === 'offline 0')).toHaveLength(1);
  });
});

describe.concurrent('after the grace', () => {
  test.each(ENDS)('who ended with %s is gone, and that is told once', async (_, transport, end) => {
    const { room, user, watcher, graceOver } = await scene();
    const client = await stage.client(user, {}, transport);
    await client.ok({ op: 'join', room });
    await untilTold(watcher, room, 'joined', user);
    const begun = performance.now();
    const endedMs = Date.now();
    end(client);
    const left = await untilTold(watcher, room, 'left', user);
    const tookMs = performance.now() - begun;
    expect(left).toMatchObject({ count: 0, left: [{ user, status: 'offline', devices: 0 }] });
    expect(tookMs).toBeGreaterThan(GRACE_MS * 0.95);
    expect(tookMs).toBeLessThan(GRACE_MS + 1_500);
    await graceOver();
    expect(toldOf(watcher, user).slice(-2).sort()).toEqual([`left ${room}: offline 0`, 'offline 0'].sort());
    expect(toldOf(watcher, user).filter((told) => /left|offline/.test(told))).toHaveLength(2);
    // Seen last when it was cut off, not when the grace was over.
    const { lastSeenMs } = (await watcher.ok({ op: 'presence', user })) as { lastSeenMs: number };
    expect(lastSeenMs).toBeGreaterThanOrEqual(endedMs);
    expect(lastSeenMs).toBeLessThan(endedMs + GRACE_MS / 2);
  });
});

describe.concurrent('at once', () => {
  async function expectGone(how: Scene, end: () => void): Promise<void> {
    await untilTold(how.watcher, how.room, 'joined', how.user);
    const begun = performance.now();
    end();
    const left = await untilTold(how.watcher, how.room, 'left', how.user);
    expect(left.left).toEqual([{ user: how.user, status: 'offline', devices: 0 } satisfies UserState]);
    await how.watcher.until('offline', () => userPushes(how.watcher, how.user).some(({ devices }) => devices === 0));
    expect(performance.now() - begun).toBeLessThan(1_000);
  }

  test.each(GOODBYES)('%s shows', async (_, transport, end) => {
    const it = await scene();
    const client = await stage.client(it.user, {}, transport);
    await client.ok({ op: 'join', room: it.room });
    await expectGone(it, () => end(client));
  });

  test('/quit shows', async () => {
    const it = await scene();
    const person = await stage.tcp();
    person.sendRaw(`/connect ${it.user}\n/join ${it.room}\n`);
    await expectGone(it, () => person.sendRaw('/quit\n'));
  });

  test.each(['destroy', 'FIN'])('without a grace any end shows, by %s', async (how) => {
    const none = await Stage.open({ TIDEGATE_GRACE_MS: '0', TIDEGATE_PRESENCE_PUSH_MS: '50' });
    try {
      const it = await scene(none);
      const client = await none.tcp();
      await client.connect(it.user);
      await client.ok({ op: 'join', room: it.room });
      await expectGone(it, () => (how === 'FIN' ? client.socket.end() : client.close()));
      expect(roomPushes(it.watcher, it.room)).toHaveLength(2);
      // One who is replaced and joins again in the same breath has not gone, and quits for good.
      const first = await none.client(it.user, { device: 'd' });
      await first.ok({ op: 'join', room: it.room });
      const second = await none.tcp();
      second.sendRaw(
        `{"op":"connect","id":1,"user":"${it.user}","device":"d"}\n{"op":"join","id":2,"room":"${it.room}"}\n`,
      );
      await second.until('the join', () => second.heard.find(({ id }) => id === 2));
      const isSeen = async () =>
        expect((await it.watcher.ok({ op: 'presence', room: it.room })).users).toMatchObject([{ devices: 1 }]);
      // From one replica to another it is seen in the room again as soon as it has joined there.
      await (REPLICAS === 1 ? isSeen() : vi.waitFor(isSeen));
      second.send({ op: 'quit', id: 3 });
      await second.untilClosed();
      await vi.waitFor(async () =>
        expect(await it.watcher.ok({ op: 'presence', user: it.user })).toMatchObject({ devices: 0 }),
      );
    } finally {
      await none.close();
    }
  });
});

describe.skipIf(isBrowserMissing).concurrent('in a browser', () => {
  let browser: Browser;

  beforeAll(async () => {
    browser = await startBrowser();
  });

  afterAll(async () => {
    await browser?.close();
  });

  async function untilConnected(page: Page, user: string): Promise<void> {
    const state = () => page.getByRole('status').textContent();
    await vi.waitFor(async () => expect(await state()).toBe(`Connected as ${user}`), PATIENCE);
  }

  async function enter({ room, user, watcher }: Scene, page: Page, on = stage): Promise<Page> {
    await page.goto(`http://127.0.0.1:${on.gateway.ports.http}/?${new URLSearchParams({ room, user })}`);
    await untilConnected(page, user);
    await untilTold(watcher, room, 'joined', user);
    return page;
  }

  test('F5 shows nothing', async () => {
    const it = await scene();
    const page = await enter(it, await (await browser.newContext()).newPage());
    await untilPresent(it.watcher, it.room, it.user);
    const told = toldOf(it.watcher, it.user);
    for (let i = 0; i < 3; i += 1) {
      await page.reload();
      await untilConnected(page, it.user);
    }
    await it.graceOver();
    expect(toldOf(it.watcher, it.user)).toEqual(told);
    await page.context().close();
  });

  test.each(['closing the tab', 'going elsewhere'])('%s shows when the grace is over, and once', async (how) => {
    const it = await scene();
    const page = await enter(it, await (await browser.newContext()).newPage());
    const begun = performance.now();
    if (how === 'closing the tab') await page.close();
    else await page.goto('about:blank');
    await untilTold(it.watcher, it.room, 'left', it.user);
    expect(performance.now() - begun).toBeGreaterThan(GRACE_MS * 0.95);
    await it.graceOver();
    expect(toldOf(it.watcher, it.user).filter((each) => /left|offline/.test(each))).toHaveLength(2);
    await page.context().close();
  });

  testOfOneProcess(
    'a page that gives up a gateway that does not answer, and comes back, shows nothing',
    async () => {
      const own = await Stage.open({
        TIDEGATE_HEARTBEAT_MS: '500',
        TIDEGATE_HEARTBEAT_TIMEOUT_MS: '3000',
        TIDEGATE_GRACE_MS: '3000',
        TIDEGATE_PRESENCE_PUSH_MS: '50',
      });
      try {
        const [room, user] = [fresh('room'), fresh('ann')];
        const watcher = await own.client(fresh('watcher'), { heartbeat: false });
        await watcher.ok({ op: 'join', room, presence: 'full', visible: false });
        const it = { room, user, watcher, graceOver: () => Promise.resolve() };
        const context = await browser.newContext();
        await context.addInitScript(`
        window.opened = 0;
        window.WebSocket = class extends WebSocket {
          constructor(...args) {
            super(...args);
            this.addEventListener('open', () => (window.opened += 1));
          }
          close(...args) {
            window.isGivenUp = true;
            super.close(...args);
          }
        };
      `);
        const page = await enter(it, await context.newPage(), own);
        await freeze(own.gateway);
        // After 1.5 × the heartbeat and 10 s of silence.
        await vi.waitFor(async () => expect(await page.evaluate('window.isGivenUp')).toBe(true), PATIENCE);
        process.kill(own.gateway.pid, 'SIGCONT');
        await vi.waitFor(async () => expect(await page.evaluate('window.opened')).toBe(2), PATIENCE);
        await untilConnected(page, user);
        await watcher.ok({ op: 'presence', room });
        await page.context().close();
        await untilTold(watcher, room, 'left', user);
        expect(toldOf(watcher, user)).toEqual([`joined ${room}: online 1`, `left ${room}: offline 0`]);
      } finally {
        await own.close();
      }
    },
    60_000,
  );

  test('two tabs of one user are two devices, also one that was duplicated', async () => {
    const it = await scene();
    const page = await enter(it, await (await browser.newContext()).newPage());
    const [copy] = await Promise.all([
      page.context().waitForEvent('page'),
      // A window that a page opens gets a copy of its session storage.
      page.evaluate('void window.open(location.href)'),
    ]);
    await untilConnected(copy, it.user);
    await it.watcher.until('two', () => toldOf(it.watcher, it.user).includes('online 2'));
    expect(await page.getByRole('status').textContent()).toBe(`Connected as ${it.user}`);
    await page.context().close();
  });
});
