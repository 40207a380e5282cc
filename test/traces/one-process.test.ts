import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { makeAuthority, makeCertificate } from '../certificates.ts';
import { ApiClient } from '../e2e/api-client.ts';
import { Stage } from '../e2e/stage.ts';
import { OtlpReceiver } from './otlp-receiver.ts';

const PARENT = { traceId: '4bf92f3577b34da6a3ce929d0e0e4736', spanId: '00f067aa0ba902b7' };
/** Notes what is loaded of the SDK. Its API is loaded always: prom-client has it. */
const HOOK = `
import { appendFileSync } from 'node:fs';
import { registerHooks } from 'node:module';
registerHooks({
  resolve(specifier, context, next) {
    if (/^@opentelemetry\\/(?!api$)/.test(specifier)) appendFileSync(process.env.LOADED, specifier + '\\n');
    return next(specifier, context);
  },
});
`;
const SOON = { TIDEGATE_TRACE_EXPORT_MS: '10' };

let directory: string;
const closers: (() => Promise<void>)[] = [];

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'tidegate-traces-'));
});

afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

afterAll(() => rmSync(directory, { recursive: true }));

async function opened<T extends { close(): Promise<void> }>(opening: Promise<T>): Promise<T> {
  const thing = await opening;
  closers.push(() => thing.close());
  return thing;
}

/** A gateway to which something was published, and what it has loaded of the SDK. */
async function withLoads(name: string, env: Readonly<Record<string, string>>) {
  const [hook, file] = [join(directory, 'hook.mjs'), join(directory, name)];
  writeFileSync(hook, HOOK);
  writeFileSync(file, '');
  const stage = await opened(Stage.open({ NODE_OPTIONS: `--import ${hook}`, LOADED: file, ...env }));
  const ann = await stage.client('ann');
  await ann.ok({ op: 'join', room: 'r' });
  await ann.ok({ op: 'publish', room: 'r', mid: 'm', data: 1 });
  await ann.until('what it has said', () => ann.messages('r')[0]);
  return { stage, loaded: () => readFileSync(file, 'utf8').split('\n').filter(Boolean) };
}

test('a publish is a trace from its command to its delivery, and tells nobody who has said what where', async () => {
  const receiver = await opened(OtlpReceiver.open());
  const env = { ...SOON, TIDEGATE_OTLP_ENDPOINT: receiver.endpoint, TIDEGATE_TRACE_SAMPLE: '1' };
  const more = { TIDEGATE_NODE_ID: 'the-node', TIDEGATE_ANONYMOUS_PUBLISH: 'room-one' };
  const stage = await opened(Stage.open({ ...env, ...more }));
  const ann = await stage.client('ann-of-users');
  const bob = await stage.client('bob-of-users', {}, 'ws');
  for (const client of [ann, bob]) await client.ok({ op: 'join', room: 'room-one' });
  await bob.ok({ op: 'publish', room: 'room-one', mid: 'mid-one', data: 'words-one' });

  const traceId = await receiver.until(
    'a publish',
    () => receiver.spans.find(({ name }) => name === 'publish')?.traceId,
  );
  const spans = await receiver.trace(traceId, 4);
  const tree = Object.fromEntries(
    spans.map(({ name, kind, parentSpanId, status }) => {
      return [name, [spans.find(({ spanId }) => spanId === parentSpanId)?.name ?? parentSpanId, kind, status]];
    }),
  );
  expect(tree).toEqual({
    publish: ['', 'server', 'unset'],
    queue: ['publish', 'internal', 'unset'],
    commit: ['publish', 'internal', 'unset'],
    deliver: ['commit', 'internal', 'unset'],
  });
  const named = (name: string) => spans.find((span) => span.name === name);
  expect(named('publish')?.attributes).toEqual({
    'tidegate.entry': 'websocket',
    'tidegate.offset': 0,
    'tidegate.duplicate': false,
  });
  expect(named('deliver')?.attributes).toMatchObject({ 'tidegate.offset': 0, 'tidegate.sessions': 2 });
  expect(named('commit')?.attributes).toMatchObject({ 'tidegate.batch.records': 1 });
  expect(named('publish')?.resource).toMatchObject({ 'service.name': 'tidegate', 'service.instance.id': 'the-node' });
  const begun = ['publish', 'queue', 'commit', 'deliver'].map((name) => named(name)?.startNs ?? 0n);
  expect(begun).toEqual([...begun].sort((a, b) => Number(a - b)));
  expect(spans.every(({ startNs, endNs }) => startNs <= endNs)).toBe(true);
  expect(receiver.exports[0]).toMatchObject({
    path: '/v1/traces',
    headers: { 'content-type': 'application/x-protobuf' },
  });

  const openMetrics = { headers: { accept: 'application/openmetrics-text;version=1.0.0,text/plain;q=0.5' } };
  const page = await fetch(`http://127.0.0.1:${stage.gateway.ports.internal}/metrics`, openMetrics);
  expect(page.headers.get('content-type')).toBe('application/openmetrics-text; version=1.0.0; charset=utf-8');
  const lines = (await page.text()).split('\n');
  const exemplars = lines.filter((line) => line.includes(` # {trace_id="${traceId}",span_id="`));
  const names = exemplars.map((line) => line.replace(/\{.*/, ''));
  expect(names).toEqual(['tidegate_publish_append_seconds_bucket', 'tidegate_append_deliver_seconds_bucket']);
  expect(exemplars[1]).toContain(`span_id="${named('deliver')?.spanId}"`);

  expect(await ann.errorCode({ op: 'publish', room: 'room-two', mid: 'mid-two', data: 1 })).toBe('forbidden');
  const refused = await receiver.until('a refused publish', () =>
    receiver.spans.find(({ attributes }) => attributes['error.type'] !== undefined),
  );
  // It was the caller's own fault.
  expect(refused).toMatchObject({ name: 'publish', status: 'unset', attributes: { 'error.type': 'forbidden' } });
  expect(receiver.spans.filter((span) => span.traceId === refused.traceId)).toHaveLength(1);

  const told = JSON.stringify(receiver.exports, (_, value) => (typeof value === 'bigint' ? String(value) : value));
  for (const secret of ['of-users', 'room-', 'mid-', 'words-']) expect(told).not.toContain(secret);
});

test('goes on with the trace of a backend, if that is recorded, and with none of what is no traceparent', async () => {
  const receiver = await opened(OtlpReceiver.open());
  const env = { ...SOON, TIDEGATE_OTLP_ENDPOINT: receiver.endpoint, TIDEGATE_TRACE_SAMPLE: '0' };
  const stage = await opened(Stage.open(env));
  const api = new ApiClient(stage.gateway.ports.internal);
  const { traceId, spanId } = PARENT;
  const publish = async (traceparent: string | null, from = 'backend') =>
    (await api.post('/api/v1/rooms/r/publish', { from, data: 1 }, traceparent === null ? {} : { traceparent })).status;
  const unheard = [null, `00-${traceId}-${spanId}-00`, 'nonsense', `00-${'0'.repeat(32)}-${spanId}-01`];
  for (const traceparent of unheard) expect(await publish(traceparent)).toBe(200);
  const client = await stage.client('ann');
  await client.ok({ op: 'publish', room: 'r', mid: 'm', data: 1 });
  expect(await publish(`00-${traceId}-${spanId}-01`)).toBe(200);
  expect(await publish(`00-${traceId}-${spanId}-01`, 'not a user')).toBe(400);

  // Nobody is in the room, so that nothing is delivered.
  const spans = await receiver.trace(traceId, 3);
  expect(spans.find(({ name }) => name === 'publish')).toMatchObject({
    parentSpanId: spanId,
    kind: 'server',
    attributes: { 'tidegate.entry': 'api' },
  });
  expect(receiver.spans.map((span) => span.traceId)).toEqual([traceId, traceId, traceId]);
});

test('is told how to speak to a collector by the variables of OpenTelemetry, and what it calls itself', async () => {
  await makeAuthority(directory, 'ca');
  for (const name of ['collector', 'gateway']) await makeCertificate(directory, 'ca', name);
  const [ca, cert, key] = ['ca.pem', 'collector.pem', 'collector.key'].map((name) =>
    readFileSync(join(directory, name)),
  );
  const receiver = await opened(OtlpReceiver.open({ ca, cert, key, requestCert: true, rejectUnauthorized: true }));
  const { stage, loaded } = await withLoads('on', {
    TIDEGATE_OTLP_ENDPOINT: `${receiver.endpoint}/`,
    TIDEGATE_TRACE_SAMPLE: '1',
    // What has ended goes to the collector before the process is gone.
    TIDEGATE_TRACE_EXPORT_MS: '3600000',
    OTEL_EXPORTER_OTLP_HEADERS: 'authorization=Basic%20c2VjcmV0,x-tenant=one',
    OTEL_EXPORTER_OTLP_TRACES_HEADERS: 'x-tenant=two',
    OTEL_EXPORTER_OTLP_CERTIFICATE: join(directory, 'ca.pem'),
    OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE: join(directory, 'gateway.pem'),
    OTEL_EXPORTER_OTLP_CLIENT_KEY: join(directory, 'gateway.key'),
    OTEL_EXPORTER_OTLP_COMPRESSION: 'gzip',
    // Without effect.
    OTEL_TRACES_SAMPLER: 'always_off',
    OTEL_SERVICE_NAME: 'chat',
    OTEL_RESOURCE_ATTRIBUTES: 'deployment.environment.name=trial',
  });
  expect(loaded()).toContain('@opentelemetry/sdk-trace');
  expect(receiver.spans).toEqual([]);
  expect(await stage.gateway.stop()).toBe(0);
  expect(receiver.spans.map(({ name }) => name).sort()).toEqual(['commit', 'deliver', 'publish', 'queue']);
  for (const { resource } of receiver.spans) {
    expect(resource).toMatchObject({ 'service.name': 'chat', 'deployment.environment.name': 'trial' });
  }
  expect(receiver.exports).toMatchObject([
    { path: '/v1/traces', headers: { authorization: 'Basic c2VjcmV0', 'x-tenant': 'two', 'content-encoding': 'gzip' } },
  ]);
  expect(JSON.stringify(stage.gateway.logs)).not.toContain('c2VjcmV0');
});

test('where traces go nowhere the SDK of OpenTelemetry is not loaded', async () => {
  const { loaded } = await withLoads('off', { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:1' });
  expect(loaded()).toEqual([]);
});
