import type { KafkaMessage } from 'kafkajs';
import { expect, test } from 'vitest';
import { dataHash, dedupeId } from '../../../src/fanout/dedupe.ts';
import { PartitionReader } from '../../../src/kafka/partition-reader.ts';
import { encodeRecord } from '../../../src/kafka/record.ts';
import { encodeValue } from '../../../src/protocol/publication.ts';
import { FakeTrace } from '../fake-trace.ts';

const DEADLINE_MS = 1_700_000_045_000;

/** A record as a broker gives it back that has stamped it with that time. */
function message(ts: number, trace?: FakeTrace): KafkaMessage {
  const value = encodeValue('r', 'ann', 'm', '1');
  const append = { id: dedupeId('ann', 'r', 'm'), dataHash: dataHash(value), value, room: 'r', trace };
  const { headers = {} } = encodeRecord(append, 0, { epoch: 'e', node: 'n', deadlineMs: DEADLINE_MS });
  const bytes = Object.entries(headers).map(([name, each]) => [name, Buffer.from(each as string | Buffer)]);
  const read = { key: Buffer.from('r'), value, headers: Object.fromEntries(bytes), attributes: 0 };
  return { ...read, timestamp: String(ts), offset: '7' };
}

const reader = () => new PartitionReader(0, 1, 'e', { windowMs: 180_000, slackMs: 60_000 });

test('what counts goes on with its trace from when it was read, and without one where it has none', () => {
  const trace = new FakeTrace();
  const beganMs = performance.now();
  const outcome = reader().take(message(DEADLINE_MS, trace));
  expect(outcome).toMatchObject({ kind: 'delivered', publication: { offset: 7, trace: { parent: trace.context } } });
  const readMs = outcome.kind === 'delivered' ? outcome.publication.trace?.readMs : undefined;
  expect(readMs).toBeGreaterThanOrEqual(beganMs);
  expect(readMs).toBeLessThanOrEqual(performance.now());
  expect(reader().take(message(DEADLINE_MS))).toMatchObject({ kind: 'delivered', publication: { trace: undefined } });
});

test('what came too late to count is known by its trace', () => {
  const trace = new FakeTrace();
  const trace_id = trace.context.traceId;
  expect(reader().take(message(DEADLINE_MS + 1, trace))).toEqual({ kind: 'zombie', trace_id });
  expect(reader().take(message(DEADLINE_MS + 1))).toEqual({ kind: 'zombie', trace_id: undefined });
});
