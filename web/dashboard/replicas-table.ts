import { APPEND_SECONDS } from '../../src/observability/metric-entry.ts';
import { arrange, make, setText } from '../dom.ts';
import { type Replica, Scope } from './scope.ts';
import { bytes, count, duration, milliseconds, perSecond, processors } from './units.ts';

/** What is told of a replica, in the order of the table's columns. */
const CELLS: readonly ((replica: Replica, scope: Scope) => string)[] = [
  (replica) => stateOf(replica),
  ({ figures }) => count(figures.numbers.sessions ?? 0),
  ({ figures }) => count(figures.numbers.users ?? 0),
  ({ figures }) => count(figures.numbers.rooms ?? 0),
  (_, scope) => perSecond(scope.pace('publishes')),
  (_, scope) => perSecond(scope.pace('deliveries')),
  (_, scope) => milliseconds(scope.tookMs('publishAppend', APPEND_SECONDS, 0.99)),
  ({ figures }) => milliseconds(figures.process.loopLagMs),
  (_, scope) => processors(scope.pace('cpu')),
  ({ figures }) => bytes(figures.process.residentBytes),
  (_, scope) => count(Math.max(0, ...scope.lag.values())),
  ({ figures }) => duration(figures.upMs),
  ({ figures }) => figures.version,
];

/** All replicas, one a row; their names choose what the page is about. */
export class ReplicasTable {
  readonly #body: HTMLElement;
  readonly #onChoose: (id: string) => void;
  readonly #rows = new Map<string, { readonly row: HTMLElement; readonly cells: readonly HTMLElement[] }>();

  constructor(body: HTMLElement, onChoose: (id: string) => void) {
    this.#body = body;
    this.#onChoose = onChoose;
  }

  show(replicas: readonly Replica[], chosen: string | null): void {
    const rows = replicas.map((replica) => {
      const { id } = replica.figures;
      const { row, cells } = this.#rows.get(id) ?? this.#make(replica);
      const scope = new Scope([replica]);
      for (const [i, cell] of cells.entries()) {
        const isKnown = i === 0 || !replica.isGone;
        setText(cell, isKnown ? (CELLS[i]?.(replica, scope) ?? '') : '–');
      }
      row.classList.toggle('gone', replica.isGone);
      row.classList.toggle('draining', !replica.isGone && replica.figures.numbers.draining === 1);
      row.querySelector('button')?.setAttribute('aria-pressed', String(id === chosen));
      return row;
    });
    for (const [id, { row }] of this.#rows) if (!rows.includes(row)) this.#rows.delete(id);
    arrange(this.#body, rows);
  }

  #make({ figures: { id, node } }: Replica) {
    const choose = make('button', 'link', node);
    choose.type = 'button';
    choose.title = 'Show this replica alone, or all again';
    choose.addEventListener('click', () => this.#onChoose(id));
    const name = make('th', '', choose);
    name.scope = 'row';
    const cells = CELLS.map(() => make('td'));
    const row = make('tr', '', name, ...cells);
    row.dataset.node = node;
    const made = { row, cells };
    this.#rows.set(id, made);
    return made;
  }
}

function stateOf({ figures, isGone, ageMs }: Replica): string {
  if (isGone) return `gone, heard ${duration(ageMs)} ago`;
  return figures.numbers.draining === 1 ? 'draining' : 'serving';
}
