import { expect, it } from 'vitest';
import { openMetricsOf, writeExemplar } from '../../../src/observability/open-metrics.ts';

it('names counters as OpenMetrics does, keeps all else, and says where the page ends', () => {
  const page = [
    '# HELP a_total what\n# TYPE a_total counter\na_total{b="c"} 1\n',
    '# HELP d_total named like none\n# TYPE d_total gauge\nd_total 2\n\n',
    '# HELP e what\n# TYPE e histogram\ne_bucket{le="+Inf"} 3\ne_sum 4\ne_count 3\n',
  ].join('\n');
  expect(openMetricsOf(page)).toBe(
    [
      ...['# HELP a what', '# TYPE a counter', 'a_total{b="c"} 1'],
      ...['# HELP d_total named like none', '# TYPE d_total gauge', 'd_total 2'],
      ...['# HELP e what', '# TYPE e histogram', 'e_bucket{le="+Inf"} 3', 'e_sum 4', 'e_count 3'],
      ...['# EOF', ''],
    ].join('\n'),
  );
});

it('writes an exemplar with its time in seconds', () => {
  const ids = { trace_id: 'a', span_id: 'b' };
  expect(writeExemplar({ ids, seconds: 0.004, atMs: 1_700_000_000_012 })).toBe(
    ' # {trace_id="a",span_id="b"} 0.004 1700000000.012',
  );
});
