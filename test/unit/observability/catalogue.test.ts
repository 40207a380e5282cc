import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { METRICS } from '../../../src/observability/catalogue.ts';
import type { MetricEntry, Signal } from '../../../src/observability/metric-entry.ts';

const entries: readonly MetricEntry[] = Object.values(METRICS);
const SIGNALS: readonly Signal[] = ['latency', 'traffic', 'errors', 'saturation', 'presence'];

interface Row {
  readonly name: string;
  readonly type: string;
  readonly signal: string;
  readonly labels: Readonly<Record<string, readonly string[] | null>>;
  readonly meaning: string;
}

/** Every row of the tables below the headings of the signals. */
function documented(markdown: string): Row[] {
  return markdown.split(/^## /m).flatMap((section) => {
    const [signal = ''] = section.toLowerCase().split('\n');
    const rows = section.split('\n').filter((line) => line.startsWith('| `'));
    return rows.map((row) => {
      const [name = '', type = '', labels = '', meaning = ''] = row
        .slice(1, -1)
        .split(/(?<!\\)\|/)
        .map((cell) => cell.trim());
      return { name: name.replaceAll('`', ''), type, signal, labels: labelsOf(labels), meaning };
    });
  });
}

/** `name`: `value`, `value`; `name` */
function labelsOf(cell: string): Record<string, string[] | null> {
  const labels = cell === '' ? [] : cell.split('; ');
  return Object.fromEntries(
    labels.map((label) => {
      const [name = '', values] = label.replaceAll('`', '').split(': ');
      return [name, values?.split(', ') ?? null];
    }),
  );
}

describe('the catalogue of metrics', () => {
  it('has every metric once, named as Prometheus names things, in base units', () => {
    const names = entries.map(({ name }) => name);
    expect(new Set(names).size).toBe(names.length);
    for (const { name, type, help } of entries) {
      expect(name).toMatch(/^tidegate(_[a-z]+)+$/);
      expect(name.endsWith('_total'), name).toBe(type === 'counter');
      if (type === 'histogram') expect(name).toMatch(/_(seconds|users)$/);
      expect(name).not.toMatch(/_(ms|milliseconds|kb|mb|count|sum|bucket)$/);
      expect(help).toMatch(/^\S.*[^.\s]$/);
    }
  });

  it('has labels with few values, none of which a client chooses', () => {
    for (const { name, labels = {} } of entries) {
      for (const [label, values] of Object.entries(labels)) {
        expect(label).toMatch(/^[a-z_]+$/);
        expect(label).not.toMatch(/user|room|device|session|address|ip|mid|node$/);
        if (values === null) expect(['tidegate_build_info', 'tidegate_log_lag_records']).toContain(name);
        else expect(new Set(values).size).toBe(values.length);
      }
      const series = Object.values(labels).reduce((product, values) => product * (values?.length ?? 1), 1);
      expect(series, name).toBeLessThanOrEqual(100);
    }
  });

  it('has histograms with rising buckets that reach from where a disk is fast to the deadline of an append', () => {
    for (const { name, type, buckets = [] } of entries) {
      expect(buckets.length > 0, name).toBe(type === 'histogram');
      expect([...buckets].sort((a, b) => a - b)).toEqual(buckets);
    }
    expect(METRICS.publishAppend.buckets.at(0)).toBe(0.000_25);
    expect(METRICS.publishAppend.buckets.at(-1)).toBe(15);
  });

  it('sees every golden signal', () => {
    expect(new Set(entries.map(({ signal }) => signal))).toEqual(new Set(SIGNALS));
  });
});

describe('docs/METRICS.md', () => {
  const rows = documented(readFileSync(new URL('../../../docs/METRICS.md', import.meta.url), 'utf8'));

  it('has every metric of the catalogue and no other', () => {
    expect(rows.map(({ name }) => name).sort()).toEqual(entries.map(({ name }) => name).sort());
  });

  it.each(entries)('says of $name what the catalogue says', ({ name, type, signal, labels = {}, help }) => {
    expect(rows.find((row) => row.name === name)).toEqual({ name, type, signal, labels, meaning: help });
  });
});
