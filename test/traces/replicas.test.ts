import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { randomName } from '../../src/random-name.ts';
import { ApiClient } from '../e2e/api-client.ts';
import { type Client, TcpClient } from '../e2e/clients.ts';
import { type GatewayProcess, startGateway, temporaryDirectory } from '../e2e/gateway-process.ts';
import { KAFKA_BROKERS, REDIS_URL } from '../services/test-services.ts';
import { OtlpReceiver } from './otlp-receiver.ts';
import type { ReceivedSpan } from './otlp-spans.ts';

const isMissing = KAFKA_BROKERS === undefined || REDIS_URL === undefined;

describe.skipIf(isMissing && !process.env.CI)('traces of replicas that share Kafka and Redis', () => {
  const prefix = `traces-${randomName(4, 'hex')}`;
  const topic = `${prefix}.rooms`;
  const env = {
    TIDEGATE_KAFKA_BROKERS: KAFKA_BROKERS ?? '',
    TIDEGATE_KAFKA_REPLICATION: '1',
    TIDEGATE_REDIS_URL: REDIS_URL ?? '',
    TIDEGATE_PREFIX: prefix,
    TIDEGATE_PARTITIONS: '4',
  };
  let directory: Awaited<ReturnType<typeof temporaryDirectory>>;
  let receiver: OtlpReceiver;
  /** The first one traces all publishes, the second one none of its own, and the third one is not told of traces. */
  let replicas: readonly GatewayProcess[] = [];
  const clients: Client[] = [];

  beforeAll(async () => {
    directory = await temporaryDirectory();
    receiver = await OtlpReceiver.open();
    const traced = { TIDEGATE_OTLP_ENDPOINT: receiver.endpoint, TIDEGATE_TRACE_EXPORT_MS: '10' };
    const start = (node: string, more: object) =>
      startGateway(directory.path, { env: { ...env, ...more, TIDEGATE_NODE_ID: node } });
    replicas = await Promise.all([
      start('one', { ...traced, TIDEGATE_TRACE_SAMPLE: '1' }),
      start('two', { ...traced, TIDEGATE_TRACE_SAMPLE: '0' }),
      start('three', {}),
    ]);
  }, 60_000);

  afterEach(() => {
    for (const client of clients.splice(0)) client.close();
  });

  afterAll(async () => {
    await Promise.all(replicas.map((replica) => replica.stop('SIGKILL')));
    await receiver?.close();
    await directory.remove();
  });

  /** A member of the room on each replica. */
  async function members(room: string): Promise<readonly Client[]> {
    const joined = replicas.map(async ({ ports }, i) => {
      const client = await TcpClient.open(ports.tcp);
      clients.push(client);
      await client.connect(`user-${i}`);
      await client.ok({ op: 'join', room });
      return client;
    });
    return Promise.all(joined);
  }

  /** Those of a trace that has been delivered on both replicas that trace. */
  const delivered = (isIt: (span: ReceivedSpan) => boolean) =>
    receiver.until('a publish and two deliveries', () => {
      const traceId = receiver.spans.find((span) => span.name === 'publish' && isIt(span))?.traceId;
      const spans = receiver.spans.filter((span) => span.traceId === traceId);
      return spans.filter(({ name }) => name === `process ${topic}`).length === 2 ? spans : undefined;
    });

  const nodeOf = (span: ReceivedSpan | undefined) => span?.resource['service.instance.id'];
  const everybodyHas = (room: string, all: readonly Client[], mid: string) =>
    Promise.all(all.map((client) => client.until(mid, () => client.messages(room).find((said) => said.mid === mid))));

  test('a publish is one trace, from its command to the deliveries on both, with the parents that made them', async () => {
    const all = await members('seen');
    const { offset } = (await all[0]?.ok({ op: 'publish', room: 'seen', mid: 'm', data: 'words' })) ?? {};
    await everybodyHas('seen', all, 'm');
    const spans = await delivered(() => true);

    const named = (name: string) => spans.filter((span) => span.name === name);
    const [publish] = named('publish');
    const [send] = named(`send ${topic}`);
    const partition = send?.attributes['messaging.destination.partition.id'];
    expect(publish).toMatchObject({ parentSpanId: '', kind: 'server', status: 'unset' });
    expect(publish?.attributes).toEqual({
      'tidegate.entry': 'ndjson',
      'messaging.kafka.offset': offset,
      'tidegate.duplicate': false,
    });
    expect(named('queue')).toMatchObject([{ parentSpanId: publish?.spanId, kind: 'internal' }]);
    expect(send).toMatchObject({ parentSpanId: publish?.spanId, kind: 'producer' });
    expect(send?.attributes).toEqual({
      'messaging.system': 'kafka',
      'messaging.operation.name': 'send',
      'messaging.operation.type': 'send',
      'messaging.destination.name': topic,
      'messaging.destination.partition.id': expect.stringMatching(/^[0-3]$/),
      'tidegate.batch.records': 1,
    });
    const processed = named(`process ${topic}`);
    for (const span of processed) {
      expect(span).toMatchObject({ parentSpanId: send?.spanId, kind: 'consumer' });
      expect(span.attributes).toEqual({
        'messaging.system': 'kafka',
        'messaging.operation.name': 'process',
        'messaging.operation.type': 'process',
        'messaging.destination.name': topic,
        'messaging.destination.partition.id': partition,
        'messaging.kafka.offset': offset,
        'tidegate.sessions': 1,
      });
      // Each process knows the time of day to a millisecond.
      expect(span.startNs).toBeGreaterThanOrEqual((send?.startNs ?? 0n) - 1_000_000n);
    }
    expect(processed.map(nodeOf).sort()).toEqual(['one', 'two']);
    expect([publish, send].map(nodeOf)).toEqual(['one', 'one']);
    // The tail may have it before the broker has said so.
    for (const span of named('decide')) expect(span).toMatchObject({ parentSpanId: publish?.spanId, kind: 'internal' });
    const told = JSON.stringify(spans, (_, value) => (typeof value === 'bigint' ? String(value) : value));
    for (const secret of ['user-', 'seen', 'words']) expect(told).not.toContain(secret);
  });

  test('what is not traced where it is published is not traced anywhere, and what a backend traces is everywhere', async () => {
    const all = await members('quiet');
    const known = new Set(receiver.spans.map(({ traceId }) => traceId));
    await all[1]?.ok({ op: 'publish', room: 'quiet', mid: 'unsampled', data: 1 });
    await all[2]?.ok({ op: 'publish', room: 'quiet', mid: 'untraced', data: 1 });
    const traceId = randomName(16, 'hex');
    const parent = randomName(8, 'hex');
    const [one, two] = replicas.map(({ ports }) => new ApiClient(ports.internal));
    const call = (flags: string, mid: string) =>
      [{ from: 'backend', mid, data: 1 }, { traceparent: `00-${traceId}-${parent}-${flags}` }] as const;
    const path = '/api/v1/rooms/quiet/publish';
    expect((await one?.post(path, ...call('00', 'unrecorded')))?.status).toBe(200);
    expect((await two?.post(path, ...call('01', 'recorded')))?.status).toBe(200);
    await everybodyHas('quiet', all, 'recorded');

    const spans = await delivered((span) => span.traceId === traceId);
    const publish = spans.find(({ name }) => name === 'publish');
    expect(publish).toMatchObject({ parentSpanId: parent, attributes: { 'tidegate.entry': 'api' } });
    expect(nodeOf(publish)).toBe('two');
    expect(
      spans
        .filter(({ name }) => name.startsWith('process'))
        .map(nodeOf)
        .sort(),
    ).toEqual(['one', 'two']);
    expect(receiver.spans.filter((span) => !known.has(span.traceId)).every((span) => span.traceId === traceId)).toBe(
      true,
    );
  });

  test('a retry is a trace of its own, which says that it has added nothing', async () => {
    const [ann, bob] = await members('again');
    const publish = { op: 'publish', room: 'again', mid: 'm', data: 1 };
    await ann?.ok(publish);
    await delivered((span) => span.attributes['tidegate.duplicate'] === false);
    await ann?.ok(publish);
    const again = await receiver.until('the retry', () =>
      receiver.spans.find((span) => span.attributes['tidegate.duplicate'] === true),
    );
    expect(receiver.spans.filter(({ traceId }) => traceId === again.traceId)).toHaveLength(1);
    expect(bob?.messages('again')).toHaveLength(1);
  });
});
