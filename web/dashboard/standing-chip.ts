import { setText } from '../dom.ts';
import type { Standing } from './views.ts';

const WORDS: Readonly<Record<Standing['is'], string>> = {
  live: 'Live',
  connecting: 'Connecting…',
  lost: 'Connection lost, trying again',
  'key-needed': 'A key is needed',
};

/** Says whether what is shown is news. */
export class StandingChip {
  readonly #element: HTMLElement;

  constructor(element: HTMLElement) {
    this.#element = element;
  }

  show(standing: Standing): void {
    const why = 'why' in standing && standing.why !== undefined ? `: ${standing.why}` : '';
    this.#element.dataset.standing = standing.is;
    setText(this.#element, `${WORDS[standing.is]}${why}`);
  }
}
