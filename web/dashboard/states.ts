import type { Figures } from '../../src/observability/figures.ts';
import { make, setText } from '../dom.ts';
import type { Replica, Scope } from './scope.ts';

interface State {
  readonly label: string;
  readonly applies: (figures: Figures) => boolean;
  /** What is wrong; null: nothing. */
  readonly trouble: (figures: Figures) => string | null;
  readonly good: string;
}

const always = () => true;
const needsRedis = ({ hasRedis }: Figures) => hasRedis;

const STATES: readonly State[] = [
  {
    label: 'Delivery',
    applies: always,
    trouble: ({ numbers }) =>
      numbers.deliveryOk === 0 ? `probes fail in ${numbers.failingPartitions ?? 0} partitions` : null,
    good: 'probes come back',
  },
  {
    label: 'Log',
    applies: always,
    trouble: ({ numbers }) => (numbers.logWritable === 0 ? 'cannot be written' : null),
    good: 'can be written',
  },
  {
    label: 'Redis',
    applies: needsRedis,
    trouble({ numbers }) {
      if (numbers.redisBroken === 1) return 'breaker open: no answer in time';
      return numbers.redisUp === 0 ? 'down' : null;
    },
    good: 'answers',
  },
  {
    label: 'Channels',
    applies: needsRedis,
    trouble: ({ numbers }) => (numbers.redisHearing === 0 ? 'not heard' : null),
    good: 'heard',
  },
  {
    label: 'Presence',
    applies: needsRedis,
    trouble: ({ numbers }) => (numbers.presenceShared === 0 ? 'of each replica alone' : null),
    good: 'shared',
  },
  {
    label: 'Draining',
    applies: always,
    trouble: ({ numbers }) => (numbers.draining === 1 ? 'sessions are handed over' : null),
    good: 'none',
  },
];

/** Whether what messages depend on does its work, and where it does not. */
export class States {
  readonly #rows = STATES.map((state) => {
    const words = make('span', 'words');
    const row = make('li', 'state', make('i', 'mark'), make('b', '', state.label), words);
    row.querySelector('.mark')?.setAttribute('aria-hidden', 'true');
    return { state, row, words };
  });

  constructor(list: HTMLElement) {
    list.append(...this.#rows.map(({ row }) => row));
  }

  /** How many are not as they should be. */
  show(scope: Scope): number {
    let bad = 0;
    for (const { state, row, words } of this.#rows) {
      const of = scope.replicas.filter(({ figures }) => state.applies(figures));
      row.hidden = of.length === 0;
      const troubled = of.filter(({ figures }) => state.trouble(figures) !== null);
      if (troubled.length > 0) bad += 1;
      row.classList.toggle('bad', troubled.length > 0);
      setText(words, troubled.length === 0 ? state.good : inWords(state, troubled, of.length));
    }
    return bad;
  }
}

function inWords(state: State, troubled: readonly Replica[], of: number): string {
  const [first] = troubled;
  const trouble = first === undefined ? '' : (state.trouble(first.figures) ?? '');
  if (of === 1) return trouble;
  return `${trouble}: ${troubled.map(({ figures }) => figures.node).join(', ')}`;
}
