import {
  type Dashboard,
  DashboardBuilder,
  DashboardCursorSync,
  DashboardLinkBuilder,
  DashboardLinkType,
  DatasourceVariableBuilder,
  QueryVariableBuilder,
  RowBuilder,
  VariableRefresh,
  VariableSort,
} from '@grafana/grafana-foundation-sdk/dashboard';
import { METRICS } from '../src/observability/catalogue.ts';
import { buildGraph, buildStat, DATASOURCE, type Row } from './panel.ts';

/** A dashboard as it is written here; its name is that of its file, too. */
export interface DashboardPlan {
  readonly name: string;
  readonly title: string;
  readonly description: string;
  readonly rows: readonly Row[];
}

/** By which each has links to the others. */
const TAG = 'tidegate';
const ALL = { selected: true, text: ['All'], value: ['$__all'] };

/** What Grafana imports. Ids are given in order, so that they change only with the panels. */
export function buildDashboard({ name, title, description, rows }: DashboardPlan): Dashboard {
  const builder = new DashboardBuilder(`Tidegate: ${title}`)
    .uid(`tidegate-${name}`)
    .description(description)
    .tags([TAG])
    .refresh('30s')
    .time({ from: 'now-1h', to: 'now' })
    .timezone('browser')
    .tooltip(DashboardCursorSync.Crosshair)
    .annotations([])
    .variables(variables())
    .link(
      new DashboardLinkBuilder('Tidegate')
        .type(DashboardLinkType.Dashboards)
        .icon('external link')
        .tags([TAG])
        .asDropdown(false)
        .includeVars(true)
        .keepTime(true),
    );
  let id = 0;
  for (const { title: rowTitle, stats = [], graphs = [] } of rows) {
    id += 1;
    builder.withRow(new RowBuilder(rowTitle).id(id));
    for (const panel of [...stats.map(buildStat), ...graphs.map(buildGraph)]) {
      id += 1;
      builder.withPanel(panel.id(id));
    }
  }
  return builder.build();
}

function variables() {
  const series = METRICS.buildInfo.name;
  return [
    new DatasourceVariableBuilder('datasource').label('Data source').type('prometheus'),
    new QueryVariableBuilder('cluster')
      .label('Cluster')
      .description(
        'Label cluster, which whoever scrapes gives to replicas of one cluster; All also where there is none',
      )
      .datasource(DATASOURCE)
      .query(labelValues(series, 'cluster'))
      .refresh(VariableRefresh.OnTimeRangeChanged)
      .sort(VariableSort.AlphabeticalAsc)
      .multi(true)
      .includeAll(true)
      .allValue('.*')
      .current(ALL),
    new QueryVariableBuilder('node')
      .label('Node')
      .description('Label instance: one replica, or a process by itself')
      .datasource(DATASOURCE)
      .query(labelValues(`${series}{cluster=~"$cluster"}`, 'instance'))
      .refresh(VariableRefresh.OnTimeRangeChanged)
      .sort(VariableSort.AlphabeticalAsc)
      .multi(true)
      .includeAll(true)
      .allValue('.*')
      .current(ALL),
  ];
}

function labelValues(series: string, label: string) {
  return {
    qryType: 1,
    query: `label_values(${series}, ${label})`,
    refId: 'PrometheusVariableQueryEditor-VariableQuery',
  };
}
