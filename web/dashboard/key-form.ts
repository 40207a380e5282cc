import { byId, setText } from '../dom.ts';
import type { Standing } from './views.ts';

/** Kept for this tab alone. */
const STORED = 'tidegate.dashboard.key';

/** Asks for a key of the server API where one is needed. */
export class KeyForm {
  readonly #form = byId('key-form', HTMLFormElement);
  readonly #input = byId('key', HTMLInputElement);
  readonly #complaint = byId('key-complaint', HTMLElement);

  /** The key that this tab was given; null: none. */
  static get key(): string | null {
    return sessionStorage.getItem(STORED);
  }

  constructor(onKey: (key: string) => void) {
    this.#form.addEventListener('submit', (event) => {
      event.preventDefault();
      const key = this.#input.value.trim();
      if (key === '') return;
      sessionStorage.setItem(STORED, key);
      onKey(key);
    });
  }

  show(standing: Standing): void {
    if (standing.is === 'connecting') return;
    this.#form.hidden = standing.is !== 'key-needed';
    if (standing.is !== 'key-needed') return;
    sessionStorage.removeItem(STORED);
    setText(this.#complaint, standing.isRefused ? 'That is none of the keys in TIDEGATE_API_KEYS.' : '');
    this.#input.value = '';
    this.#input.focus();
  }
}
