/** Seconds that plots go back. */
export const SPAN_SECONDS = 300;
/** Seconds without a view that show as a gap. */
const GAP_SECONDS = 3.5;

type Values<Column extends string> = Readonly<Record<Column, number | null>>;

/** What is plotted, in columns of one length: of all replicas and of each by itself. */
export class History<Column extends string> {
  readonly #columns: readonly Column[];
  /** Seconds since 1970, rising. */
  readonly #times: number[] = [];
  readonly #scopes = new Map<string, Record<Column, (number | null)[]>>();

  constructor(columns: readonly Column[]) {
    this.#columns = columns;
  }

  get times(): readonly number[] {
    return this.#times;
  }

  get scopes(): readonly string[] {
    return [...this.#scopes.keys()];
  }

  column(scope: string, column: Column): readonly (number | null)[] {
    return this.#scopes.get(scope)?.[column] ?? this.#times.map(() => null);
  }

  /** The values of one moment; scopes that have none then have a gap. What is too old goes. */
  add(atSeconds: number, values: ReadonlyMap<string, Values<Column>>): void {
    const last = this.#times.at(-1);
    // The replica that tells may be another one now, with another clock.
    if (last !== undefined && atSeconds <= last) this.clear();
    else if (last !== undefined && atSeconds - last > GAP_SECONDS) this.#push(last + 1, new Map());
    this.#push(atSeconds, values);
    const old = this.#times.findIndex((time) => time > atSeconds - SPAN_SECONDS);
    this.#times.splice(0, old);
    for (const [scope, columns] of this.#scopes) {
      for (const column of this.#columns) columns[column].splice(0, old);
      if (this.#columns.every((column) => columns[column].every((value) => value === null))) this.#scopes.delete(scope);
    }
  }

  clear(): void {
    this.#times.length = 0;
    this.#scopes.clear();
  }

  #push(atSeconds: number, values: ReadonlyMap<string, Values<Column>>): void {
    for (const scope of values.keys()) {
      if (this.#scopes.has(scope)) continue;
      const columns = this.#columns.map((column) => [column, this.#times.map(() => null)]);
      this.#scopes.set(scope, Object.fromEntries(columns) as Record<Column, null[]>);
    }
    this.#times.push(atSeconds);
    for (const [scope, columns] of this.#scopes) {
      for (const column of this.#columns) columns[column].push(values.get(scope)?.[column] ?? null);
    }
  }
}
