import { afterEach, beforeEach, expect, it } from 'vitest';
import { OpenTelemetryTracing } from '../../../src/observability/opentelemetry-tracing.ts';
import { CommandError } from '../../../src/protocol/errors.ts';
import { OtlpReceiver } from '../../traces/otlp-receiver.ts';

const TOPIC = 'chat.rooms';

let receiver: OtlpReceiver;
let logged: string[];
let opened: OpenTelemetryTracing[];

beforeEach(async () => {
  receiver = await OtlpReceiver.open();
  [logged, opened] = [[], []];
});

afterEach(async () => {
  for (const tracing of opened) await tracing.close();
  await receiver.close();
});

function open(more: { readonly sample?: number; readonly spansMax?: number } = {}) {
  const { sample = 1, spansMax = 100 } = more;
  const log = (_: object, message: string) => void logged.push(message);
  const settings = { endpoint: receiver.endpoint, spansMax, intervalMs: 3_600_000 };
  const lines = { info: log, warn: log, error: log };
  const tracing = new OpenTelemetryTracing({ export: settings, sample, node: 'one', topic: TOPIC }, lines);
  opened.push(tracing);
  return tracing;
}

const shown = () =>
  receiver.spans.map(({ name, status, events, attributes }) => {
    const type = attributes['error.type'];
    return [name, status, ...events, ...(type === undefined ? [] : [type])].join(' ');
  });

it('tells of an append that was sent again, and of one whose outcome is unknown when its caller is answered', async () => {
  const tracing = open();
  const trace = tracing.publishing('ndjson', null);
  trace?.queued();
  trace?.sending(3, 2);
  trace?.retrying();
  trace?.failed(new CommandError('unknown_outcome', 'in words'));
  // The record is under way for longer.
  trace?.retrying();
  trace?.stored();
  trace?.sending(3, 1);
  await tracing.close();
  expect(shown()).toEqual([
    'queue unset',
    `send ${TOPIC} error retry unknown_outcome`,
    'publish error unknown_outcome',
  ]);
  expect(logged).toEqual([]);
});

it('tells of a fault of ours as such, and of what the caller may not do as no error', async () => {
  const tracing = open();
  tracing.publishing('ndjson', null)?.failed(new TypeError('insides'));
  tracing.publishing('ndjson', null)?.failed(new CommandError('rate_limited', 'in words', 1));
  await tracing.close();
  expect(shown()).toEqual(['publish error internal', 'publish unset rate_limited']);
  expect(JSON.stringify(receiver.spans.map(({ attributes }) => attributes))).not.toMatch(/insides|words/);
});

it('goes on where the record went to the log, and before that where its publish is', async () => {
  const tracing = open();
  const trace = tracing.publishing('ndjson', null);
  expect(trace?.context).toEqual({ traceId: trace?.ids.trace_id, spanId: trace?.ids.span_id, isSampled: true });
  trace?.sending(3, 1);
  trace?.stored();
  const { context } = trace ?? {};
  trace?.succeeded({ position: { epoch: 'e', offset: 7 }, duplicate: false });
  await tracing.close();
  const [send, decide, publish] = receiver.spans;
  expect([send?.name, decide?.name, publish?.name]).toEqual([`send ${TOPIC}`, 'decide', 'publish']);
  expect(context?.spanId).toBe(send?.spanId);
  expect(send?.endNs).toBe(decide?.startNs);
});

it('traces as many as it is told to, but what a caller records or does not in any case', () => {
  const count = 10_000;
  const traced = (sample: number) => {
    const tracing = open({ sample, spansMax: 1 });
    return Array.from({ length: count }, () => tracing.publishing('ndjson', null)).filter(Boolean).length;
  };
  expect([traced(0), traced(1)]).toEqual([0, count]);
  // Ten standard deviations.
  expect(Math.abs(traced(0.1) - count / 10)).toBeLessThan(300);
  const parent = { traceId: 'a'.repeat(32), spanId: 'b'.repeat(16) };
  expect(open({ sample: 0 }).publishing('api', { ...parent, isSampled: true })?.ids.trace_id).toBe(parent.traceId);
  expect(open({ sample: 1 }).publishing('api', { ...parent, isSampled: false })).toBeUndefined();
});

it('holds no more spans than it may, and counts what it has dropped', async () => {
  const tracing = open({ spansMax: 2 });
  for (let n = 0; n < 5; n += 1) tracing.publishing('ndjson', null)?.failed(new CommandError('forbidden', ''));
  expect(tracing.figures()).toEqual({ exported: 0, failed: 0, dropped: 3, waiting: 2, waitingMax: 2 });
  await tracing.close();
  expect(tracing.figures()).toEqual({ exported: 2, failed: 0, dropped: 3, waiting: 0, waitingMax: 2 });
});
