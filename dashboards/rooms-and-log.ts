import { METRICS } from '../src/observability/catalogue.ts';
import type { DashboardPlan } from './dashboard.ts';
import { largest, observations, percentiles, perSecond, ratio, smallest, sum, times, use } from './query.ts';

/** A message's way through the log, and what is read of the past. */
export const ROOMS_AND_LOG: DashboardPlan = {
  name: 'rooms-and-log',
  title: 'rooms and log',
  description:
    'Publications and deliveries, the log that carries them (SQLite, or Kafka with its tail, lanes and scans), and history.',
  rows: [
    {
      title: 'Rooms',
      graphs: [
        {
          title: 'Publications',
          description:
            'Acknowledged, on the node that was asked; and handed to rooms with members, on each node that has any, those of the probe among them.',
          unit: 'cps',
          queries: [
            observations(METRICS.publishAppend, { legend: 'acknowledged' }),
            perSecond(METRICS.publications, { legend: 'handed to rooms' }),
          ],
        },
        {
          title: 'Deliveries',
          description: 'Publications handed to members, by node.',
          unit: 'cps',
          style: 'stacked',
          queries: [perSecond(METRICS.deliveries, { by: ['instance'] })],
        },
        {
          title: 'Members that hear a publication',
          description:
            'Deliveries for each publication, on a node. Large rooms are cheap: a tenth of a microsecond a member, and 6 to 9 in rooms of four.',
          unit: 'short',
          queries: [
            ratio(
              perSecond(METRICS.deliveries, { by: ['instance'] }),
              perSecond(METRICS.publications, { by: ['instance'] }),
              '{{instance}}',
            ),
          ],
        },
        {
          title: 'Rooms',
          description: 'Rooms with a member or a reader, by node.',
          unit: 'short',
          queries: [sum(METRICS.hubRooms, { by: ['instance'] })],
        },
        {
          title: 'Publish to acknowledgement',
          description: 'From a publish to the acknowledgement by the log, of those acknowledged, by node.',
          unit: 's',
          hasExemplars: true,
          queries: percentiles(METRICS.publishAppend, { by: ['instance'] }),
        },
        {
          title: 'Log to delivery',
          description: "From the log's time of a publication until all its pushes were handed to the sockets, by node.",
          unit: 's',
          hasExemplars: true,
          queries: percentiles(METRICS.appendDeliver, { by: ['instance'] }),
        },
      ],
    },
    {
      title: 'Writing',
      graphs: [
        {
          title: 'The log can be written',
          description: '1 while it can, by node. 0: publishes are refused, and the node is not ready.',
          unit: 'short',
          queries: [smallest(METRICS.logWritable, { by: ['instance'] })],
        },
        {
          title: 'Publishes that wait',
          description:
            'Publishes and their bytes that wait for the log, of the most that may, on the node where most do. At 100 % more are overloaded.',
          unit: 'percentunit',
          queries: [
            use(METRICS.appendQueue, METRICS.appendQueueMax, { legend: 'publishes' }),
            use(METRICS.appendQueueBytes, METRICS.appendQueueBytesMax, { legend: 'bytes' }),
          ],
        },
        {
          title: 'Batches',
          description:
            'Batches of publishes sent to Kafka. failed: without an answer in time, or with a bad one; they are sent again, and count once.',
          unit: 'cps',
          queries: [perSecond(METRICS.logBatches, { by: ['result'] })],
        },
        {
          title: 'Publishes in a batch',
          description: 'As many go to Kafka together: more under load, which is what keeps it from getting slower.',
          unit: 'short',
          queries: [
            ratio(
              observations(METRICS.publishAppend, { by: ['instance'] }),
              perSecond(METRICS.logBatches, { by: ['instance'], where: { result: ['sent'] } }),
              '{{instance}}',
            ),
          ],
        },
        {
          title: 'Lanes',
          description:
            'Brokers to which publishes are under way, one request each, and connections to Kafka that were given up and are not gone, by node. Busy all the time: Kafka is slow.',
          unit: 'short',
          queries: [
            sum(METRICS.logLanesBusy, { legend: 'busy', by: ['instance'] }),
            sum(METRICS.logProducersDropped, { legend: 'given up', by: ['instance'] }),
          ],
        },
        {
          title: 'Remembered publishes',
          description:
            'Recent publishes whose mid is remembered, so that a retry adds nothing, of the most that may be. At 100 % publishes are refused.',
          unit: 'percentunit',
          queries: [use(METRICS.dedupeEntries, METRICS.dedupeEntriesMax, { by: ['instance'] })],
        },
      ],
    },
    {
      title: 'Reading: the tail',
      graphs: [
        {
          title: 'Lag by partition',
          description:
            'Records that Kafka has and the tail has not read, on the node that is farthest behind. What is not read is not delivered, and not acknowledged.',
          unit: 'short',
          queries: [largest(METRICS.logLag, { by: ['partition'] })],
        },
        {
          title: 'Lag by node',
          description: 'The same of all partitions together, by node. One alone: that node is too slow, or stuck.',
          unit: 'short',
          queries: [sum(METRICS.logLag, { by: ['instance'] })],
        },
        {
          title: 'Records read',
          description:
            'Records that tails have read from Kafka, on each node all of them, by what became of them. duplicate: retries, which add nothing. zombie: they came behind their deadline.',
          unit: 'cps',
          style: 'stacked',
          queries: [perSecond(METRICS.logRecords, { by: ['outcome'] })],
        },
        {
          title: 'Tail restarts',
          description: 'Times that reading from Kafka had to begin anew, where it was.',
          unit: 'short',
          style: 'bars',
          queries: [times(METRICS.logTailRestarts, { by: ['instance'] })],
        },
        {
          title: 'Clock skew',
          description: "By how much a node's clock and a broker's certainly differ. Above 20 s the node is not ready.",
          unit: 's',
          queries: [largest(METRICS.logClockSkew, { by: ['instance'] })],
        },
        {
          title: 'Partitions that do not deliver',
          description:
            'Partitions whose last probe failed, by node. Whether delivery works is proved all the time, a partition in turn.',
          unit: 'short',
          queries: [largest(METRICS.failingPartitions, { by: ['instance'] })],
        },
      ],
    },
    {
      title: 'History',
      graphs: [
        {
          title: 'Resumes',
          description:
            'Joins with a position, by where what they had missed came from and what became of them. log: Kafka or the disk was read, which is slow; gap: something was gone.',
          unit: 'cps',
          style: 'stacked',
          queries: [perSecond(METRICS.resumes, { by: ['source', 'outcome'] })],
        },
        {
          title: 'Reads of Redis',
          description:
            'Reads of the history in Redis, for what is not in memory. unknown and unavailable go on to Kafka, and take a hundred times as long.',
          unit: 'cps',
          queries: [perSecond(METRICS.historyReads, { by: ['result'] })],
        },
        {
          title: 'Scans',
          description:
            'Scans of Kafka for what is neither in memory nor in Redis, each for all who wait for its partition. cut: it came to its bounds, and readers page on or get a gap.',
          unit: 'cps',
          queries: [perSecond(METRICS.logScans, { by: ['result'] })],
        },
        {
          title: 'Reads that wait',
          description:
            'Reads that wait for the log, and scans under way, of the most that may, on the node where most do. At 100 % reads are overloaded, and scans wait.',
          unit: 'percentunit',
          queries: [
            use(METRICS.logReads, METRICS.logReadsMax, { legend: 'reads' }),
            use(METRICS.logScansRunning, METRICS.logScansRunningMax, { legend: 'scans' }),
          ],
        },
        {
          title: 'Partitions written to Redis',
          description:
            'By which node. Together they are all partitions; less: some are written by nobody, and reads of them come from Kafka.',
          unit: 'short',
          style: 'stacked',
          queries: [sum(METRICS.historyLed, { by: ['instance'] })],
        },
        {
          title: 'Records written to Redis',
          description: 'Publications that were written to the history in Redis, by node.',
          unit: 'cps',
          style: 'stacked',
          queries: [perSecond(METRICS.historyRecords, { by: ['instance'] })],
        },
        {
          title: 'Lag of history',
          description: 'Records of the partitions that a node writes which its tail has read and Redis has not.',
          unit: 'short',
          queries: [sum(METRICS.historyLag, { by: ['instance'] })],
        },
        {
          title: 'Trouble with history',
          description:
            'Partitions begun anew (Redis had none, or had missed too much), leases lost, and writes that Redis did not take. Begun anew again and again: more is published than is written, or keys are evicted.',
          unit: 'short',
          style: 'bars',
          queries: [
            times(METRICS.historyStarts, { legend: 'begun anew' }),
            times(METRICS.historyLapses, { legend: 'leases lost' }),
            times(METRICS.historyFailures, { legend: 'writes failed' }),
          ],
        },
        {
          title: 'Replies to single sessions',
          description:
            'Bytes of replies on their way to single sessions, history above all, of the most that may be. At 100 % reads are refused.',
          unit: 'percentunit',
          queries: [use(METRICS.unsharedBytes, METRICS.unsharedBytesMax, { by: ['instance'] })],
        },
      ],
    },
    {
      title: 'Traces',
      graphs: [
        {
          title: 'Spans',
          description:
            'Spans of traced publishes: taken by the collector (exported), not taken (failed), or never sent, as too many waited (dropped).',
          unit: 'cps',
          queries: [perSecond(METRICS.spans, { by: ['result'] })],
        },
        {
          title: 'Spans that wait',
          description:
            'Spans that the collector has not answered for, of the most that may wait. At 100 % more are dropped.',
          unit: 'percentunit',
          queries: [use(METRICS.spansWaiting, METRICS.spansWaitingMax, { by: ['instance'] })],
        },
      ],
    },
  ],
};
