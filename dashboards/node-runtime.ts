import { METRICS } from '../src/observability/catalogue.ts';
import type { MetricEntry } from '../src/observability/metric-entry.ts';
import type { DashboardPlan } from './dashboard.ts';
import { NODE_METRICS } from './node-metrics.ts';
import { count, ofGateways, type Query, rateOfGateways, sum } from './query.ts';

/** What each process takes of its machine. */
export const NODE_RUNTIME: DashboardPlan = {
  name: 'node-runtime',
  title: 'Node runtime',
  description: 'CPU, memory, event loop and garbage collection of each process.',
  rows: [
    {
      title: 'CPU and loop',
      graphs: [
        {
          title: 'CPU',
          description:
            'Cores that each node uses, by itself and in the kernel for it. One loop serves all sessions: from 0.8 on latency rises; what is above 1 are the log’s threads and the collector.',
          unit: 'percentunit',
          queries: [
            rateByInstance(NODE_METRICS.userSeconds, 'user'),
            rateByInstance(NODE_METRICS.systemSeconds, 'kernel'),
          ],
        },
        {
          title: 'Event loop lag',
          description:
            'By how much the loop was late, over the time between two scrapes. Some milliseconds are normal under load; the shedding of work begins with it.',
          unit: 's',
          queries: [byInstance(NODE_METRICS.lagMedianSeconds, 'p50'), byInstance(NODE_METRICS.lagSeconds, 'p99')],
        },
        {
          title: 'Event loop lag, longest',
          description:
            'The longest that the loop was late between two scrapes: a pause, of the collector or of the machine.',
          unit: 's',
          queries: [byInstance(NODE_METRICS.lagMaxSeconds)],
        },
      ],
    },
    {
      title: 'Memory',
      graphs: [
        {
          title: 'Resident memory',
          description: 'What the process has of the machine’s memory. A process begins at about 125 MB.',
          unit: 'bytes',
          queries: [byInstance(NODE_METRICS.residentBytes)],
        },
        {
          title: 'Heap',
          description:
            'V8’s heap, used and taken. used rises and falls with each collection; a floor that rises is a leak.',
          unit: 'bytes',
          queries: [byInstance(NODE_METRICS.heapUsedBytes, 'used'), byInstance(NODE_METRICS.heapTotalBytes, 'taken')],
        },
        {
          title: 'Buffers',
          description:
            'Memory outside of the heap that V8 knows of: buffers on their way to sessions, recent publications.',
          unit: 'bytes',
          queries: [byInstance(NODE_METRICS.externalBytes)],
        },
        {
          title: 'Garbage collection',
          description:
            'Share of the time that was spent on it, by kind. major is the one that stops the loop for long.',
          unit: 'percentunit',
          queries: [
            {
              expr: `sum by (instance, kind) (${rateOfGateways(NODE_METRICS.collections, '_sum')})`,
              legend: '{{instance}} {{kind}}',
            },
          ],
        },
        {
          title: 'Collections',
          description: 'Garbage collections a second, by kind.',
          unit: 'cps',
          queries: [
            {
              expr: `sum by (instance, kind) (${rateOfGateways(NODE_METRICS.collections, '_count')})`,
              legend: '{{instance}} {{kind}}',
            },
          ],
        },
      ],
    },
    {
      title: 'Files, timers and age',
      graphs: [
        {
          title: 'Open files',
          description: 'Of the most that may be (ulimit -n); each connection is one. At 100 % nobody can connect.',
          unit: 'percentunit',
          queries: [
            {
              expr: `max by (instance) ((${ofGateways(NODE_METRICS.openFiles)}) / ${NODE_METRICS.openFilesMax.name})`,
              legend: '{{instance}}',
            },
          ],
        },
        {
          title: 'Resources of libuv',
          description: 'What keeps the loop alive, by kind: sockets, servers, timers, requests.',
          unit: 'short',
          queries: [
            {
              expr: `sum by (type) (${ofGateways(NODE_METRICS.resources)})`,
              legend: '{{type}}',
            },
          ],
        },
        {
          title: 'Timers',
          description: 'Timers of sessions on the one wheel, such as heartbeats and graces, by node.',
          unit: 'short',
          queries: [sum(METRICS.timers, { by: ['instance'] })],
        },
        {
          title: 'Age',
          description: 'Since the process began. A saw: something ends it again and again.',
          unit: 's',
          queries: [
            {
              expr: `time() - max by (instance) (${ofGateways(NODE_METRICS.startSeconds)})`,
              legend: '{{instance}}',
            },
          ],
        },
        {
          title: 'Versions',
          description: 'Nodes by the version of tidegate and of Node.',
          unit: 'short',
          style: 'stacked',
          queries: [count(METRICS.buildInfo, { by: ['version', 'node_version'] })],
        },
      ],
    },
  ],
};

function byInstance(metric: MetricEntry, legend = ''): Query {
  return { expr: `max by (instance) (${ofGateways(metric)})`, legend: `${legend} {{instance}}`.trim() };
}

function rateByInstance(metric: MetricEntry, legend: string): Query {
  return { expr: `sum by (instance) (${rateOfGateways(metric)})`, legend: `${legend} {{instance}}` };
}
