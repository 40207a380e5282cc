import { arrange, make, setText } from '../dom.ts';
import type { Scope } from './scope.ts';
import { count } from './units.ts';

/** Partitions that have a square each; where there are more, those that are behind have. */
const SQUARES_MAX = 64;

/** How far each partition of the log is behind, on whichever replica is farthest. */
export class Partitions {
  readonly #words: HTMLElement;
  readonly #squares: HTMLElement;

  constructor(words: HTMLElement, squares: HTMLElement) {
    this.#words = words;
    this.#squares = squares;
  }

  show(scope: Scope): void {
    const { lag } = scope;
    const partitions = scope.most((figures) => figures.partitions) ?? 0;
    const behind = [...lag].sort(([, a], [, b]) => b - a);
    const worst = behind.slice(0, 3).map(([partition, records]) => `partition ${partition} by ${count(records)}`);
    const rest = behind.length > 3 ? ` and ${behind.length - 3} more` : '';
    setText(
      this.#words,
      behind.length === 0
        ? `All ${count(partitions)} partitions are read up to their end.`
        : `Behind: ${worst.join(', ')}${rest}.`,
    );
    const shown =
      partitions <= SQUARES_MAX
        ? Array.from({ length: partitions }, (_, i) => i)
        : [...lag.keys()].sort((a, b) => a - b);
    const squares = shown.map((partition, i) => {
      const square = (this.#squares.children[i] as HTMLElement | undefined) ?? make('span');
      const records = lag.get(partition) ?? 0;
      setText(square, `${partition}`);
      square.title = `Partition ${partition}: ${count(records)} records behind`;
      square.className = records === 0 ? '' : records < 1_000 ? 'behind' : 'far-behind';
      return square;
    });
    arrange(this.#squares, squares);
  }
}
