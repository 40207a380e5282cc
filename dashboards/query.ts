import { METRICS } from '../src/observability/catalogue.ts';
import type { MetricEntry } from '../src/observability/metric-entry.ts';

/** One expression of a panel, and what each of its lines is called. */
export interface Query {
  readonly expr: string;
  /** Words, with `{{label}}` for the values of labels that tell the lines apart. */
  readonly legend: string;
}

type Counter = MetricEntry & { readonly type: 'counter' };
type Gauge = MetricEntry & { readonly type: 'gauge' };
type Histogram = MetricEntry & { readonly type: 'histogram' };

/** The labels that lines of a metric can be told apart by: its own, and those that whoever scrapes gives to all. */
type LabelOf<Metric extends MetricEntry> =
  | (Metric extends { readonly labels: infer Labels } ? keyof Labels & string : never)
  | 'cluster'
  | 'instance';

/** Which series, and how lines are told apart. */
interface Lines<Metric extends MetricEntry> {
  /** Only series with one of these values. */
  readonly where?: Metric extends {
    readonly labels: infer Labels extends Readonly<Record<string, readonly string[] | null>>;
  }
    ? { readonly [Label in keyof Labels]?: readonly NonNullable<Labels[Label]>[number][] }
    : never;
  /** A line for each value of these; without them there is one line. */
  readonly by?: readonly LabelOf<Metric>[];
  /** What lines are called, before the values of `by`. */
  readonly legend?: string;
}

/** The same of whatever metric. */
interface AnyLines {
  readonly where?: Readonly<Record<string, readonly string[] | undefined>>;
  readonly by?: readonly string[];
  readonly legend?: string;
}

/** What the dashboard's variables leave. */
const NODES = 'cluster=~"$cluster", instance=~"$node"';
/** The shortest time over which a rate can be had, given how often is scraped. */
const RATE = '[$__rate_interval]';

/** Events a second, of all nodes that are selected. */
export function perSecond<Metric extends Counter>(metric: Metric, lines: Lines<Metric>): Query {
  return query(`sum${byOf(lines)} (rate(${metric.name}${selectionOf(lines)}${RATE}))`, lines);
}

/** Events within the last moments: of what is too seldom for a rate to mean anything. One is at several points of a graph. */
export function times<Metric extends Counter>(metric: Metric, lines: Lines<Metric>): Query {
  return query(`sum${byOf(lines)} (increase(${metric.name}${selectionOf(lines)}${RATE}))`, lines);
}

/** Observations a second. */
export function observations<Metric extends Histogram>(metric: Metric, lines: Lines<Metric>): Query {
  return query(`sum${byOf(lines)} (rate(${metric.name}_count${selectionOf(lines)}${RATE}))`, lines);
}

/** Medians, and what one in a hundred is above. */
export function percentiles<Metric extends Histogram>(metric: Metric, lines: Lines<Metric> = {}): readonly Query[] {
  return [percentile(50, metric, lines), percentile(99, metric, lines)];
}

/** @param rank 1–99 */
export function percentile<Metric extends Histogram>(rank: number, metric: Metric, lines: Lines<Metric> = {}): Query {
  const { by = [], legend = '' } = lines;
  const buckets = `sum by (${['le', ...by].join(', ')}) (rate(${metric.name}_bucket${selectionOf(lines)}${RATE}))`;
  return query(`histogram_quantile(${rank / 100}, ${buckets})`, { by, legend: `${legend} p${rank}`.trim() });
}

export function mean<Metric extends Histogram>(metric: Metric, lines: Lines<Metric>): Query {
  const sumOf = (part: string) => `sum${byOf(lines)} (rate(${metric.name}_${part}${selectionOf(lines)}${RATE}))`;
  return query(`${sumOf('sum')} / ${sumOf('count')}`, lines);
}

/** One rate in relation to another one: as many of the first for each of the second. */
export function ratio(dividend: Query, divisor: Query, legend: string): Query {
  return { expr: `${dividend.expr} / ${divisor.expr}`, legend };
}

/** Of all nodes together. */
export function sum<Metric extends Gauge>(metric: Metric, lines: Lines<Metric>): Query {
  return query(`sum${byOf(lines)} (${metric.name}${selectionOf(lines)})`, lines);
}

/** Of that node which has the most. */
export function largest<Metric extends Gauge>(metric: Metric, lines: Lines<Metric>): Query {
  return query(`max${byOf(lines)} (${metric.name}${selectionOf(lines)})`, lines);
}

/** Of that node which has the least. */
export function smallest<Metric extends Gauge>(metric: Metric, lines: Lines<Metric>): Query {
  return query(`min${byOf(lines)} (${metric.name}${selectionOf(lines)})`, lines);
}

/** How many nodes there are. */
export function count<Metric extends Gauge>(metric: Metric, lines: Lines<Metric>): Query {
  return query(`count${byOf(lines)} (${metric.name}${selectionOf(lines)})`, lines);
}

/** How much of a bound is used, 0–1, on that node which uses the most. */
export function use(used: Gauge, bound: Gauge, lines: Lines<Gauge>): Query {
  return query(`max${byOf(lines)} (${used.name}${selectionOf(lines)} / ${bound.name}${selectionOf(lines)})`, lines);
}

/** Every gauge that has a bound, with that. */
export function boundedGauges(): { readonly used: Gauge; readonly bound: Gauge }[] {
  const gauges = Object.values<MetricEntry>(METRICS).filter((each): each is Gauge => each.type === 'gauge');
  return gauges.flatMap((used) => {
    const bound = gauges.find(({ name }) => name === `${used.name}_max`);
    return bound === undefined ? [] : [{ used, bound }];
  });
}

/** What Node tells of its own process, whose names other programs' metrics have as well: of gateways alone. */
export function ofGateways(metric: MetricEntry, part = ''): string {
  return `${metric.name}${part}{${NODES}}${ON_GATEWAYS}`;
}

/** The same of what it counts, a second. */
export function rateOfGateways(metric: MetricEntry, part = ''): string {
  return `rate(${metric.name}${part}{${NODES}}${RATE})${ON_GATEWAYS}`;
}

const ON_GATEWAYS = ` and on (cluster, job, instance) ${METRICS.buildInfo.name}{${NODES}}`;

/** What a rule of prometheus/rules has written down, for times over which the metrics themselves would be too much. */
export function recorded(record: string, legend: string): Query {
  return { expr: `${record}{cluster=~"$cluster"}`, legend: `${legend} {{cluster}}` };
}

/** What a metric's selector has in its braces, these included. */
function selectionOf({ where = {} }: AnyLines): string {
  const own = Object.entries(where).map(([label, values = []]) => `, ${label}=~"${values.join('|')}"`);
  return `{${NODES}${own.join('')}}`;
}

function byOf({ by = [] }: AnyLines): string {
  return by.length === 0 ? '' : ` by (${by.join(', ')})`;
}

function query(expr: string, { by = [], legend = '' }: AnyLines): Query {
  return { expr, legend: [legend, ...by.map((label) => `{{${label}}}`)].join(' ').trim() };
}
