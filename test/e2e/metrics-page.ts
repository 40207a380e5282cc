import { type Family, parseExposition, seriesValue } from '../unit/observability/exposition.ts';
import type { GatewayProcess } from './gateway-process.ts';

/** What a gateway said of itself at one moment. */
export class MetricsReading {
  readonly families: ReadonlyMap<string, Family>;

  constructor(families: ReadonlyMap<string, Family>) {
    this.families = families;
  }

  /** The value of `tidegate_<name>`. */
  value(name: string, labels: Readonly<Record<string, string>> = {}): number {
    return seriesValue(this.families, `tidegate_${name}`, labels);
  }

  /** Every series of ours with its labels. */
  get series(): string[] {
    return [...this.families.values()]
      .flatMap(({ samples }) => samples)
      .map(({ name, labels }) => `${name} ${JSON.stringify(labels)}`)
      .filter((series) => series.startsWith('tidegate_'));
  }
}

/** Reads the page strictly. */
export async function scrape({ ports }: GatewayProcess): Promise<MetricsReading> {
  const response = await fetch(`http://127.0.0.1:${ports.internal}/metrics`);
  const type = response.headers.get('content-type');
  if (response.status !== 200 || type !== 'text/plain; version=0.0.4; charset=utf-8') {
    throw new Error(`/metrics was answered ${response.status} ${type}`);
  }
  return new MetricsReading(parseExposition(await response.text()));
}

/** By how much the series of a counter have grown, those that have, by the values of their labels. */
export function growth(before: MetricsReading, after: MetricsReading, name: string): Record<string, number> {
  const samples = after.families.get(`tidegate_${name}`)?.samples ?? [];
  const grown = samples.map(({ labels, value }) => [
    Object.values(labels).join(' '),
    value - before.value(name, labels),
  ]);
  return Object.fromEntries(grown.filter(([, by]) => by !== 0));
}
