import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { freeze } from '../faults/machine.ts';
import type { Client, TcpClient, WsClient } from './clients.ts';
import { ENGINE } from './gateway-process.ts';
import { Stage, type TransportName, toldOf, untilTold } from './stage.ts';

const HEARTBEAT_MS = 1_000;
const TIMEOUT_MS = 600;
const CONNECT_MS = 700;
const GRACE_MS = 500;
/** By how much a busy machine, the wheel and the wire may make something late. */
const LATE_MS = 400;

let stage: Stage;
let names = 0;

beforeAll(async () => {
  stage = await Stage.open({
    TIDEGATE_HEARTBEAT_MS: String(HEARTBEAT_MS),
    TIDEGATE_HEARTBEAT_TIMEOUT_MS: String(TIMEOUT_MS),
    TIDEGATE_CONNECT_TIMEOUT_MS: String(CONNECT_MS),
    TIDEGATE_FIRST_LINE_TIMEOUT_MS: '1500',
    TIDEGATE_GRACE_MS: String(GRACE_MS),
    TIDEGATE_PRESENCE_PUSH_MS: '50',
    TIDEGATE_LIMIT_COMMANDS: '0',
    TIDEGATE_LIMIT_BYTES: '0',
    TIDEGATE_LIMIT_PUBLISHES: '0',
  });
});

afterAll(async () => {
  await stage?.close();
});

function fresh(kind: string): string {
  names += 1;
  return `${kind}-${names}`;
}

function beats(client: Client): number {
  return client.heard.filter(({ push }) => push === 'heartbeat').length;
}

/** Calls back for each heartbeat when it comes. */
function onBeat(client: Client, callback: () => void): void {
  let seen = beats(client);
  const look = () => {
    for (; seen < beats(client); seen += 1) callback();
  };
  if ('socket' in client) (client as TcpClient).socket.on('data', look);
  else (client as WsClient).ws.on('message', look);
}

function answer(client: Client): void {
  onBeat(client, () => client.send({ op: 'pong' }));
}

/** Does something again and again for a while. */
async function repeat(everyMs: number, forMs: number, action: () => void): Promise<void> {
  for (const begun = performance.now(); performance.now() - begun < forMs; ) {
    action();
    await delay(everyMs);
  }
}

describe.concurrent.each(['tcp', 'ws'] as const)('over %s', (transport: TransportName) => {
  test('a silent client is asked for a sign after the interval, again and again', async () => {
    const client = await stage[transport]();
    const heardMs: number[] = [];
    let saidMs = performance.now();
    onBeat(client, () => {
      heardMs.push(performance.now() - saidMs);
      saidMs = performance.now();
      client.send({ op: 'pong' });
    });
    const reply = await client.connect(fresh('ann'));
    expect(reply.heartbeatMs).toBe(HEARTBEAT_MS);
    await client.until('four heartbeats', () => heardMs.length === 4);
    for (const ms of heardMs) {
      expect(ms).toBeGreaterThanOrEqual(HEARTBEAT_MS * 0.8 - 30);
      expect(ms).toBeLessThan(HEARTBEAT_MS * 1.2 + LATE_MS);
    }
    // Not in step with others, and not with itself.
    expect(new Set(heardMs.map((ms) => Math.round(ms / 10))).size).toBeGreaterThan(1);
    expect(client.heard.find(({ push }) => push === 'heartbeat')).toEqual({ push: 'heartbeat' });
    await client.ok({ op: 'ping' });
  });

  test('who does not answer is sent away, and gone after the grace', async () => {
    const [room, user] = [fresh('room'), fresh('ann')];
    const watcher = await stage.client(fresh('watcher'));
    answer(watcher);
    await watcher.ok({ op: 'join', room, presence: 'full', visible: false });
    const client = await stage.client(user, {}, transport);
    await client.ok({ op: 'join', room });
    await untilTold(watcher, room, 'joined', user);
    await client.push('a heartbeat', ({ push }) => push === 'heartbeat');
    const askedMs = performance.now();
    const said = await client.disconnected();
    const tookMs = performance.now() - askedMs;
    expect(said).toEqual({
      push: 'disconnect',
      code: 3002,
      reason: 'heartbeat_timeout',
      reconnect: { afterMs: expect.any(Number) },
    });
    expect(client.closed).toMatchObject({ code: transport === 'ws' ? 3002 : null });
    expect(tookMs).toBeGreaterThan(TIMEOUT_MS - 50);
    expect(tookMs).toBeLessThan(TIMEOUT_MS + LATE_MS);
    expect(beats(client)).toBe(1);
    await untilTold(watcher, room, 'left', user);
    expect(performance.now() - askedMs - tookMs).toBeGreaterThan(GRACE_MS * 0.9);
    expect(performance.now() - askedMs - tookMs).toBeLessThan(GRACE_MS + LATE_MS);
  });

  test('who says something all the time is not asked', async () => {
    const client = await stage.client(fresh('ann'), {}, transport);
    await repeat(HEARTBEAT_MS / 4, 2.5 * HEARTBEAT_MS, () => client.send({ op: 'pong' }));
    expect(beats(client)).toBe(0);
    await client.push('a heartbeat', ({ push }) => push === 'heartbeat');
    client.send({ op: 'ping', id: 1 });
    await client.until('the reply', () => client.heard.find(({ id }) => id === 1));
    // That was an answer as well.
    await client.until('another heartbeat', () => beats(client) === 2);
  });

  test('who does not say connect is sent away in time', async () => {
    const client = await stage[transport]();
    const begun = performance.now();
    // What else it says gives it no more time.
    void repeat(100, 3 * CONNECT_MS, () => {
      if (client.closed === null) client.send({ op: 'pong' });
    });
    const said = await client.disconnected();
    const tookMs = performance.now() - begun;
    expect(said).toEqual({
      push: 'disconnect',
      code: 3006,
      reason: 'connect_timeout',
      reconnect: { afterMs: expect.any(Number) },
    });
    expect(client.closed).toMatchObject({ code: transport === 'ws' ? 3006 : null });
    expect(tookMs).toBeGreaterThan(CONNECT_MS - 50);
    expect(tookMs).toBeLessThan(CONNECT_MS + LATE_MS);
  });
});

test.concurrent('a long time for the answer does not make heartbeats rare', async () => {
  const own = await Stage.open({ TIDEGATE_HEARTBEAT_MS: '500', TIDEGATE_HEARTBEAT_TIMEOUT_MS: '5000' });
  try {
    const client = await own.client(fresh('ann'));
    const heardMs: number[] = [];
    let saidMs = performance.now();
    onBeat(client, () => {
      heardMs.push(performance.now() - saidMs);
      saidMs = performance.now();
      client.send({ op: 'pong' });
    });
    await client.until('three heartbeats', () => heardMs.length === 3);
    expect(Math.max(...heardMs)).toBeLessThan(600 + LATE_MS);
  } finally {
    await own.close();
  }
});

describe.concurrent('any byte', () => {
  const CONNECT = '{"op":"connect","id":1}';
  const signs: [string, TransportName, (client: Client, i: number) => void][] = [
    ['half a line', 'tcp', (client, i) => client.sendRaw(i === 0 ? '{"op":"ping","id":9' : ' ')],
    ['an empty line', 'tcp', (client) => client.sendRaw('\n')],
    ['a WebSocket ping', 'ws', (client) => (client as WsClient).ws.ping()],
    ['an unasked WebSocket pong', 'ws', (client) => (client as WsClient).ws.pong()],
  ];
  // The other library tells of whole messages only.
  if (ENGINE === 'ws') {
    const part = (i: number) => (i === 0 ? '{"op":"ping"' : ' ');
    signs.push(['part of a message', 'ws', (client, i) => (client as WsClient).ws.send(part(i), { fin: false })]);
  }

  test.each(signs)('is a sign of life: %s', async (_, transport, sign) => {
    const client = await stage[transport]();
    client.sendRaw(`${CONNECT}\n`);
    await client.until('the reply', () => client.heard.find(({ id }) => id === 1));
    let i = 0;
    await repeat(HEARTBEAT_MS / 4, 2.5 * HEARTBEAT_MS, () => {
      sign(client, i);
      i += 1;
    });
    expect(beats(client)).toBe(0);
    // And as an answer.
    onBeat(client, () => {
      sign(client, i);
      i += 1;
    });
    await client.until('three heartbeats', () => beats(client) === 3);
    expect(client.closed).toBeNull();
  });
});

describe.concurrent('no heartbeats', () => {
  test('come where they are not wanted, nor in text mode, but over WebSocket always', async () => {
    const client = await stage.tcp();
    expect(await client.connect(fresh('ann'), { heartbeat: false })).toMatchObject({ heartbeatMs: 0 });
    const ws = await stage.ws();
    answer(ws);
    expect(await ws.connect(fresh('bob'), { heartbeat: false })).toMatchObject({ heartbeatMs: HEARTBEAT_MS });
    const wanted = await stage.tcp();
    answer(wanted);
    expect(await wanted.connect(fresh('carl'), { heartbeat: true })).toMatchObject({ heartbeatMs: HEARTBEAT_MS });
    const person = await stage.tcp();
    person.sendRaw(`/connect ${fresh('person')}\n`);
    await person.until('the welcome', () => person.words[0]);
    const words = person.words.length;
    for (const other of [ws, wanted]) await other.until('four heartbeats', () => beats(other) >= 4);
    expect(beats(client)).toBe(0);
    await client.ok({ op: 'ping' });
    expect(person.words).toHaveLength(words);
    expect(person.heard).toEqual([]);
    person.sendRaw('/ping\n');
    await person.until('the pong', () => person.words.includes('# pong'));
  });

  test('are owed to a connection that never says a word: it is sent away by itself', async () => {
    const client = await stage.tcp();
    const said = await client.disconnected();
    expect(said).toMatchObject({ code: 3006 });
  });
});

describe.concurrent('a client that does not read its replies', () => {
  /** Long enough that the kernels' buffers hold only some of them. */
  const PAGES = 120;
  let room: string;

  beforeAll(async () => {
    room = fresh('room');
    const filler = await stage.tcp();
    await filler.connect(fresh('filler'), { heartbeat: false });
    for (let i = 0; i < 24; i += 1) {
      await filler.ok({ op: 'publish', room, mid: fresh('mid'), data: 'x'.repeat(12_000) });
    }
  });

  /** Asks for 30 MB and reads nothing. */
  async function greedy(transport: TransportName): Promise<Client & { user: string }> {
    const user = fresh('greedy');
    const client = await stage.client(user, {}, transport);
    client.pause();
    for (let id = 0; id < PAGES; id += 1) client.send({ op: 'history', id, room, limit: 20 });
    return Object.assign(client, { user });
  }

  async function getsAll(client: Client): Promise<void> {
    answer(client);
    if (beats(client) > 0) client.send({ op: 'pong' });
    client.resume();
    await client.until(
      'all replies',
      () => client.heard.filter(({ ok }) => (ok as { messages?: [] })?.messages).length === PAGES,
    );
    expect(client.closed).toBeNull();
    await client.until('a heartbeat after all', () => beats(client) > 0);
    await client.ok({ op: 'ping' });
  }

  test.each(['tcp', 'ws'] as const)('for a while gets them when it does, over %s', async (transport) => {
    const client = await greedy(transport);
    await delay(HEARTBEAT_MS * 0.8 + TIMEOUT_MS - 300);
    await getsAll(client);
  });

  // TCP is the same whichever library serves WebSockets: once is enough.
  // Loopback's kernel tells of room only when a third of its buffers, megabytes, is free: it would see no slower one.
  test.each(ENGINE === 'uws' ? [4_000, 2_000] : [])(
    'but slowly is not ended as long as it does, %i KiB/s',
    { timeout: 60_000 },
    async (rate) => {
      const client = (await greedy('tcp')) as TcpClient & { user: string };
      const { socket } = client;
      let allowed = 0;
      const onData = (chunk: Buffer) => {
        allowed -= chunk.length;
        if (allowed <= 0) socket.pause();
      };
      socket.on('data', onData);
      await repeat(50, 6_000, () => {
        allowed += (rate * 1_024) / 20;
        if (allowed > 0) socket.resume();
      });
      socket.off('data', onData);
      await getsAll(client);
    },
  );

  test('ever is gone as soon as somebody who does not answer', async () => {
    const watcher = await stage.client(fresh('watcher'));
    answer(watcher);
    const gone = await Promise.all(
      Array.from({ length: 6 }, async (_, i) => {
        const { user } = await greedy(i % 2 ? 'tcp' : 'ws');
        const begun = performance.now();
        await watcher.ok({ op: 'watch', users: [user] });
        await watcher.until('the end', () => toldOf(watcher, user).includes('offline 0'));
        return performance.now() - begun;
      }),
    );
    console.log(`who reads nothing is gone after ${gone.map(Math.round).join(', ')} ms`);
    // What the kernels take of the replies comes first; 600 ms are plenty for it.
    expect(Math.max(...gone)).toBeLessThan(600 + 1.2 * HEARTBEAT_MS + TIMEOUT_MS + GRACE_MS + LATE_MS);
  });
});

/** Longer than the lease of presence as well, which is 10 s. */
const STOPPED_MS = 12_000;

describe.concurrent.each([
  [500, 2_500],
  [500, 800],
])('a gateway that is stopped, with heartbeats of %i ms and %i ms for the answer', (heartbeatMs, timeoutMs) => {
  test('ends nobody who is alive when it goes on, and nobody seems to go', { timeout: 60_000 }, async () => {
    const own = await Stage.open({
      TIDEGATE_HEARTBEAT_MS: String(heartbeatMs),
      TIDEGATE_HEARTBEAT_TIMEOUT_MS: String(timeoutMs),
      TIDEGATE_GRACE_MS: '1500',
      TIDEGATE_UNACKNOWLEDGED_MS: '500',
      TIDEGATE_KEEPALIVE_MS: '1000',
      TIDEGATE_PRESENCE_PUSH_MS: '50',
      TIDEGATE_SESSIONS_PER_USER: '0',
    });
    try {
      const room = 'room';
      const watcher = await own.client('watcher', { heartbeat: false });
      await watcher.ok({ op: 'join', room, presence: 'full', visible: false });
      const clients: Client[] = [];
      for (let i = 0; i < 20; i += 1) {
        const client = await own.client(`user-${i}`, { device: 'd' }, i % 2 ? 'tcp' : 'ws');
        // A slow one, but in time: many are asked and have not answered whenever the gateway stops.
        onBeat(client, () => void delay(300).then(() => client.closed ?? client.send({ op: 'pong' })));
        await client.ok({ op: 'join', room });
        clients.push(client);
      }
      const person = await own.tcp();
      person.sendRaw(`/connect person\n/join ${room}\n`);
      await watcher.until(
        'all',
        () => new Set(watcher.heard.flatMap((said) => (said.joined as { user: string }[]) ?? []).values()).size >= 21,
      );
      // Who was cut off just before has its grace still.
      const lost = await own.client('lost', { device: 'd' });
      await lost.ok({ op: 'join', room });
      await untilTold(watcher, room, 'joined', 'lost');
      for (const client of clients) await client.until('a heartbeat', () => beats(client) > 0);
      const told = watcher.heard.length;
      lost.close();
      await watcher.ok({ op: 'ping' });
      expect(clients.filter(({ closed }) => closed !== null)).toEqual([]);
      await freeze(own.gateway);
      await delay(STOPPED_MS);
      process.kill(own.gateway.pid, 'SIGCONT');
      const back = await own.client('lost', { device: 'd', heartbeat: false });
      await back.ok({ op: 'join', room });
      const before = clients.map((client) => beats(client));
      for (const [i, client] of clients.entries()) {
        await client
          .until('two more heartbeats', () => client.closed !== null || beats(client) >= (before[i] ?? 0) + 2)
          .catch(() => {});
      }
      const ended = clients.filter(({ closed }) => closed !== null).map(({ heard }) => heard.at(-1)?.reason);
      expect(ended, 'nobody was ended').toEqual([]);
      expect(person.closed).toBeNull();
      await watcher.ok({ op: 'ping' });
      expect(watcher.heard.slice(told).filter(({ push }) => push === 'presence')).toEqual([]);
      expect(await watcher.ok({ op: 'presence', room })).toMatchObject({ count: 22 });
      expect(toldOf(watcher, 'lost')).toHaveLength(1);
    } finally {
      await own.close();
    }
  });
});
