import type { Client, ClientError } from '../src/client/client.ts';
import { BOUNDS } from '../src/protocol/bounds.ts';
import { STATUSES, type Status } from '../src/protocol/presence-state.ts';
import { byId, make, setText } from './dom.ts';
import { wordsOf } from './outgoing.ts';
import { avatar, dot, STATUS_WORDS, statusText } from './person.ts';
import { byteLength, wellFormed } from './text.ts';

const KEY = 'tidegate.status';

interface OwnStatus {
  readonly user: string;
  readonly status: Status;
  readonly text: string;
}

/** One's own name and status at the foot of the list, and the dialog that changes it. */
export class StatusMenu {
  readonly #client: Client;
  readonly #me: string;
  readonly #card = byId('self', HTMLButtonElement);
  readonly #dialog = byId('status-dialog', HTMLDialogElement);
  readonly #form = byId('status-form', HTMLFormElement);
  readonly #text = byId('status-text', HTMLInputElement);
  readonly #left = byId('status-left', HTMLElement);
  readonly #complaint = byId('status-complaint', HTMLElement);
  #own: OwnStatus;

  constructor(client: Client, me: string) {
    this.#client = client;
    this.#me = me;
    this.#own = stored(me);
    // The gateway keeps it over a reload, but no longer than a grace.
    if (this.#own.status !== 'online' || this.#own.text !== '') this.#tell();
    this.#card.addEventListener('click', () => this.open());
    this.#text.addEventListener('input', () => this.#check());
    this.#form.addEventListener('submit', (event) => {
      event.preventDefault();
      if (!this.#check()) return;
      const status = new FormData(this.#form).get('status') as Status;
      this.#own = { user: me, status, text: wellFormed(this.#text.value.trim()) };
      store(this.#own);
      this.#tell();
      this.#draw();
      this.#dialog.close();
    });
    this.#draw();
  }

  open(): void {
    const { status, text } = this.#own;
    for (const each of STATUSES) byId(`status-${each}`, HTMLInputElement).checked = each === status;
    this.#text.value = text;
    this.#check();
    this.#dialog.showModal();
  }

  #tell(): void {
    const { status, text } = this.#own;
    this.#client.status(status, text === '' ? undefined : text).catch((error: ClientError) => {
      // It is told in the next session.
      if (error.code !== 'closed' && error.code !== 'timed_out') this.#card.title = `Not set: ${wordsOf(error)}`;
    });
  }

  #check(): boolean {
    const left = BOUNDS.statusTextBytesMax - byteLength(this.#text.value.trim());
    setText(this.#left, `${left} left`);
    setText(this.#complaint, left < 0 ? 'That is too long.' : '');
    this.#text.ariaInvalid = String(left < 0);
    return left >= 0;
  }

  #draw(): void {
    const { status, text } = this.#own;
    const name = make('span', 'name', this.#me);
    const words = make('span', 'words', name, statusText(text === '' ? STATUS_WORDS[status] : text));
    this.#card.replaceChildren(make('span', 'face', avatar(this.#me, true), dot(status)), words);
  }
}

function stored(user: string): OwnStatus {
  const nothing: OwnStatus = { user, status: 'online', text: '' };
  try {
    const { user: of, status, text } = JSON.parse(sessionStorage.getItem(KEY) ?? '{}') as Partial<OwnStatus>;
    if (of !== user || status === undefined || !STATUSES.includes(status) || typeof text !== 'string') return nothing;
    return { user, status, text };
  } catch {
    return nothing;
  }
}

function store(own: OwnStatus): void {
  try {
    sessionStorage.setItem(KEY, JSON.stringify(own));
  } catch {
    // Refused or full.
  }
}
