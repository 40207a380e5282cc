import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { TcpClient, WsClient } from '../e2e/clients.ts';
import { type GatewayProcess, startGateway, temporaryDirectory, UNLIMITED } from '../e2e/gateway-process.ts';
import { type MetricsReading, scrape } from '../e2e/metrics-page.ts';
import { KAFKA_BROKERS } from '../services/test-services.ts';
import { KafkaStage } from './kafka-stage.ts';

const OUTAGE_MS = 30_000;
/** Together more than a replica takes of publishes without an answer. */
const WRITERS = 150;
const MIDS = Array.from({ length: 32 }, (_, index) => `m${index}`);
const TEXT = 'x'.repeat(1_000);
const ROOMS = 10;
const RECOVERY_MS_MAX = 60_000;
/** Garbage of tens of thousands of refusals most of all; what is held is told by the gauges. */
const MEMORY_GROWTH_BYTES_MAX = 256 * 1024 * 1024;

/** Publishes all mids at once, and again what was refused, until all are acknowledged. Returns the refusals' codes. */
async function publishAll(client: TcpClient, room: string): Promise<string[]> {
  const refusals: string[] = [];
  const open = new Set(MIDS.keys());
  const endMs = performance.now() + OUTAGE_MS + RECOVERY_MS_MAX;
  while (open.size > 0) {
    for (const id of open) client.send({ op: 'publish', id, room, mid: MIDS[id], data: TEXT });
    const asked = new Set(open);
    while (asked.size > 0) {
      if (client.closed !== null || performance.now() > endMs)
        throw new Error(`${asked.size} publishes have no answer`);
      for (const { id, ok, error } of client.heard.splice(0)) {
        if (typeof id !== 'number' || !asked.delete(id)) continue;
        if (ok !== undefined) open.delete(id);
        else refusals.push((error as { code: string }).code);
      }
      await delay(20);
    }
    if (open.size > 0) await delay(500);
  }
  return refusals;
}

describe.skipIf(KAFKA_BROKERS === undefined && !process.env.CI)('an outage of Kafka', () => {
  let stage: KafkaStage;
  let directory: Awaited<ReturnType<typeof temporaryDirectory>>;
  let gateway: GatewayProcess;

  beforeAll(async () => {
    stage = await KafkaStage.open();
    directory = await temporaryDirectory();
    gateway = await startGateway(directory.path, {
      env: {
        ...UNLIMITED,
        TIDEGATE_KAFKA_BROKERS: stage.brokers.join(','),
        TIDEGATE_KAFKA_REPLICATION: '1',
        TIDEGATE_PROBE_MS: '1000',
        // Readers here are silent.
        TIDEGATE_HEARTBEAT_MS: '300000',
      },
    });
  }, 120_000);

  afterAll(async () => {
    await gateway?.stop('SIGKILL');
    await directory?.remove();
    await stage?.close();
  }, 60_000);

  async function healthOf(what: string): Promise<number> {
    return (await fetch(`http://127.0.0.1:${gateway.ports.internal}/health/${what}`)).status;
  }

  test('refuses publishes for as long as it lasts, ends no session, keeps to the bounds, and is over by itself', async () => {
    const reader = await WsClient.open(gateway.ports.http);
    await reader.connect('reader');
    const rooms = Array.from({ length: ROOMS }, (_, index) => `room-${index}`);
    for (const room of rooms) await reader.ok({ op: 'join', room });
    const writers = await Promise.all(
      Array.from({ length: WRITERS }, async (_, index) => {
        const writer = await TcpClient.open(gateway.ports.tcp);
        await writer.connect(`writer-${index}`);
        return writer;
      }),
    );
    const roomOf = (index: number): string => rooms[index % ROOMS] as string;
    await writers[0]?.ok({ op: 'publish', room: roomOf(0), mid: 'before', data: 0 });
    await expect.poll(() => healthOf('delivery'), { timeout: 20_000 }).toBe(200);
    const readings: MetricsReading[] = [await scrape(gateway)];

    stage.kafka.signal(1, 'SIGKILL');
    const startedMs = performance.now();
    const publishing = Promise.all(writers.map((writer, index) => publishAll(writer, roomOf(index))));
    // Heard of below.
    publishing.catch(() => {});
    while (performance.now() < startedMs + OUTAGE_MS) {
      readings.push(await scrape(gateway));
      await delay(1_000);
    }
    // All else goes on.
    const other = await WsClient.open(gateway.ports.http);
    await other.connect('other');
    expect(await other.ok({ op: 'presence', room: roomOf(0) })).toMatchObject({ count: 1 });
    await other.ok({ op: 'join', room: roomOf(0) });
    await other.ok({ op: 'signal', room: roomOf(0), data: 'typing' });
    await reader.push('the signal', ({ push }) => push === 'signal');
    expect(await other.ok({ op: 'history', room: roomOf(0), limit: 10 })).toMatchObject({
      messages: [expect.objectContaining({ mid: 'before' })],
    });
    expect(await healthOf('live')).toBe(200);
    expect(await healthOf('ready')).toBe(200);
    expect(await healthOf('delivery')).toBe(503);

    await stage.kafka.start();
    const restartedMs = performance.now();
    const refusals = (await publishing).flat();
    const recoveredMs = performance.now() - restartedMs;
    readings.push(await scrape(gateway));
    await expect.poll(() => healthOf('delivery'), { timeout: 20_000 }).toBe(200);

    expect(new Set(refusals)).toEqual(new Set(['overloaded', 'unknown_outcome']));
    for (const client of [reader, other, ...writers]) expect(client.closed).toBeNull();
    const expected = WRITERS * MIDS.length;
    await reader.until('all messages', () => reader.messages().length >= expected + 1);
    const told = reader.messages().map(({ from, mid }) => `${from} ${mid}`);
    expect(told).toHaveLength(expected + 1);
    expect(new Set(told).size).toBe(expected + 1);
    const most = (name: string) => Math.max(...readings.map((reading) => reading.value(name)));
    expect(most('append_queue_records')).toBeLessThanOrEqual(most('append_queue_records_max'));
    expect(most('append_queue_bytes')).toBeLessThanOrEqual(most('append_queue_bytes_max'));
    const memory = readings.map(
      ({ families }) => families.get('process_resident_memory_bytes')?.samples[0]?.value ?? 0,
    );
    const grownBytes = Math.max(...memory) - (memory[0] ?? 0);
    expect(grownBytes).toBeLessThan(MEMORY_GROWTH_BYTES_MAX);
    console.log(
      `Kafka gone for ${OUTAGE_MS / 1000} s: ${refusals.filter((code) => code === 'overloaded').length} publishes overloaded, ` +
        `${refusals.filter((code) => code === 'unknown_outcome').length} without an outcome, all ${expected} acknowledged ` +
        `${Math.round(recoveredMs)} ms after its start; at most ${most('append_queue_records')} waited, memory grew by ` +
        `${Math.round(grownBytes / 1024 / 1024)} MiB`,
    );
    for (const client of [reader, other, ...writers]) client.close();
  }, 180_000);
});
