import type { LoadResult } from '../load-result.ts';

type Values = readonly (number | null)[];

/** One plot: what is drawn in it, over time or over percentiles. */
export interface Plot {
  readonly title: string;
  readonly unit: string;
  readonly x: 'seconds' | 'percentile';
  readonly xs: readonly number[];
  /** Of values so far apart that one scale would hide most of them. */
  readonly isLogarithmic: boolean;
  /** Lines go on over what was not read: some is read more seldom than slots begin. */
  readonly isSeldom: boolean;
  readonly lines: readonly { readonly label: string; readonly values: Values }[];
}

/** What `percentile` plots have on their x axis: 1 for the median's half, 2 for 99 %, 3 for 99.9 %, … */
export function decadesOf(share: number): number {
  return share >= 1 ? Number.NaN : -Math.log10(1 - share);
}

/** All that a result has something to show for. */
export function plotsOf(result: LoadResult): Plot[] {
  const { series } = result;
  const { seconds: xs, slotMs, gauges } = series;
  const overTime = (title: string, unit: string, lines: Plot['lines'], isLogarithmic = false): Plot => {
    return { title, unit, x: 'seconds', xs, isLogarithmic, isSeldom: false, lines };
  };
  const readings = (title: string, unit: string, lines: Plot['lines']): Plot => {
    return { ...overTime(title, unit, lines), isSeldom: true };
  };
  const perSecond = (name: string, label = name) => {
    const values = series.counts[name];
    return values === undefined ? [] : [{ label, values: values.map((times) => (times * 1000) / slotMs) }];
  };
  const gaugesThatEnd = (end: string, scale = 1) =>
    Object.entries(gauges)
      .filter(([name]) => name.endsWith(end))
      .map(([name, values]) => ({
        label: name.slice(0, -end.length),
        values: values.map((value) => value && value * scale),
      }));
  const failures = Object.keys(series.counts).filter((name) => /^(failed|disconnect): /.test(name));
  return [
    overTime('Sessions online', '', onlineOf(series)),
    overTime('Attempts to connect', '/s', [
      ...perSecond('attempts'),
      ...failures.flatMap((name) => perSecond(name, name.replace(/^disconnect: /, 'sent away: '))),
    ]),
    overTime('Publications', '/s', perSecond('publications')),
    overTime('Deliveries', '/s', perSecond('deliveries')),
    overTime('Requests', '/s', perSecond('requests')),
    percentiles(result),
    overTime(
      'Latency over time, p99',
      'ms',
      Object.entries(series.latencies).map(([label, { p99Ms: values }]) => ({ label, values })),
      true,
    ),
    readings(
      'CPU of servers, and of all',
      '%',
      gaugesThatEnd(' CPU', 100).filter(({ label }) => !label.startsWith('load ')),
    ),
    readings(
      'CPU of load processes',
      '%',
      gaugesThatEnd(' CPU', 100).filter(({ label }) => label.startsWith('load ')),
    ),
    readings('Memory', 'MiB', gaugesThatEnd(' memory, MiB')),
    readings('Longest delay of the event loop', 'ms', gaugesThatEnd(' loop delay, most, ms')),
  ].filter(({ lines }) => lines.some(({ values }) => values.some((value) => value !== null)));
}

function onlineOf({ counts }: LoadResult['series']): Plot['lines'] {
  const came = counts['came online'];
  if (came === undefined) return [];
  const went = counts['went offline'] ?? [];
  let online = 0;
  const values = came.map((times, slot) => {
    online += times - (went[slot] ?? 0);
    return online;
  });
  return [{ label: 'online', values }];
}

/** Latencies by how many were no slower, on one x axis: each is a step between the shares that it has a value of. */
function percentiles({ latencies }: LoadResult): Plot {
  const curves = Object.entries(latencies).map(([label, { curve }]) => {
    const points = curve.map(([share, ms]) => [decadesOf(share), ms] as const);
    return { label, points: new Map(points.filter(([x]) => Number.isFinite(x))) };
  });
  const xs = [...new Set(curves.flatMap(({ points }) => [...points.keys()]))].sort((a, b) => a - b);
  const lines = curves.map(({ label, points }) => ({ label, values: xs.map((x) => points.get(x) ?? null) }));
  return {
    title: 'Latency by percentile',
    unit: 'ms',
    x: 'percentile',
    xs,
    isLogarithmic: true,
    isSeldom: true,
    lines,
  };
}
