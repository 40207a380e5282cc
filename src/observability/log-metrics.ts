import type { MetricEntry } from './metric-entry.ts';

/** The log's part of the catalogue; what only a log on Kafka has to tell is 0 of the embedded one. */
export const LOG_METRICS = {
  logReads: {
    name: 'tidegate_log_reads_waiting',
    type: 'gauge',
    signal: 'saturation',
    help: 'Reads of history that wait for the log',
  },
  logReadsMax: {
    name: 'tidegate_log_reads_waiting_max',
    type: 'gauge',
    signal: 'saturation',
    help: 'Reads of history above which more are refused',
  },
  logWritable: {
    name: 'tidegate_log_writable',
    type: 'gauge',
    signal: 'saturation',
    help: '1 while the log can be written, else 0',
  },
  logBatches: {
    name: 'tidegate_log_batches_total',
    type: 'counter',
    signal: 'traffic',
    help: 'Batches of publishes sent to Kafka; failed: they had no answer in time, or a bad one, and were sent again',
    labels: { result: ['sent', 'failed'] },
  },
  logRecords: {
    name: 'tidegate_log_records_total',
    type: 'counter',
    signal: 'traffic',
    help: 'Records that the tail has read from Kafka, by what became of them; zombie: they came behind their deadline',
    labels: {
      outcome: ['delivered', 'duplicate', 'zombie', 'other_epoch', 'foreign', 'newer', 'malformed'],
    },
  },
  logScans: {
    name: 'tidegate_log_scans_total',
    type: 'counter',
    signal: 'traffic',
    help: 'Scans of what is not in memory any more, each for all reads that wait for its partition; cut: it came to its bounds before all were served; failed: Kafka did not let it',
    labels: { result: ['finished', 'cut', 'failed'] },
  },
  logTailRestarts: {
    name: 'tidegate_log_tail_restarts_total',
    type: 'counter',
    signal: 'errors',
    help: 'Times that reading from Kafka had to begin anew, where it was',
  },
  logLag: {
    name: 'tidegate_log_lag_records',
    type: 'gauge',
    signal: 'saturation',
    help: 'Records that Kafka has and the tail has not read; of the embedded log 0',
    labels: { partition: null },
  },
  logClockSkew: {
    name: 'tidegate_log_clock_skew_seconds',
    type: 'gauge',
    signal: 'saturation',
    help: "By how much this machine's clock and a broker's certainly differ",
  },
  logScansRunning: {
    name: 'tidegate_log_scans_running',
    type: 'gauge',
    signal: 'saturation',
    help: 'Scans of what is not in memory any more that are under way; of the embedded log 0',
  },
  logScansRunningMax: {
    name: 'tidegate_log_scans_running_max',
    type: 'gauge',
    signal: 'saturation',
    help: 'Scans at the same time above which reads wait for them',
  },
  logLanesBusy: {
    name: 'tidegate_log_lanes_busy',
    type: 'gauge',
    signal: 'saturation',
    help: 'Brokers to which publishes are under way just now, one request each',
  },
  logProducersDropped: {
    name: 'tidegate_log_producers_dropped',
    type: 'gauge',
    signal: 'saturation',
    help: 'Connections to Kafka that were given up and are not gone',
  },
  logProducersDroppedMax: {
    name: 'tidegate_log_producers_dropped_max',
    type: 'gauge',
    signal: 'saturation',
    help: 'Connections given up above which no more are made',
  },
  historyReads: {
    name: 'tidegate_history_reads_total',
    type: 'counter',
    signal: 'traffic',
    help: 'Reads of the history in Redis, for what is not in memory; unknown: it had nothing of what was asked; unavailable: Redis was not to be asked. Those two go on to Kafka',
    labels: { result: ['known', 'unknown', 'unavailable'] },
  },
  historyRecords: {
    name: 'tidegate_history_records_total',
    type: 'counter',
    signal: 'traffic',
    help: 'Publications that this replica has written to the history in Redis',
  },
  historyStarts: {
    name: 'tidegate_history_starts_total',
    type: 'counter',
    signal: 'errors',
    help: 'Times that the history of a partition had to begin anew: Redis had none, or had missed more than is in memory',
  },
  historyLapses: {
    name: 'tidegate_history_lapses_total',
    type: 'counter',
    signal: 'errors',
    help: 'Leases to write a partition to Redis that were lost',
  },
  historyFailures: {
    name: 'tidegate_history_write_failures_total',
    type: 'counter',
    signal: 'errors',
    help: 'Writes of history that Redis did not take or answer; they are tried again',
  },
  historyLed: {
    name: 'tidegate_history_led_partitions',
    type: 'gauge',
    signal: 'saturation',
    help: 'Partitions that this replica writes to the history in Redis; another one, or nobody, writes the others',
  },
  historyLag: {
    name: 'tidegate_history_lag_records',
    type: 'gauge',
    signal: 'saturation',
    help: 'Records of those partitions that the tail has read and Redis has not',
  },
} as const satisfies Record<string, MetricEntry>;
