/**
 * The load process of bare kafkajs: fixed rates of records, from when each was due until a consumer has it. Started with
 * a BareKafkaPlan as its argument; sends an OpenLoopResult.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { Kafka, logLevel, Partitioners } from 'kafkajs';
import type { BareKafkaPlan } from './bare-kafka-plan.ts';
import { BareReader } from './bare-reader.ts';
import { BareSender } from './bare-sender.ts';
import { quantilesOf } from './latency-histogram.ts';
import { runAsLoad } from './load-main.ts';
import type { OpenLoopMeasurement, OpenLoopResult, Pace } from './open-loop-plan.ts';
import { PublishSchedule } from './publish-schedule.ts';
import { UsageMeter } from './usage-meter.ts';

const DRAIN_MS_MAX = 10_000;
const POLL_MS = 20;

async function perform(plan: BareKafkaPlan, fail: (error: Error) => void): Promise<OpenLoopResult> {
  const client = new Kafka({ clientId: 'bare', brokers: [plan.broker], logLevel: logLevel.NOTHING });
  await createTopic(client, plan);
  const reader = await BareReader.open(plan, fail);
  const producer = client.producer({ createPartitioner: Partitioners.DefaultPartitioner });
  await producer.connect();
  const sender = new BareSender(producer, plan, fail);
  const schedule = new PublishSchedule(sender, 'woken', fail);
  const meter = new UsageMeter(plan);

  const measure = async ({ perSecond, warmUpMs, measureMs }: Pace): Promise<OpenLoopMeasurement> => {
    schedule.setRate(perSecond);
    await sleep(warmUpMs);
    reader.clear();
    schedule.lateness.clear();
    const { sent, batches } = sender;
    meter.start();
    await sleep(measureMs);
    const usage = meter.stop();
    const records = sender.sent - sent;
    const { deliveries, p50Ms, p99Ms } = await reader.report();
    return {
      ...usage,
      perSecond,
      publications: records,
      deliveries,
      ...{ p50Ms, p99Ms },
      ports: [{ p50Ms, p99Ms }],
      latenessP99Ms: quantilesOf(schedule.lateness).p99Ms,
      log: { batches: sender.batches - batches, records },
    };
  };

  const measurements: OpenLoopMeasurement[] = [];
  for (const pace of plan.paces) measurements.push(await measure(pace));
  schedule.stop();
  const deadlineMs = performance.now() + DRAIN_MS_MAX;
  let { received } = await reader.report();
  while (received < sender.sent && performance.now() < deadlineMs) {
    await sleep(POLL_MS);
    ({ received } = await reader.report());
  }
  // Each partition's came in order and none twice, so as many as were sent are all of them.
  if (received !== sender.sent) throw new Error(`${sender.sent} records sent, ${received} consumed`);
  return { kind: 'done', measurements, deliveriesVerified: received };
}

async function createTopic(client: Kafka, { topic, partitions }: BareKafkaPlan): Promise<void> {
  const admin = client.admin();
  await admin.connect();
  const configEntries = [{ name: 'message.timestamp.type', value: 'LogAppendTime' }];
  await admin.createTopics({ topics: [{ topic, numPartitions: partitions, configEntries }], waitForLeaders: false });
  // A broker learns of what the controller made a little later; kafkajs' own waiting gives up where it has not yet.
  while (!(await admin.listTopics()).includes(topic)) await sleep(POLL_MS);
  await admin.disconnect();
}

runAsLoad(perform);
