import { afterEach, expect, test, vi } from 'vitest';
import { UNLIMITED } from '../e2e/gateway-process.ts';
import { scrape } from '../e2e/metrics-page.ts';
import { Stage } from '../e2e/stage.ts';
import { OtlpReceiver } from './otlp-receiver.ts';

const SPANS_MAX = 20;
/** Of a publish to an empty room. */
const SPANS_EACH = 3;

const ENV = {
  ...UNLIMITED,
  TIDEGATE_PROBE_MS: '3600000',
  TIDEGATE_TRACE_SAMPLE: '1',
  TIDEGATE_TRACE_SPANS_MAX: String(SPANS_MAX),
  TIDEGATE_TRACE_EXPORT_MS: '10',
};

let stage: Stage;
let receiver: OtlpReceiver;
let published = 0;

afterEach(async () => {
  await stage.close();
  await receiver.close();
});

/** Each has its acknowledgement. */
async function publish(count: number): Promise<void> {
  const client = await stage.client('ann');
  const mids = Array.from({ length: count }, () => `m${published++}`);
  await Promise.all(mids.map((mid) => client.ok({ op: 'publish', room: 'r', mid, data: 1 })));
}

/** What has become of the spans so far. */
async function spans() {
  const page = await scrape(stage.gateway);
  const of = (result: string) => page.value('spans_total', { result });
  const [waiting, waitingMax] = [page.value('spans_waiting'), page.value('spans_waiting_max')];
  return { exported: of('exported'), failed: of('failed'), dropped: of('dropped'), waiting, waitingMax };
}

/** The same, once the collector has been waited for with all of them. */
function settled() {
  return vi.waitFor(
    async () => {
      const now = await spans();
      expect(now.waiting).toBe(0);
      return now;
    },
    { timeout: 10_000, interval: 20 },
  );
}

test('a collector that hangs, refuses or is gone costs traces and no publish, and once it is back they go on', async () => {
  receiver = await OtlpReceiver.open();
  const { port, endpoint } = receiver;
  stage = await Stage.open({ ...ENV, TIDEGATE_OTLP_ENDPOINT: endpoint, OTEL_EXPORTER_OTLP_TIMEOUT: '500' });

  receiver.behaviour = 'hangs';
  await publish(50);
  const hanging = await spans();
  expect(hanging).toMatchObject({ exported: 0, waitingMax: SPANS_MAX });
  expect(hanging.waiting).toBeLessThanOrEqual(SPANS_MAX);
  const hung = await settled();
  expect(hung.dropped).toBeGreaterThan(0);
  expect(hung.failed).toBeGreaterThan(0);
  expect(hung.failed + hung.dropped).toBe(50 * SPANS_EACH);

  receiver.behaviour = 500;
  await publish(1);
  expect(await settled()).toEqual({ ...hung, failed: hung.failed + SPANS_EACH });

  await receiver.close();
  await publish(1);
  expect(await settled()).toEqual({ ...hung, failed: hung.failed + 2 * SPANS_EACH });
  expect(stage.gateway.logs).toContainEqual(
    expect.objectContaining({ msg: 'spans could not be exported', spans: expect.any(Number) }),
  );

  receiver = await OtlpReceiver.open(undefined, port);
  await publish(1);
  expect(await settled()).toEqual({ ...hung, failed: hung.failed + 2 * SPANS_EACH, exported: SPANS_EACH });
  expect(receiver.spans).toHaveLength(SPANS_EACH);
});

test('a collector that hangs does not keep a process from its end', async () => {
  receiver = await OtlpReceiver.open();
  receiver.behaviour = 'hangs';
  stage = await Stage.open({ ...ENV, TIDEGATE_OTLP_ENDPOINT: receiver.endpoint });
  await publish(1);
  expect(await stage.gateway.stop()).toBe(0);
  expect(stage.gateway.logs).toContainEqual(
    expect.objectContaining({ msg: 'the last spans were not exported', spans: SPANS_EACH }),
  );
});
