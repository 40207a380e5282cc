import type { MetricEntry } from '../src/observability/metric-entry.ts';

/** What is shown of what prom-client tells of Node and its process, besides the catalogue. */
export const NODE_METRICS = {
  cpuSeconds: of('process_cpu_seconds_total', 'counter'),
  userSeconds: of('process_cpu_user_seconds_total', 'counter'),
  systemSeconds: of('process_cpu_system_seconds_total', 'counter'),
  residentBytes: of('process_resident_memory_bytes', 'gauge'),
  startSeconds: of('process_start_time_seconds', 'gauge'),
  openFiles: of('process_open_fds', 'gauge'),
  openFilesMax: of('process_max_fds', 'gauge'),
  heapUsedBytes: of('nodejs_heap_size_used_bytes', 'gauge'),
  heapTotalBytes: of('nodejs_heap_size_total_bytes', 'gauge'),
  externalBytes: of('nodejs_external_memory_bytes', 'gauge'),
  lagMedianSeconds: of('nodejs_eventloop_lag_p50_seconds', 'gauge'),
  lagSeconds: of('nodejs_eventloop_lag_p99_seconds', 'gauge'),
  lagMaxSeconds: of('nodejs_eventloop_lag_max_seconds', 'gauge'),
  collections: of('nodejs_gc_duration_seconds', 'histogram'),
  resources: of('nodejs_active_resources', 'gauge'),
} as const;

function of(name: string, type: MetricEntry['type']): MetricEntry {
  return { name, type, signal: 'saturation', help: '' };
}
