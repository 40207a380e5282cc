import { describe, expect, it } from 'vitest';
import { compare, formatComparison } from '../../../loadtest/comparison.ts';
import { encodeHdr, summarizeHdr } from '../../../loadtest/hdr.ts';
import { LatencyHistogram } from '../../../loadtest/latency-histogram.ts';
import { formatResult } from '../../../loadtest/load-report.ts';
import { hasPassed, type LoadResult, parseResult, RESULT_FORMAT } from '../../../loadtest/load-result.ts';
import { plotsOf } from '../../../loadtest/report/plots.ts';
import { renderReport } from '../../../loadtest/report/render.ts';

function resultOf(changed: Partial<LoadResult> = {}): LoadResult {
  const histogram = new LatencyHistogram();
  for (let ms = 1; ms <= 100; ms++) histogram.record(ms * 1_000);
  return {
    format: RESULT_FORMAT,
    scenario: 'herd',
    startedAt: '2026-01-02T03:04:05.678Z',
    options: { sessions: 10, fault: 'kill' },
    gateway: '2 replicas',
    machine: {
      cores: 2,
      architecture: 'x64',
      node: 'v22.0.0',
      socketIo: '4',
      ws: '8',
      uws: '20',
      fileSystem: 'ext4',
      syncMs: 1,
    },
    isWhole: true,
    checks: [{ what: 'all are back', isGood: true, found: '5 of 5' }],
    warnings: [],
    figures: [
      { name: 'attempts a second, most', value: 1_234, unit: '/s' },
      { name: '99 % are back after', value: 2, unit: 's' },
    ],
    latencies: { deliver: summarizeHdr([encodeHdr(histogram)]) },
    moments: [{ name: 'killed', seconds: 0.25 }],
    series: {
      slotMs: 250,
      seconds: [0, 0.25, 0.5],
      counts: { attempts: [10, 0, 5], 'came online': [10, 0, 4], 'went offline': [0, 5, 0] },
      latencies: { deliver: { p50Ms: [1, null, 2], p99Ms: [3, null, 4] } },
      gauges: { 'replica 1 CPU': [0.5, null, 0.75], 'load 1 CPU': [0.25, 0.25, 0.25] },
    },
    ...changed,
  };
}

const withFigure = (value: number) => resultOf({ figures: [{ name: '99 % are back after', value, unit: 's' }] });

describe('a result', () => {
  it('is read as it was written, and nothing else is', () => {
    expect(parseResult(JSON.stringify(resultOf()), 'a.json')).toEqual(resultOf());
    expect(() => parseResult('{', 'a.json')).toThrow(/^a\.json is no JSON/);
    expect(() => parseResult('{"format":"other"}', 'a.json')).toThrow(/^a\.json is no result of a load/);
    expect(() => parseResult('null', 'a.json')).toThrow(/is no result/);
  });

  it('has passed where it has checks, and all are good', () => {
    expect(hasPassed(resultOf())).toBe(true);
    expect(hasPassed(resultOf({ checks: [] }))).toBe(false);
    const failed = { what: 'presence is true', isGood: false, found: 'not in tea' };
    expect(hasPassed(resultOf({ checks: [...resultOf().checks, failed] }))).toBe(false);
    expect(formatResult(resultOf({ checks: [failed] }))).toMatch(/presence is true \| \*\*FAILED\*\* \| +not in tea/);
  });
});

describe('a comparison', () => {
  it('has what either has, and the ratio of what both have', () => {
    const [after, attempts] = [withFigure(3), resultOf().figures[0]];
    const all = compare(resultOf(), after);
    expect(all).toContainEqual({ name: '99 % are back after', unit: 's', before: 2, after: 3, ratio: 1.5 });
    expect(all).toContainEqual({ name: attempts?.name, unit: '/s', before: 1_234, after: undefined, ratio: undefined });
    expect(compare(withFigure(0), after)[0]?.ratio).toBeUndefined();
  });

  it('says what the two were told differently', () => {
    const other = resultOf({ options: { sessions: 20, fault: 'kill' }, checks: [] });
    const text = formatComparison(resultOf(), other);
    expect(text).toContain('They were told different things: sessions 10 and 20.');
    expect(text).toContain('Checks: passed, FAILED.');
    expect(formatComparison(resultOf(), resultOf())).not.toContain('different');
  });
});

describe('a report', () => {
  it('is one file that loads nothing, whatever stands in the result', async () => {
    const hostile = resultOf({ scenario: '</script><script>alert(1)</script>' });
    const html = await renderReport([hostile]);
    expect(html.match(/<script/g)).toHaveLength(2);
    expect(html).not.toMatch(/\b(src|href)\s*=\s*["']?https?:/);
    expect(html).not.toContain('<script>alert(1)');
    expect(html).toContain("default-src 'none'");
    const data = /<script type="application\/json" id="data">(.*?)<\/script>/s.exec(html)?.[1] ?? '';
    expect(JSON.parse(data)).toEqual([hostile]);
  });

  it('plots what there is, by second and by percentile', () => {
    const plots = new Map(plotsOf(resultOf()).map((plot) => [plot.title, plot]));
    expect([...plots.keys()]).not.toContain('Memory');
    expect(plots.get('Sessions online')?.lines).toEqual([{ label: 'online', values: [10, 5, 9] }]);
    expect(plots.get('Attempts to connect')?.lines[0]?.values).toEqual([40, 0, 20]);
    expect(plots.get('CPU of servers, and of all')?.lines).toEqual([{ label: 'replica 1', values: [50, null, 75] }]);
    expect(plots.get('CPU of load processes')?.lines.map(({ label }) => label)).toEqual(['load 1']);
    const { xs = [], lines = [] } = plots.get('Latency by percentile') ?? {};
    expect(xs[xs.length - 1]).toBeCloseTo(2);
    expect(lines[0]?.values.every((value) => value !== null)).toBe(true);
  });
});
