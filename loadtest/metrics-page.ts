/** The series of one of tidegate's counters, by the value of their one label, as it tells them now. */
export async function readCounter(internalPort: number, name: string): Promise<ReadonlyMap<string, number>> {
  const page = await (await fetch(`http://127.0.0.1:${internalPort}/metrics`)).text();
  const series = page.matchAll(new RegExp(`^${name}\\{\\w+="(\\w+)"\\} (\\d+)$`, 'gm'));
  return new Map([...series].map(([, label = '', value]) => [label, Number(value)]));
}
