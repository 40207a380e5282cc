const WHOLE = new Intl.NumberFormat('en', { maximumFractionDigits: 0 });
const COMPACT = new Intl.NumberFormat('en', { notation: 'compact' });
const NOTHING = '–';

/** Writes a value with its unit; what is not known is a dash. */
export type Unit = (value: number | null) => string;

/** Exactly. */
export const count: Unit = (value) => (value === null ? NOTHING : WHOLE.format(value));

/** About, as `3M`. */
export const compact: Unit = (value) => (value === null ? NOTHING : COMPACT.format(value));

export const perSecond: Unit = (value) => (value === null ? NOTHING : `${short(value)}/s`);

export const bytes: Unit = (value) => scaled(value, 1_000, ['B', 'kB', 'MB', 'GB', 'TB']);

export const bytesPerSecond: Unit = (value) => (value === null ? NOTHING : `${bytes(value)}/s`);

export const milliseconds: Unit = (value) => {
  if (value === null) return NOTHING;
  return value < 1_000 ? `${short(value)} ms` : `${short(value / 1_000)} s`;
};

export const processors: Unit = (value) => (value === null ? NOTHING : `${value.toFixed(2)}`);

/** As `3 d`, `2 h`, `5 min` or `12 s`. */
export function duration(ms: number): string {
  const seconds = Math.floor(ms / 1_000);
  if (seconds >= 86_400) return `${Math.floor(seconds / 86_400)} d`;
  if (seconds >= 3_600) return `${Math.floor(seconds / 3_600)} h`;
  return seconds >= 60 ? `${Math.floor(seconds / 60)} min` : `${seconds} s`;
}

/** To three digits, or all of a large number's. */
function short(value: number): string {
  if (value === 0) return '0';
  if (value >= 99.95) return WHOLE.format(value);
  return value >= 9.995 ? value.toFixed(1) : value.toFixed(2);
}

function scaled(value: number | null, step: number, units: readonly string[]): string {
  if (value === null) return NOTHING;
  let rest = value;
  let unit = 0;
  while (rest >= step && unit < units.length - 1) {
    rest /= step;
    unit += 1;
  }
  return `${unit === 0 ? WHOLE.format(rest) : short(rest)} ${units[unit]}`;
}
