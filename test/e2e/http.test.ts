import { once } from 'node:events';
import { request } from 'node:http';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { WsClient } from './clients.ts';
import { type GatewayProcess, startGateway, temporaryDirectory } from './gateway-process.ts';

let gateway: GatewayProcess;
let directory: Awaited<ReturnType<typeof temporaryDirectory>>;

beforeAll(async () => {
  directory = await temporaryDirectory();
  gateway = await startGateway(directory.path, { env: { TIDEGATE_ORIGINS: 'https://chat.example' } });
});

afterAll(async () => {
  await gateway.stop();
  await directory.remove();
});

interface Answer {
  readonly status: number | undefined;
  readonly headers: Readonly<Record<string, unknown>>;
  readonly body: string;
}

function get(path: string, headers: Record<string, string> = {}, method = 'GET'): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const sent = request({ port: gateway.ports.http, host: '127.0.0.1', path, method, headers }, (response) => {
      let body = '';
      response.on('data', (chunk: Buffer) => {
        body += chunk.toString();
      });
      response.on('end', () => resolve({ status: response.statusCode, headers: response.headers, body }));
    });
    sent.on('error', reject).end();
  });
}

/** The status with which an upgrade is refused, or 101. */
function upgrade(headers: Record<string, string>, path = '/ws', protocols: string[] = []): Promise<number> {
  return new Promise((resolve, reject) => {
    const ws = new WebSocket(`ws://127.0.0.1:${gateway.ports.http}${path}`, protocols, { headers });
    ws.on('unexpected-response', (_, response) => {
      resolve(response.statusCode ?? 0);
      ws.terminate();
    });
    ws.on('open', () => {
      ws.close();
      resolve(101);
    });
    ws.on('error', (error) => {
      if (!error.message.includes('before the connection was established')) reject(error);
    });
  });
}

test('the page is served with a strict content security policy', async () => {
  const page = await get('/');
  expect(page.status).toBe(200);
  expect(page.headers['content-type']).toBe('text/html; charset=utf-8');
  expect(page.headers['content-security-policy']).toContain("default-src 'none'");
  expect(page.headers['content-security-policy']).not.toContain('unsafe');
  expect(page.body).toContain('<!doctype html>');
  expect((await get('/', {}, 'HEAD')).body).toBe('');
  expect((await get('/', {}, 'POST')).status).toBe(405);
  expect((await get('/nothing')).status).toBe(404);
  expect((await get('/../package.json')).status).toBe(404);
});

test('a host name that is not ours is refused, for pages and WebSockets', async () => {
  expect((await get('/', { host: 'evil.example' })).status).toBe(403);
  expect((await get('/', { host: `localhost:${gateway.ports.http}` })).status).toBe(200);
  expect(await upgrade({ host: 'evil.example' })).toBe(403);
});

test('a page of another origin is refused unless it is listed', async () => {
  const own = `127.0.0.1:${gateway.ports.http}`;
  expect(await upgrade({})).toBe(101);
  expect(await upgrade({ origin: `http://${own}` })).toBe(101);
  expect(await upgrade({ origin: 'https://chat.example' })).toBe(101);
  expect(await upgrade({ origin: 'https://evil.example' })).toBe(403);
  expect(await upgrade({ origin: 'null' })).toBe(403);
});

test('what is no WebSocket of ours is refused by its status', async () => {
  expect((await get('/ws')).status).toBe(426);
  expect(await upgrade({}, '/elsewhere')).toBe(404);
  expect(await upgrade({}, '/ws', ['other.v1'])).toBe(400);
  const handshake = { connection: 'upgrade', upgrade: 'websocket', 'sec-websocket-key': `${'x'.repeat(22)}==` };
  expect((await get('/ws', { ...handshake, 'sec-websocket-version': '7' })).status).toBeOneOf([400, 426]);
  expect((await get('/ws', { ...handshake, 'sec-websocket-version': '13', 'sec-websocket-key': 'x' })).status).toBe(
    400,
  );
});

test('our subprotocol is chosen among others, and none is fine too', async () => {
  const url = `ws://127.0.0.1:${gateway.ports.http}/ws?x=1`;
  for (const [offered, chosen] of [
    [['other.v1', 'tidegate.v1'], 'tidegate.v1'],
    [[], ''],
  ] as const) {
    const client = new WsClient(new WebSocket(url, [...offered]));
    await once(client.ws, 'open');
    expect(client.ws.protocol).toBe(chosen);
    client.close();
  }
});
