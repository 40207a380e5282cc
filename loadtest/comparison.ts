import { formatFigure } from './load-report.ts';
import { hasPassed, type LoadResult } from './load-result.ts';
import { formatTable } from './table.ts';

/** What was measured in both of two runs, or in one of them. */
export interface Compared {
  readonly name: string;
  readonly unit: string;
  readonly before: number | undefined;
  readonly after: number | undefined;
  /** After divided by before; undefined where there is nothing to divide by. */
  readonly ratio: number | undefined;
}

/** Figures and latencies, in the order of the first run, then what the second one alone has. */
export function compare(before: LoadResult, after: LoadResult): Compared[] {
  const [first, second] = [valuesOf(before), valuesOf(after)];
  return [...new Map([...first, ...second])].map(([name, { unit }]) => {
    const [a, b] = [first.get(name)?.value, second.get(name)?.value];
    const ratio = a === undefined || b === undefined || a === 0 ? undefined : b / a;
    return { name, unit, before: a, after: b, ratio };
  });
}

export function formatComparison(before: LoadResult, after: LoadResult): string {
  const cell = (value: number | undefined, unit: string) => (value === undefined ? '' : formatFigure({ value, unit }));
  const rows = compare(before, after).map(({ name, unit, before: a, after: b, ratio }) => [
    name,
    cell(a, unit),
    cell(b, unit),
    ratio === undefined ? '' : `${ratio.toFixed(2)}×`,
  ]);
  const differing = differencesOf(before, after);
  const verdictOf = (result: LoadResult) => (hasPassed(result) ? 'passed' : 'FAILED');
  return [
    `## ${before.scenario} of ${before.startedAt} and ${after.scenario} of ${after.startedAt}`,
    '',
    `Checks: ${verdictOf(before)}, ${verdictOf(after)}.`,
    ...(differing.length > 0 ? [`They were told different things: ${differing.join('; ')}.`] : []),
    '',
    formatTable(['', 'first', 'second', 'second / first'], rows),
  ].join('\n');
}

/** What makes two runs hard to compare, in words. */
function differencesOf(before: LoadResult, after: LoadResult): string[] {
  const facts = ({ scenario, gateway, options, machine }: LoadResult) => ({
    scenario,
    gateway,
    ...options,
    ...machine,
  });
  const [a, b] = [facts(before), facts(after)] as [Record<string, unknown>, Record<string, unknown>];
  // Measured anew each time, and never the same.
  const names = [...new Set([...Object.keys(a), ...Object.keys(b)])].filter((name) => name !== 'syncMs');
  return names.filter((name) => `${a[name]}` !== `${b[name]}`).map((name) => `${name} ${a[name]} and ${b[name]}`);
}

function valuesOf({ figures, latencies }: LoadResult): Map<string, { readonly value: number; readonly unit: string }> {
  const quantiles = Object.entries(latencies).flatMap(([name, { p50Ms, p99Ms, maxMs }]) => [
    [`${name}, p50`, { value: p50Ms, unit: 'ms' }] as const,
    [`${name}, p99`, { value: p99Ms, unit: 'ms' }] as const,
    [`${name}, most`, { value: maxMs, unit: 'ms' }] as const,
  ]);
  return new Map([...figures.map(({ name, value, unit }) => [name, { value, unit }] as const), ...quantiles]);
}
