import { connect } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { WebSocket } from 'ws';
import { METRICS } from '../../src/observability/catalogue.ts';
import type { MetricEntry } from '../../src/observability/metric-entry.ts';
import { VERSION } from '../../src/version.ts';
import { hmac, nowSeconds, sign } from '../unit/identity/signing.ts';
import { ApiClient } from './api-client.ts';
import { TcpClient } from './clients.ts';
import { UNLIMITED } from './gateway-process.ts';
import { growth, scrape } from './metrics-page.ts';
import { Stage } from './stage.ts';

/** No probe of the gateway's own disturbs the counts. */
const QUIET = { TIDEGATE_PROBE_MS: '3600000', TIDEGATE_GRACE_MS: '0' };

const entries: readonly MetricEntry[] = Object.values(METRICS);

const PARTITIONS = 16;

describe('the page', () => {
  let stage: Stage;
  beforeAll(async () => {
    stage = await Stage.open({ ...QUIET, TIDEGATE_API_KEYS: 'a-key' });
  });
  afterAll(() => stage.close());

  test('has every metric of the catalogue and no other of ours, and Node’s own', async () => {
    const { families } = await scrape(stage.gateway);
    const ours = [...families.values()].filter(({ name }) => name.startsWith('tidegate_'));
    const exported = ours.map(({ name, type, help }) => ({ name, type, help }));
    const listed = entries.map(({ name, type, help }) => ({ name, type, help }));
    const byName = (a: { name: string }, b: { name: string }) => a.name.localeCompare(b.name);
    expect(exported.sort(byName)).toEqual(listed.sort(byName));
    const others = [...families.keys()].filter((name) => !name.startsWith('tidegate_'));
    expect(others.every((name) => /^(process|nodejs)_/.test(name))).toBe(true);
    expect(others).toEqual(
      expect.arrayContaining([
        ...['nodejs_eventloop_lag_p99_seconds', 'nodejs_gc_duration_seconds', 'nodejs_heap_size_used_bytes'],
        ...['process_cpu_seconds_total', 'process_resident_memory_bytes', 'process_open_fds'],
      ]),
    );
  });

  test('has exactly the series of the catalogue from the start', async () => {
    const { families } = await scrape(stage.gateway);
    for (const { name, type, labels = {}, buckets = [] } of entries) {
      const samples = families.get(name)?.samples ?? [];
      const perPartition = Object.keys(labels).includes('partition') ? PARTITIONS : 1;
      const series = Object.values(labels).reduce((product, values) => product * (values?.length ?? 1), perPartition);
      expect(samples, name).toHaveLength(series * (type === 'histogram' ? buckets.length + 3 : 1));
      for (const [label, values] of Object.entries(labels)) {
        const exported = [...new Set(samples.map((sample) => sample.labels[label] ?? ''))];
        if (values !== null) expect(exported.sort()).toEqual([...values].sort());
      }
    }
    const info = families.get('tidegate_build_info')?.samples;
    expect(info).toEqual([
      { name: 'tidegate_build_info', labels: { version: VERSION, node_version: expect.any(String) }, value: 1 },
    ]);
  });

  test('needs no key and says so to nobody on the public port', async () => {
    expect((await fetch(`http://127.0.0.1:${stage.gateway.ports.http}/metrics`)).status).toBe(404);
    expect((await fetch(`http://127.0.0.1:${stage.gateway.ports.internal}/metrics?x=1`)).status).toBe(200);
  });
});

test('messages are counted on every step of their way', async () => {
  const stage = await Stage.open(QUIET);
  try {
    const members = [
      await stage.client('ann'),
      await stage.client('ben', {}, 'ws'),
      await stage.client('cay', { device: 'd' }, 'ws'),
    ];
    for (const member of members) await member.ok({ op: 'join', room: 'r' });
    const [ann, ben, cay] = members;
    if (ann === undefined || ben === undefined || cay === undefined) throw new Error('unreachable');
    const before = await scrape(stage.gateway);
    for (let i = 0; i < 10; i += 1) await ann.ok({ op: 'publish', room: 'r', mid: `m${i}`, data: 'x'.repeat(100) });
    await cay.until('10 messages', () => cay.messages('r').length === 10);
    // Nobody is there to be given these; a retry is acknowledged, and not delivered again.
    for (let i = 0; i < 5; i += 1) await ben.ok({ op: 'publish', room: 'empty', mid: `m${i}`, data: i });
    await ben.ok({ op: 'publish', room: 'empty', mid: 'm0', data: 0 });
    await ann.ok({ op: 'signal', room: 'r', data: 1 });
    await ann.ok({ op: 'ping' });

    const after = await scrape(stage.gateway);
    const grown = (name: string) => after.value(name) - before.value(name);
    expect(grown('publications_total')).toBe(10);
    expect(grown('deliveries_total')).toBe(30);
    expect(grown('signal_pushes_total')).toBe(3);
    expect(grown('publish_append_seconds_count')).toBe(16);
    expect(grown('append_deliver_seconds_count')).toBe(10);
    expect(grown('tail_deliver_seconds_count')).toBeGreaterThanOrEqual(1);
    expect(grown('tail_deliver_seconds_count')).toBeLessThanOrEqual(10);
    // An append takes longer than no time, and this machine is not that slow.
    expect(grown('publish_append_seconds_sum')).toBeGreaterThan(0.000_5);
    expect(grown('publish_append_seconds_sum')).toBeLessThan(10);
    expect(grown('tail_deliver_seconds_sum')).toBeGreaterThan(0);
    expect(growth(before, after, 'commands_total')).toEqual({ publish: 16, signal: 1, ping: 1 });
    const received = grown('received_bytes_total');
    expect(received).toBeGreaterThan(10 * 150 + 6 * 50);
    expect(received).toBeLessThan(10 * 250 + 8 * 120);
    const sent = grown('sent_bytes_total');
    expect(sent).toBeGreaterThan(30 * 200);
    expect(sent).toBeLessThan(30 * 350 + 25 * 200);
    expect(growth(before, after, 'errors_total')).toEqual({});
    expect(after.value('connect_seconds_count')).toBe(3);
    expect(after.value('join_seconds_count')).toBe(3);
    expect(after.value('connections_accepted_total', { transport: 'tcp' })).toBe(1);
    expect(after.value('connections_accepted_total', { transport: 'websocket' })).toBe(2);
    expect(after.value('dedupe_entries')).toBe(15);
    expect(after.value('append_queue_records')).toBe(0);
  } finally {
    await stage.close();
  }
});

test('presence is counted while it lasts', async () => {
  const stage = await Stage.open(QUIET);
  const presence = async () => {
    const page = await scrape(stage.gateway);
    const names = ['connections', 'sessions', 'users', 'devices', 'rooms', 'room_watches', 'user_watches', 'hub_rooms'];
    return Object.fromEntries(names.map((name) => [name, page.value(name)]));
  };
  try {
    const none = { connections: 0, sessions: 0, users: 0, devices: 0, rooms: 0, room_watches: 0, user_watches: 0 };
    expect(await presence()).toEqual({ ...none, hub_rooms: 0 });
    const ann = await stage.client('ann', { device: 'phone' });
    const again = await stage.client('ann', { device: 'desk' }, 'ws');
    const ben = await stage.client('ben');
    await stage.tcp();
    await ann.ok({ op: 'join', room: 'a', presence: 'full' });
    await again.ok({ op: 'join', room: 'a', presence: 'count' });
    await ben.ok({ op: 'join', room: 'a' });
    await ben.ok({ op: 'join', room: 'b', visible: false });
    await ben.ok({ op: 'watch', users: ['ann', 'cay', 'ann'] });
    await ann.ok({ op: 'presence', room: 'a' });
    const some = { connections: 4, sessions: 3, users: 2, devices: 3, rooms: 1, room_watches: 2, user_watches: 2 };
    expect(await presence()).toEqual({ ...some, hub_rooms: 2 });
    const before = await scrape(stage.gateway);
    await ann.ok({ op: 'status', status: 'dnd' });
    await ben.push(
      'ann’s status',
      ({ push, user, status }) => push === 'presence' && user === 'ann' && status === 'dnd',
    );
    await ann.push('her own', ({ push, room }) => push === 'presence' && room === 'a');
    const pushes = (await scrape(stage.gateway)).value('presence_pushes_total') - before.value('presence_pushes_total');
    expect(pushes).toBeGreaterThanOrEqual(2);
    expect(pushes).toBeLessThanOrEqual(6);

    await ben.ok({ op: 'unwatch', users: ['ann'] });
    await again.ok({ op: 'leave', room: 'a' });
    expect(await presence()).toMatchObject({ room_watches: 1, user_watches: 1 });
    ann.send({ op: 'quit', id: 1 });
    again.close();
    ben.close();
    await vi.waitFor(
      async () => expect(await presence()).toMatchObject({ ...none, connections: 1, hub_rooms: 0 }),
      5_000,
    );
  } finally {
    await stage.close();
  }
});

test('joins with a position are counted by what became of them, and where what they had missed was', async () => {
  const stage = await Stage.open(QUIET);
  try {
    const client = await stage.client('ann');
    const { position } = await client.ok({ op: 'join', room: 'r' });
    const since = position as { epoch: string; offset: number };
    await client.ok({ op: 'publish', room: 'r', mid: 'm', data: 1 });
    const [message] = client.messages('r') as unknown as [{ epoch: string; offset: number }];
    const before = await scrape(stage.gateway);
    for (const place of [since, { epoch: message.epoch, offset: message.offset }, { epoch: 'another', offset: 1 }]) {
      await client.ok({ op: 'leave', room: 'r' });
      await client.ok({ op: 'join', room: 'r', since: place });
    }
    await client.ok({ op: 'leave', room: 'r' });
    await client.ok({ op: 'join', room: 'r', history: 10 });
    const after = await scrape(stage.gateway);
    const counted = ['present', 'memory', 'history', 'log'].flatMap((source) =>
      ['recovered', 'gap'].map((outcome) => {
        const [from, to] = [before, after].map((page) => page.value('resumes_total', { source, outcome }));
        return [`${source} ${outcome}`, Number(to) - Number(from)] as const;
      }),
    );
    const expected = { 'present recovered': 1, 'log recovered': 1, 'log gap': 1 };
    expect(Object.fromEntries(counted.filter(([, count]) => count > 0))).toEqual(expected);
  } finally {
    await stage.close();
  }
});

test('who is cut off lingers', async () => {
  const stage = await Stage.open({ ...QUIET, TIDEGATE_GRACE_MS: '60000' });
  try {
    const ann = await stage.client('ann');
    ann.close();
    await vi.waitFor(async () => {
      const page = await scrape(stage.gateway);
      expect([page.value('sessions'), page.value('lingering_sessions'), page.value('users')]).toEqual([0, 1, 1]);
      expect(page.value('timers')).toBeGreaterThan(0);
    }, 5_000);
  } finally {
    await stage.close();
  }
});

test('what goes wrong is counted by what it is', async () => {
  const stage = await Stage.open({
    ...QUIET,
    TIDEGATE_FIRST_LINE_TIMEOUT_MS: '200',
    TIDEGATE_CONNECT_TIMEOUT_MS: '300',
    TIDEGATE_CONNECTIONS_MAX: '6',
    TIDEGATE_LIMIT_PUBLISHES: '1:2',
    TIDEGATE_LIMIT_SIGNALS: '1:2',
  });
  try {
    const { gateway } = stage;
    const before = await scrape(gateway);
    const ann = await stage.client('ann', { device: 'd' });
    await ann.ok({ op: 'join', room: 'r' });
    expect(await ann.errorCode({ op: 'join', room: 'r' })).toBe('already_joined');
    expect(await ann.errorCode({ op: 'leave', room: 'other' })).toBe('not_joined');
    expect(await ann.errorCode({ op: 'dance' })).toBe('bad_request');
    ann.sendRaw('no json\n');
    await ann.until('the refusal', () => ann.heard.find(({ id }) => id === null));
    for (const op of ['publish', 'signal']) {
      for (const wanted of [undefined, undefined, 'rate_limited']) {
        const mid = op === 'publish' ? { mid: String(Math.random()) } : {};
        const { error } = await ann.ask({ op, room: 'r', data: 1, ...mid });
        expect((error as { code: string } | undefined)?.code).toBe(wanted);
      }
    }
    const replaced = await stage.client('ann', { device: 'd' });
    await ann.untilClosed();
    replaced.send({ op: 'quit', id: 1 });
    await replaced.untilClosed();
    const ben = await stage.client('ben', {}, 'ws');
    ben.close();
    const cay = await stage.tcp();
    await cay.connect('cay');
    cay.socket.resetAndDestroy();
    const dan = await TcpClient.open(gateway.ports.tcp);
    dan.sendRaw('{"op":"connect","id":1,"user":"dan"}\n');
    dan.socket.end();
    await dan.untilClosed();
    // A JSON client that never says connect, and one that never says anything.
    const silent = await stage.ws();
    expect((await silent.disconnected()).reason).toBe('connect_timeout');
    const mute = await stage.tcp();
    await mute.untilClosed();
    const foreign = connect(gateway.ports.tcp, '127.0.0.1');
    foreign.on('error', () => {}).write('GET / HTTP/1.1\r\nHost: x\r\n\r\n');
    await new Promise((resolve) => foreign.on('close', resolve));
    for (const [headers, path] of [
      [{ host: 'evil.example' }, '/ws'],
      [{ origin: 'http://evil.example' }, '/ws'],
      [{}, '/elsewhere'],
    ] as const) {
      const ws = new WebSocket(`ws://127.0.0.1:${gateway.ports.http}${path}`, { headers });
      await new Promise((resolve) => ws.on('error', () => {}).on('close', resolve));
    }
    await vi.waitFor(async () => expect((await scrape(gateway)).value('connections')).toBe(0), 10_000);
    for (let i = 0; i < 6; i += 1) await stage.client(`user${i}`);
    for (let i = 0; i < 2; i += 1) {
      const refused = await TcpClient.open(gateway.ports.tcp);
      expect((await refused.disconnected()).reason).toBe('overloaded');
    }

    const after = await scrape(gateway);
    expect(growth(before, after, 'errors_total')).toEqual({
      ...{ already_joined: 1, not_joined: 1, bad_request: 2, rate_limited: 2 },
    });
    expect(growth(before, after, 'rate_limited_total')).toEqual({ publishes: 1, signals: 1 });
    expect(growth(before, after, 'disconnects_total')).toEqual({
      ...{ replaced: 1, left: 2, lost: 1, input_ended: 1, connect_timeout: 1 },
    });
    expect(growth(before, after, 'connections_refused_total')).toEqual({
      ...{ connect_timeout: 1, foreign: 1, forbidden: 2, bad_handshake: 1, overloaded: 2 },
    });
    expect(after.value('connections')).toBe(6);
    expect(after.value('connections_max')).toBe(6);
    expect(after.value('draining')).toBe(0);
    expect(after.value('log_writable')).toBe(1);
  } finally {
    await stage.close();
  }
});

test('a flood holds its session, and no longer than that lasts', async () => {
  const stage = await Stage.open({ ...QUIET, TIDEGATE_LIMIT_COMMANDS: '1:10' });
  try {
    const ann = await stage.client('ann');
    const lines = Array.from({ length: 1_000 }, (_, i) => `${JSON.stringify({ op: 'ping', id: i })}\n`);
    ann.sendRaw(lines.join(''));
    await vi.waitFor(async () => expect((await scrape(stage.gateway)).value('flood_held_sessions')).toBe(1), 5_000);
    const page = await scrape(stage.gateway);
    expect(page.value('rate_limited_total', { bucket: 'commands' })).toBeGreaterThan(190);
    expect(page.value('rate_limited_total', { bucket: 'commands' })).toBe(
      page.value('errors_total', { code: 'rate_limited' }),
    );
    ann.close();
    await vi.waitFor(async () => expect((await scrape(stage.gateway)).value('flood_held_sessions')).toBe(0), 5_000);
  } finally {
    await stage.close();
  }
});

test('refused tokens and the calls of the API are counted', async () => {
  const secret = 'a secret of at least thirty-two bytes';
  const stage = await Stage.open({
    ...QUIET,
    TIDEGATE_AUTH: 'jwt',
    TIDEGATE_JWT_SECRET: secret,
    TIDEGATE_API_KEYS: 'a-key',
  });
  try {
    const claims = { sub: 'ann', tidegate: { join: ['**'], publish: ['**'], presence: ['**'] } };
    const token = (expires: number) => sign({ alg: 'HS256' }, { ...claims, exp: nowSeconds() + expires }, hmac(secret));
    const bad = await stage.tcp();
    expect(await bad.errorCode({ op: 'connect', token: token(-3_600) })).toBe('unauthorized');
    await bad.untilClosed();
    const good = await stage.client('ann', { token: token(60) });
    expect(await good.errorCode({ op: 'refresh', token: 'x.y.z' })).toBe('unauthorized');
    await good.ok({ op: 'refresh', token: token(90) });

    const { internal } = stage.gateway.ports;
    const api = new ApiClient(internal, { authorization: 'Bearer a-key', 'content-type': 'application/json' });
    expect((await api.post('/api/v1/rooms/r/publish', { from: 'bot', data: 1 })).status).toBe(200);
    expect((await api.post('/api/v1/rooms/r/publish', { from: 'bot' })).status).toBe(400);
    expect((await api.get('/api/v1/rooms/r/presence')).status).toBe(200);
    expect((await api.with({}).get('/api/v1/users/ann/presence')).status).toBe(401);
    expect((await api.get('/api/v1/nothing')).status).toBe(404);
    const page = await scrape(stage.gateway);
    expect(page.value('tokens_refused_total', { reason: 'unauthorized' })).toBe(2);
    expect(page.value('tokens_refused_total', { reason: 'unavailable' })).toBe(0);
    expect(page.value('connect_seconds_count')).toBe(1);
    expect(page.value('disconnects_total', { reason: 'invalid_token' })).toBe(1);
    const calls = page.families.get('tidegate_api_requests_total')?.samples ?? [];
    const counted = calls
      .filter(({ value }) => value > 0)
      .map(({ labels, value }) => [labels.call, labels.status, value]);
    expect(counted.sort()).toEqual([
      ['publish', '200', 1],
      ['publish', '400', 1],
      ['room_presence', '200', 1],
      ['unknown', '404', 1],
      ['user_presence', '401', 1],
    ]);
    expect(page.value('api_request_seconds_count', { call: 'publish' })).toBe(2);
    // The API's publishes go the way of all others.
    expect(page.value('publish_append_seconds_count')).toBe(1);
  } finally {
    await stage.close();
  }
});

test('no input makes the number of series grow', { timeout: 120_000 }, async () => {
  const stage = await Stage.open({
    ...QUIET,
    ...UNLIMITED,
    TIDEGATE_API_KEYS: 'a-key',
    TIDEGATE_HEARTBEAT_MS: '3600000',
  });
  try {
    const { gateway } = stage;
    const before = await scrape(gateway);
    const clients: TcpClient[] = [];
    const fill = async (i: number) => {
      const client = await TcpClient.open(gateway.ports.tcp);
      clients.push(client);
      await client.connect(`user-${i}`, { device: `device-${i}`, client: `odd "client" ${i}` });
      await Promise.all([
        client.ok({ op: 'join', room: `room/${i}`, presence: 'full' }),
        client.ok({ op: 'publish', room: `room/${i}`, mid: `\\"${i}`, data: { i } }),
        client.errorCode({ op: `op"${i}\n`, room: 1 }),
        client.errorCode({ op: 'watch', users: [`nobody ${i}`] }),
      ]);
    };
    for (let i = 0; i < 1_000; i += 50) await Promise.all(Array.from({ length: 50 }, (_, k) => fill(i + k)));
    const api = new ApiClient(gateway.ports.internal, { authorization: 'Bearer a-key' });
    for (let i = 0; i < 200; i += 1) await api.get(`/api/v1/rooms/r${i}/call${'abcdefghij'.slice(0, i % 10)}`);
    for (const name of ['__proto__', 'constructor', 'toString', 'hasOwnProperty']) {
      await api.get(`/api/v1/users/ann/${name.toLowerCase()}`);
      await api.send(name.toUpperCase().replaceAll('_', ''), '/api/v1/users/ann/presence').catch(() => {});
      await clients[0]?.errorCode({ op: name });
    }
    const full = await scrape(gateway);
    expect(full.series).toEqual(before.series);
    expect(full.value('sessions')).toBe(1_000);
    expect(full.value('rooms')).toBe(1_000);
    expect(full.value('room_watches')).toBe(1_000);
    expect(full.value('errors_total', { code: 'bad_request' })).toBe(2_004);
    for (const client of clients) client.close();
    await vi.waitFor(async () => expect((await scrape(gateway)).value('sessions')).toBe(0), 20_000);
    expect((await scrape(gateway)).series).toEqual(before.series);
  } finally {
    await stage.close();
  }
});

test('the probe is measured', async () => {
  const stage = await Stage.open({ TIDEGATE_PROBE_MS: '50' });
  try {
    await delay(500);
    const page = await scrape(stage.gateway);
    expect(page.value('probe_seconds_count')).toBeGreaterThanOrEqual(2);
    expect(page.value('probe_failures_total')).toBe(0);
    expect(page.value('delivery_ok')).toBe(1);
    expect(page.value('failing_partitions')).toBe(0);
  } finally {
    await stage.close();
  }
});
