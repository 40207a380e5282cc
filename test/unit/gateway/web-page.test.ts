import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { writeAnswer } from '../../../src/gateway/http-answer.ts';
import { WebPage } from '../../../src/gateway/web-page.ts';

const SCRIPT = 'self.skipWaiting();\n';

let folder: string;
let server: Server;
let origin: string;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'tidegate-page-'));
  writeFileSync(join(folder, 'index.html'), '<!doctype html>\n');
  writeFileSync(join(folder, 'sw.js'), SCRIPT);
  writeFileSync(join(folder, 'sw.js.1.tmp'), 'half of');
  const page = new WebPage(pathToFileURL(`${folder}/`));
  server = createServer((request, response) => {
    const { method = '', url = '', headers } = request;
    const answer = page.answer(url, method, headers['if-none-match']) ?? { status: 404, headers: {} };
    writeAnswer(response, method, answer);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});

afterAll(() => {
  server.closeAllConnections();
  server.close();
  rmSync(folder, { recursive: true });
});

const get = (path: string, headers: Record<string, string> = {}, method = 'GET') =>
  fetch(origin + path, { method, headers });

test('a script is asked for each time, and may be a worker of its own origin only', async () => {
  const { status, headers } = await get('/sw.js');
  expect(status).toBe(200);
  expect(headers.get('content-type')).toBe('text/javascript; charset=utf-8');
  expect(headers.get('cache-control')).toBe('no-cache');
  const policy = headers.get('content-security-policy')?.split('; ') ?? [];
  expect(policy).toEqual(expect.arrayContaining(["default-src 'none'", "script-src 'self'", "worker-src 'self'"]));
  expect(policy.filter((rule) => !/^[a-z-]+ '(none|self)'$/.test(rule))).toEqual([]);
});

test('who has a file already is told so, and not sent it again', async () => {
  const first = await get('/sw.js');
  expect(await first.text()).toBe(SCRIPT);
  const etag = first.headers.get('etag') ?? '';
  expect(etag).toMatch(/^"[\w-]+"$/);
  for (const known of [etag, `W/${etag}`, `"another", ${etag}`]) {
    const again = await get('/sw.js', { 'if-none-match': known });
    expect(again.status, known).toBe(304);
    expect(again.headers.get('etag')).toBe(etag);
    expect(again.headers.get('cache-control')).toBe('no-cache');
    expect(again.headers.get('content-security-policy')).toBe(first.headers.get('content-security-policy'));
    expect(await again.text()).toBe('');
  }
});

test('who has another file is sent this one', async () => {
  const other = (await get('/')).headers.get('etag') ?? '';
  const answer = await get('/sw.js', { 'if-none-match': other });
  expect(answer.status).toBe(200);
  expect(await answer.text()).toBe(SCRIPT);
});

test('HEAD tells the length of what it leaves out', async () => {
  const answer = await get('/sw.js', {}, 'HEAD');
  expect(answer.status).toBe(200);
  expect(answer.headers.get('content-length')).toBe(`${SCRIPT.length}`);
  expect(await answer.text()).toBe('');
});

test('there is nothing but the files of known types', async () => {
  expect((await get('/')).status).toBe(200);
  expect((await get('/index.html')).status).toBe(404);
  expect((await get('/sw.js.1.tmp')).status).toBe(404);
  expect((await get('/', {}, 'POST')).status).toBe(405);
});
