import type { Bounded, Ratio } from './standing.ts';
import type { Spread } from './statistics.ts';

/** A Markdown table. Columns of numbers are aligned to the right, the first to the left. */
export function formatTable(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = header.map((title, column) => Math.max(title.length, ...rows.map((row) => row[column]?.length ?? 0)));
  const line = (cells: readonly string[]): string => {
    const padded = cells.map((cell, column) => {
      const width = widths[column] ?? 0;
      return column === 0 ? cell.padEnd(width) : cell.padStart(width);
    });
    return `| ${padded.join(' | ')} |`;
  };
  const rule = widths.map((width, column) => (column === 0 ? '-'.repeat(width) : `${'-'.repeat(width - 1)}:`));
  return [line(header), line(rule), ...rows.map(line)].join('\n');
}

export function formatSpread({ median, min, max }: Spread, format: (value: number) => string): string {
  return `${format(median)} [${format(min)}–${format(max)}]`;
}

export function formatBounded({ spread, isLowerBound }: Bounded, format: (value: number) => string): string {
  return (isLowerBound ? '≥ ' : '') + formatSpread(spread, format);
}

export function formatRatio(ratio: Ratio | undefined): string {
  if (ratio === undefined) return 'unknown';
  return formatBounded(ratio, (times) => times.toFixed(2)) + (ratio.isByCpu ? ' by CPU' : '');
}

export function formatCount(value: number): string {
  return Math.round(value).toLocaleString('en-US');
}

export function formatShare(share: number): string {
  return `${Math.round(share * 100)} %`;
}

export function formatMs(ms: number): string {
  return ms.toFixed(ms < 10 ? 2 : 1);
}
