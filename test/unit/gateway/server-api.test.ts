import { once } from 'node:events';
import type { AddressInfo, Server } from 'node:net';
import { pino } from 'pino';
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { Removal, Removed } from '../../../src/fanout/peers.ts';
import type { AppendRequest } from '../../../src/fanout/room-log.ts';
import { ApiAccess } from '../../../src/gateway/api/api-access.ts';
import { ServerApi } from '../../../src/gateway/api/server-api.ts';
import type { RoomsContext } from '../../../src/gateway/handlers/rooms.ts';
import { createInternalServer } from '../../../src/gateway/internal-server.ts';
import { Tally } from '../../../src/observability/tally.ts';
import { CommandError, ERRORS, type ErrorCode } from '../../../src/protocol/errors.ts';

const PATH = '/api/v1/rooms/r/publish';

/** The log of these tests: a publish does what the test says. */
let append: (request: AppendRequest) => Promise<unknown>;
let logged: string;
let host: { rooms: RoomsContext; drained: boolean; remove(removal: Removal): Promise<Removed> };
let api: ServerApi;
let server: Server;
let url: string;

beforeEach(async () => {
  logged = '';
  const logger = pino(
    {},
    {
      write(line: string) {
        logged += line;
      },
    },
  );
  // A publish needs no more than this.
  const log = { append: (request: AppendRequest) => append(request) };
  host = {
    rooms: { log, tally: new Tally() } as unknown as RoomsContext,
    drained: false,
    remove: async () => ({ sessions: 0, partial: false }),
  };
  const access = new ApiAccess({ keys: ['secret-key'], keyNeeded: null, host: '127.0.0.1' });
  api = new ServerApi(host, { access, document: Buffer.from('{}'), requestsMax: 2 }, logger);
  const health = { notReady: () => null };
  server = createInternalServer({ health, api }, logger).listen(0, '127.0.0.1');
  await once(server, 'listening');
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});

afterEach(() => {
  server.close();
});

function publish(): Promise<Response> {
  const headers = { authorization: 'Bearer secret-key', 'content-type': 'application/json' };
  return fetch(`${url}${PATH}`, { method: 'POST', headers, body: '{"from":"a","data":"secret-data","mid":"m"}' });
}

it.each(Object.keys(ERRORS) as ErrorCode[])('answers %s with the status of the table', async (code) => {
  append = async () => {
    throw new CommandError(code, 'in words', 1_001);
  };
  const response = await publish();
  expect(response.status).toBe(ERRORS[code].status);
  expect(await response.json()).toEqual({ error: { code, message: 'in words', retryAfterMs: 1_001 } });
  expect(response.headers.get('retry-after')).toBe('2');
  expect(response.headers.get('www-authenticate')).toBe(code === 'unauthorized' ? 'Bearer' : null);
  expect(response.headers.get('x-content-type-options')).toBe('nosniff');
  expect(logged).toBe('');
});

it('says of a fault of ours no more than a trace id, which is logged, and keys and bodies are not', async () => {
  append = async () => {
    throw new TypeError('insides');
  };
  const response = await publish();
  expect(response.status).toBe(500);
  const { error } = (await response.json()) as { error: { code: string; message: string } };
  expect(error.code).toBe('internal');
  const traceId = /^our fault; trace ([0-9a-f]{32})$/.exec(error.message)?.[1] ?? 'none';
  expect(JSON.parse(logged)).toMatchObject({
    trace_id: traceId,
    path: '/api/v1/rooms/{room}/publish',
    err: { message: 'insides' },
  });
  expect(logged).not.toContain('secret');
  expect(response.headers.get('retry-after')).toBeNull();
});

it('publishes as whom the backend says, wherever nobody is forbidden to', async () => {
  const requests: AppendRequest[] = [];
  append = async (request) => {
    requests.push(request);
    return { position: { epoch: 'e', offset: 7 }, duplicate: true };
  };
  expect(await (await publish()).json()).toEqual({ room: 'r', mid: 'm', epoch: 'e', offset: 7, duplicate: true });
  expect(requests).toEqual([{ room: 'r', from: 'a', mid: 'm', data: '"secret-data"', after: undefined }]);
});

it('has so many requests under way and no more, and waits for them when it drains', async () => {
  const waiting: ((appended: unknown) => void)[] = [];
  append = () => new Promise((resolve) => waiting.push(resolve));
  const two = [publish(), publish()];
  while (waiting.length < 2) await new Promise((resolve) => setTimeout(resolve, 5));
  const third = await publish();
  expect([third.status, third.headers.get('retry-after')]).toEqual([503, '1']);
  expect(await third.json()).toMatchObject({ error: { code: 'overloaded' } });
  // Who shows no key takes nobody's place.
  expect((await fetch(`${url}${PATH}`, { method: 'POST' })).status).toBe(401);

  host.drained = true;
  expect(await (await publish()).json()).toMatchObject({ error: { code: 'unavailable' } });
  let isSettled = false;
  const settled = api.settled(60_000).then(() => {
    isSettled = true;
  });
  waiting[0]?.({ position: { epoch: 'e', offset: 1 }, duplicate: false });
  expect((await (await two[0])?.json()) as object).toMatchObject({ offset: 1 });
  expect(isSettled).toBe(false);
  waiting[1]?.({ position: { epoch: 'e', offset: 2 }, duplicate: false });
  await settled;
  expect((await two[1])?.status).toBe(200);
});

it('does not wait for ever', async () => {
  let begin = () => {};
  const begun = new Promise<void>((resolve) => {
    begin = resolve;
  });
  append = () => {
    begin();
    return new Promise(() => {});
  };
  const abort = new AbortController();
  const headers = { authorization: 'Bearer secret-key', 'content-type': 'application/json' };
  const body = '{"from":"a","data":1}';
  const sent = fetch(`${url}${PATH}`, { method: 'POST', headers, body, signal: abort.signal });
  sent.catch(() => {});
  await begun;
  await api.settled(10);
  abort.abort();
});

it('serves delivery and metrics where there are any', async () => {
  const reports = [
    { delivering: true, lastMs: 3 },
    { delivering: false, lastMs: 4 },
  ];
  let page: (accepted: string) => Promise<string> = async (accepted) => `a ${accepted}\n`;
  const delivery = { report: () => reports.shift() ?? { delivering: false } };
  const contentType = 'text/plain; version=0.0.4';
  const metrics = { render: async (accepted: string) => ({ contentType, text: await page(accepted) }) };
  const sink = pino(
    {},
    {
      write(line: string) {
        logged += line;
      },
    },
  );
  const full = createInternalServer({ health: { notReady: () => 'no' }, delivery, metrics }, sink).listen(
    0,
    '127.0.0.1',
  );
  await once(full, 'listening');
  const get = (path: string, headers = {}) =>
    fetch(`http://127.0.0.1:${(full.address() as AddressInfo).port}${path}`, { headers });
  for (const [status, body] of [
    [200, { delivering: true, lastMs: 3 }],
    [503, { delivering: false, lastMs: 4 }],
  ]) {
    const response = await get('/health/delivery');
    expect([response.status, await response.json()]).toEqual([status, body]);
  }
  const metricsPage = await get('/metrics', { accept: 'text/plain' });
  expect([metricsPage.headers.get('content-type'), await metricsPage.text()]).toEqual([contentType, 'a text/plain\n']);
  page = async () => {
    throw new Error('insides');
  };
  const failed = await get('/metrics');
  expect([failed.status, await failed.json()]).toMatchObject([500, { error: { code: 'internal' } }]);
  expect(logged).toContain('insides');
  expect((await get('/api/v1/rooms/r/presence')).status).toBe(404);
  expect((await get('/health/ready?x')).status).toBe(503);
  expect((await fetch(`${url}/metrics`)).status).toBe(404);
  full.close();
});
