import type { Figure, LoadResult } from './load-result.ts';
import { formatCount, formatMs, formatTable } from './table.ts';

/** What a run has given, as Markdown. */
export function formatResult(result: LoadResult): string {
  const { scenario, gateway, machine, startedAt, checks, warnings, figures, latencies, isWhole, options } = result;
  const header = ['latency, ms', 'count', 'p50', 'p90', 'p99', 'p99.9', 'max'];
  const rows = Object.entries(latencies).map(([name, each]) => [
    name,
    formatCount(each.count),
    ...[each.p50Ms, each.p90Ms, each.p99Ms, each.p999Ms, each.maxMs].map(formatMs),
  ]);
  const told = Object.entries(options).map(([name, value]) => `${name} ${value}`);
  return [
    `## ${scenario}`,
    '',
    `${gateway}; ${machine.cores} cores, ${machine.architecture}, Linux, Node ${machine.node}; begun ${startedAt}.`,
    `${told.join(', ')}.`,
    ...(isWhole ? [] : ['', 'Ended before its time.']),
    '',
    formatTable(
      ['check', '', 'found'],
      checks.map(({ what, isGood, found }) => [what, isGood ? 'good' : '**FAILED**', found]),
    ),
    '',
    formatTable(
      ['figure', 'value'],
      figures.map((figure) => [figure.name, formatFigure(figure)]),
    ),
    ...(rows.length > 0 ? ['', formatTable(header, rows)] : []),
    ...warnings.flatMap((warning) => ['', `WARNING: ${warning}`]),
  ].join('\n');
}

export function formatFigure({ value, unit }: Pick<Figure, 'value' | 'unit'>): string {
  const isCount = Number.isInteger(value) || Math.abs(value) >= 1_000;
  return `${isCount ? formatCount(value) : value.toFixed(2)} ${unit}`.trimEnd();
}
