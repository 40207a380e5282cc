import type { NumberKey } from '../../src/observability/figures.ts';
import { make, setText } from '../dom.ts';
import type { Scope } from './scope.ts';
import { bytes, compact, count, type Unit } from './units.ts';

interface Bound {
  readonly label: string;
  readonly key: NumberKey;
  readonly most: NumberKey;
  readonly unit: Unit;
}

const BOUNDS: readonly Bound[] = [
  { label: 'Connections', key: 'connections', most: 'connectionsMax', unit: count },
  { label: 'Without connect', key: 'handshakes', most: 'handshakesMax', unit: count },
  { label: 'Publishes waiting', key: 'appendQueue', most: 'appendQueueMax', unit: count },
  { label: 'Bytes of these', key: 'appendQueueBytes', most: 'appendQueueBytesMax', unit: bytes },
  { label: 'Remembered mids', key: 'dedupeEntries', most: 'dedupeEntriesMax', unit: count },
  { label: 'Replies waiting', key: 'unsharedBytes', most: 'unsharedBytesMax', unit: bytes },
  { label: 'Commands waiting', key: 'inboxBytes', most: 'inboxBytesMax', unit: bytes },
  { label: 'Reads waiting', key: 'logReads', most: 'logReadsMax', unit: count },
  { label: 'In their grace', key: 'lingering', most: 'lingeringMax', unit: count },
  { label: 'Asked of Redis', key: 'redisUnanswered', most: 'redisUnansweredMax', unit: count },
];
/** Shares of a bound from which it is marked. */
const HIGH = 0.6;
const FULL = 0.9;

/** How much of each bound is used: of several replicas, where it is nearest. */
export class Meters {
  readonly #rows = BOUNDS.map((bound) => {
    const fill = make('span', 'fill');
    const bar = make('span', 'bar', fill);
    bar.setAttribute('role', 'meter');
    bar.setAttribute('aria-label', bound.label);
    bar.setAttribute('aria-valuemin', '0');
    const words = make('span', 'used');
    const row = make('li', '', make('span', 'name', bound.label), bar, words);
    row.dataset.bound = bound.key;
    return { bound, row, bar, fill, words };
  });

  constructor(list: HTMLElement) {
    list.append(...this.#rows.map(({ row }) => row));
  }

  show(scope: Scope): void {
    for (const { bound, row, bar, fill, words } of this.#rows) {
      const nearest = scope.nearest(bound.key, bound.most);
      row.hidden = nearest === null || nearest.most === 0;
      if (nearest === null || nearest.most === 0) continue;
      const { used, most, node } = nearest;
      const share = Math.min(used / most, 1);
      fill.style.width = `${100 * share}%`;
      bar.className = `bar ${share >= FULL ? 'full' : share >= HIGH ? 'high' : ''}`;
      bar.setAttribute('aria-valuenow', `${used}`);
      bar.setAttribute('aria-valuemax', `${most}`);
      const text = `${bound.unit(used)} of ${bound.unit === count ? compact(most) : bound.unit(most)}`;
      bar.setAttribute('aria-valuetext', text);
      setText(words, text);
      row.title = scope.replicas.length > 1 ? `of ${node}` : '';
    }
  }
}
