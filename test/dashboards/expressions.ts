import { readdirSync, readFileSync } from 'node:fs';
import type { Dashboard, Panel } from '@grafana/grafana-foundation-sdk/dashboard';
import type { dataquery } from '@grafana/grafana-foundation-sdk/prometheus';
import { FOLDER } from '../../dashboards/dashboards.ts';

/** What a panel asks for, as it is committed. */
export interface Expression {
  /** Dashboard, panel and query, in words. */
  readonly where: string;
  readonly expr: string;
  readonly legend: string;
}

export function readDashboard(name: string): Dashboard {
  return JSON.parse(readFileSync(new URL(name, FOLDER), 'utf8')) as Dashboard;
}

/** All but the rows. */
export function panelsOf({ panels = [] }: Dashboard): Panel[] {
  return panels.filter((panel): panel is Panel => panel.type !== 'row');
}

export function targetsOf({ targets = [] }: Panel): dataquery[] {
  return targets as dataquery[];
}

/** Of all dashboards. */
export function expressions(): Expression[] {
  return readdirSync(FOLDER).flatMap((file) => {
    const dashboard = readDashboard(file);
    return panelsOf(dashboard).flatMap((panel) =>
      targetsOf(panel).map(({ refId, expr, legendFormat = '' }) => {
        return { where: `${dashboard.title}, ${panel.title}, ${refId}`, expr, legend: legendFormat };
      }),
    );
  });
}

/** As Grafana fills the variables in. */
export function filledIn(expr: string, values: Readonly<Record<string, string>>): string {
  return Object.entries(values).reduce((filled, [name, value]) => filled.replaceAll(`$${name}`, value), expr);
}

/** Every label that a legend has the value of. */
export function labelsIn(legend: string): string[] {
  return [...legend.matchAll(/\{\{(\w+)\}\}/g)].map(([, label = '']) => label);
}

/** Every metric that an expression has, as it is exported, and every series that a rule has recorded. */
export function namesIn(expr: string): string[] {
  return [...new Set(expr.match(/\b(?:\w+:\w+:\w+|(?:tidegate|process|nodejs)_\w+)/g))];
}
