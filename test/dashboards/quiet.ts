const BETWEEN = 'is over again before anybody looks, unless it is too much';
const NO_FAULT = 'needs a Kafka that fails, which test/kafka has';

/**
 * What may stay 0 under the load of this check: part of an expression, and why. All of it is exported, and has been
 * anything but 0 in the test of the suite that is about it.
 */
export const QUIET: Readonly<Record<string, string>> = {
  tidegate_unshared_bytes: BETWEEN,
  tidegate_inbox_bytes: BETWEEN,
  tidegate_append_queue_records: BETWEEN,
  tidegate_append_queue_bytes: BETWEEN,
  tidegate_log_reads_waiting: BETWEEN,
  tidegate_log_scans_running: BETWEEN,
  tidegate_log_lanes_busy: BETWEEN,
  tidegate_log_lag_records: BETWEEN,
  tidegate_history_lag_records: BETWEEN,
  tidegate_redis_unanswered_commands: BETWEEN,
  tidegate_log_producers_dropped: NO_FAULT,
  tidegate_log_tail_restarts_total: NO_FAULT,
  'tidegate_log_batches_total{cluster=~"$cluster", instance=~"$node", result=~"failed"}': NO_FAULT,
  tidegate_failing_partitions: NO_FAULT,
  tidegate_probe_failures_total: NO_FAULT,
  tidegate_history_starts_total: 'comes before the first look, or with a Redis that is emptied',
  tidegate_history_lapses_total: 'needs a replica that hangs for longer than its lease',
  tidegate_history_write_failures_total: 'needs something to write just while Redis is silent',
  tidegate_log_clock_skew_seconds: 'brokers and gateways have the same clock here',
  'reason=~"heartbeat_timeout"': 'takes a heartbeat of 25 s',
  tidegate_signals_shed_total: 'needs a member that does not read',
  tidegate_peer_unreadable_total: 'needs a replica of another version',
  tidegate_presence_swept_users_total: 'needs a Redis that has lost something',
};
