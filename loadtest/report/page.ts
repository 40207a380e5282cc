// The page of a report: tables and plots of the results that stand beside this script. Nothing is loaded.

import uPlot from 'uplot';
import { compare } from '../comparison.ts';
import { formatFigure } from '../load-report.ts';
import { hasPassed, type LoadResult, type Moment } from '../load-result.ts';
import { type Plot, plotsOf } from './plots.ts';

const PLOT_HEIGHT = 240;
const SERIES_COLORS = 6;
/** Rates and amounts are read against nothing at all. */
const FROM_ZERO: uPlot.Range.Limit = { pad: 0, soft: 0, mode: 1 };
const WITH_ROOM: uPlot.Range.Limit = { pad: 0.1, soft: 0, mode: 2 };
const DECADE_LABELS = ['0', '90 %', '99 %', '99.9 %', '99.99 %', '99.999 %'];

type Child = Node | string;

function element(name: string, className: string, ...children: Child[]): HTMLElement {
  const made = document.createElement(name);
  if (className !== '') made.className = className;
  made.append(...children);
  return made;
}

function table(header: readonly string[], rows: readonly (readonly Child[])[], numbersFrom: number): HTMLElement {
  const cells = (kind: 'th' | 'td', values: readonly Child[]) =>
    element('tr', '', ...values.map((value, column) => element(kind, column >= numbersFrom ? 'number' : '', value)));
  const body = rows.map((row) => cells('td', row));
  return element(
    'div',
    'wide',
    element('table', '', element('thead', '', cells('th', header)), element('tbody', '', ...body)),
  );
}

function color(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

/** Lines where something began. */
function marking(moments: readonly Moment[]): uPlot.Plugin {
  return {
    hooks: {
      draw: ({ ctx, bbox, valToPos }) => {
        ctx.save();
        ctx.strokeStyle = color('moment');
        ctx.fillStyle = color('moment');
        ctx.setLineDash([4, 4]);
        ctx.textAlign = 'left';
        ctx.font = `${11 * devicePixelRatio}px system-ui`;
        for (const [index, { name, seconds }] of moments.entries()) {
          const x = Math.round(valToPos(seconds, 'x', true));
          if (x < bbox.left || x > bbox.left + bbox.width) continue;
          ctx.beginPath();
          ctx.moveTo(x, bbox.top);
          ctx.lineTo(x, bbox.top + bbox.height);
          ctx.stroke();
          // One below the other, since some lie close together.
          ctx.fillText(name, x + 4 * devicePixelRatio, bbox.top + (12 + 13 * index) * devicePixelRatio);
        }
        ctx.restore();
      },
    },
  };
}

function draw(plot: Plot, moments: readonly Moment[], parent: HTMLElement): uPlot {
  const isOverTime = plot.x === 'seconds';
  const axis = { stroke: color('quiet'), grid: { stroke: color('line') }, ticks: { stroke: color('line') } };
  const options: uPlot.Options = {
    width: Math.max(200, parent.clientWidth - 26),
    height: PLOT_HEIGHT,
    cursor: { y: false },
    plugins: isOverTime ? [marking(moments)] : [],
    scales: {
      x: { time: false },
      y: plot.isLogarithmic ? { distr: 3 } : { range: { min: FROM_ZERO, max: WITH_ROOM } },
    },
    series: [
      { label: isOverTime ? 'second' : 'percentile', value: (_, x) => (x === null ? '–' : labelOf(plot, x)) },
      ...plot.lines.map(({ label }, index) => ({
        label,
        stroke: color(`series-${(index % SERIES_COLORS) + 1}`),
        width: 1.5,
        spanGaps: plot.isSeldom,
        ...(plot.isSeldom || !plot.isLogarithmic ? { points: { show: false } } : {}),
        value: (_: uPlot, y: number | null) =>
          y === null || y === undefined ? '–' : formatFigure({ value: round(y), unit: plot.unit }),
      })),
    ],
    axes: [
      isOverTime ? { ...axis, values: (_, all) => all.map((x) => `${x} s`) } : { ...axis, ...decades },
      { ...axis, size: 64, values: (_, all: readonly (number | null)[]) => all.map(tickOf) },
    ],
  };
  return new uPlot(options, [[...plot.xs], ...plot.lines.map(({ values }) => [...values])], parent);
}

const decades: Pick<uPlot.Axis, 'splits' | 'values'> = {
  splits: (_, __, min, max) => DECADE_LABELS.map((___, decade) => decade).filter((x) => x >= min && x <= max),
  values: (_, all) => all.map((x) => DECADE_LABELS[x] ?? ''),
};

function labelOf({ x }: Plot, value: number): string {
  return x === 'seconds' ? `${value}` : `${((1 - 10 ** -value) * 100).toPrecision(6).replace(/\.?0+$/, '')} %`;
}

/** On a logarithmic scale some have no room for a label. */
function tickOf(value: number | null): string {
  return value === null ? '' : formatFigure({ value, unit: '' }).replace(/\.00$/, '');
}

/** As precise as a legend is read. */
function round(value: number): number {
  return Number(value.toPrecision(4));
}

function latencyTable({ latencies }: LoadResult): HTMLElement[] {
  const rows = Object.entries(latencies).map(([name, { count, p50Ms, p90Ms, p99Ms, p999Ms, maxMs }]) => [
    name,
    formatFigure({ value: count, unit: '' }),
    ...[p50Ms, p90Ms, p99Ms, p999Ms, maxMs].map((value) => value.toFixed(1)),
  ]);
  const header = ['latency, ms', 'count', 'p50', 'p90', 'p99', 'p99.9', 'most'];
  return rows.length === 0 ? [] : [element('section', '', element('h2', '', 'Latency'), table(header, rows, 1))];
}

function verdict(isGood: boolean, good: string, bad: string): HTMLElement {
  return element('span', isGood ? 'good' : 'bad', isGood ? `✓ ${good}` : `✗ ${bad}`);
}

/** Everything about one result; its plots are drawn into it once it is in the page. */
function section(result: LoadResult): { readonly root: HTMLElement; readonly plots: HTMLElement } {
  const { scenario, gateway, machine, startedAt, options, checks, figures, warnings, isWhole } = result;
  const told = Object.entries(options).map(([name, value]) => `${name} ${value}`);
  const plots = element('div', 'plots');
  const root = element(
    'section',
    '',
    element('h1', '', scenario),
    element('p', '', `${startedAt.slice(0, 19).replace('T', ' ')} UTC. ${gateway}.`),
    element(
      'p',
      '',
      `${machine.cores} cores, ${machine.architecture}, Linux, Node ${machine.node}. ${told.join(', ')}.`,
    ),
    element('div', 'verdict', verdict(hasPassed(result), 'all checks are good', 'a check has failed')),
    ...(isWhole ? [] : [element('p', 'warning', 'Ended before its time.')]),
    ...warnings.map((warning) => element('p', 'warning', warning)),
    element('h2', '', 'Checks'),
    table(
      ['what must hold', '', 'found'],
      checks.map(({ what, isGood, found }) => [what, verdict(isGood, 'good', 'failed'), found]),
      3,
    ),
    element('h2', '', 'Over time'),
    plots,
    element(
      'div',
      'tables',
      element(
        'section',
        '',
        element('h2', '', 'Figures'),
        table(
          ['', ''],
          figures.map((figure) => [figure.name, formatFigure(figure)]),
          1,
        ),
      ),
      ...latencyTable(result),
    ),
  );
  return { root, plots };
}

function comparison(before: LoadResult, after: LoadResult): HTMLElement {
  const cell = (value: number | undefined, unit: string) => (value === undefined ? '' : formatFigure({ value, unit }));
  const rows = compare(before, after).map(({ name, unit, before: a, after: b, ratio }) => [
    name,
    cell(a, unit),
    cell(b, unit),
    ratio === undefined ? '' : `${ratio.toFixed(2)}×`,
  ]);
  const header = ['', 'first', 'second', 'second / first'];
  return element('section', '', element('h1', '', 'Two runs beside one another'), table(header, rows, 1));
}

const results = JSON.parse(document.querySelector('#data')?.textContent ?? '[]') as LoadResult[];
const report = document.querySelector('#report') as HTMLElement;
const [first, second] = results;
if (first !== undefined && second !== undefined) report.append(comparison(first, second));
const sections = results.map((result) => ({ result, ...section(result) }));
report.append(...sections.map(({ root }) => root));

let drawn: uPlot[] = [];
function drawAll(): void {
  for (const plot of drawn) plot.destroy();
  drawn = sections.flatMap(({ result, plots }) => {
    const all = plotsOf(result);
    const frames = all.map(({ title, unit }) =>
      element('figure', '', element('figcaption', '', unit === '' ? title : `${title}, ${unit}`)),
    );
    plots.replaceChildren(...frames);
    return all.map((plot, index) => draw(plot, result.moments, frames[index] as HTMLElement));
  });
}
drawAll();
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', drawAll);
addEventListener('resize', drawAll);
