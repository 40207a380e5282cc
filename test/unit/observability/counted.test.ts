import { once } from 'node:events';
import { createServer, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, onTestFinished, test, vi } from 'vitest';
import { CountedService } from '../../../src/observability/counted-service.ts';
import { CountedVerifier } from '../../../src/observability/counted-verifier.ts';
import { Tally } from '../../../src/observability/tally.ts';
import { CommandError } from '../../../src/protocol/errors.ts';

/** Counts of the API that are not 0, as `call status`. */
function counted({ api }: Tally): Record<string, number> {
  return Object.fromEntries(
    api.flatMap(({ call, statuses }) =>
      Object.entries(statuses)
        .filter(([, count]) => count > 0)
        .map(([status, count]) => [`${call} ${status}`, count]),
    ),
  );
}

async function serve(tally: Tally, status: (url: string) => number | null) {
  const service = new CountedService(
    {
      handle({ url = '' }, response) {
        const code = status(url);
        if (code !== null) response.writeHead(code).end();
      },
    },
    tally,
  );
  const server = createServer((req, res) => service.handle(req, res)).listen(0, '127.0.0.1');
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return { port, call: (method: string, path: string) => fetch(`http://127.0.0.1:${port}${path}`, { method }) };
}

test('requests are counted by call and status, never by name', async () => {
  const tally = new Tally();
  const { call } = await serve(tally, (url) => Number(/status=(\d+)/.exec(url)?.[1] ?? 200));
  await call('POST', '/api/v1/rooms/a%2Fb/publish');
  await call('POST', '/api/v1/rooms/b/publish?status=503');
  await call('GET', '/api/v1/rooms/b/presence?after=ann&status=401');
  await call('GET', '/api/v1/rooms/b/history?limit=1');
  await call('POST', '/api/v1/rooms/b/kick');
  await call('GET', '/api/v1/users/b/presence');
  await call('POST', '/api/v1/users/b/disconnect?status=418');
  await call('GET', '/api/v1/openapi.json');
  const odd = [
    '/api/',
    '/api/v1/rooms/a/b/publish',
    '/api/v1/rooms/publish',
    '/api/v1/users/b/publish',
    '/api/v2/rooms',
  ];
  for (const path of [...odd, '/api/v1/__proto__', '/api/v1/constructor']) await call('POST', `${path}?status=404`);
  await call('GET', '/api/v1/rooms/b/publish?status=404');
  await vi.waitFor(() =>
    expect(counted(tally)).toEqual({
      ...{ 'publish 200': 1, 'publish 503': 1, 'room_presence 401': 1, 'history 200': 1, 'kick 200': 1 },
      ...{ 'user_presence 200': 1, 'disconnect other': 1, 'document 200': 1, 'unknown 404': 8 },
    }),
  );
  const took = Object.fromEntries(tally.api.map((known) => [known.call, known.took.counts.reduce((a, b) => a + b)]));
  expect(took).toEqual({
    ...{ publish: 2, room_presence: 1, history: 1, kick: 1, user_presence: 1, disconnect: 1, document: 1, unknown: 8 },
  });
});

test('who goes away before the answer is counted as other', async () => {
  const tally = new Tally();
  const { port } = await serve(tally, () => null);
  const sent = request({ port, host: '127.0.0.1', path: '/api/v1/users/b/presence' });
  sent.on('error', () => {}).end();
  await once(sent, 'socket');
  setTimeout(() => sent.destroy(), 100);
  await vi.waitFor(() => expect(counted(tally)).toEqual({ 'user_presence other': 1 }));
});

test('tokens that are refused are counted by whether they could be checked', async () => {
  const tally = new Tally();
  const verifier = new CountedVerifier(
    {
      async verify(token) {
        if (token === 'good') return { user: 'ann' } as never;
        throw token === 'later' ? new CommandError('unavailable', 'x') : new CommandError('unauthorized', 'x');
      },
    },
    tally,
  );
  expect(await verifier.verify('good')).toEqual({ user: 'ann' });
  await expect(verifier.verify('later')).rejects.toMatchObject({ code: 'unavailable' });
  await expect(verifier.verify('bad')).rejects.toMatchObject({ code: 'unauthorized' });
  await expect(verifier.verify('bad')).rejects.toMatchObject({ code: 'unauthorized' });
  expect(tally.tokensRefused).toEqual({ unauthorized: 2, unavailable: 1 });
});
