import { METRICS } from '../src/observability/catalogue.ts';
import type { DashboardPlan } from './dashboard.ts';
import { NODE_METRICS } from './node-metrics.ts';
import {
  boundedGauges,
  count,
  largest,
  observations,
  percentile,
  percentiles,
  perSecond,
  rateOfGateways,
  recorded,
  smallest,
  sum,
  use,
} from './query.ts';

/** Of commands with which nothing is wrong. */
const ERRORS_OF_OURS = ['overloaded', 'unavailable', 'unknown_outcome', 'internal'] as const;
const NOT_OK = METRICS.apiRequests.labels.status.filter((status) => status !== '200');

/** Of the whole gateway at one look: the four golden signals, and whether messages get through. */
export const OVERVIEW: DashboardPlan = {
  name: 'overview',
  title: 'overview',
  description: 'Whether messages get through and how fast, how many, what goes wrong, and how full everything is.',
  rows: [
    {
      title: 'Now',
      stats: [
        {
          title: 'Delivering',
          description:
            'Yes while every partition delivers its probe messages at every node that was asked. No: look at the log.',
          unit: 'bool_yes_no',
          good: { from: 1 },
          queries: [smallest(METRICS.deliveryOk, { legend: 'delivering' })],
        },
        {
          title: 'Nodes',
          description: 'Processes that Prometheus has read within the last minutes, by version.',
          unit: 'short',
          queries: [count(METRICS.buildInfo, { by: ['version'] })],
        },
        {
          title: 'Sessions',
          description: 'Sessions connected, on all nodes.',
          unit: 'short',
          queries: [sum(METRICS.sessions, { legend: 'sessions' })],
        },
        {
          title: 'Publications',
          description: 'Publishes a second that were acknowledged: durable, and told to whoever is in the room.',
          unit: 'cps',
          queries: [observations(METRICS.publishAppend, { legend: 'acknowledged' })],
        },
        {
          title: 'Publish to acknowledgement, p99',
          description: 'One publish in a hundred waits longer than this for its acknowledgement.',
          unit: 's',
          good: { to: 0.5 },
          queries: [percentile(99, METRICS.publishAppend)],
        },
        {
          title: 'Errors of ours',
          description:
            'Commands a second that were refused or failed though nothing was wrong with them: overloaded, unavailable, unknown_outcome, internal.',
          unit: 'cps',
          good: { to: 1 },
          queries: [perSecond(METRICS.errors, { legend: 'errors', where: { code: ERRORS_OF_OURS } })],
        },
      ],
    },
    {
      title: 'Latency',
      graphs: [
        {
          title: 'Publish to acknowledgement',
          description:
            'From a publish to the acknowledgement by the log, of those acknowledged. It is the disk (embedded log) or Kafka that takes the time. Points are traces, where publishes are traced.',
          unit: 's',
          hasExemplars: true,
          queries: percentiles(METRICS.publishAppend),
        },
        {
          title: 'Log to delivery',
          description:
            "From the log's time of a publication until all its pushes were handed to the sockets. With the former it is a message's whole way through this gateway.",
          unit: 's',
          hasExemplars: true,
          queries: percentiles(METRICS.appendDeliver),
        },
        {
          title: 'Tail to delivery',
          description:
            'The last part of the former, within a node: from the log handing out the first publication of a tick until all pushes were handed to the sockets. High: the loop is busy.',
          unit: 's',
          queries: percentiles(METRICS.tailDeliver),
        },
        {
          title: 'Connect and join',
          description:
            'From the command to its reply, of those that succeeded; joins with presence and history where asked for.',
          unit: 's',
          queries: [
            ...percentiles(METRICS.connect, { legend: 'connect' }),
            ...percentiles(METRICS.join, { legend: 'join' }),
          ],
        },
        {
          title: 'Probes',
          description: "A probe record's way through the log and back as a push, all the time, a partition in turn.",
          unit: 's',
          queries: percentiles(METRICS.probe),
        },
        {
          title: 'Server API, p99',
          description: "From a request's head to the end of its answer, by call.",
          unit: 's',
          queries: [percentile(99, METRICS.apiRequest, { by: ['call'] })],
        },
      ],
    },
    {
      title: 'Traffic',
      graphs: [
        {
          title: 'Commands',
          description: 'Commands understood, by kind, also those that are answered with an error.',
          unit: 'cps',
          style: 'stacked',
          queries: [perSecond(METRICS.commands, { by: ['op'] })],
        },
        {
          title: 'Publications and deliveries',
          description:
            'Acknowledged; handed to rooms with members, counted once on each node that has any; and deliveries, publications times members.',
          unit: 'cps',
          queries: [
            observations(METRICS.publishAppend, { legend: 'acknowledged' }),
            perSecond(METRICS.publications, { legend: 'publications' }),
            perSecond(METRICS.deliveries, { legend: 'deliveries' }),
          ],
        },
        {
          title: 'Bytes',
          description: 'Of clients’ lines, and of replies and pushes as framed, without TLS.',
          unit: 'Bps',
          queries: [
            perSecond(METRICS.bytesReceived, { legend: 'received' }),
            perSecond(METRICS.bytesSent, { legend: 'sent' }),
          ],
        },
        {
          title: 'Connections',
          description: 'Connections open on each node, connected or not.',
          unit: 'short',
          style: 'stacked',
          queries: [sum(METRICS.connections, { by: ['instance'] })],
        },
        {
          title: 'Server API',
          description: 'Requests answered, by call.',
          unit: 'cps',
          style: 'stacked',
          queries: [perSecond(METRICS.apiRequests, { by: ['call'] })],
        },
      ],
    },
    {
      title: 'Errors',
      graphs: [
        {
          title: 'Errors of commands',
          description:
            'What clients were answered, by code. overloaded, unavailable, unknown_outcome and internal are this side’s fault, the others are the client’s.',
          unit: 'cps',
          style: 'stacked',
          queries: [perSecond(METRICS.errors, { by: ['code'] })],
        },
        {
          title: 'Ends of sessions',
          description:
            'Sessions that ended, by reason. left, input_ended and lost are what clients do; slow_consumer, overloaded and internal are worth a look.',
          unit: 'cps',
          style: 'stacked',
          queries: [perSecond(METRICS.disconnects, { by: ['reason'] })],
        },
        {
          title: 'Connections refused',
          description: 'Connections that got no session, by reason. overloaded and dropped: above a bound of the node.',
          unit: 'cps',
          style: 'stacked',
          queries: [perSecond(METRICS.connectionsRefused, { by: ['reason'] })],
        },
        {
          title: 'Server API, errors',
          description: 'Requests that were not answered 200, by status. 4xx are the caller’s doing.',
          unit: 'cps',
          style: 'stacked',
          queries: [perSecond(METRICS.apiRequests, { by: ['status'], where: { status: NOT_OK } })],
        },
        {
          title: 'Delivery',
          description:
            'Partitions whose last probe failed, on the node where most did, and probes that were refused or not delivered in time.',
          unit: 'short',
          queries: [
            largest(METRICS.failingPartitions, { legend: 'failing partitions' }),
            perSecond(METRICS.probeFailures, { legend: 'failed probes a second' }),
          ],
        },
        {
          title: 'Redis and Kafka',
          description:
            'Commands that Redis has not done, and batches of publishes that Kafka has not taken and that were sent again.',
          unit: 'cps',
          queries: [
            perSecond(METRICS.redisFailures, { legend: 'Redis:', by: ['reason'] }),
            perSecond(METRICS.logBatches, { legend: 'Kafka: failed batches', where: { result: ['failed'] } }),
          ],
        },
      ],
    },
    {
      title: 'Saturation',
      graphs: [
        {
          title: 'Use of bounds',
          description:
            'How full everything is that has a bound, on the node where it is fullest. At 100 % more of it is refused, or waits (METRICS.md says which).',
          unit: 'percentunit',
          width: 12,
          queries: boundedGauges().map(({ used, bound }) =>
            use(used, bound, { legend: used.name.replace('tidegate_', '').replaceAll('_', ' ') }),
          ),
        },
        {
          title: 'CPU',
          description: 'Cores that each node uses. The loop that serves has one: from 0.8 on, latency rises.',
          unit: 'percentunit',
          width: 12,
          queries: [
            {
              expr: `sum by (instance) (${rateOfGateways(NODE_METRICS.cpuSeconds)})`,
              legend: '{{instance}}',
            },
          ],
        },
      ],
    },
    {
      title: 'Over weeks: by recording rules',
      graphs: [
        {
          title: 'Latency, p99',
          description:
            'Publish to acknowledgement, and log to delivery, of each cluster over 5 minutes. Empty without the rules of prometheus/rules/recording.yml.',
          unit: 's',
          queries: [
            recorded('cluster:tidegate_publish_append_seconds:p99_rate5m', 'acknowledged'),
            recorded('cluster:tidegate_append_deliver_seconds:p99_rate5m', 'delivered'),
          ],
        },
        {
          title: 'Share of commands that failed through no fault of their own',
          description: 'Errors of ours, see above, in all commands, of each cluster over 5 minutes.',
          unit: 'percentunit',
          queries: [recorded('cluster:tidegate_errors_of_ours:ratio_rate5m', 'failed')],
        },
        {
          title: 'Load',
          description: 'Publishes acknowledged and deliveries a second, of each cluster over 5 minutes.',
          unit: 'cps',
          queries: [
            recorded('cluster:tidegate_publish_append_seconds_count:rate5m', 'acknowledged'),
            recorded('cluster:tidegate_deliveries:rate5m', 'deliveries'),
          ],
        },
        {
          title: 'Sessions',
          description: 'Sessions connected, of each cluster.',
          unit: 'short',
          queries: [recorded('cluster:tidegate_sessions:sum', 'sessions')],
        },
        {
          title: 'Delivering',
          description: '1 while every partition delivers its probes, of each cluster.',
          unit: 'short',
          queries: [recorded('cluster:tidegate_delivery_ok:min', 'delivering')],
        },
        {
          title: 'CPU of the busiest node',
          description:
            'Cores that the busiest node of each cluster uses, over 5 minutes: what the next replica is bought by.',
          unit: 'percentunit',
          queries: [recorded('cluster:process_cpu_seconds:max_rate5m', 'cores')],
        },
      ],
    },
  ],
};
