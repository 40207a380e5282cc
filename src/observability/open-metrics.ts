import type { Exemplar } from './distribution.ts';

/**
 * A page of Prometheus' text format 0.0.4 as one of OpenMetrics 1.0.0: a counter's name is without `_total` but for its
 * values, no line is empty, and the last one says that it is.
 */
export function openMetricsOf(page: string): string {
  const lines = page.replace(/^(# HELP \S+)_total (.*\n# TYPE \S+)_total counter$/gm, '$1 $2 counter');
  return `${lines.replace(/\n{2,}/g, '\n')}# EOF\n`;
}

/** What stands behind the value of a bucket, in OpenMetrics alone. */
export function writeExemplar({ ids, seconds, atMs }: Exemplar): string {
  return ` # {trace_id="${ids.trace_id}",span_id="${ids.span_id}"} ${seconds} ${(atMs / 1_000).toFixed(3)}`;
}
