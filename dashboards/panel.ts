import {
  BigValueGraphMode,
  GraphDrawStyle,
  LegendDisplayMode,
  LegendPlacement,
  ReduceDataOptionsBuilder,
  SortOrder,
  StackingConfigBuilder,
  StackingMode,
  TooltipDisplayMode,
  VisibilityMode,
  VizLegendOptionsBuilder,
  VizTooltipOptionsBuilder,
} from '@grafana/grafana-foundation-sdk/common';
import { type DataSourceRef, ThresholdsConfigBuilder, ThresholdsMode } from '@grafana/grafana-foundation-sdk/dashboard';
import { DataqueryBuilder } from '@grafana/grafana-foundation-sdk/prometheus';
import { PanelBuilder as StatBuilder } from '@grafana/grafana-foundation-sdk/stat';
import { PanelBuilder as GraphBuilder } from '@grafana/grafana-foundation-sdk/timeseries';
import type { Query } from './query.ts';

/** Grafana's words for what numbers are. */
export type Unit =
  | 'short'
  | 's'
  | 'bytes'
  | 'Bps'
  | 'cps'
  | 'percentunit'
  /** 1 is yes, 0 is no. */
  | 'bool_yes_no';

interface Shown {
  readonly title: string;
  /** What it shows, and what to make of it. */
  readonly description: string;
  readonly unit: Unit;
  readonly queries: readonly Query[];
}

/** Lines over time. */
export interface Graph extends Shown {
  /** Lines add up to what matters (`stacked`), or events are so few that each is to be seen (`bars`). */
  readonly style?: 'lines' | 'stacked' | 'bars';
  /** Columns of the grid's 24. */
  readonly width?: 8 | 12 | 24;
  /** Buckets have traces as exemplars. */
  readonly hasExemplars?: boolean;
}

/** The newest number, large, with a small graph below. */
export interface Stat extends Shown {
  /** Good from here on, or up to here; else it is red. */
  readonly good?: { readonly from: number } | { readonly to: number };
}

export interface Row {
  readonly title: string;
  readonly stats?: readonly Stat[];
  readonly graphs?: readonly Graph[];
}

export const DATASOURCE: DataSourceRef = { type: 'prometheus', uid: '$datasource' };

const GRAPH_ROWS = 8;
const STAT_ROWS = 4;
const STAT_COLUMNS = 4;

export function buildGraph(graph: Graph): GraphBuilder {
  const { title, description, unit, queries, style = 'lines', width = 8, hasExemplars = false } = graph;
  const legend = new VizLegendOptionsBuilder()
    .displayMode(LegendDisplayMode.List)
    .placement(LegendPlacement.Bottom)
    .showLegend(true)
    .calcs([]);
  const builder = new GraphBuilder()
    .title(title)
    .description(description)
    .datasource(DATASOURCE)
    .unit(unit)
    .span(width)
    .height(GRAPH_ROWS)
    .min(0)
    .lineWidth(1)
    .fillOpacity(style === 'lines' ? 5 : 40)
    .showPoints(VisibilityMode.Never)
    .drawStyle(style === 'bars' ? GraphDrawStyle.Bars : GraphDrawStyle.Line)
    .legend(legend)
    .tooltip(new VizTooltipOptionsBuilder().mode(TooltipDisplayMode.Multi).sort(SortOrder.Descending));
  if (style !== 'lines') builder.stacking(new StackingConfigBuilder().mode(StackingMode.Normal).group('A'));
  if (unit === 'percentunit') builder.axisSoftMax(1);
  queries.forEach((query, index) => {
    builder.withTarget(target(query, index).range().exemplar(hasExemplars));
  });
  return builder;
}

export function buildStat({ title, description, unit, queries, good }: Stat): StatBuilder {
  const builder = new StatBuilder()
    .title(title)
    .description(description)
    .datasource(DATASOURCE)
    .unit(unit)
    .span(STAT_COLUMNS)
    .height(STAT_ROWS)
    .graphMode(BigValueGraphMode.Area)
    .reduceOptions(new ReduceDataOptionsBuilder().calcs(['lastNotNull']).fields('').values(false))
    .thresholds(new ThresholdsConfigBuilder().mode(ThresholdsMode.Absolute).steps(stepsOf(good)));
  queries.forEach((query, index) => {
    builder.withTarget(target(query, index).range());
  });
  return builder;
}

/** The first step is of all that is below the second. */
function stepsOf(good: Stat['good']): { value: number | null; color: string }[] {
  if (good === undefined) return [{ value: null, color: 'blue' }];
  if ('from' in good) {
    return [
      { value: null, color: 'red' },
      { value: good.from, color: 'green' },
    ];
  }
  return [
    { value: null, color: 'green' },
    { value: good.to, color: 'red' },
  ];
}

function target({ expr, legend }: Query, index: number): DataqueryBuilder {
  // Of two letters from the 27th on, as Grafana itself counts.
  const refId = `${index < 26 ? '' : String.fromCharCode(64 + Math.floor(index / 26))}${String.fromCharCode(65 + (index % 26))}`;
  return new DataqueryBuilder().refId(refId).datasource(DATASOURCE).expr(expr).legendFormat(legend);
}
