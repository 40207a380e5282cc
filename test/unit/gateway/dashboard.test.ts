import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import type { IncomingMessage, Server } from 'node:http';
import { request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Dashboard } from '../../../src/gateway/dashboard.ts';
import { DashboardAccess } from '../../../src/gateway/dashboard-access.ts';
import { createInternalServer } from '../../../src/gateway/internal-server.ts';
import { WebPage } from '../../../src/gateway/web-page.ts';

const STREAM_BYTES_MAX = 100_000;
const LOGGER = pino({ level: 'silent' });

let folder: string;
let watchers: Set<(line: Buffer) => void>;
let dashboard: Dashboard;
let server: Server;
let streams: IncomingMessage[];

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'tidegate-dashboard-'));
  writeFileSync(join(folder, 'index.html'), '<!doctype html>\n');
  writeFileSync(join(folder, 'dashboard.js'), 'draw();\n');
  watchers = new Set();
  streams = [];
  const views = {
    watch(onView: (line: Buffer) => void) {
      watchers.add(onView);
      onView(Buffer.from('{"n":0}\n'));
      return () => watchers.delete(onView);
    },
  };
  const access = new DashboardAccess({ keys: [], host: '127.0.0.1' });
  const settings = { access, streamsMax: 2, streamBytesMax: STREAM_BYTES_MAX };
  dashboard = new Dashboard(new WebPage(pathToFileURL(`${folder}/`)), views, settings, LOGGER);
  server = createInternalServer({ health: { notReady: () => null }, dashboard }, LOGGER).listen(0, '127.0.0.1');
  await once(server, 'listening');
});

afterEach(() => {
  for (const stream of streams) stream.destroy();
  server.closeAllConnections();
  server.close();
  rmSync(folder, { recursive: true });
});

async function get(path: string, method = 'GET'): Promise<IncomingMessage> {
  const { port } = server.address() as AddressInfo;
  const sent = request({ port, host: '127.0.0.1', path, method, agent: false });
  sent.end();
  const [response] = (await once(sent, 'response')) as [IncomingMessage];
  response.on('error', () => {});
  streams.push(response);
  return response;
}

const FIGURES = '/dashboard/figures';
const line = async (stream: IncomingMessage) => String((await once(stream, 'data'))[0]);
const say = (text: string | Buffer) => {
  for (const onView of watchers) onView(Buffer.from(text));
};

test.each([
  ['/dashboard', 200, 'text/html; charset=utf-8'],
  ['/dashboard/', 200, 'text/html; charset=utf-8'],
  ['/dashboard?x', 200, 'text/html; charset=utf-8'],
  ['/dashboard/dashboard.js', 200, 'text/javascript; charset=utf-8'],
  ['/dashboard/index.html', 404, 'text/plain; charset=utf-8'],
  ['/dashboards', 404, 'application/json'],
])('%s is answered %i', async (path, status, type) => {
  const response = await get(path);
  expect([response.statusCode, response.headers['content-type']]).toEqual([status, type]);
  if (status === 200) expect(response.headers['content-security-policy']).toContain("default-src 'none'");
});

test('figures come line by line, for as long as they are read', async () => {
  const stream = await get(FIGURES);
  expect(stream.headers).toMatchObject({ 'content-type': 'application/x-ndjson', 'cache-control': 'no-store' });
  expect(await line(stream)).toBe('{"n":0}\n');
  say('{"n":1}\n');
  expect(await line(stream)).toBe('{"n":1}\n');
  expect([watchers.size, dashboard.streamCount]).toEqual([1, 1]);
  stream.destroy();
  await expect.poll(() => [watchers.size, dashboard.streamCount]).toEqual([0, 0]);
});

test('more streams than there may be are refused, until one has ended', async () => {
  const first = await get(FIGURES);
  await get(FIGURES);
  const refused = await get(FIGURES);
  expect(refused.statusCode).toBe(503);
  expect(await line(refused)).toContain('overloaded');
  first.destroy();
  await expect.poll(async () => (await get(FIGURES)).statusCode).toBe(200);
  expect((await get('/dashboard')).statusCode).toBe(200);
});

test('who does not read is let go', async () => {
  const stream = await get(FIGURES);
  stream.pause();
  // What it has not read is with the kernel first, which takes some megabytes.
  const much = Buffer.alloc(STREAM_BYTES_MAX, 'x');
  await expect
    .poll(
      () => {
        say(much);
        return dashboard.streamCount;
      },
      { interval: 1, timeout: 10_000 },
    )
    .toBe(0);
  expect(watchers.size).toBe(0);
});

test('in the end streams end, and no more begin', async () => {
  const stream = await get(FIGURES);
  stream.resume();
  const ended = once(stream, 'end');
  dashboard.close();
  await ended;
  expect((await get(FIGURES)).statusCode).toBe(503);
});

test('only what there is may be asked, and only read', async () => {
  expect((await get('/dashboard', 'POST')).statusCode).toBe(405);
  expect((await get(FIGURES, 'POST')).statusCode).toBe(404);
});

describe('access to figures', () => {
  const codeOf = (access: DashboardAccess, headers: Record<string, string>) => {
    try {
      access.require(headers);
      return 'ok';
    } catch (error) {
      return (error as { code: string }).code;
    }
  };

  test.each<[string, Record<string, string>]>([
    ['ok', { host: '127.0.0.1:9100' }],
    ['ok', { host: 'localhost:9100', 'sec-fetch-site': 'same-origin' }],
    ['ok', { host: '[::1]:9100' }],
    ['ok', { host: '10.1.2.3:9100' }],
    ['ok', { host: '[fd00::1]' }],
    ['ok', { host: 'tide.internal:9100', 'sec-fetch-site': 'none' }],
    ['forbidden', { host: 'evil.example:9100', 'sec-fetch-site': 'same-origin' }],
    ['forbidden', { host: '10.1.2.3.evil.example' }],
    ['forbidden', { host: '[evil.example]' }],
    ['forbidden', {}],
    ['forbidden', { host: 'localhost', 'sec-fetch-site': 'cross-site' }],
    ['forbidden', { host: 'localhost', 'sec-fetch-site': 'same-site' }],
    ['forbidden', { host: 'localhost', origin: 'https://evil.example' }],
  ])('without keys is %s for %j', (code, headers) => {
    expect(codeOf(new DashboardAccess({ keys: [], host: 'tide.internal' }), headers)).toBe(code);
  });

  test.each<[string, Record<string, string>]>([
    ['ok', { authorization: 'Bearer second', host: 'tide.example', 'sec-fetch-site': 'same-origin' }],
    ['unauthorized', { authorization: 'Bearer third', host: 'localhost' }],
    ['unauthorized', { host: 'localhost' }],
  ])('with keys is %s for %j', (code, headers) => {
    expect(codeOf(new DashboardAccess({ keys: ['first', 'second'], host: '127.0.0.1' }), headers)).toBe(code);
  });
});
