/** One line of numbers. */
export interface Sample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/** One metric with its lines. */
export interface Family {
  readonly name: string;
  readonly type: 'counter' | 'gauge' | 'histogram' | 'summary';
  readonly help: string;
  readonly samples: readonly Sample[];
}

const NAME = /^[a-zA-Z_:][a-zA-Z0-9_:]*$/;
const LABEL = /^([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\[\\"n])*)"(,|$)/;
const NUMBER = /^(?:[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?|[-+]Inf|NaN)$/;
const TYPES = ['counter', 'gauge', 'histogram', 'summary'];

/**
 * Reads Prometheus' text format 0.0.4, and takes nothing that it doesn't allow: HELP, TYPE and samples of a metric
 * stand together and once, names and labels are well formed, nothing is there twice, histograms add up.
 * @throws Error that names the line
 */
export function parseExposition(text: string): Map<string, Family> {
  if (!text.endsWith('\n')) throw new Error('the last line has no end');
  const families = new Map<string, Family & { samples: Sample[] }>();
  const seen = new Set<string>();
  let help: { name: string; text: string } | null = null;
  let family: (Family & { samples: Sample[] }) | null = null;
  for (const line of text.slice(0, -1).split('\n')) {
    const refuse = (reason: string) => new Error(`${reason}: ${line}`);
    if (line === '') continue;
    if (line.startsWith('# HELP ')) {
      const [, name = '', words = ''] = /^# HELP (\S+) (.+)$/.exec(line) ?? [];
      if (!NAME.test(name) || /\\(?![\\n])/.test(words)) throw refuse('a malformed HELP');
      help = { name, text: words };
      family = null;
    } else if (line.startsWith('# TYPE ')) {
      const [, name = '', type = ''] = /^# TYPE (\S+) (\S+)$/.exec(line) ?? [];
      if (!TYPES.includes(type)) throw refuse('an unknown TYPE');
      if (help?.name !== name) throw refuse('a TYPE without its HELP');
      if (families.has(name)) throw refuse('a metric for the second time');
      family = { name, type: type as Family['type'], help: help.text, samples: [] };
      families.set(name, family);
    } else if (line.startsWith('#')) {
      throw refuse('neither HELP nor TYPE');
    } else {
      const sample = parseSample(line, refuse);
      if (family === null || !isOf(sample.name, family)) throw refuse('a sample outside its metric');
      const key = `${sample.name} ${JSON.stringify(Object.entries(sample.labels).sort())}`;
      if (seen.has(key)) throw refuse('a series for the second time');
      seen.add(key);
      if (family.type === 'counter' && !(sample.value >= 0)) throw refuse('a counter below 0');
      family.samples.push(sample);
    }
  }
  for (const known of families.values()) if (known.type === 'histogram') checkHistogram(known);
  return families;
}

function parseSample(line: string, refuse: (reason: string) => Error): Sample {
  const [, name = '', , inner = '', number = ''] = /^([^{\s]+)(\{(.*)\})? (\S+)$/.exec(line) ?? [];
  if (!NAME.test(name)) throw refuse('a malformed name');
  if (!NUMBER.test(number)) throw refuse('a malformed number');
  const labels: Record<string, string> = {};
  for (let rest = inner; rest !== ''; ) {
    const [whole = '', label = '', value = '', comma] = LABEL.exec(rest) ?? [];
    if (whole === '' || label in labels) throw refuse('malformed labels');
    labels[label] = value.replace(/\\(.)/g, (_, escaped: string) => (escaped === 'n' ? '\n' : escaped));
    rest = rest.slice(whole.length);
    if (comma === ',' && rest === '') throw refuse('a comma too many');
  }
  return { name, labels, value: Number(number.replace('Inf', 'Infinity')) };
}

function isOf(sample: string, { name, type }: Family): boolean {
  if (type === 'histogram') return [`${name}_bucket`, `${name}_sum`, `${name}_count`].includes(sample);
  if (type === 'summary') return [name, `${name}_sum`, `${name}_count`].includes(sample);
  return sample === name;
}

/** Each series of buckets rises in bounds and numbers, and ends with +Inf, which is the count. */
function checkHistogram({ name, samples }: Family): void {
  const series = new Map<string, { bounds: number[]; counts: number[]; sum?: number; count?: number }>();
  for (const { name: sample, labels, value } of samples) {
    const { le, ...others } = labels;
    const key = JSON.stringify(Object.entries(others).sort());
    const known = series.get(key) ?? { bounds: [], counts: [] };
    series.set(key, known);
    if (sample === `${name}_sum`) known.sum = value;
    else if (sample === `${name}_count`) known.count = value;
    else {
      known.bounds.push(le === '+Inf' ? Number.POSITIVE_INFINITY : Number(le ?? Number.NaN));
      known.counts.push(value);
    }
  }
  for (const [labels, { bounds, counts, sum, count }] of series) {
    const rises = bounds.every((bound, i) => !Number.isNaN(bound) && (i === 0 || bound > (bounds[i - 1] ?? 0)));
    const isCumulative = counts.every((value, i) => i === 0 || value >= (counts[i - 1] ?? 0));
    if (!rises || bounds.at(-1) !== Number.POSITIVE_INFINITY) throw new Error(`${name} ${labels}: wrong bounds`);
    if (!isCumulative) throw new Error(`${name} ${labels}: the buckets are not cumulative`);
    if (sum === undefined || count !== counts.at(-1)) throw new Error(`${name} ${labels}: count or sum do not fit`);
  }
}

/** The value of one series. @throws Error if there is none */
export function seriesValue(
  families: ReadonlyMap<string, Family>,
  name: string,
  labels: Readonly<Record<string, string>> = {},
): number {
  const family = families.get(name.replace(/_(bucket|sum|count)$/, '')) ?? families.get(name);
  const wanted = Object.entries(labels);
  const found = family?.samples.filter(
    (sample) =>
      sample.name === name &&
      Object.keys(sample.labels).length === wanted.length &&
      wanted.every(([label, value]) => sample.labels[label] === value),
  );
  const [sample] = found ?? [];
  if (sample === undefined) throw new Error(`there is no ${name} ${JSON.stringify(labels)}`);
  return sample.value;
}
