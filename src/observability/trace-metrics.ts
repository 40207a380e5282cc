import type { MetricEntry } from './metric-entry.ts';

/** What a process has to tell of its traces; all of it is 0 where they go nowhere. */
export const TRACE_METRICS = {
  spans: {
    name: 'tidegate_spans_total',
    type: 'counter',
    signal: 'traffic',
    help: 'Spans of traces: taken by the collector (exported); not, as it was not there, did not answer in time or refused (failed); or never sent, as too many waited for it (dropped)',
    labels: { result: ['exported', 'failed', 'dropped'] },
  },
  spansWaiting: {
    name: 'tidegate_spans_waiting',
    type: 'gauge',
    signal: 'saturation',
    help: 'Spans that the collector has not answered for',
  },
  spansWaitingMax: {
    name: 'tidegate_spans_waiting_max',
    type: 'gauge',
    signal: 'saturation',
    help: 'Spans above which more are dropped (TIDEGATE_TRACE_SPANS_MAX)',
  },
} as const satisfies Record<string, MetricEntry>;
