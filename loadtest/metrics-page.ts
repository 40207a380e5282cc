/** Of a replica whose loop has better things to do, no answer is an answer too. */
const TIMEOUT_MS = 2_000;

/** The values of a gateway's metrics as it tells them now, by name and labels: `name{label="value"}`. */
export async function readMetrics(internalUrl: string, timeoutMs = TIMEOUT_MS): Promise<ReadonlyMap<string, number>> {
  const answer = await fetch(new URL('/metrics', internalUrl), { signal: AbortSignal.timeout(timeoutMs) });
  const series = (await answer.text()).matchAll(/^(\w+(?:\{[^}]*\})?) (\S+)$/gm);
  return new Map([...series].map(([, name = '', value]) => [name, Number(value)]));
}

/** The series of one of tidegate's counters, by the value of their one label, as it tells them now. */
export async function readCounter(internalPort: number, name: string): Promise<ReadonlyMap<string, number>> {
  return seriesOf(await readMetrics(`http://127.0.0.1:${internalPort}`), name);
}

/** Those of one metric, by the value of their one label. */
export function seriesOf(metrics: ReadonlyMap<string, number>, name: string): ReadonlyMap<string, number> {
  const pattern = new RegExp(`^${name}\\{\\w+="(\\w+)"\\}$`);
  return new Map(
    [...metrics].flatMap(([key, value]) => {
      const label = pattern.exec(key)?.[1];
      return label === undefined ? [] : [[label, value] as const];
    }),
  );
}
