import { pino } from 'pino';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { NoPeers } from '../../../src/fanout/no-peers.ts';
import type { Appended, AppendRequest } from '../../../src/fanout/room-log.ts';
import { Gateway } from '../../../src/gateway/gateway.ts';
import { append } from '../../../src/gateway/handlers/publish.ts';
import { TimerWheel } from '../../../src/limits/timer-wheel.ts';
import { MemoryPresence } from '../../../src/presence/memory-presence-store.ts';
import { CommandError } from '../../../src/protocol/errors.ts';
import { ndjsonDialect } from '../../../src/protocol/json-dialect.ts';
import { FakeTrace } from '../fake-trace.ts';
import { PlayedLog } from '../hub/played-log.ts';
import { FakeTransport } from './fake-transport.ts';
import { SETTINGS } from './gateway-settings.ts';

const APPENDED: Appended = { position: { epoch: 'e', offset: 7 }, duplicate: false };
const BACKEND = {
  user: 'backend',
  grants: { allowsPublish: () => true, allowsJoin: () => true, allowsPresence: () => true },
};

let outcome: () => Promise<Appended>;
let requests: AppendRequest[];
let trace: FakeTrace;
const publishing = vi.fn();
let logged: Record<string, unknown>[];
let gateway: Gateway;
let wheel: TimerWheel;
let client: FakeTransport;

beforeEach(async () => {
  outcome = async () => APPENDED;
  requests = [];
  trace = new FakeTrace();
  publishing.mockReset().mockImplementation(() => trace);
  logged = [];
  const log = new PlayedLog();
  log.append = (request) => {
    requests.push(request);
    return outcome();
  };
  wheel = new TimerWheel();
  const presence = new MemoryPresence({ leaseMs: 10_000, graceMs: 0, lastSeenMax: 10 }).replica();
  const ports = { log, presence, isPresenceShared: false, peers: new NoPeers() };
  const tracing = { publishing, delivered: () => trace.ids };
  const logger = pino({}, { write: (line: string) => void logged.push(JSON.parse(line) as Record<string, unknown>) });
  gateway = new Gateway({ ...ports, tracing }, wheel, SETTINGS, logger);
  await gateway.open();
  client = new FakeTransport();
  client.attach(gateway.openSession(client, ndjsonDialect, true));
  client.send({ op: 'connect', id: 0, user: 'ann' });
  await vi.waitFor(() => expect(client.said).toHaveLength(1));
});

afterEach(async () => {
  await gateway.drain(0);
  wheel.close();
});

const answer = () => vi.waitFor(() => client.said.find(({ id }) => id === 1) ?? Promise.reject(new Error('none yet')));
const publish = () => client.send({ op: 'publish', id: 1, room: 'r', mid: 'm', data: 1 });

it('hands the trace of a publish to the log, and ends it with the answer', async () => {
  publish();
  await answer();
  expect(publishing.mock.calls).toEqual([['ndjson', null]]);
  expect(requests[0]?.trace).toBe(trace);
  expect(trace.told).toEqual([APPENDED]);
  expect(gateway.tally.publishAppend.exemplars.flat()).toMatchObject([{ ids: trace.ids }]);
});

it('ends the trace of a publish that never came to the log', async () => {
  client.send({ op: 'publish', id: 1, room: '@reserved', mid: 'm', data: 1 });
  await answer();
  expect(requests).toEqual([]);
  expect(trace.told).toEqual([expect.objectContaining({ code: 'forbidden' })]);
});

it('names the trace to the log and to the client where a publish fails by our fault, and else says nothing', async () => {
  const fault = new TypeError('insides');
  outcome = () => Promise.reject(fault);
  publish();
  expect((await answer()).error).toMatchObject({ code: 'internal', message: `our fault; trace ${trace.ids.trace_id}` });
  expect(logged).toMatchObject([{ ...trace.ids, err: { message: 'insides' } }]);
  expect(trace.told).toEqual([fault]);
  logged = [];
  outcome = () => Promise.reject(new CommandError('overloaded', 'in words', 1));
  const failing = append(BACKEND, { room: 'r', mid: 'm', data: '1' }, gateway.rooms, null);
  await expect(failing).rejects.toMatchObject({ code: 'overloaded' });
  expect(logged).toEqual([]);
});

it('goes on with the trace of a backend, and names it in the same way', async () => {
  const parent = { traceId: 'd'.repeat(32), spanId: 'e'.repeat(16), isSampled: true };
  const appending = () => append(BACKEND, { room: 'r', mid: 'm', data: '1' }, gateway.rooms, parent);
  expect(await appending()).toMatchObject({ offset: 7 });
  expect(publishing.mock.calls).toEqual([['api', parent]]);
  expect(trace.told).toEqual([APPENDED]);
  outcome = () => Promise.reject(new TypeError('insides'));
  await expect(appending()).rejects.toMatchObject({ message: `our fault; trace ${trace.ids.trace_id}` });
  expect(logged).toMatchObject([{ ...trace.ids, err: { message: 'insides' } }]);
});

it('has no trace where none is made', async () => {
  publishing.mockImplementation(() => undefined);
  publish();
  await answer();
  expect(requests).toMatchObject([{ room: 'r', trace: undefined }]);
  expect(gateway.tally.publishAppend.exemplars.flat()).toEqual([]);
});
