import { arrange, make, setText } from '../dom.ts';
import type { Scope } from './scope.ts';
import { count, perSecond } from './units.ts';

/** Kinds of what went wrong, with what the catalogue calls their metric. */
const KINDS = { errors: 'error', disconnects: 'session ended', connectionsRefused: 'refused' } as const;

/** Errors by code, how sessions ended and why connections were refused, as far as there were any. */
export class ErrorsList {
  readonly #body: HTMLElement;
  readonly #empty: HTMLElement;
  readonly #rows = new Map<string, HTMLElement>();

  constructor(body: HTMLElement, empty: HTMLElement) {
    this.#body = body;
    this.#empty = empty;
  }

  show(scope: Scope): void {
    const rows = (Object.keys(KINDS) as (keyof typeof KINDS)[]).flatMap((kind) =>
      [...scope.byLabel(kind)]
        .filter(([, total]) => total > 0)
        .sort(([, a], [, b]) => b - a)
        .map(([label, total]) => {
          const row = this.#rows.get(`${kind} ${label}`) ?? this.#make(kind, label);
          const [, , pace, sum] = row.children;
          if (pace !== undefined) setText(pace, perSecond(scope.paceByLabel(kind)?.get(label) ?? null));
          if (sum !== undefined) setText(sum, count(total));
          return row;
        }),
    );
    this.#empty.hidden = rows.length > 0;
    arrange(this.#body, rows);
  }

  #make(kind: keyof typeof KINDS, label: string): HTMLElement {
    const name = make('th', 'code', label);
    name.scope = 'row';
    const row = make('tr', '', make('td', 'kind', KINDS[kind]), name, make('td'), make('td'));
    this.#rows.set(`${kind} ${label}`, row);
    return row;
  }
}
