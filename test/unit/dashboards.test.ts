import { readdirSync, readFileSync } from 'node:fs';
import type { Panel } from '@grafana/grafana-foundation-sdk/dashboard';
import { collectDefaultMetrics, Registry } from 'prom-client';
import { describe, expect, test } from 'vitest';
import { dashboardFiles, FOLDER } from '../../dashboards/dashboards.ts';
import { METRICS } from '../../src/observability/catalogue.ts';
import type { MetricEntry } from '../../src/observability/metric-entry.ts';
import { expressions, labelsIn, namesIn, panelsOf, readDashboard, targetsOf } from '../dashboards/expressions.ts';

const RULES = readFileSync(new URL('../../dashboards/prometheus/rules/recording.yml', import.meta.url), 'utf8');
const DATASOURCE = { type: 'prometheus', uid: '$datasource' };
/** Grafana's grid. */
const COLUMNS = 24;

const registry = new Registry();
collectDefaultMetrics({ register: registry });
const ofNode = (await registry.getMetricsAsJSON()).map(({ name, type }) => ({ name, type: String(type) }));
const ours: readonly MetricEntry[] = Object.values(METRICS);
const typeOf = new Map([...ours, ...ofNode].map(({ name, type }) => [name, type as string]));

const files = readdirSync(FOLDER);
const shown = expressions();
const recorded = [...RULES.matchAll(/^ +- record: (\S+)$/gm)].map(([, name = '']) => name);

/** The metric that a name in an expression is of: of a histogram there are three. */
function metricOf(name: string): string {
  return typeOf.has(name) ? name : name.replace(/_(bucket|sum|count)$/, '');
}

test('the dashboards are as `npm run dashboards` makes them', () => {
  const made = dashboardFiles();
  expect(files.sort()).toEqual([...made.keys()].sort());
  for (const [name, text] of made) expect(readFileSync(new URL(name, FOLDER), 'utf8'), name).toBe(text);
});

describe.each(files)('%s', (file) => {
  const dashboard = readDashboard(file);
  const panels = panelsOf(dashboard);

  test('says what it is, in each panel as well', () => {
    expect(dashboard.description).toMatch(/^[A-Z].*\.$/);
    expect(panels.length).toBeGreaterThan(10);
    for (const { title = '', description = '', fieldConfig } of panels) {
      expect(title).not.toBe('');
      expect(description, title).toMatch(/^[A-Z0-9].{20,}\.$/);
      expect(fieldConfig?.defaults.unit, title).toMatch(/^\w+$/);
    }
  });

  test('asks the data source that is chosen, for what is chosen', () => {
    expect(dashboard.templating.list?.map(({ name }) => name)).toEqual(['datasource', 'cluster', 'node']);
    for (const panel of panels) {
      const targets = targetsOf(panel);
      expect(panel.datasource).toEqual(DATASOURCE);
      expect(targets.length, panel.title).toBeGreaterThan(0);
      expect(new Set(targets.map(({ refId }) => refId)).size).toBe(targets.length);
      for (const { datasource, expr } of targets) {
        expect(datasource).toEqual(DATASOURCE);
        expect(expr).toContain('cluster=~"$cluster"');
        expect(expr.match(/\$\w+/g)?.filter((name) => !/^\$(cluster|node|__rate_interval)$/.test(name))).toEqual([]);
      }
    }
  });

  test('has every panel in a place of its own', () => {
    const ids = (dashboard.panels ?? []).map(({ id }) => id);
    expect(new Set(ids).size).toBe(ids.length);
    const taken = new Set<string>();
    for (const { title, gridPos } of dashboard.panels as Panel[]) {
      if (gridPos === undefined) throw new Error(`${title} is nowhere`);
      const { x, y, w, h } = gridPos;
      expect(x + w, title).toBeLessThanOrEqual(COLUMNS);
      for (let column = x; column < x + w; column += 1) {
        for (let row = y; row < y + h; row += 1) {
          const cell = `${column},${row}`;
          expect(taken.has(cell), `${title} lies on another one`).toBe(false);
          taken.add(cell);
        }
      }
    }
  });
});

describe('expressions', () => {
  test('have lines with names, by labels that they have', () => {
    for (const { where, expr, legend } of shown) {
      expect(legend, where).not.toBe('');
      const grouped = [...expr.matchAll(/\bby \(([^)]*)\)/g)].flatMap(([, labels = '']) => labels.split(', '));
      const labels = expr.startsWith('cluster:') ? ['cluster'] : grouped;
      expect(labels, where).toEqual(expect.arrayContaining(labelsIn(legend)));
    }
  });

  test('ask for what there is, and for how much counters grow', () => {
    for (const { where, expr } of shown) {
      const names = namesIn(expr);
      expect(names, where).not.toEqual([]);
      for (const name of names.filter((each) => !each.includes(':'))) {
        const metric = metricOf(name);
        const type = typeOf.get(metric);
        expect(type, `${where}: ${name} is exported by nobody`).toBeDefined();
        const isOfGrowth = new RegExp(`\\b(rate|increase)\\(${name}\\b`).test(expr);
        expect(isOfGrowth, `${where}: ${name}`).toBe(type === 'counter' || type === 'histogram');
        expect(name !== metric, `${where}: ${name}`).toBe(type === 'histogram');
      }
    }
  });

  test('show every metric of the catalogue', () => {
    const metrics = new Set(shown.flatMap(({ expr }) => namesIn(expr).map(metricOf)));
    expect(ours.map(({ name }) => name).filter((name) => !metrics.has(name))).toEqual([]);
  });
});

describe('recording rules', () => {
  test('are named level:metric:operation, and each is shown', () => {
    expect(recorded.length).toBeGreaterThan(5);
    for (const name of recorded) expect(name).toMatch(/^cluster:[a-z_]+:[a-z0-9_]+$/);
    const names = shown.flatMap(({ expr }) => namesIn(expr)).filter((name) => name.includes(':'));
    expect([...new Set(names)].sort()).toEqual([...recorded].sort());
  });

  test('are made of metrics that there are', () => {
    const expressionsOnly = RULES.replaceAll(/^ *(#|- record:).*$/gm, '');
    const names = namesIn(expressionsOnly).map(metricOf);
    expect(names.length).toBeGreaterThan(5);
    expect([...typeOf.keys()]).toEqual(expect.arrayContaining(names));
  });
});
