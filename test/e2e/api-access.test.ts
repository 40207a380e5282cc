import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { BOUNDS } from '../../src/protocol/bounds.ts';
import { ApiClient } from './api-client.ts';
import { type GatewayProcess, startGateway, temporaryDirectory } from './gateway-process.ts';

let gateway: GatewayProcess;
let directory: Awaited<ReturnType<typeof temporaryDirectory>>;
let api: ApiClient;
const sockets: Socket[] = [];

async function start(env: Readonly<Record<string, string>> = {}): Promise<void> {
  directory = await temporaryDirectory();
  gateway = await startGateway(directory.path, { env });
  api = new ApiClient(gateway.ports.internal);
}

afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  await gateway.stop('SIGKILL');
  await directory.remove();
});

const PRESENCE = '/api/v1/rooms/r/presence';
const PUBLISH = '/api/v1/rooms/r/publish';
const DISCONNECT = '/api/v1/users/u/disconnect';

/** A connection on which a test writes HTTP by hand; `heard` is everything that came back. */
async function rawHttp(text: string) {
  const socket = connect(gateway.ports.internal, '127.0.0.1');
  sockets.push(socket);
  let heard = '';
  socket.on('data', (chunk: Buffer) => {
    heard += chunk.toString();
  });
  socket.on('error', () => {});
  await once(socket, 'connect');
  socket.write(text);
  return { socket, heard: () => heard };
}

const head = (length: number | 'chunked', more = '') =>
  `POST ${PUBLISH} HTTP/1.1\r\nHost: localhost\r\n${more}` +
  `${length === 'chunked' ? 'Transfer-Encoding: chunked' : `Content-Length: ${length}`}\r\n\r\n`;

test('with keys, one of them is needed, and any of them is enough', async () => {
  const keys = ['first-key', 'zweiter Schlüssel', 'k'];
  await start({ TIDEGATE_API_KEYS: keys.join(' , ') });
  const bytes = (key: string) => Buffer.from(key).toString('latin1');
  for (const authorization of [...keys.map((key) => `Bearer ${bytes(key)}`), 'bearer k', 'BEARER   first-key']) {
    expect((await api.with({ authorization }).get(PRESENCE)).status, authorization).toBe(200);
  }
  // Who has a key may be anybody.
  const foreign = { authorization: 'Bearer k', origin: 'https://evil.example', host: 'evil.example' };
  expect((await api.with(foreign).get(PRESENCE)).status).toBe(200);
  const refused = ['Bearer', 'Bearer ', 'Bearer first-kex', 'Bearer first', 'Bearer first-keys', 'Basic k', 'k'];
  for (const authorization of [
    undefined,
    ...refused,
    'Bearer first-key,k',
    'Bearer k k',
    `Bearer ${'k'.repeat(4_000)}`,
  ]) {
    for (const [method, path] of [
      ['GET', PRESENCE],
      ['POST', DISCONNECT],
      ['GET', '/api/v1/nothing'],
      ['POST', '/api/v1/openapi.json'],
    ] as const) {
      const { status, json, headers } = await api
        .with(authorization === undefined ? {} : { authorization })
        .send(method, path);
      expect([status, headers['www-authenticate']], authorization).toEqual([401, 'Bearer']);
      expect(json).toEqual({ error: { code: 'unauthorized', message: expect.stringContaining('TIDEGATE_API_KEYS') } });
    }
  }
  expect((await api.get('/api/v1/openapi.json')).status).toBe(200);
  expect((await api.get('/health/live')).status).toBe(200);
  await gateway.stop();
  expect(JSON.stringify(gateway.logs)).not.toMatch(/first|Schl|Bearer/);
});

test('without keys, pages and foreign names are refused, whatever they ask', async () => {
  await start();
  const port = gateway.ports.internal;
  for (const host of ['127.0.0.1', `localhost:${port}`, `127.0.0.1:${port}`, `[::1]:${port}`, 'LOCALHOST']) {
    expect((await api.with({ host }).get(PRESENCE)).status, host).toBe(200);
  }
  expect((await api.with({ 'sec-fetch-site': 'none' }).get(PRESENCE)).status).toBe(200);
  const figures = await rawHttp('GET /dashboard/figures HTTP/1.1\r\nHost: localhost\r\n\r\n');
  await expect.poll(() => figures.heard()).toContain('"showsRooms":true');
  const refused = [
    { host: 'evil.example' },
    { host: '127.evil.example' },
    { host: 'localhost.evil.example' },
    { host: '127.0.0.1.evil.example' },
    { origin: 'https://evil.example' },
    { origin: 'null' },
    { origin: `http://127.0.0.1:${port}` },
    { 'sec-fetch-site': 'cross-site' },
    { 'sec-fetch-site': 'same-origin' },
  ];
  for (const headers of refused as Record<string, string>[]) {
    expect(await api.failure(api.with(headers).get(PRESENCE)), JSON.stringify(headers)).toMatch(/^403 forbidden /);
    expect(await api.failure(api.with(headers).post(DISCONNECT))).toContain('TIDEGATE_API_KEYS');
  }
  const nameless = await rawHttp(`GET ${PRESENCE} HTTP/1.0\r\n\r\n`);
  await once(nameless.socket, 'close');
  expect(nameless.heard()).toContain(' 403 ');
});

test.each([
  [{ TIDEGATE_INTERNAL_HOST: '0.0.0.0' }, 'TIDEGATE_INTERNAL_HOST'],
  [{ TIDEGATE_AUTH: 'jwt', TIDEGATE_JWT_SECRET: 'x'.repeat(32) }, 'TIDEGATE_AUTH'],
])('without keys, nobody is let in where %j', async (env, setting) => {
  await start(env);
  const failure = await api.failure(api.get(PRESENCE));
  expect(failure).toMatch(/^401 unauthorized TIDEGATE_API_KEYS is not set/);
  expect(failure).toContain(setting);
  expect((await api.with({ authorization: 'Bearer ' }).get(PRESENCE)).status).toBe(401);
  expect((await api.get('/api/v1/openapi.json')).status).toBe(200);
  // Figures are told as metrics are, but no names of rooms.
  const figures = await rawHttp('GET /dashboard/figures HTTP/1.1\r\nHost: localhost\r\n\r\n');
  await expect.poll(() => figures.heard()).toMatch(/"showsRooms":false,.*"rooms":\[\]/);
});

test('what is no call of ours is 404', async () => {
  await start();
  for (const [method, path] of [
    ['GET', '/'],
    ['GET', '/api'],
    ['GET', '/api/'],
    ['GET', '/api/v1/rooms'],
    ['GET', '/api/v1/rooms/r'],
    ['GET', '/api/v2/rooms/r/presence'],
    ['GET', `${PRESENCE}/`],
    ['GET', '/api/v1/rooms/r/disconnect'],
    ['GET', '/api/v1/users/u/history?limit=1'],
    ['GET', PUBLISH],
    ['POST', PRESENCE],
    ['PUT', PUBLISH],
    ['DELETE', '/api/v1/users/u'],
    ['OPTIONS', PUBLISH],
    ['POST', '/api/v1/openapi.json'],
    ['GET', '/api/v1/rooms/r/toString'],
    ['GET', '/metricsx'],
  ] as const) {
    expect(await api.failure(api.send(method, path)), path).toBe('404 bad_request no such call');
  }
  const { status, text } = await api.send('HEAD', PRESENCE);
  expect([status, text]).toEqual([404, '']);
});

test('what is wrong with a body is said by the name of the field', async () => {
  await start();
  const deep = (levels: number) => `{"from":"a","data":${'['.repeat(levels)}${']'.repeat(levels)}}`;
  for (const [body, complaint] of [
    ['', 'from: missing'],
    ['{}', 'from: missing'],
    [' ', 'the body is not JSON'],
    ['{"from":"a","data":1', 'the body is not JSON'],
    ['{"from":"a","data":1}{}', 'the body is not JSON'],
    ['[]', 'the body is not one JSON object'],
    ['null', 'the body is not one JSON object'],
    ['{"from":"a"}', 'data: missing'],
    ['{"data":1}', 'from: missing'],
    ['{"from":"a","data":1,"x":1}', 'x: not a field of this call'],
    ['{"from":"a","data":1,"room":"r"}', 'room: not a field'],
    ['{"from":"a","data":1,"after":"m"}', 'after: not a field'],
    ['{"from":"a","data":1,"toString":1}', 'toString: not a field'],
    ['{"from":"a","data":1,"__proto__":1}', '__proto__: not a field'],
    ['{"from":"a","data":1,"from":"a"}', 'from: given twice'],
    ['{"fr\\u006fm":"a","data":1}', 'fr\\u006fm: a key with an escape'],
    ['{"from":"a b","data":1}', 'from: must be'],
    ['{"from":1,"data":1}', 'from: must be'],
    ['{"from":"a","data":1,"mid":""}', 'mid: must be'],
    [`{"from":"a","data":1,"mid":"${'m'.repeat(65)}"}`, 'mid: must be'],
    ['{"from":"a","data":1,"mid":null}', 'mid: must be'],
    ['{"from":"a","data":"\\ud800"}', 'a lone surrogate'],
    [deep(32), 'nested deeper'],
    [`{"from":"a","data":"${'x'.repeat(BOUNDS.dataBytesMax - 1)}"}`, 'data: must be at most 16384 bytes'],
    [Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d]), 'the body is not UTF-8'],
    [`\ufeff{"from":"a","data":1}`, 'the body is not JSON'],
  ] as const) {
    const failure = await api.failure(api.post(PUBLISH, body));
    expect(failure.startsWith(`400 bad_request ${complaint}`), `${body}: ${failure}`).toBe(true);
  }
  expect((await api.post(PUBLISH, deep(31))).status).toBe(200);
  expect((await api.post(PUBLISH, `{"from":"a","data":"${'x'.repeat(BOUNDS.dataBytesMax - 2)}"}`)).status).toBe(200);
  for (const [path, body, complaint] of [
    [DISCONNECT, '{"code":1000}', 'code: must be one of 3000'],
    [DISCONNECT, '{"code":"3503"}', 'code: must be'],
    [DISCONNECT, '{"reason":""}', 'reason: must be 1–123'],
    [DISCONNECT, `{"reason":"${'x'.repeat(124)}"}`, 'reason: must be'],
    [DISCONNECT, '{"reason":"é"}', 'reason: must be'],
    [DISCONNECT, '{"user":"u"}', 'user: not a field'],
    ['/api/v1/rooms/r/kick', '{}', 'user: missing'],
    ['/api/v1/rooms/r/kick', '{"user":"a b"}', 'user: must be'],
    [`${PUBLISH}?from=a`, '{"from":"a","data":1}', "from: not in this call's query"],
  ] as const) {
    expect(await api.failure(api.post(path, body))).toContain(`400 bad_request ${complaint}`);
  }
});

test('what is wrong with a query is said by the name of the key', async () => {
  await start();
  const history = '/api/v1/rooms/r/history';
  for (const [path, complaint] of [
    [history, 'limit: missing'],
    [`${history}?`, 'limit: missing'],
    [`${history}?limit=0`, 'limit: must be an integer from 1 to 300'],
    [`${history}?limit=301`, 'limit: must be'],
    [`${history}?limit=`, 'limit: must be'],
    [`${history}?limit`, 'limit: must be'],
    [`${history}?limit=1.0`, 'limit: must be'],
    [`${history}?limit=01`, 'limit: must be'],
    [`${history}?limit=1e1`, 'limit: must be'],
    [`${history}?limit=+1`, 'limit: must be'],
    [`${history}?limit=1&limit=1`, 'limit: given twice'],
    [`${history}?limit=1&%6cimit=1`, 'limit: given twice'],
    [`${history}?limit=1&x=1`, "x: not in this call's query"],
    [`${history}?limit=1&toString=1`, 'toString: not in'],
    [`${history}?limit=1&=1`, ': not in'],
    [`${history}?limit=%`, 'query: not percent-encoded UTF-8'],
    [`${history}?limit=1&before=e`, 'before: must be epoch:offset'],
    [`${history}?limit=1&before=:1`, 'before: epoch must be'],
    [`${history}?limit=1&before=e:`, 'before: offset must be'],
    [`${history}?limit=1&before=e:-2`, 'before: offset must be'],
    [`${history}?limit=1&before=e:-0`, 'before: offset must be'],
    [`${history}?limit=1&after=e:1.5`, 'after: offset must be'],
    [`${history}?limit=1&after=e:9007199254740992`, 'after: offset must be'],
    [`${history}?limit=1&after=${'e'.repeat(65)}:1`, 'after: epoch must be'],
    [`${history}?limit=1&after=%C3%A9:1`, 'after: epoch must be'],
    [`${history}?limit=1&after=e:1&before=e:2`, 'after: not together with before'],
    [`${PRESENCE}?after=a%20b`, 'after: must be'],
    [`${PRESENCE}?limit=1`, 'limit: not in'],
    ['/api/v1/users/u/presence?after=a', 'after: not in'],
  ] as const) {
    expect(await api.failure(api.get(path)), path).toContain(`400 bad_request ${complaint}`);
  }
  expect(await api.failure(api.send('GET', PRESENCE, '{}', { 'content-length': '2' }))).toContain('takes no body');
});

test('a body is JSON whatever its type says, as many clients say nothing or something else', async () => {
  await start();
  const types = [
    'application/json; charset=utf-8',
    'text/plain;charset=UTF-8',
    'application/x-www-form-urlencoded',
    '',
  ];
  for (const type of types) {
    const reply = await api.post(PUBLISH, '{"from":"a","data":1}', { 'content-type': type });
    expect(reply.status, type).toBe(200);
    expect(await api.failure(api.post(PUBLISH, 'from=a&data=1', { 'content-type': type })), type).toContain('400');
  }
});

test('a body that is too long is refused, and its connection closed', async () => {
  await start();
  const body = (bytes: number) => `{"from":"a","data":1${' '.repeat(bytes - 21)}}`;
  expect((await api.post(PUBLISH, body(BOUNDS.bodyBytesMax))).status).toBe(200);
  const chunked = { 'transfer-encoding': 'chunked' };
  expect((await api.post(PUBLISH, body(BOUNDS.bodyBytesMax), chunked)).status).toBe(200);
  for (const headers of [{}, chunked]) {
    for (const bytes of [BOUNDS.bodyBytesMax + 1, 4 * BOUNDS.bodyBytesMax]) {
      const { status, json, headers: answered } = await api.post(PUBLISH, body(bytes), headers);
      expect([status, answered.connection]).toEqual([400, 'close']);
      expect(json.error).toEqual({ code: 'bad_request', message: 'the body is longer than 65536 bytes' });
    }
  }
  // One that is only announced is not waited for.
  const announced = await rawHttp(head(BOUNDS.bodyBytesMax + 1));
  await once(announced.socket, 'close');
  expect(announced.heard()).toMatch(/^HTTP\/1.1 400 .*longer than 65536/s);
});

test('a body that does not come is given up, and others are answered meanwhile', async () => {
  await start({ TIDEGATE_API_REQUESTS_MAX: '2' });
  const began = performance.now();
  const slow = [await rawHttp(head(21)), await rawHttp(`${head('chunked')}1\r\n{\r\n`)];
  const overloaded = await untilStatus(503);
  expect(overloaded.json.error).toMatchObject({ code: 'overloaded', retryAfterMs: 1_000 });
  expect(overloaded.headers['retry-after']).toBe('1');
  expect((await api.get('/health/ready')).status).toBe(200);
  await Promise.all(slow.map(({ socket }) => once(socket, 'close')));
  expect(performance.now() - began).toBeLessThan(15_000);
  for (const { heard } of slow) expect(heard()).toMatch(/^HTTP\/1.1 400 .*the body did not come within 10000 ms/s);
  await untilStatus(200);
});

test('who breaks off gives their place back', async () => {
  await start({ TIDEGATE_API_REQUESTS_MAX: '1' });
  for (let i = 0; i < 3; i += 1) {
    const { socket } = await rawHttp(head(21));
    await untilStatus(503);
    socket.destroy();
    await untilStatus(200);
  }
});

test('who expects to be told to go on is told so, and several requests share a connection', async () => {
  await start();
  const { socket, heard } = await rawHttp(head(21, 'Expect: 100-continue\r\n'));
  await until(() => heard().startsWith('HTTP/1.1 100 Continue\r\n\r\n'));
  socket.write(`{"from":"a","data":1}${head(2)}{}GET ${PRESENCE} HTTP/1.1\r\nHost: localhost\r\n\r\n`);
  await until(() => heard().includes('"partial"'));
  expect([...heard().matchAll(/HTTP\/1\.1 (\d+)/g)].map(([, status]) => status)).toEqual(['100', '200', '400', '200']);
  socket.write('nonsense\r\n\r\n');
  await once(socket, 'close');
});

test('while the node drains, calls are unavailable', async () => {
  await start();
  // A session whose client does not end its side holds the end up for a while.
  const lingering = connect({ port: gateway.ports.tcp, host: '127.0.0.1', allowHalfOpen: true });
  sockets.push(lingering);
  await once(lingering, 'connect');
  lingering.write('{"op":"connect","id":1,"user":"ann"}\n');
  await once(lingering, 'data');
  const held = await rawHttp(head(21));
  await new Promise((resolve) => setTimeout(resolve, 100));
  const stopped = gateway.stop();
  const { json, headers } = await untilStatus(503);
  expect(json.error).toEqual({ code: 'unavailable', message: 'this node goes away' });
  expect(headers['retry-after']).toBeUndefined();
  // Also one that had begun, for which the end waits though no session is left.
  lingering.destroy();
  await new Promise((resolve) => setTimeout(resolve, 500));
  expect(gateway.exited).toBe(false);
  held.socket.write('{"from":"a","data":1}');
  await until(() => /^HTTP\/1.1 503 .*this node goes away/s.test(held.heard()));
  expect(await stopped).toBe(0);
});

async function untilStatus(status: number) {
  return until(async () => {
    const answer = await api.get(PRESENCE);
    return answer.status === status && answer;
  });
}

async function until<T>(find: () => T | false | Promise<T | false>): Promise<T> {
  for (const deadline = performance.now() + 10_000; performance.now() < deadline; ) {
    const found = await find();
    if (found !== false) return found;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error('waited in vain');
}
