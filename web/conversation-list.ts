import type { Conversation } from './conversation.ts';
import type { Conversations } from './conversations.ts';
import { DirectConversation } from './direct-conversation.ts';
import { arrange, byId, icon, make, spoken } from './dom.ts';
import { oncePerFrame } from './once-per-frame.ts';
import { avatar, dot } from './person.ts';
import { UNREAD_MAX } from './timeline.ts';

/** Rooms and direct messages, with what is unread; and how much that is in the page's title. */
export class ConversationList {
  readonly #conversations: Conversations;
  readonly #rooms = byId('rooms', HTMLElement);
  readonly #directs = byId('directs', HTMLElement);
  readonly #nobody = byId('no-directs', HTMLElement);
  readonly #menuUnread = byId('menu-unread', HTMLElement);
  readonly #items = new Map<string, { readonly item: HTMLElement; readonly looks: string }>();
  readonly #onChosen: () => void;

  /** @param onChosen one was chosen by hand, whether it was shown already or not */
  constructor(conversations: Conversations, onChosen: () => void) {
    this.#conversations = conversations;
    this.#onChosen = onChosen;
    conversations.changes.on(oncePerFrame(() => this.#draw()));
    byId('sidebar', HTMLElement).addEventListener('keydown', (event) => this.#walk(event));
    document.addEventListener('keydown', (event) => {
      if (event.altKey && (event.key === 'ArrowUp' || event.key === 'ArrowDown')) this.#step(event);
    });
  }

  #draw(): void {
    const { rooms, directs, all, current } = this.#conversations;
    // Who is put in anew would lose the focus.
    const focused = document.activeElement?.closest('[data-key]')?.getAttribute('data-key');
    arrange(
      this.#rooms,
      rooms.map((room) => this.#item(room)),
    );
    arrange(
      this.#directs,
      directs.map((direct) => this.#item(direct)),
    );
    this.#nobody.hidden = directs.length > 0;
    const keys = new Set(all.map(({ key }) => key));
    for (const key of this.#items.keys()) if (!keys.has(key)) this.#items.delete(key);
    if (focused !== undefined && focused !== null) this.#items.get(focused)?.item.querySelector('button')?.focus();

    const isHidden = document.visibilityState !== 'visible';
    const unread = all.reduce((sum, each) => sum + (each === current && !isHidden ? 0 : each.unread), 0);
    this.#menuUnread.hidden = unread === 0;
    const name = current === null ? '' : `${current.name} · `;
    document.title = `${unread === 0 ? '' : `(${countWords(unread)}) `}${name}tidegate`;
  }

  /** The element of a conversation; the same one as long as it looks the same. */
  #item(conversation: Conversation): HTMLElement {
    const { key, name, unread, ended } = conversation;
    const isCurrent = conversation === this.#conversations.current;
    const partner = conversation instanceof DirectConversation ? (conversation.partner?.status ?? 'offline') : '';
    const count = isCurrent && document.visibilityState === 'visible' ? 0 : unread;
    const looks = `${isCurrent} ${count} ${partner} ${ended}`;
    const known = this.#items.get(key);
    if (known?.looks === looks) return known.item;

    const choose = make('button', count > 0 ? 'item unread' : 'item');
    choose.type = 'button';
    choose.dataset.key = key;
    if (isCurrent) choose.ariaCurrent = 'true';
    if (partner === '') choose.append(icon(ended === '' ? 'room' : 'alert'));
    else choose.append(make('span', 'face', avatar(name, name === conversation.me), dot(partner)));
    choose.append(make('span', 'name', name));
    if (count > 0) choose.append(make('span', 'count', countWords(count), spoken(' unread')));
    choose.addEventListener('click', () => {
      this.#conversations.open(conversation);
      this.#onChosen();
    });
    const item = make('li', '', choose);
    this.#items.set(key, { item, looks });
    return item;
  }

  /** Up and down within the list. */
  #walk(event: KeyboardEvent): void {
    if (event.altKey || (event.key !== 'ArrowUp' && event.key !== 'ArrowDown')) return;
    const all: Element[] = [...document.querySelectorAll('#sidebar .item')];
    const { activeElement } = document;
    const at = activeElement === null ? -1 : all.indexOf(activeElement);
    if (at < 0) return;
    event.preventDefault();
    const next = all[at + (event.key === 'ArrowDown' ? 1 : -1)];
    if (next instanceof HTMLElement) next.focus();
  }

  /** To the next conversation, from wherever one is. */
  #step(event: KeyboardEvent): void {
    event.preventDefault();
    const { all, current } = this.#conversations;
    const at = (current === null ? -1 : all.indexOf(current)) + (event.key === 'ArrowDown' ? 1 : -1);
    const next = all[(at + all.length) % all.length];
    if (next === undefined) return;
    this.#conversations.open(next);
    this.#onChosen();
  }
}

function countWords(count: number): string {
  return count >= UNREAD_MAX ? `${UNREAD_MAX - 1}+` : `${count}`;
}
