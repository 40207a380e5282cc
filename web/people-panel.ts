import type { UserState } from '../src/protocol/presence-state.ts';
import type { Conversations } from './conversations.ts';
import { DirectConversation } from './direct-conversation.ts';
import { arrange, byId, make, setText } from './dom.ts';
import { oncePerFrame } from './once-per-frame.ts';
import { avatar, dot, presenceWords, statusText } from './person.ts';
import { RoomConversation } from './room-conversation.ts';

/** Who is in the room that is shown, or how the partner of a direct conversation is. */
export class PeoplePanel {
  readonly #conversations: Conversations;
  readonly #list = byId('people-list', HTMLElement);
  readonly #title = byId('people-title', HTMLElement);
  readonly #more = byId('people-more', HTMLElement);
  readonly #count = byId('people-count', HTMLElement);
  readonly #items = new Map<string, { readonly item: HTMLElement; readonly looks: string }>();
  readonly #me: string;
  readonly #onSelf: () => void;
  readonly #onChosen: () => void;

  /** @param onSelf one's own name was chosen. @param onChosen somebody else was, and the conversation is open */
  constructor(conversations: Conversations, me: string, onSelf: () => void, onChosen: () => void) {
    this.#conversations = conversations;
    this.#me = me;
    this.#onSelf = onSelf;
    this.#onChosen = onChosen;
    const draw = oncePerFrame(() => this.#draw());
    conversations.changes.on(draw);
    conversations.opened.on(() => {
      this.#items.clear();
      draw();
    });
  }

  #draw(): void {
    const { current } = this.#conversations;
    if (current instanceof RoomConversation) this.#drawRoom(current);
    else this.#drawPartner(current instanceof DirectConversation ? current : null);
  }

  #drawRoom({ users, count }: RoomConversation): void {
    const names = [...users.keys()].sort((a, b) => a.localeCompare(b));
    const focused = document.activeElement?.closest('[data-user]')?.getAttribute('data-user');
    arrange(
      this.#list,
      names.map((name) => this.#item(users.get(name) as UserState)),
    );
    for (const name of this.#items.keys()) if (!users.has(name)) this.#items.delete(name);
    if (focused) this.#items.get(focused)?.item.querySelector('button')?.focus();
    // One is here oneself, if that may be known.
    setText(this.#title, count === 0 ? 'People' : `${count.toLocaleString('en')} here`);
    setText(this.#count, count === 0 ? '' : count.toLocaleString('en'));
    const unnamed = count - names.length;
    setText(this.#more, unnamed > 0 && names.length > 0 ? `and ${unnamed.toLocaleString('en')} more` : '');
  }

  #drawPartner(direct: DirectConversation | null): void {
    const partner = direct?.partner ?? null;
    arrange(this.#list, partner === null ? [] : [this.#item(partner)]);
    setText(this.#title, direct === null ? 'People' : 'About');
    setText(this.#count, '');
    const words = partner === null ? 'Not known how they are' : presenceWords(partner);
    setText(this.#more, direct === null ? '' : words);
  }

  #item(state: UserState): HTMLElement {
    const { user, status, text, devices } = state;
    const looks = `${status} ${devices} ${text}`;
    const known = this.#items.get(user);
    if (known?.looks === looks) return known.item;

    const isSelf = user === this.#me;
    const words = make('span', 'words', make('span', 'name', user));
    if (isSelf) words.append(make('span', 'you', 'you'));
    if (text !== undefined) words.append(statusText(text));
    const choose = make('button', `person ${status}`, make('span', 'face', avatar(user, isSelf), dot(status)), words);
    choose.type = 'button';
    choose.dataset.user = user;
    choose.title = isSelf ? 'Change your status' : `Message ${user}`;
    if (devices > 1) choose.append(make('span', 'devices', `${devices} devices`));
    choose.addEventListener('click', () => {
      if (isSelf) {
        this.#onSelf();
        return;
      }
      this.#conversations.openDirect(user);
      this.#onChosen();
    });
    const item = make('li', '', choose);
    this.#items.set(user, { item, looks });
    return item;
  }
}
