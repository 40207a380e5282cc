import type { KafkaMessage } from 'kafkajs';
import { describe, expect, test } from 'vitest';
import { dataHash, dedupeId } from '../../../src/fanout/dedupe.ts';
import { partitionOf } from '../../../src/fanout/partition.ts';
import { encodeRecord, readRecord } from '../../../src/kafka/record.ts';
import type { PublishTrace } from '../../../src/observability/tracing.ts';
import { encodeValue } from '../../../src/protocol/publication.ts';
import { FakeTrace } from '../fake-trace.ts';

const PARTITIONS = 16;
const STAMP = { epoch: 'epoch', node: 'node', deadlineMs: 1_700_000_045_000 };

/** A record as a broker would give it back. */
function stored(data: string, trace?: PublishTrace): { message: KafkaMessage; partition: number } {
  const room = 'some/room';
  const value = encodeValue(room, 'ann', 'm"1', data);
  const append = { id: dedupeId('ann', room, 'm"1'), dataHash: dataHash(value), value, room, trace };
  const partition = partitionOf(room, PARTITIONS);
  const { key, headers } = encodeRecord(append, partition, STAMP);
  const bytes = Object.entries(headers ?? {}).map(([name, each]) => [name, Buffer.from(each as string | Buffer)]);
  const message = {
    key: Buffer.from(key as string),
    value,
    headers: Object.fromEntries(bytes) as Record<string, Buffer>,
    timestamp: '1700000000000',
    offset: '7',
    attributes: 0,
  };
  return { message, partition };
}

describe('a record', () => {
  test('is read as it was written', () => {
    const { message, partition } = stored('{"text":"hé"}');
    expect(readRecord(message, partition, PARTITIONS)).toEqual({
      kind: 'record',
      offset: 7,
      ts: 1_700_000_000_000,
      id: dedupeId('ann', 'some/room', 'm"1'),
      dataHash: dataHash(message.value as Buffer),
      deadline: STAMP.deadlineMs,
      room: 'some/room',
      epoch: 'epoch',
      node: 'node',
      value: message.value,
    });
  });

  test('of somebody else, of a newer version, or spoiled, is told apart and not served', () => {
    const { message, partition } = stored('1');
    const read = (change: Partial<KafkaMessage>, at = partition) =>
      readRecord({ ...message, ...change } as KafkaMessage, at, PARTITIONS).kind;
    const headers = message.headers as Record<string, Buffer>;
    const without = (name: string) => Object.fromEntries(Object.entries(headers).filter(([each]) => each !== name));
    const withHeader = (name: string, value: string | Buffer) => ({
      headers: { ...headers, [name]: Buffer.from(value) },
    });
    expect(read({})).toBe('record');
    expect(read({ headers: {} })).toBe('foreign');
    expect(read({ headers: without('v') })).toBe('foreign');
    expect(read(withHeader('v', '2'))).toBe('newer');
    expect(read(withHeader('v', '0'))).toBe('malformed');
    for (const name of ['i', 'h', 'x', 'e']) expect(read({ headers: without(name) })).toBe('malformed');
    expect(read(withHeader('x', 'soon'))).toBe('malformed');
    expect(read(withHeader('i', Buffer.alloc(16)))).toBe('malformed');
    expect(read(withHeader('h', Buffer.alloc(4)))).toBe('malformed');
    expect(read({ key: Buffer.from('another') })).toBe('malformed');
    expect(read({ value: null })).toBe('malformed');
    expect(read({}, (partition + 1) % PARTITIONS)).toBe('malformed');
  });

  test('says where the trace of its publish stands, and counts whatever it says of it', () => {
    const trace = new FakeTrace();
    const { message, partition } = stored('1', trace);
    const headers = message.headers as Record<string, Buffer>;
    expect(headers.traceparent?.toString()).toBe(`00-${trace.context.traceId}-${trace.context.spanId}-01`);
    expect(stored('1').message.headers).not.toHaveProperty('traceparent');
    const read = (traceparent: unknown) =>
      readRecord({ ...message, headers: { ...headers, traceparent } } as KafkaMessage, partition, PARTITIONS);
    expect(read(headers.traceparent)).toMatchObject({ kind: 'record', trace: trace.context });
    const unrecorded = `00-${trace.context.traceId}-${trace.context.spanId}-00`;
    const foreign = [
      unrecorded,
      `${headers.traceparent}-more`,
      'x'.repeat(55),
      'x'.repeat(100_000),
      '',
      '\xff'.repeat(55),
    ];
    for (const text of foreign) expect(read(Buffer.from(text))).toMatchObject({ kind: 'record', trace: undefined });
    expect(read([headers.traceparent, headers.traceparent])).toMatchObject({ kind: 'record', trace: undefined });
    expect(read(undefined)).toMatchObject({ kind: 'record', trace: undefined });
  });
});
